# Rules 12 to 15: prepared statements
=== 13 literals are read at Parse
? SET DateStyle = 'ISO, MDY'
P mdy|SELECT '01/02/2020'::date
S
= Z
? SET DateStyle = 'ISO, DMY'
P dmy|SELECT '01/02/2020'::date
S
= Z
run mdy
run dmy
run mdy
? RESET DateStyle
run dmy
=== 13 literals of the unnamed are read at Parse
? SET DateStyle = 'ISO, DMY'
P |SELECT '01/02/2020'::date, v FROM t WHERE id = 1
S
= Z
B |
E
S
= Z
P mdy|SET DateStyle = 'ISO, MDY'
S
= Z
run mdy
B |
E
S
= Z
P tokyo|SET TimeZone = 'Asia/Tokyo'
S
= Z
run tokyo
B |
E
B |
E
S
= Z
? SELECT '01/02/2020'::date
=== 13 EXECUTE runs what was read at PREPARE
? SET DateStyle = 'ISO, MDY'
? PREPARE d (int) AS SELECT '01/02/2020'::date, v FROM t WHERE id = $1
? EXECUTE d (1)
? SET DateStyle = 'ISO, DMY'
? EXECUTE d (1)
? EXECUTE d (2)
? BEGIN
? EXECUTE d (3)
? SELECT '01/02/2020'::date
? COMMIT
? DEALLOCATE d
? PREPARE k AS SELECT '01/02/2020'::date, v FROM h WHERE id = 7
? SET DateStyle = 'ISO, MDY'
? EXECUTE k
? SELECT '01/02/2020'::date
=== 13 two sessions, one name, other texts
P same|SELECT v FROM t WHERE id = 1
S
= Z
@B
P same|SELECT id FROM t WHERE id = 2
S
= Z
run same
@A
run same
@B
? DEALLOCATE ALL
@A
run same
@B
run same
=== 13 two sessions, one text
P one|SELECT v FROM t WHERE id = $1
S
= Z
@B
P two|SELECT v FROM t WHERE id = $1
DS two
S
= Z
run two|2
@A
run one|1
CS one
S
= Z
@B
run two|3
=== 13 other parameter types are another statement
P a|25|SELECT $1
P b|20|SELECT $1
P c|SELECT $1
DS a
DS b
DS c
S
= Z
run a|7
run b|7
run c|7
=== 13 under another search_path [1]
? CREATE SCHEMA other CREATE TABLE t (id int, v text)
? INSERT INTO other.t VALUES (1, 'other')
P which|SELECT v FROM t WHERE id = 1
S
= Z
run which
? SET search_path = other, public
run which
P there|SELECT v FROM t WHERE id = 1
S
= Z
run there
? RESET search_path
run which
run there
? DROP SCHEMA other CASCADE
run which
run there
=== 14 after a column was added [1]
P star|SELECT * FROM t WHERE id = 1
DS star
S
= Z
run star
? ALTER TABLE t ADD COLUMN more int
run star
? ALTER TABLE t DROP COLUMN more
run star
run star
=== 14 after a column was added by somebody else [1]
P star|SELECT * FROM t WHERE id = 1
DS star
S
= Z
run star
@B
? ALTER TABLE t ADD COLUMN more int
@A
run star
run star
@B
? ALTER TABLE t DROP COLUMN more
@A
run star
=== 14 after a column changed its type [1]
? CREATE TABLE typed (id int, n int)
? INSERT INTO typed VALUES (1, 1)
P eq|SELECT id FROM typed WHERE n = $1
DS eq
S
= Z
run eq|1
? ALTER TABLE typed ALTER n TYPE text
run eq|1
P eq2|SELECT id FROM typed WHERE n = $1
DS eq2
S
= Z
run eq2|1
? DROP TABLE typed
run eq|1
run eq2|1
=== 14 in one batch with the DDL [1]
P star|SELECT * FROM t WHERE id = 1
S
= Z
run star
ext ALTER TABLE t ADD COLUMN more int
B |star
E
S
= Z
run star
? ALTER TABLE t DROP COLUMN IF EXISTS more
run star
=== 14 inside a block that rolls back [1]
P star|SELECT * FROM t WHERE id = 1
S
= Z
? BEGIN
? ALTER TABLE t ADD COLUMN more int
P inner|SELECT * FROM t WHERE id = 1
S
= Z
run inner
? ROLLBACK
run star
run inner
run star
=== 14 many statements
P a1|SELECT 1
P a2|SELECT 2
P a3|SELECT 3
B |a1
E
B |a3
E
B |a2
E
S
= Z
run a1
run a2
run a3
=== 14 describe without Bind, many times
P d1|SELECT id, v FROM t WHERE id = $1 AND v = $2
S
= Z
DS d1
S
= Z
DS d1
DS d1
S
= Z
P d2|INSERT INTO t VALUES ($1, $2)
DS d2
S
= Z
=== 15 one namespace [1]
? PREPARE sqls AS SELECT 21
? EXECUTE sqls
run sqls
P sqls|SELECT 22
S
= Z
P proto|SELECT 23
S
= Z
? PREPARE proto AS SELECT 1
? EXECUTE proto
? DEALLOCATE proto
run proto
? EXECUTE proto
? DEALLOCATE ALL
? EXECUTE sqls
run sqls
? DEALLOCATE nothing
? DEALLOCATE PREPARE nothing
? EXECUTE nothing(1, 2)
=== 15 PREPARE with parameters [1]
? PREPARE add(int, int) AS SELECT $1 + $2
? EXECUTE add(1, 2)
? EXECUTE add('3', 4)
? EXECUTE add(1)
? EXECUTE add(1, 2, 3)
? EXECUTE add
? PREPARE byid(int) AS SELECT v FROM t WHERE id = $1
? EXECUTE byid(2)
? EXECUTE byid(1 + 2)
? EXECUTE byid(NULL)
? PREPARE hid(int) AS SELECT v FROM h WHERE id = $1
? EXECUTE hid(2)
? EXECUTE hid(3)
run add|5|6
run byid|4
run hid|4
DS add
DS hid
S
= Z
? DEALLOCATE byid
run byid|4
=== 15 PREPARE, EXECUTE and DEALLOCATE in one message
? PREPARE z AS SELECT 5; EXECUTE z; DEALLOCATE z
? EXECUTE z
? PREPARE z AS SELECT 6; SELECT 1/0
? EXECUTE z
? PREPARE z AS SELECT 7
? DEALLOCATE z; PREPARE z AS SELECT 7; EXECUTE z
? EXECUTE z; EXECUTE z
=== 15 quoted and folded names [1]
? PREPARE "Mixed Case" AS SELECT 1
? EXECUTE "Mixed Case"
? EXECUTE mixed
? PREPARE Folded AS SELECT 2
? EXECUTE FOLDED
run folded
run Folded
? DEALLOCATE "Mixed Case"
=== 15 SQL statements by the extended protocol [1]
? PREPARE ep AS SELECT 31
ext EXECUTE ep
S
= Z
? EXECUTE ep
ext DEALLOCATE ep
S
= Z
? EXECUTE ep
=== 15 a rolled back block keeps its statements
? BEGIN
P survives|SELECT 31
S
= Z
? PREPARE sqlsurvives AS SELECT 32
? ROLLBACK
run survives
? EXECUTE sqlsurvives
=== 15 DISCARD
P goes|SELECT 41
S
= Z
? DISCARD PLANS
run goes
? DISCARD ALL
run goes
P goes|SELECT 42
S
= Z
run goes
? BEGIN
? DISCARD ALL
? ROLLBACK
? SELECT 1; DISCARD ALL
run goes
=== 15 EXPLAIN EXECUTE [1]
? PREPARE ex AS SELECT 1 AS one
? EXPLAIN (COSTS off) EXECUTE ex
=== 15 a failing statement prepared by SQL
? PREPARE wrong AS SELECT nothing FROM t
? EXECUTE wrong
? PREPARE zero AS SELECT 1/0
? EXECUTE zero
? EXECUTE zero
=== 13 a statement that was closed and made anew
P again|SELECT 1
S
= Z
CS again
P again|SELECT 2
S
= Z
run again
CS again
CS again
P again|SELECT 3
B |again
E
S
= Z
=== 13 now is frozen at Parse
P frozen|SELECT 'now'::timestamptz = 'now'::timestamptz
S
= Z
run frozen
=== 13 wrong binds
P b2|SELECT $1::int, $2::int
S
= Z
run b2|1
run b2|1|2|3
run b2|x|2
run b2|1|2
P hb|SELECT v FROM h WHERE id = $1
S
= Z
run hb|x
run hb
run hb|1|2
run hb|~
run hb|99999999999
run hb|x:00000002
run hb|x:0002
run hb|2
=== 14 statements by role [1]
su CREATE ROLE sessions_other
su GRANT sessions_other TO app
P who|SELECT current_user
S
= Z
run who
? SET ROLE sessions_other
run who
P me|SELECT current_user
S
= Z
run me
? SELECT v FROM t WHERE id = 1
? RESET ROLE
run who
run me
=== 13 literals of a read over several shards are read as when it was prepared
? SET DateStyle = 'ISO, MDY'
? PREPARE q AS SELECT id, '01/02/2020'::date AS d, timestamptz '2020-06-01 12:00' AS t FROM h WHERE id < 4 ORDER BY id
? PREPARE r (int) AS SELECT id, $$03/04/2021$$::date AS d FROM h WHERE id < $1 ORDER BY id
P p|SELECT id, '05/06/2022'::date AS d, timestamptz '2020-06-01 12:00' AS t FROM h WHERE id < $1 ORDER BY id
S
= Z
? EXECUTE q
B |p|3
DP
E
S
= Z
? SET DateStyle = 'SQL, DMY'
? SET TimeZone = 'Asia/Tokyo'
? EXECUTE q
? EXECUTE r (3)
B |p|3
DP
E
S
= Z
? SHOW DateStyle
? SELECT id, '01/02/2020'::date FROM h WHERE id < 3 ORDER BY id
? BEGIN
? SELECT v FROM t WHERE id = 2
? SET LOCAL DateStyle = 'German'
? EXECUTE q
B |p|3
E |1
E
S
= Z
? SELECT id, '01.02.2020'::date FROM h WHERE id < 3 ORDER BY id
? COMMIT
? SHOW DateStyle
? SELECT id, '01/02/2020'::date FROM h WHERE id < 3 ORDER BY id
? BEGIN
? SELECT id, v FROM h WHERE id < 3 ORDER BY id
? EXECUTE q
? COMMIT
? SHOW DateStyle
? SELECT id, '01/02/2020'::date FROM h WHERE id < 3 ORDER BY id
P |SELECT id, '07/08/2023'::date AS d FROM h WHERE id < 3 ORDER BY id
B |
ext SELECT 1
S
= Z
