# Rules 22 to 24: what pins
=== 22 temporary tables
? CREATE TEMP TABLE mine (id int)
? INSERT INTO mine VALUES (1)
? SELECT * FROM mine
@B
? SELECT * FROM mine
@A
? SELECT * FROM mine
=== 22 temporary tables of a block [1]
? BEGIN
? CREATE TEMP TABLE mine (id int) ON COMMIT DROP
? INSERT INTO mine VALUES (1)
? SELECT * FROM mine
? COMMIT
? SELECT * FROM mine
=== 22 temporary in other ways [1]
? SELECT 1 AS id INTO TEMP into_temp
? SELECT * FROM into_temp
? CREATE TEMP VIEW seen AS SELECT 5 AS five
? SELECT * FROM seen
? CREATE TEMP SEQUENCE counts
? SELECT nextval('counts')
? SET search_path = pg_temp, public
? CREATE TABLE hidden (id int)
? INSERT INTO hidden VALUES (3)
? SELECT * FROM hidden
@B
? SELECT * FROM hidden
@A
? SELECT * FROM hidden
? RESET search_path
? SELECT * FROM hidden
? DISCARD TEMP
? SELECT * FROM hidden
? SELECT * FROM into_temp
=== 22 CREATE TABLE AS and pg_temp by name [1]
? CREATE TABLE pg_temp.named AS SELECT 7 AS seven
? SELECT * FROM named
@B
? SELECT * FROM named
@A
? SELECT * FROM named
? DISCARD ALL
? SELECT * FROM named
=== 22 temporary by opaque code [1]
? SELECT makes('by_function')
? SELECT count(*) FROM by_function
@B
? SELECT count(*) FROM by_function
@A
? DO $$ BEGIN CREATE TEMP TABLE by_do (id int); END $$
? SELECT count(*) FROM by_do
? SELECT count(*) FROM by_function
=== 22 advisory locks of the session
? SELECT pg_advisory_lock(5)
? SELECT 1/0
? SELECT 1
@B
? SELECT pg_try_advisory_lock(5)
@A
? SELECT pg_advisory_unlock(5)
? SELECT pg_advisory_unlock(5)
@B
? SELECT pg_try_advisory_lock(5)
? SELECT pg_advisory_unlock(5)
=== 22 advisory locks and ROLLBACK
? BEGIN
? SELECT pg_advisory_lock(6)
? ROLLBACK
@B
? SELECT pg_try_advisory_lock(6)
@A
? SELECT pg_advisory_unlock_all()
@B
? SELECT pg_try_advisory_lock(6)
? SELECT pg_advisory_unlock(6)
=== 22 advisory locks of a transaction
? BEGIN
? SELECT pg_advisory_xact_lock(7)
? COMMIT
@B
? SELECT pg_try_advisory_xact_lock(7)
=== 22 a lock taken by a function, then an error [1]
? SELECT locks(8)
@B
? SELECT pg_try_advisory_lock(8)
@A
? SELECT locks(9), 1/(0 * id) FROM t WHERE id = 1
? SELECT 1
? BEGIN; SELECT locks(10); SELECT 1/0
? ROLLBACK
@B
? SELECT pg_try_advisory_lock(8)
? SELECT pg_try_advisory_lock(10)
@A
? SELECT pg_advisory_unlock_all()
@B
? SELECT pg_try_advisory_lock(10)
? SELECT pg_advisory_unlock_all()
=== 22 a lock taken by the extended protocol
P lock|SELECT pg_advisory_lock($1)
S
= Z
run lock|11
@B
? SELECT pg_try_advisory_lock(11)
@A
P unlock|SELECT pg_advisory_unlock($1)
S
= Z
run unlock|11
@B
? SELECT pg_try_advisory_lock(11)
? SELECT pg_advisory_unlock(11)
=== 22 a lock taken by a statement that fails [1]
? SELECT pg_advisory_lock(12), 1/(0 * id) FROM t WHERE id = 1
@B
? SELECT pg_try_advisory_lock(12)
@A
? SELECT 1
? SELECT pg_advisory_unlock(12)
ext SELECT pg_advisory_lock(13), 1/(0 * id) FROM t WHERE id = 1
S
= Z
@B
? SELECT pg_try_advisory_lock(13)
@A
? SELECT pg_advisory_unlock(13)
=== 22 CALL that commits [1]
? CALL commits(220)
? SELECT id FROM t WHERE id = 220
ext CALL commits(221)
S
= Z
? SELECT id FROM t WHERE id = 221
? BEGIN
? CALL commits(222)
? ROLLBACK
=== 22 functions that do nothing don't disturb [1]
? SELECT adds(1, 2)
P adds|SELECT adds($1, $2)
S
= Z
run adds|3|4
=== 22 LISTEN and NOTIFY
? LISTEN news
? NOTIFY news, 'to myself'
? SELECT 1
@B
? NOTIFY news, 'hello'
@A
= A
? SELECT 1
? UNLISTEN news
@B
? NOTIFY news, 'unheard'
@A
? SELECT 1
=== 22 LISTEN in a block
? BEGIN
? LISTEN news
? ROLLBACK
? NOTIFY news
? SELECT 1
? BEGIN
? LISTEN news
? NOTIFY news, 'after'
? COMMIT
? UNLISTEN *
? NOTIFY news
=== 22 pg_notify
? LISTEN other
? SELECT pg_notify('other', 'x')
? BEGIN
? SELECT pg_notify('other', 'in a block')
? SELECT 1
? COMMIT
? UNLISTEN *
=== 22 setseed
? SELECT setseed(0.5)
? SELECT random()
? SELECT random()
=== 22 LOAD [1]
? LOAD 'nothing_like_it'
? SELECT 1
=== 21 a backend ended between statements
? SELECT 1
intruder off
su SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = 'nobody'
? SELECT 2
=== large objects [1]
? BEGIN
? SELECT lo_create(4711)
? SELECT lo_open(4711, 131072)
? SELECT lowrite(0, 'abc')
? SELECT lo_lseek(0, 0, 0), loread(0, 2)
? COMMIT
? SELECT lo_get(4711)
? SELECT lo_unlink(4711)
=== 22 what a trigger sets [1]
? CREATE TABLE watched (id int)
? CREATE FUNCTION on_watched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('work_mem', '11MB', false); PERFORM pg_advisory_lock(1101); RETURN NEW; END $$
? CREATE TRIGGER watch AFTER INSERT OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION on_watched()
? SELECT count(*) FROM watched
? SHOW work_mem
? INSERT INTO watched VALUES (1)
@B
? SHOW work_mem
? SELECT pg_try_advisory_lock(1101)
@A
? SHOW work_mem
? SELECT pg_advisory_unlock(1101)
=== 22 what a trigger sets on a table that a change goes on to [1]
? CREATE TABLE parents (id int PRIMARY KEY)
? CREATE TABLE children (id int REFERENCES parents ON DELETE CASCADE)
? CREATE FUNCTION on_child() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET work_mem = '12MB'; RETURN OLD; END $$
? CREATE TRIGGER child AFTER DELETE ON children FOR EACH ROW EXECUTE FUNCTION on_child()
? INSERT INTO parents VALUES (1)
? INSERT INTO children VALUES (1)
@C
? DELETE FROM parents
@B
? SHOW work_mem
@C
? SHOW work_mem
=== 22 what a view sets, and a query through another one [1]
? CREATE VIEW setting AS SELECT set_config('work_mem', '13MB', false) AS value
? CREATE VIEW over_setting AS SELECT value FROM setting
@C
P p1|SELECT * FROM over_setting
S
= Z
run p1
@B
? SHOW work_mem
@C
? SHOW work_mem
=== 22 what a default, a check and a rule set [1]
? CREATE TABLE filled (id int DEFAULT length(sets('work_mem', '14MB')), x int)
? CREATE TABLE checked (id int CHECK (sets('work_mem', '15MB') IS NOT NULL))
? CREATE TABLE ruled (id int)
? CREATE RULE rule AS ON INSERT TO ruled DO ALSO SELECT set_config('work_mem', '16MB', false)
@C
? INSERT INTO filled (x) VALUES (1)
@B
? SHOW work_mem
@C
? SHOW work_mem
@D
ext INSERT INTO checked VALUES (1)
S
= Z
@B
? SHOW work_mem
@D
? SHOW work_mem
@E
? INSERT INTO ruled VALUES (1)
@B
? SHOW work_mem
@E
? SHOW work_mem
=== 22 what a policy sets [1]
? CREATE TABLE guarded (id int)
? ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
? CREATE POLICY guard ON guarded USING (sets('work_mem', '17MB') IS NOT NULL)
? INSERT INTO guarded VALUES (1)
@C
? SELECT * FROM guarded
@B
? SHOW work_mem
@C
? SHOW work_mem
=== 22 what is written to pg_settings [1]
? SELECT count(*) > 100 FROM pg_settings
@C
? UPDATE pg_settings SET setting = '18000' WHERE name = 'work_mem'
@B
? SHOW work_mem
@C
? SHOW work_mem
=== 22 a trigger that leaves nothing [1]
? CREATE TABLE harmless (id int, at text)
? CREATE FUNCTION on_harmless() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := 'now'; RETURN NEW; END $$
? CREATE TRIGGER harmless BEFORE INSERT ON harmless FOR EACH ROW EXECUTE FUNCTION on_harmless()
? INSERT INTO harmless VALUES (1)
? SELECT * FROM harmless
=== 22 a seed is nobody else's
? SELECT setseed(0.25)
@B
? SELECT random() < 2, random() < 2
@A
? SELECT random()
@C
? SET SEED TO 0.5
@B
? SELECT random() < 2
@C
? SELECT random()
