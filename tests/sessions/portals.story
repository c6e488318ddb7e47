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
=== 10 a cursor executed as a portal [1]
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
