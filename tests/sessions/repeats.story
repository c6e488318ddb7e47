# Batches that a session has sent before: read, planned and sent in one step (src/session/direct.rs). They are answered
# as they are the other way, whatever becomes of them.
=== a Query again, with other values
? SELECT v FROM h WHERE id = 1
? SELECT v FROM h WHERE id = 2
? SELECT v FROM h WHERE id = 3
? SELECT v FROM h WHERE id = 4444
? SELECT v FROM h WHERE id = 5
? SELECT v FROM t WHERE id = 1
? SELECT v FROM t WHERE id = 2
? SELECT v FROM h WHERE id = 6
=== a Query again that fails, and one that works behind it
? SELECT 10 / (id - 1) FROM h WHERE id = 3
? SELECT 10 / (id - 1) FROM h WHERE id = 2
? SELECT 10 / (id - 1) FROM h WHERE id = 1
? SELECT 10 / (id - 1) FROM h WHERE id = 3
? SELECT 10 / (id - 1) FROM h WHERE id = 99999999999
? SELECT 10 / (id - 1) FROM h WHERE id = 4
=== writes again
? INSERT INTO h VALUES (101, 'a')
? INSERT INTO h VALUES (102, 'b')
? INSERT INTO h VALUES (103, 'c')
? INSERT INTO h VALUES (103, 'c')
? UPDATE h SET v = 'x' WHERE id = 101
? UPDATE h SET v = 'y' WHERE id = 102
? UPDATE h SET v = 'y' WHERE id = 888
? DELETE FROM h WHERE id = 101
? DELETE FROM h WHERE id = 102
? DELETE FROM h WHERE id = 103
? DELETE FROM h WHERE id = 103
? SELECT count(*) FROM h WHERE id = 101
? SELECT count(*) FROM h WHERE id = 102
=== the unnamed statement again
P |SELECT v, id FROM h WHERE id = $1
B ||1
DP
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||2
DP
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||3
DP
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||3
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||~
DP
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||no number
DP
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||77777
DP
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||7|8
DP
E
S
= Z
P |SELECT v, id FROM h WHERE id = $1
B ||7
DP
E
S
= Z
=== another unnamed text between, and the one of before without a Parse
P |SELECT v FROM h WHERE id = $1
B ||4
DP
E
S
= Z
P |SELECT id FROM t WHERE id = $1
B ||5
DP
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||6
DP
E
S
= Z
P |SELECT id FROM t WHERE id = $1
B ||5
DP
E
S
= Z
B ||6
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||no number
DP
E
S
= Z
B ||6
DP
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||8
DP
E
S
= Z
B ||9
DP
E
S
= Z
=== a Query takes the unnamed statement away
P |SELECT v FROM h WHERE id = $1
B ||4
DP
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||5
DP
E
S
= Z
? SELECT v FROM h WHERE id = 1
? SELECT v FROM h WHERE id = 2
B ||6
DP
E
S
= Z
=== declared types
P |23|SELECT v FROM h WHERE id = $1
B ||1
DP
E
S
= Z
P |23|SELECT v FROM h WHERE id = $1
B ||x:00000002
DP
E
S
= Z
P |20|SELECT v FROM h WHERE id = $1
B ||3
DP
E
S
= Z
P |23|SELECT v FROM h WHERE id = $1
Bb ||x:00000004
DP
E
S
= Z
P |25|SELECT v FROM h WHERE id = $1
B ||5
DP
E
S
= Z
=== a named statement again
P byid|SELECT v FROM h WHERE id = $1
S
= Z
B |byid|1
E
S
= Z
B |byid|2
E
S
= Z
B |byid|3
DP
E
S
= Z
B |byid|4
E |1
S
= Z
B |byid|no number
E
S
= Z
B |byid|5|6
E
S
= Z
B |byid|7
E
S
= Z
CS byid
S
= Z
B |byid|8
E
S
= Z
=== a named write again
P put|INSERT INTO h VALUES ($1, $2) RETURNING id
S
= Z
B |put|201|a
DP
E
S
= Z
B |put|202|b
DP
E
S
= Z
B |put|202|b
DP
E
S
= Z
B |put|203|c
E
S
= Z
P drop|DELETE FROM h WHERE id = $1
S
= Z
B |drop|201
DP
E
S
= Z
B |drop|202
DP
E
S
= Z
B |drop|203
DP
E
S
= Z
=== several batches in one write, and half of the next
P |SELECT v FROM h WHERE id = $1
B ||1
DP
E
S
= Z
intruder off
P |SELECT v FROM h WHERE id = $1
B ||2
DP
E
S
P |SELECT v FROM h WHERE id = $1
B ||3
DP
E
S
Q SELECT v FROM t WHERE id = 4
P |SELECT v FROM h WHERE id = $1
B ||no number
DP
E
S
P |SELECT v FROM h WHERE id = $1
B ||5
= Z 4
DP
E
S
= Z
intruder on
=== an answer that is long
? SELECT repeat(v, 3000) FROM t WHERE id = 1
? SELECT repeat(v, 4000) FROM t WHERE id = 2
? SELECT repeat(v, 90000) FROM t WHERE id = 3
? SELECT repeat(v, 5) FROM t WHERE id = 4
=== what a function sets is told within the answer [1]
? SELECT sets('DateStyle', 'German')
? SELECT sets('DateStyle', 'ISO')
? SELECT sets('TimeZone', 'Asia/Tokyo')
? SHOW TimeZone
=== settings between
? SELECT v FROM h WHERE id = 1
? SET search_path = pg_catalog
? SELECT v FROM h WHERE id = 2
? SET search_path = public
? SELECT v FROM h WHERE id = 3
? SET TimeZone = 'Asia/Tokyo'
? SELECT '2020-01-01 00:00Z'::timestamptz FROM h WHERE id = 4
? SELECT '2020-01-02 00:00Z'::timestamptz FROM h WHERE id = 5
? RESET TimeZone
? SELECT '2020-01-03 00:00Z'::timestamptz FROM h WHERE id = 6
=== a block between
P |SELECT v FROM h WHERE id = $1
B ||1
DP
E
S
= Z
? BEGIN
P |SELECT v FROM h WHERE id = $1
B ||2
DP
E
S
= Z
? UPDATE h SET v = 'block' WHERE id = 2
P |SELECT v FROM h WHERE id = $1
B ||2
DP
E
S
= Z
? ROLLBACK
P |SELECT v FROM h WHERE id = $1
B ||2
DP
E
S
= Z
=== the table changes between [1]
? CREATE TABLE changes (id int PRIMARY KEY, v text)
? INSERT INTO changes VALUES (1, 'a')
? SELECT * FROM changes WHERE id = 1
? SELECT * FROM changes WHERE id = 2
P |SELECT * FROM changes WHERE id = $1
B ||1
DP
E
S
= Z
P |SELECT * FROM changes WHERE id = $1
B ||1
DP
E
S
= Z
? ALTER TABLE changes ADD COLUMN w int
? SELECT * FROM changes WHERE id = 1
P |SELECT * FROM changes WHERE id = $1
B ||1
DP
E
S
= Z
P |SELECT * FROM changes WHERE id = $1
B ||1
DP
E
S
= Z
? DROP TABLE changes
P |SELECT * FROM changes WHERE id = $1
B ||1
DP
E
S
= Z
? SELECT * FROM changes WHERE id = 1
=== what only looks like the usual batch
P |SELECT v FROM h WHERE id = $1
B ||1
DP
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B p||2
DP p
E p
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||3
DS
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||4
DP
E |1
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||5
DP
S
E
S
= Z 2
P |SELECT v FROM h WHERE id = $1
B ||6
E
E
S
= Z
=== two that want the only backend
? SELECT v FROM t WHERE id = 1
@B
? SELECT v FROM t WHERE id = 1
? SELECT pg_sleep(0), v FROM t WHERE id = 1
Q SELECT pg_sleep(0.05), v FROM t WHERE id = 1
@A
Q SELECT v FROM t WHERE id = 2
= Z
@B
= Z
=== half-closed behind the usual batch
P |SELECT v FROM h WHERE id = $1
B ||1
DP
E
S
= Z
P |SELECT v FROM h WHERE id = $1
B ||2
DP
E
S
eof
= end
