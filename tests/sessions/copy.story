# Rule 9: COPY
=== 9 the Sync behind the Execute is swallowed
ext COPY t FROM STDIN
S
d 170\tcopied\n
d 171\tcop
d ied\n
c
S
= Z
? SELECT id, v FROM t WHERE id IN (170, 171) ORDER BY id
=== 9 with no such table it isn't
ext COPY nowhere FROM STDIN
S
d 172\tx\n
c
S
= Z 2
=== 9 the client gives up
Q COPY t FROM STDIN
= G
d 173\tx\n
f changed my mind
= Z
? SELECT id FROM t WHERE id = 173
=== 9 the client gives up, by Execute
ext COPY t FROM STDIN
H
= G
d 173\tx\n
f changed my mind
ext SELECT 1
S
= Z
=== 9 Flush and Sync within the data
Q COPY t FROM STDIN
= G
H
d 174\tx\n
S
d 175\tx\n
H
c
= Z
? SELECT id FROM t WHERE id IN (174, 175) ORDER BY id
=== 9 the old end mark
Q COPY t FROM STDIN
= G
d 176\tx\n
d \\.\n
c
= Z
=== 9 an error in the data
Q COPY t FROM STDIN
= G
d no number\tx\n
d 177\tx\n
c
= Z
? SELECT 1
=== 9 an error in the data, by Execute
ext COPY t FROM STDIN
S
d no number\tx\n
d 178\tx\n
c
S
= Z
? SELECT id FROM t WHERE id = 178
=== 9 an error in the data, then statements before Sync
ext COPY t FROM STDIN
H
= G
d no number\tx\n
c
ext SELECT 1
S
= Z
ext SELECT 2
S
= Z
=== 9 data that nobody asked for
d 179\tx\n
c
f what
= Z 0
? SELECT 1
=== 9 a COPY amid other statements [1]
Q SELECT 1; COPY t FROM STDIN; SELECT count(*) FROM t WHERE id = 180
= G
d 180\tx\n
c
= Z
? SELECT id FROM t WHERE id = 180
=== 9 a COPY, and an error behind it [1]
Q COPY t FROM STDIN; SELECT 1/0
= G
d 181\tx\n
c
= Z
? SELECT id FROM t WHERE id = 181
=== 9 two COPYs in one message [1]
Q COPY t FROM STDIN; COPY t FROM STDIN
= G
d 182\tx\n
c
= G
d 183\tx\n
c
= Z
? SELECT id FROM t WHERE id IN (182, 183) ORDER BY id
=== 9 a COPY in a block
? BEGIN
Q COPY t FROM STDIN
= G
d 184\tx\n
c
= Z
? ROLLBACK
? BEGIN
Q COPY t FROM STDIN
= G
d 1\tduplicate\n
c
= Z
? SELECT 1
? ROLLBACK
? SELECT id FROM t WHERE id = 184
=== 9 COPY out
? COPY t TO STDOUT
? COPY (SELECT id FROM t WHERE id < 3 ORDER BY id) TO STDOUT
? SELECT 1; COPY (SELECT 5) TO STDOUT; SELECT 2
ext COPY (SELECT id FROM t WHERE id < 3 ORDER BY id) TO STDOUT
S
= Z
? COPY (SELECT 1/(3-i) FROM generate_series(1, 5) i) TO STDOUT
=== 9 binary COPY out
? COPY (SELECT id, v FROM t WHERE id = 1) TO STDOUT (FORMAT binary)
=== 9 a Query inside a COPY
@B
Q COPY t FROM STDIN
= G
d 185\tx\n
Q SELECT 1
gone
@A
? SELECT id FROM t WHERE id = 185
=== 9 Bind inside a COPY
@B
Q COPY t FROM STDIN
= G
B |
gone
=== 9 Terminate inside a COPY
@B
Q COPY t FROM STDIN
= G
d 186\tx\n
X
gone
@A
? SELECT id FROM t WHERE id = 186
=== 9 half close inside a COPY
@B
Q COPY t FROM STDIN
= G
d 187\tx\n
eof
gone
@A
? SELECT id FROM t WHERE id = 187
=== 9 a connection gone inside a COPY
@B
Q COPY t FROM STDIN
= G
d 188\tx\n
gone
@A
wait SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%' AND state = 'active' => 0
? SELECT id FROM t WHERE id = 188
=== 9 a COPY by a named statement, and what follows it
P copies|COPY t FROM STDIN
S
= Z
B |copies
E
S
d 189\tx\n
c
S
= Z
? SELECT id FROM t WHERE id = 189
