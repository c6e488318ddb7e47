# Rules 1 to 8 and 11: blocks, the end of a batch, local answers, transaction control.
=== 1 an implicit block ends at COMMIT
? INSERT INTO t VALUES (20, 'a'); COMMIT; INSERT INTO t VALUES (21, 'b'); SELECT 1/0
? SELECT id FROM t WHERE id IN (20, 21) ORDER BY id
=== 1 BEGIN absorbs what the message did before
? INSERT INTO t VALUES (22, 'c'); BEGIN
? INSERT INTO t VALUES (23, 'd')
? ROLLBACK
? SELECT id FROM t WHERE id IN (22, 23)
=== 1 what needs a block says so in an implicit one
? SELECT 1; SAVEPOINT a
? SELECT 1; COMMIT AND CHAIN
? SELECT 1; ROLLBACK AND CHAIN
? SAVEPOINT a
? RELEASE a
? ROLLBACK TO a
? COMMIT AND CHAIN
? ROLLBACK AND CHAIN
? COMMIT
? ROLLBACK
? SELECT 1; COMMIT; SELECT 2
? SELECT 1; ROLLBACK; SELECT 2
? COMMIT; BEGIN; SELECT 3; COMMIT; COMMIT
=== 1 nothing runs of a message that can't be read [1]
? INSERT INTO t VALUES (25, 'f'); COMMIT; SELEC
? INSERT INTO t VALUES (26, 'f'); SELECT 'unfinished
? INSERT INTO t VALUES (26, 'f'); SELECT $$unfinished
? INSERT INTO t VALUES (26, 'f'); /* unfinished
? SELECT id FROM t WHERE id IN (25, 26)
=== 1 errors inside an explicit block
? BEGIN; SELECT 1/0; SELECT 2
? SELECT 3
? ;
? SAVEPOINT a
? BEGIN
? SET TimeZone = 'UTC'
? SHOW TimeZone
? PREPARE x AS SELECT 1
? DISCARD ALL
? COMMIT AND CHAIN
? SELECT 1
? SELECT 1/0
? ROLLBACK AND CHAIN
? SELECT 2
? END
=== 1 the message goes on after COMMIT of a failed block
? BEGIN; INSERT INTO t VALUES (27, 'x'); COMMIT; BEGIN; SELECT 1/0
? COMMIT; INSERT INTO t VALUES (28, 'x')
? SELECT id FROM t WHERE id IN (27, 28) ORDER BY id
=== 1 BEGIN inside a block warns
? BEGIN
? BEGIN
? START TRANSACTION

? COMMIT
=== 1 a pipeline without Sync is one transaction with the Query behind it
ext INSERT INTO t VALUES (30, 'h')
Q SELECT count(*) FROM t; SELECT 1/0
= Z
? SELECT id FROM t WHERE id = 30
=== 1 a Query behind a half batch commits it
ext INSERT INTO t VALUES (31, 'h')
Q SELECT 1
= Z
? SELECT id FROM t WHERE id = 31
=== 1 a failing half batch and a Query: the Query is skipped
ext SELECT 1/0
Q INSERT INTO t VALUES (32, 'x')
= E
S
= Z
? SELECT id FROM t WHERE id = 32
=== 1 BEGIN in a pipeline adopts the work before it
ext INSERT INTO t VALUES (33, 'i')
ext BEGIN
ext INSERT INTO t VALUES (34, 'j')
S
= Z
? ROLLBACK
? SELECT id FROM t WHERE id IN (33, 34)
=== 1 COMMIT in a pipeline ends the implicit transaction
ext INSERT INTO t VALUES (35, 'k')
ext COMMIT
ext INSERT INTO t VALUES (36, 'k')
ext SELECT 1/0
S
= Z
? SELECT id FROM t WHERE id IN (35, 36)
=== 1 ROLLBACK in a pipeline
ext INSERT INTO t VALUES (37, 'k')
ext ROLLBACK
ext INSERT INTO t VALUES (38, 'k')
S
= Z
? SELECT id FROM t WHERE id IN (37, 38)
=== 1 a whole block in one pipeline
ext BEGIN
ext INSERT INTO t VALUES (39, 'k')
ext SAVEPOINT s
ext INSERT INTO t VALUES (39, 'duplicate')
ext ROLLBACK TO s
ext COMMIT
S
= Z
? ROLLBACK TO s
? COMMIT
? SELECT id FROM t WHERE id = 39
=== 1 savepoints
? BEGIN
? SAVEPOINT a
? INSERT INTO t VALUES (40, 'x')
? SAVEPOINT b
? INSERT INTO t VALUES (40, 'x')
? SELECT 1
? SAVEPOINT c
? RELEASE a
? ROLLBACK TO b
? ROLLBACK TO nothing
? ROLLBACK TO a
? INSERT INTO t VALUES (41, 'x')
? RELEASE SAVEPOINT a
? ROLLBACK TO a
? COMMIT
? SELECT id FROM t WHERE id IN (40, 41)
=== 1 savepoints of the same name, quoted names, odd spellings
? BEGIN
? SAVEPOINT "A b"
? SAVEPOINT a
? SAVEPOINT A
? RELEASE a
? ROLLBACK WORK TO SAVEPOINT A
? ROLLBACK TRANSACTION TO "A b"
? RELEASE "A b"
? ABORT TRANSACTION
=== 2 a half batch, answered, and the connection dropped
@B
ext INSERT INTO t VALUES (50, 'never')
H
= C
gone
@A
wait SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%' => 0
? SELECT id FROM t WHERE id = 50
=== 2 a half batch at half close
@B
ext INSERT INTO t VALUES (51, 'never')
eof
= end
@A
? SELECT id FROM t WHERE id = 51
=== 2 Terminate behind a half batch
@B
ext INSERT INTO t VALUES (52, 'never')
X
= end
@A
? SELECT id FROM t WHERE id = 52
=== 3 local answers keep their place
P s1|SELECT 11
ext INSERT INTO t VALUES (1, 'duplicate')
P s2|SELECT 12
CS s1
S
= Z
run s1
B |s2
E
S
= Z
=== 3 a pipeline of everything
ext SELECT 1
ext BEGIN
ext SELECT v FROM t WHERE id = 2
ext SET application_name = 'x'
ext COMMIT
ext SHOW application_name
ext RESET application_name
ext SHOW application_name
S
= Z
=== 3 several Querys in one write
Q SELECT 1
Q BEGIN
Q SELECT v FROM h WHERE id = 3
Q SELECT v FROM t WHERE id = 3
Q COMMIT
ext SELECT 2
S
S
Q 
= Z 8
=== 3 errors of ours skip to Sync
ext SET nothing_like_it = 1
ext SELECT 1
CS nothing
S
= Z
B |nothing
E
P s3|SELECT 13
S
= Z
P s3|SELECT 13
S
= Z
run s3
E no portal
S
= Z
DS no statement
S
= Z
DP no portal
S
= Z
P s3|SELECT 14
S
= Z
CS nothing
CP nothing
CS s3
S
= Z
=== 3 a wrong Parse, then a right one
P bad|SELEC
P good|SELECT 1
S
= Z
P good|SELECT 1
S
= Z
run good
=== 3 the unnamed statement after a failed Parse
P |SELECT 5
S
= Z
P |SELEC
S
= Z
B |
E
S
= Z
P |SELECT 6
S
= Z
DS 
S
= Z
CS 
S
= Z
B |
S
= Z
=== 4 Query and Terminate in one write
@B
Q INSERT INTO t VALUES (60, 'stays')
X
= end
@A
? SELECT id FROM t WHERE id = 60
=== 4 all that was sent before a half close is answered
@B
Q INSERT INTO t VALUES (61, 'stays')
ext SELECT 1
S
Q SELECT count(*) FROM h
Q SELECT pg_sleep(0.05)
Q INSERT INTO t VALUES (62, 'stays')
eof
= end
@A
? SELECT id FROM t WHERE id IN (61, 62) ORDER BY id
=== 4 an open block at half close
@B
Q BEGIN
Q INSERT INTO t VALUES (63, 'never')
eof
= end
@A
wait SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%' => 0
? SELECT id FROM t WHERE id = 63
=== 5 Parse and Describe are answered at Flush
P s5|SELECT id, v FROM t WHERE id = $1
DS s5
H
= T
B |s5|2
H
= 2
DP 
H
= T
E
H
= C
S
= Z
P s6|INSERT INTO t VALUES ($1, $2)
DS s6
H
= n
S
= Z
P s7|SET application_name = 'q'
DS s7
H
= n
S
= Z
H
H
S
= Z
=== 6 transaction control in all its spellings
? /* a comment */ BEGIN
? -- another\nCOMMIT
? bEgIn TrAnSaCtIoN rEaD oNlY
? INSERT INTO t VALUES (70, 'b')
? abort work
? BEGIN WORK
? end transaction
? BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE, NOT DEFERRABLE
? SHOW transaction_isolation
? COMMIT WORK
? START TRANSACTION READ ONLY ISOLATION LEVEL READ UNCOMMITTED
? SHOW transaction_isolation
? SHOW transaction_read_only
? COMMIT AND NO CHAIN
? BEGIN; ; ; END
=== 6 control that can't be read [1]
? BEGIN nonsense
? COMMIT PREPARED
? COMMIT AND
? ROLLBACK TO
? SAVEPOINT
? ABORT AND CHAIN
? SELECT 1
=== 6 PREPARE TRANSACTION [1]
? BEGIN
? INSERT INTO t VALUES (71, 'x')
? PREPARE TRANSACTION 'sessions_batches'
? SELECT count(*) FROM t WHERE id = 71
? COMMIT PREPARED 'sessions_batches'
? ROLLBACK PREPARED 'sessions_batches'
? SELECT count(*) FROM t WHERE id = 71
? PREPARE TRANSACTION 'outside'
? BEGIN; SELECT 1/0
? PREPARE TRANSACTION 'failed'
? SELECT 1
ext BEGIN
ext INSERT INTO t VALUES (72, 'x')
ext PREPARE TRANSACTION 'sessions_batches'
ext ROLLBACK PREPARED 'sessions_batches'
S
= Z
? ROLLBACK PREPARED 'sessions_batches'
=== 7 AND CHAIN keeps the characteristics
? BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
? SELECT v FROM t WHERE id = 1
? COMMIT AND CHAIN
? SHOW transaction_isolation
? SHOW transaction_read_only
? SHOW transaction_deferrable
? ROLLBACK AND CHAIN
? SHOW transaction_isolation
? COMMIT
? SHOW transaction_isolation
=== 7 AND CHAIN behind SET TRANSACTION [1]
? BEGIN
? SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
? COMMIT AND CHAIN
? SHOW transaction_isolation
? INSERT INTO t VALUES (75, 'x')
? COMMIT AND CHAIN
? SELECT v FROM t WHERE id = 75
? SELECT 1/0
? ROLLBACK AND CHAIN
? SHOW transaction_isolation
? ROLLBACK
=== 7 COMMIT AND CHAIN in the middle of a message
? BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO t VALUES (76, 'x'); COMMIT AND CHAIN; SHOW transaction_isolation; SELECT 1/0
? COMMIT
? SELECT id FROM t WHERE id = 76
=== 8 errors that COMMIT brings
? INSERT INTO late VALUES (1); INSERT INTO late VALUES (1)
? INSERT INTO late VALUES (2)
? BEGIN
? INSERT INTO late VALUES (2)
? COMMIT
? BEGIN
? SET CONSTRAINTS ALL IMMEDIATE
? INSERT INTO late VALUES (2)
? ROLLBACK
? BEGIN
? INSERT INTO late VALUES (2)
? SET CONSTRAINTS late_once IMMEDIATE
? COMMIT
? BEGIN; INSERT INTO late VALUES (2); COMMIT AND CHAIN
? SELECT 1
? INSERT INTO late VALUES (2); SELECT 1
? INSERT INTO late VALUES (2); COMMIT; SELECT 1
ext INSERT INTO late VALUES (3)
ext INSERT INTO late VALUES (3)
S
= Z
ext INSERT INTO late VALUES (2)
S
= Z
ext INSERT INTO late VALUES (2)
ext COMMIT
ext SELECT 1
S
= Z
? SELECT id FROM late ORDER BY id
=== 11 settings at the start of a transaction
? BEGIN
? SET default_transaction_isolation = 'serializable'
? SHOW transaction_isolation
? SELECT v FROM t WHERE id = 1
? SHOW transaction_isolation
? COMMIT
? BEGIN
? SHOW transaction_isolation
? COMMIT
? RESET default_transaction_isolation
? SET default_transaction_read_only = on
? INSERT INTO t VALUES (80, 'x')
? BEGIN
? SET default_transaction_read_only = off
? INSERT INTO t VALUES (80, 'x')
? ROLLBACK
? SET default_transaction_read_only = off
? BEGIN
? SET LOCAL application_name = 'inside'
? SAVEPOINT a
? SET LOCAL application_name = 'deeper'
? SAVEPOINT b
? INSERT INTO t VALUES (81, 'x')
? ROLLBACK TO b
? SHOW application_name
? ROLLBACK TO a
? SHOW application_name
? COMMIT
? SHOW application_name
=== 11 SET TRANSACTION in its time
? BEGIN
? SELECT v FROM t WHERE id = 1
? SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
? ROLLBACK
? BEGIN
? SET TRANSACTION READ ONLY
? INSERT INTO t VALUES (82, 'x')
? ROLLBACK
? BEGIN READ ONLY
? SELECT v FROM t WHERE id = 1
? SET TRANSACTION READ WRITE
? ROLLBACK
? SET TRANSACTION READ ONLY
? SET LOCAL application_name = 'x'
? SET CONSTRAINTS ALL DEFERRED
? BEGIN
? SET nothing_like_it = 1
? SELECT v FROM t WHERE id = 1
? ROLLBACK
? SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY
? SHOW transaction_isolation
? SHOW default_transaction_isolation
? INSERT INTO t VALUES (83, 'x')
? RESET ALL
? SHOW transaction_isolation
=== 11 two shards in one block [3]
? BEGIN
? SET LOCAL TimeZone = 'Asia/Tokyo'
? SAVEPOINT a
? SELECT v, current_setting('TimeZone') FROM h WHERE id = 1
? SELECT v, current_setting('TimeZone') FROM h WHERE id = 2
? SELECT v, current_setting('TimeZone') FROM h WHERE id = 3
? SELECT v FROM h ORDER BY id
? SET LOCAL TimeZone = 'Europe/Rome'
? SELECT id, v FROM h WHERE id < 10 ORDER BY id
? ROLLBACK TO a
? SELECT v, current_setting('TimeZone') FROM h WHERE id = 4
? SELECT v, current_setting('TimeZone') FROM h WHERE id = 5
? SELECT 1/0
? SELECT v FROM h WHERE id = 5
? ROLLBACK TO a
? SELECT v FROM h WHERE id = 6
? COMMIT
? SHOW TimeZone
=== 11 what BEGIN found holds for a shard that joins later [3]
? SET default_transaction_read_only = on
? BEGIN
? SET default_transaction_read_only = off
? SELECT v, current_setting('transaction_read_only') FROM h WHERE id = 1
? SELECT v, current_setting('transaction_read_only') FROM h WHERE id = 2
? SELECT v, current_setting('transaction_read_only') FROM h WHERE id = 3
? SELECT v, current_setting('transaction_read_only') FROM h WHERE id = 4
? UPDATE h SET v = 'never' WHERE id = 5
? UPDATE h SET v = 'never' WHERE id = 6
? ROLLBACK
? RESET default_transaction_read_only
? BEGIN
? SET default_transaction_isolation = 'serializable'
? SELECT v, current_setting('transaction_isolation') FROM h WHERE id = 1
? SELECT v, current_setting('transaction_isolation') FROM h WHERE id = 2
? SELECT v, current_setting('transaction_isolation') FROM h WHERE id = 3
? SELECT v, current_setting('transaction_isolation') FROM h WHERE id = 4
? ROLLBACK
=== 7 AND CHAIN over several shards [3]
? BEGIN READ ONLY
? SELECT v FROM h WHERE id = 1
? SELECT v FROM h WHERE id = 2
? SELECT v FROM h WHERE id = 3
? COMMIT AND CHAIN
? SHOW transaction_read_only
? UPDATE h SET v = 'never' WHERE id = 1
? ROLLBACK AND CHAIN
? SELECT v, current_setting('transaction_read_only') FROM h WHERE id = 4
? SELECT v, current_setting('transaction_read_only') FROM h WHERE id = 5
? COMMIT
? SHOW transaction_read_only
=== 8 errors that COMMIT brings, and another shard [3]
? BEGIN
? UPDATE h SET v = 'never' WHERE id = 1
? UPDATE h SET v = 'never' WHERE id = 2
? UPDATE h SET v = 'never' WHERE id = 3
? INSERT INTO late VALUES (81)
? INSERT INTO late VALUES (81)
? COMMIT
? SELECT count(*) FROM h WHERE v = 'never'
? INSERT INTO late VALUES (82); UPDATE h SET v = 'never' WHERE id = 4; INSERT INTO late VALUES (82)
? SELECT count(*) FROM h WHERE v = 'never'
? SELECT count(*) FROM late WHERE id > 80
=== 2 a half batch over several shards [3]
ext INSERT INTO h VALUES (901, 'never')
ext INSERT INTO h VALUES (902, 'never')
ext INSERT INTO h VALUES (903, 'never')
ext INSERT INTO h VALUES (904, 'never')
H
= C 4
gone
@B
wait SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%' => 0
? SELECT count(*) FROM h WHERE id > 900
ext INSERT INTO h VALUES (901, 'never')
ext INSERT INTO h VALUES (902, 'never')
ext INSERT INTO h VALUES (903, 'never')
gone
@C
wait SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%' => 0
? SELECT count(*) FROM h WHERE id > 900
ext INSERT INTO h VALUES (901, 'never')
ext INSERT INTO h VALUES (902, 'never')
ext SELECT 1/0
ext INSERT INTO h VALUES (903, 'never')
S
= Z
? SELECT count(*) FROM h WHERE id > 900
ext INSERT INTO h VALUES (901, 'stays')
ext INSERT INTO h VALUES (902, 'stays')
ext INSERT INTO h VALUES (903, 'stays')
S
X
= end
@D
? SELECT id, v FROM h WHERE id > 900 ORDER BY id
? DELETE FROM h WHERE id = 901
? DELETE FROM h WHERE id = 902
? DELETE FROM h WHERE id = 903
=== 1 an error on a shard that has just joined a batch, and more behind it [3]
ext UPDATE h SET v = 'never' WHERE id = 1
ext UPDATE h SET v = 'never' WHERE id = 2
ext UPDATE h SET v = 'never' WHERE id = 3
ext SELECT 1/0
ext UPDATE h SET v = 'never' WHERE id = 4
ext UPDATE h SET v = 'never' WHERE id = 5
S
= Z
ext UPDATE h SET v = 'never' WHERE id = 5
ext UPDATE h SET v = 'never' WHERE id = 5
ext SELECT 1/(0 * id) FROM t WHERE id = 1
ext UPDATE h SET v = 'never' WHERE id = 6
S
= Z
ext UPDATE h SET v = 'never' WHERE id = 7
ext SELECT 1/(0 * id) FROM h WHERE id = 8
ext UPDATE h SET v = 'never' WHERE id = 9
S
= Z
? SELECT count(*) FROM h WHERE v = 'never'
=== 10 portals of several shards in turn, within one batch [3]
? BEGIN
P a|SELECT id FROM h WHERE id < 20 ORDER BY id
P b|SELECT v FROM h WHERE id = 3
P c|SELECT id, v FROM t ORDER BY id
B pa|a
B pb|b
B pc|c
E pa|3
E pc|2
E pb|1
E pa|2
E pc|2
E pb|1
CP pa
E pc|1
S
= Z
E pc|0
E pa|1
S
= Z
? ROLLBACK
=== 19 a two-part setting of a block, on a shard that joins later [3]
? BEGIN
? SET LOCAL app.inside = 'yes'
? SELECT v, current_setting('app.inside') FROM h WHERE id = 1
? SELECT v, current_setting('app.inside') FROM h WHERE id = 2
? SELECT v, current_setting('app.inside') FROM h WHERE id = 3
? COMMIT
? SELECT v, current_setting('app.inside', true) FROM h WHERE id = 1
? SELECT v, current_setting('app.inside', true) FROM h WHERE id = 2
@B
? SELECT v, current_setting('app.inside', true) IS NULL FROM h WHERE id = 1
? SELECT v, current_setting('app.inside', true) IS NULL FROM h WHERE id = 2
=== odd messages
S
H
S
= Z 2
? 
? ;
? -- only a comment
? SELECT
? SELECT 1;;SELECT 2
? ;;SELECT 3;
ext 
S
= Z
ext SELECT 1; SELECT 2
S
= Z
? SELECT 'still here'
=== a message that nobody knows
@B
raw 7900000004
= end
