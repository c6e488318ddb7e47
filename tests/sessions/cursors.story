# Rule 10: cursors of SQL and portals of the protocol have one name space; drivers mix them
=== 10 a cursor over several shards executed as a portal
? BEGIN
? DECLARE d CURSOR FOR SELECT id, v FROM h ORDER BY id
DP d
E d|2
S
= Z
? FETCH 1 FROM d
DP d
E d|1
S
= Z
? MOVE 2 FROM d
E d
S
= Z
E d|1
S
= Z
? FETCH d
CP d
S
= Z
? FETCH d
? ROLLBACK
=== 10 a cursor's name is a portal's
? BEGIN
? DECLARE c CURSOR FOR SELECT id FROM t WHERE id < 10 ORDER BY id
P |SELECT id FROM h ORDER BY id
B c|
S
= Z
? ROLLBACK
? BEGIN
DP nothing
S
= Z
? ROLLBACK
? BEGIN
E nothing
S
= Z
? ROLLBACK
? BEGIN
CP nothing
S
= Z
? COMMIT
=== 10 a portal of the protocol reached by SQL
? BEGIN
P |SELECT id, v FROM h ORDER BY id
B q|
S
= Z
? MOVE FORWARD 3 q
E q|2
S
= Z
? FETCH 2 FROM q
E q|1
S
= Z
ext FETCH 1 FROM q
ext MOVE 1 FROM q
S
= Z
P |FETCH 2 FROM q
DS
B |
DP
E
S
= Z
? FETCH ALL FROM q
? FETCH q
E q|2
S
= Z
? CLOSE q
? FETCH q
? ROLLBACK
? BEGIN
P |SELECT id, v FROM t WHERE id < 10 ORDER BY id
B p|
E p|2
S
= Z
? MOVE FORWARD 1 p
? FETCH 2 FROM p
ext FETCH 1 FROM p
S
= Z
E p|1
S
= Z
? CLOSE p
E p|1
S
= Z
? ROLLBACK
=== 10 a cursor that an error has ended
? BEGIN
? DECLARE d CURSOR FOR SELECT h.id, g, 10 / (h.id * 1000 + g - 30100) FROM h, generate_series(1, 300) g ORDER BY 1, 2
? FETCH 2 FROM d
? SAVEPOINT a
? MOVE ALL FROM d
? ROLLBACK TO a
? FETCH 1 FROM d
? ROLLBACK
=== 10 a write over several shards with a limit
P |INSERT INTO h VALUES (301, 'x'), (302, 'y'), (303, 'z'), (304, 'w') RETURNING id
B |
DP
E |2
E |1
E |1
E |1
S
= Z
P |INSERT INTO h VALUES (311, 'x'), (312, 'y'), (313, 'z') RETURNING id
B |
E |2
E
S
= Z
P |INSERT INTO h VALUES (321, 'x'), (322, 'y'), (323, 'z') RETURNING id
B |
E |50
S
= Z
P |INSERT INTO h VALUES (331, 'x'), (332, 'y'), (333, 'z')
B |
E |2
S
= Z
P |INSERT INTO h VALUES (341, 'x'), (342, 'y'), (343, 'z') RETURNING id, v
B |
E |2
S
= Z
? SELECT id FROM h WHERE id > 300 ORDER BY id
