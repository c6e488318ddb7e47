# Rule 6: PREPARE TRANSACTION goes to the sole participant, COMMIT PREPARED to the shard that holds the identifier
=== 6 a client's own two-phase commit
? BEGIN
? UPDATE h SET v = 'prepared' WHERE id = 7
? PREPARE TRANSACTION 'mine'
? SELECT v FROM h WHERE id = 7
? COMMIT PREPARED 'mine'
? SELECT v FROM h WHERE id = 7
? BEGIN
? UPDATE h SET v = 'not kept' WHERE id = 8
ext PREPARE TRANSACTION 'mine'
S
= Z
? BEGIN
? SELECT 1
? PREPARE TRANSACTION 'mine'
? SELECT 2
ext ROLLBACK PREPARED 'mine'
S
= Z
? SELECT v FROM h WHERE id = 8
? ROLLBACK PREPARED 'mine'
? COMMIT PREPARED 'mine'
? BEGIN
? COMMIT PREPARED 'mine'
? ROLLBACK
? PREPARE TRANSACTION 'mine'
? BEGIN
? PREPARE TRANSACTION 'mine'
? ROLLBACK PREPARED 'mine'
? BEGIN
? SELECT 1/0
? PREPARE TRANSACTION 'mine'
? SELECT 3
=== 6 a prepared transaction is another session's to end
? BEGIN
? SET LOCAL work_mem = '5MB'
? SET search_path = pg_catalog
? UPDATE public.t SET v = 'kept' WHERE id = 2
? PREPARE TRANSACTION 'ours'
? SHOW work_mem
? SHOW search_path
@B
? COMMIT PREPARED 'ours'
@A
? SELECT v FROM public.t WHERE id = 2
