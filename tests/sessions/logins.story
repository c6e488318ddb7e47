# Rule 25: logging in
=== 25 unknown database
@B database=no_such_database
=== 25 wrong settings at start-up
@B nothing_like_it=1
=== 25 a wrong time zone
@B TimeZone=Mars/Olympus
=== 25 wrong options
@B options=-c work_mem=much
=== 25 unknown options
@B options=--wrong
=== 25 options with an unknown name
@B options=-c nothing_like_it=1
=== 25 options in all spellings
@B options=-c geqo=off --work-mem=6MB -cenable_seqscan=off -c search_path=a\\ b,public
? SHOW geqo
? SHOW work_mem
? SHOW enable_seqscan
? SHOW search_path
=== 25 a start-up value that wins over options
@B options=-c TimeZone=UTC;TimeZone=Asia/Tokyo
? SHOW TimeZone
=== 25 encodings at start-up
@B client_encoding=LATIN1
? SHOW client_encoding
@C client_encoding=nonsense
=== 25 client_encoding in other spellings
@B client_encoding=utf-8
? SHOW client_encoding
=== 25 start-up settings that only a superuser may set
@B options=-c log_statement=all
=== 25 start-up settings that can't be changed
@B options=-c fsync=off
=== 25 a user who doesn't exist
@B user=no_such_role
=== 25 extra_float_digits and others as drivers send them
@B extra_float_digits=2;DateStyle=ISO, MDY;IntervalStyle=postgres;search_path=public,pg_catalog
? SHOW extra_float_digits
? SHOW DateStyle
? SHOW search_path
=== 25 default_transaction_read_only at start-up
@B options=-c default_transaction_read_only=on
? INSERT INTO t VALUES (300, 'x')
? BEGIN
? INSERT INTO t VALUES (300, 'x')
? ROLLBACK
? BEGIN READ WRITE
? INSERT INTO t VALUES (300, 'x')
? ROLLBACK
? SHOW transaction_read_only
=== 25 a role at start-up
su CREATE ROLE sessions_startup
su GRANT sessions_startup TO app
@B options=-c role=sessions_startup
? SELECT current_user
? RESET ROLE
? SELECT current_user
=== 25 a role that may not log in
su CREATE ROLE sessions_nologin NOLOGIN
@B user=sessions_nologin
=== 25 a role that may not connect
su CREATE ROLE sessions_noconnect LOGIN
su DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END $$
@B user=sessions_noconnect
su DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO PUBLIC', current_database()); END $$
=== 25 statement_timeout
@B options=-c statement_timeout=1000
? SHOW statement_timeout
