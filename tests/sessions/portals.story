# Rule 10, portals and cursors
=== 10 row limits on the unnamed portal
P |SELECT id FROM t WHERE id < 10 ORDER BY id
B |
E |4
E |3
E
E |1
S
= Z
P |SELECT id FROM h ORDER BY id
B |
E |4
E |3
E
E |1
S
= Z
=== 10 a limit that is hit exactly
P |SELECT id FROM t WHERE id < 4 ORDER BY id
B |
E |3
E |3
E |3
S
= Z
P |SELECT id FROM h WHERE id < 4 ORDER BY id
B |
E |3
E |3
E |3
S
= Z
=== 10 portals in a block
? BEGIN
P |SELECT id FROM t WHERE id < 10 ORDER BY id
B p|
E p|2
S
= Z
P |SELECT id FROM h ORDER BY id
B q|
E q|2
S
= Z
? SELECT v FROM t WHERE id = 5
E p|2
E q|2
S
= Z
? SELECT v FROM h WHERE id = 5
DP p
DP q
E q|2
E p
E q
S
= Z
CP p
E p|2
S
= Z
? ROLLBACK
=== 10 portals end with their block
? BEGIN
P |SELECT id FROM t WHERE id < 10 ORDER BY id
B p|
E p|2
S
= Z
? COMMIT
E p|2
S
= Z
? BEGIN
P |SELECT id FROM h ORDER BY id
B p|
E p|2
S
= Z
? COMMIT
E p|2
S
= Z
=== 10 a portal of the same name
? BEGIN
P |SELECT 1
B p|
B p|
S
= Z
? ROLLBACK
=== 10 a portal survives an error after ROLLBACK TO?
? BEGIN
P |SELECT id FROM t WHERE id < 10 ORDER BY id
B p|
E p|2
S
= Z
? SAVEPOINT a
? SELECT 1/0
? ROLLBACK TO a
E p|2
S
= Z
? COMMIT
=== 10 a portal made behind a savepoint
? BEGIN
? SAVEPOINT a
P |SELECT id FROM t WHERE id < 10 ORDER BY id
B p|
E p|2
S
= Z
? ROLLBACK TO a
E p|2
S
= Z
? ROLLBACK
=== 10 a statement survives, a portal doesn't
P keeps|SELECT 1
B q|keeps
S
= Z
E q
S
= Z
Bb |keeps
E
S
= Z
=== 10 the unnamed statement ends with a Query
P |SELECT 7
S
= Z
B |
E
S
= Z
? SELECT 8
B |
E
S
= Z
=== 10 the unnamed statement over several batches
P |SELECT $1::int + 1
S
= Z
B ||41
E
S
= Z
B ||42
DP 
E
S
= Z
DS 
S
= Z
=== 10 the unnamed portal is replaced
P |SELECT 1
B |
P |SELECT 2
B |
E
S
= Z
=== 10 writes by a portal with a limit
P |INSERT INTO t VALUES (210, 'x'), (211, 'y') RETURNING id
B |
E |1
S
= Z
? SELECT id FROM t WHERE id IN (210, 211) ORDER BY id
=== 10 cursors of SQL
? BEGIN
? DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 10 ORDER BY id
? FETCH 2 FROM c
? FETCH FORWARD ALL FROM c
? MOVE BACKWARD ALL IN c
? FETCH c
? FETCH nothing
? ROLLBACK
? FETCH c
? BEGIN
? DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 10 ORDER BY id
? CLOSE c
? CLOSE c
? ROLLBACK
? DECLARE c CURSOR FOR SELECT 1
? CLOSE ALL
=== 10 a cursor executed as a portal
? BEGIN
? DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 10 ORDER BY id
E c|2
S
= Z
DP c
E c|1
S
= Z
CP c
S
= Z
? FETCH c
? ROLLBACK
=== 10 a held cursor [1]
? BEGIN
? DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t WHERE id < 10 ORDER BY id
? FETCH 2 FROM c
? COMMIT
? FETCH 2 FROM c
? SELECT 1
? FETCH 2 FROM c
? CLOSE c
? FETCH c
? DECLARE d CURSOR WITH HOLD FOR SELECT 1
? FETCH d
@B
? FETCH d
@A
? CLOSE ALL
? FETCH d
=== 10 a portal held open by a held cursor's name [1]
? DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t WHERE id < 10 ORDER BY id
E c|2
S
= Z
E c|2
S
= Z
? CLOSE c
=== 10 a cursor of SQL by the extended protocol
? BEGIN
P |DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 10 ORDER BY id
B |
DP
E
P |DECLARE d CURSOR FOR SELECT id, v FROM h ORDER BY id
DS
B |
DP
E
S
= Z
ext FETCH 2 FROM c
ext FETCH 2 FROM d
S
= Z
P f|FETCH FORWARD 3 FROM d
P g|FETCH FORWARD 3 FROM c
DS f
DS g
S
= Z
B p|f
DP p
E p
B q|g
DP q
E q
S
= Z
run f
run g
Bb |f
DP
E
S
= Z
Bb |g
DP
E
S
= Z
B |f
E |40
S
= Z
P |MOVE 1 FROM d
DS
B |
DP
E
P |MOVE 1 FROM c
DS
B |
DP
E
S
= Z
ext FETCH ALL FROM d
ext FETCH 1 FROM d
ext CLOSE d
ext CLOSE c
S
= Z
ext FETCH 1 FROM d
S
= Z
? ROLLBACK
=== 10 a cursor of SQL with a parameter, and its name
? BEGIN
P |DECLARE d CURSOR FOR SELECT id FROM h WHERE id > $1 ORDER BY id DESC
DS
B ||3
E
S
= Z
ext FETCH 2 FROM d
S
= Z
? FETCH 1 FROM d
P |DECLARE d CURSOR FOR SELECT id FROM h ORDER BY id
B |
E
S
= Z
? ROLLBACK
? BEGIN
ext DECLARE d CURSOR FOR SELECT id FROM h ORDER BY id
P |SELECT id FROM h ORDER BY id
B d|
S
= Z
? ROLLBACK
? BEGIN
P |FETCH 1 FROM d
DS
B |
DP
E
S
= Z
? ROLLBACK
? BEGIN
ext DECLARE d CURSOR FOR SELECT id FROM h ORDER BY id
ext DECLARE d CURSOR FOR SELECT id FROM t WHERE id = 3
S
= Z
? ROLLBACK
=== 10 a cursor of SQL is not for a batch without a block
ext DECLARE d CURSOR FOR SELECT id FROM h ORDER BY id
S
= Z
ext SELECT id FROM t WHERE id = 1
ext DECLARE d CURSOR FOR SELECT id FROM h ORDER BY id
S
= Z
? CLOSE ALL
ext CLOSE ALL
S
= Z
=== 10 a cursor's portal opened by both protocols
? BEGIN
? DECLARE d CURSOR FOR SELECT id FROM h ORDER BY id
P |FETCH 2 FROM d
Bb |
DP
E
S
= Z
? SAVEPOINT a
ext DECLARE e CURSOR FOR SELECT id FROM h ORDER BY id DESC
S
= Z
ext FETCH 1 FROM e
S
= Z
? ROLLBACK TO a
ext FETCH 1 FROM e
S
= Z
? ROLLBACK TO a
ext FETCH NEXT FROM d
S
= Z
P |FETCH 2 FROM d
B ||~
S
= Z
? COMMIT
=== 10 what the proxy asks in the middle of a batch
P |SELECT id FROM h WHERE id > $1 ORDER BY id
DS
B ||3
E
S
= Z
ext UPDATE t SET v = 'in a batch' WHERE id = 3
P |SELECT id FROM h WHERE id > $1 ORDER BY id
DS
B ||3
E
S
= Z
ext UPDATE h SET v = 'in a batch' WHERE id = 3
P |SELECT id FROM h WHERE id = abs($1 - 3) ORDER BY id
B ||5
E
ext UPDATE h SET v = 'too' WHERE id = 3
ext SELECT 1/0
S
= Z
? SELECT v FROM h WHERE id = 3
=== 10 a cursor of many types, in binary
? BEGIN
ext DECLARE d CURSOR FOR SELECT id, id::int8 * 4000000000 AS i8, -id::int2 AS i2, id::float4 / 3 AS f4, -id::float8 / 7 AS f8, id * -1.50 AS n, v, v::varchar(4) AS vc, v::char(5) AS bp, id % 2 = 0 AS b, decode('00ff5c', 'hex') AS by, md5(v)::uuid AS u, date '2020-02-27' + id AS d, timestamp '1999-12-31 23:59:59.5' + id * interval '1 day' AS ts, timestamptz '1999-12-31 23:59:59.125+05' + id * interval '1 day' AS tz, jsonb_build_object('a', id) AS jb, json_build_object('a', id) AS j, NULL::int AS nil, 'nan'::float8 AS nan, 'infinity'::date AS inf, 0.000::numeric AS zero, 12345678901234567890.00012::numeric AS big FROM h ORDER BY id
S
= Z
P |FETCH 3 FROM d
Bb |
DP
E
S
= Z
P |FETCH 30 FROM d
Bb |
DP
E
S
= Z
? COMMIT
=== 10 rows of a FETCH by and by
? BEGIN
? DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 10 ORDER BY id
? DECLARE d CURSOR FOR SELECT id, v FROM h ORDER BY id
P |FETCH 5 FROM d
B p|
DP p
E p|2
S
= Z
E p|2
H
= s
? FETCH 1 FROM d
E p|2
E p
S
= Z
P |FETCH 3 FROM d
Bb b|
E b|3
E b|3
S
= Z
P |FETCH ALL FROM c
B q|
E q|1
DP q
E q
S
= Z
P |FETCH FORWARD ALL FROM d
B q2|
E q2|1
E q2
S
= Z
P |FETCH 4 FROM d
B q3|
E q3|2
S
= Z
? COMMIT
E q2
S
= Z
