# Rules 16 to 20: settings
=== 16 start-up values, RESET and RESET ALL
@A TimeZone=Asia/Tokyo;application_name=first;options=-c geqo=off -c work_mem=5MB
? SHOW TimeZone
? SHOW geqo
? SHOW work_mem
? SET TimeZone = 'UTC'
? RESET TimeZone
? SHOW TimeZone
? SET work_mem = '6MB'
? SET geqo = on
? SET application_name TO 'second'
? RESET ALL
? SHOW geqo
? SHOW work_mem
? SHOW application_name
@B
? SHOW TimeZone
? SHOW geqo
? SHOW work_mem
? SHOW application_name
@A
? SET TimeZone TO DEFAULT
? SHOW TimeZone
? DISCARD ALL
? SHOW TimeZone
? SHOW geqo
? SHOW application_name
=== 16 every way to SET
? SET TIME ZONE 'Asia/Kolkata'
? SHOW TIME ZONE
? SET TIME ZONE LOCAL
? SHOW TimeZone
? SET TIME ZONE -7
? SELECT timestamptz '2020-01-01 00:00Z'
? SET TIME ZONE INTERVAL '+02:30' HOUR TO MINUTE
? SELECT timestamptz '2020-01-01 00:00Z'
? SET TIME ZONE DEFAULT
? SET NAMES 'LATIN1'
? SHOW client_encoding
? SET NAMES DEFAULT
? SET SCHEMA 'pg_catalog'
? SHOW search_path
? SET search_path TO "$user", public, "Mixed Case"
? SHOW search_path
? SELECT v FROM t WHERE id = 1
? SET SEED TO 0.5
? SET SESSION work_mem TO '8MB'
? SHOW work_mem
? SET work_mem = 9999
? SHOW work_mem
? SET work_mem FROM CURRENT
? SET enable_seqscan = off
? SHOW enable_seqscan
? RESET enable_seqscan
? SET XML OPTION DOCUMENT
? SHOW xmloption
? SET DateStyle = SQL, DMY
? SELECT date '2020-02-01'
? SET DateStyle TO DEFAULT
? SELECT date '2020-02-01'
? SET LOCAL work_mem = '1MB'
? SHOW work_mem
? RESET work_mem
? SET work_mem = 'much'
? SET nothing_like_it = 1
? SET TimeZone = 'Mars/Olympus'
? SHOW nothing_like_it
? RESET nothing_like_it
? SET server_version = '1'
? SET fsync = off
? SHOW TimeZone
=== 16 ROLLBACK takes SET back, and says so
? BEGIN
? SET TimeZone = 'Europe/Paris'
? SELECT v FROM t WHERE id = 1
? ROLLBACK
? SHOW TimeZone
? BEGIN
? SET TimeZone = 'Europe/Paris'
? COMMIT
? SHOW TimeZone
? BEGIN
? SET TimeZone = 'Asia/Tokyo'
? SAVEPOINT a
? SET TimeZone = 'UTC'
? ROLLBACK TO a
? SHOW TimeZone
? COMMIT
? SHOW TimeZone
? BEGIN
? SET LOCAL TimeZone = 'Europe/Paris'
? SELECT v FROM h WHERE id = 1
? COMMIT
? SHOW TimeZone
? BEGIN
? SET TimeZone = 'Europe/Rome'
? SET LOCAL TimeZone = 'Europe/Paris'
? SHOW TimeZone
? COMMIT
? SHOW TimeZone
? BEGIN
? SET LOCAL TimeZone = 'Europe/Paris'
? SET TimeZone = 'Europe/Rome'
? SHOW TimeZone
? ROLLBACK
? SHOW TimeZone
=== 16 settings in a message of several statements
? SET DateStyle = 'German'; SELECT '2020-01-02'::date; SET DateStyle = 'ISO'
? SELECT '2020-01-02'::date
? SET TimeZone = 'Asia/Tokyo'; SELECT 1/0
? SHOW TimeZone
? SET TimeZone = 'Asia/Tokyo'; COMMIT; SELECT 1/0
? SHOW TimeZone
? SET LOCAL TimeZone = 'UTC'; SHOW TimeZone
? SHOW TimeZone
? BEGIN; SET LOCAL TimeZone = 'UTC'; COMMIT; SHOW TimeZone
ext SET TimeZone = 'Asia/Seoul'
ext SHOW TimeZone
ext SELECT 1/0
S
= Z
? SHOW TimeZone
ext SET LOCAL TimeZone = 'Asia/Seoul'
ext SHOW TimeZone
S
= Z
? SHOW TimeZone
=== 16 set_config
? SELECT set_config('TimeZone', 'Asia/Tokyo', false)
? SHOW TimeZone
? SELECT set_config('TimeZone', 'UTC', true)
? SHOW TimeZone
? BEGIN
? SELECT set_config('TimeZone', 'UTC', true)
? SHOW TimeZone
? COMMIT
? SHOW TimeZone
P sc|SELECT set_config($1, $2, $3)
S
= Z
run sc|application_name|by config|false
? SHOW application_name
run sc|application_name|local|true
? SHOW application_name
run sc|application_name|~|false
? SHOW application_name
=== 16 reset by NULL
? SELECT set_config('work_mem', '11MB', false)
? SELECT set_config('work_mem', NULL, false)
? SHOW work_mem
? SELECT set_config('work_mem', 'much', false)
? SELECT pg_catalog.set_config('search_path', '', false)
? SELECT v FROM public.t WHERE id = 1
? SELECT v FROM t WHERE id = 1
? RESET search_path
=== 16 set_config amid others [1]
? SELECT set_config('work_mem', '12MB', false), set_config('TimeZone', 'UTC', false)
? SHOW work_mem
? SELECT set_config('work_mem', '13MB', false) FROM t WHERE id < 3
? SHOW work_mem
? SELECT set_config('work_mem', x, false) FROM (VALUES ('14MB')) v(x)
? SHOW work_mem
? UPDATE pg_settings SET setting = '15MB' WHERE name = 'work_mem'
? SHOW work_mem
=== 17 roles
su CREATE ROLE sessions_role
su GRANT sessions_role TO app
? SET ROLE sessions_role
? SELECT current_user, session_user
@B
? SELECT current_user, session_user
@A
? SELECT current_user, session_user
? RESET ALL
? SELECT current_user
? BEGIN
? SET LOCAL ROLE app
? SELECT current_user
? COMMIT
? SELECT current_user
? SET ROLE NONE
? SELECT current_user
? BEGIN
? SET ROLE sessions_role
? ROLLBACK
? SELECT current_user
? SET ROLE nobody_like_this
? SET SESSION AUTHORIZATION sessions_role
? SET SESSION AUTHORIZATION app
? SELECT session_user
? SET SESSION AUTHORIZATION DEFAULT
? SET ROLE sessions_role
? DISCARD ALL
? SELECT current_user
=== 19 two-part settings
? SET app.tenant = '42'
? SHOW app.tenant
? SELECT current_setting('app.tenant', true)
@B
? SELECT current_setting('app.other', true)
? SELECT current_setting('app.other', true) IS NULL
? SHOW app.other
? SET LOCAL app.other = 'x'
? BEGIN; SET LOCAL app.other = 'y'; SHOW app.other; COMMIT
? SHOW app.other
@A
? SELECT current_setting('app.tenant', true)
? SELECT current_setting('app.other', true)
? RESET app.tenant
? SELECT current_setting('app.tenant', true)
? SHOW app.tenant
=== 19 two-part settings at start-up
@A options=-c app.start=7 -c other.name=x
? SHOW app.start
? SHOW other.name
? SET app.start = '8'
? RESET app.start
? SHOW app.start
@B
? SELECT current_setting('app.start', true) IS NULL
=== 19 a two-part setting rolled back
? BEGIN
? SET app.rolled = '1'
? ROLLBACK
? SELECT current_setting('app.rolled', true)
? SHOW app.rolled
=== 19 odd names
? SET a.b.c = '1'
? SHOW a.b.c
? SET app.empty = ''
? SHOW app.empty
? SET app.quote = 'it''s "q" \\ x'
? SHOW app.quote
? SET "bad name".x = '1'
=== 20 how literals are read
? SET standard_conforming_strings = off
? SELECT 'a\\\\b', E'a\\\\b'
? SELECT 'it\\'s; SELECT 2'
@B
? SELECT 'a\\\\b', E'a\\\\b'
@A
? RESET standard_conforming_strings
? SELECT 'a\\\\b'
? SET backslash_quote = on
? SET escape_string_warning = off
=== 20 encodings
? SET client_encoding = 'LATIN1'
? SELECT chr(228), chr(8364)
? SELECT chr(228)
@B
? SELECT chr(228)
@A
? SET client_encoding = 'SJIS'
? SELECT 1
? SET client_encoding = 'nonsense'
? SET client_encoding TO DEFAULT
? SELECT chr(228)
? BEGIN
? SET client_encoding = 'LATIN1'
? SELECT chr(228)
? ROLLBACK
? SELECT chr(228)
=== 20 a client of another encoding
@A client_encoding=LATIN1
? SELECT chr(228)
? RESET client_encoding
? SHOW client_encoding
=== 16 timeouts
? SET statement_timeout = '50ms'
? SELECT pg_sleep(5)
? SELECT 1
@B
? SELECT pg_sleep(0.1)
@A
? RESET statement_timeout
? SELECT pg_sleep(0.1)
? BEGIN
? SET LOCAL statement_timeout = '50ms'
? SELECT pg_sleep(5)
? ROLLBACK
? SELECT pg_sleep(0.1)
? SHOW statement_timeout
? SHOW idle_in_transaction_session_timeout
? SET idle_in_transaction_session_timeout = '1h'
? SHOW idle_in_transaction_session_timeout
? SHOW idle_session_timeout
? SET lock_timeout = '2s'
? SHOW lock_timeout
=== 16 settings by opaque code [1]
? DO $$ BEGIN PERFORM set_config('application_name', 'by code', false); END $$
? SHOW application_name
@B
? SHOW application_name
@A
? SELECT sets('work_mem', '21MB')
? SHOW work_mem
@B
? SHOW work_mem
@A
? SELECT sets('TimeZone', 'Asia/Tokyo')
? SHOW TimeZone
? RESET ALL
? SHOW TimeZone
? SHOW work_mem
=== 16 settings by a function in a block that rolls back [1]
? BEGIN
? SELECT sets('TimeZone', 'Asia/Tokyo')
? ROLLBACK
? SHOW TimeZone
=== 16 SHOW ALL keeps its shape
? SHOW transaction_isolation
? SHOW session_authorization
? SHOW role
? SHOW is_superuser
? SHOW server_version
? SHOW server_encoding
=== 16 DateStyle behind a SET LOCAL of it
? SET DateStyle = 'SQL, DMY'
? BEGIN
? SELECT v FROM t WHERE id = 2
? SET LOCAL DateStyle = 'German'
? SELECT id FROM h WHERE id < 3 ORDER BY id
? COMMIT
? SHOW DateStyle
? SELECT '01/02/2020'::date
? BEGIN
? SET LOCAL DateStyle = 'German'
? ROLLBACK
? SHOW DateStyle
=== 16 an error takes SET back, and says so at once
? BEGIN
? SET TimeZone = 'Europe/Paris'
? SELECT v FROM t WHERE id = 1
? SELECT 1/0
? ROLLBACK
? SHOW TimeZone
? BEGIN
? SET TimeZone = 'Europe/Paris'
? SELECT v FROM h WHERE id = 2
? SELEC
? COMMIT
? SHOW TimeZone
? SET TimeZone = 'UTC'
? BEGIN
? SET LOCAL TimeZone = 'Asia/Tokyo'
? SAVEPOINT a
? SET application_name = 'deeper'
? SET LOCAL TimeZone = 'Asia/Seoul'
? SELECT id FROM h WHERE id < 3 ORDER BY id
? SELECT v::int FROM h WHERE id = 1
? ROLLBACK TO a
? SHOW TimeZone
? SHOW application_name
? COMMIT
? SHOW TimeZone
? BEGIN
? SET TimeZone = 'Europe/Paris'
? SELECT 1/0
? ROLLBACK
? SHOW TimeZone
=== 16 an error before anything was touched takes SET back, too
? BEGIN
? SET TimeZone = 'Europe/Paris'
? SET TimeZone = 'Mars/Olympus'
? SHOW TimeZone
? ROLLBACK
? SHOW TimeZone
? BEGIN
? SET application_name = 'deeper'
? SAVEPOINT a
? SET application_name = 'deepest'
? ROLLBACK TO nothing
? ROLLBACK TO a
? SHOW application_name
? COMMIT
? SHOW application_name
=== 19 a two-part setting outlives DISCARD ALL
? SET app.lasts = '1'
? SELECT v FROM h WHERE id = 1
? SELECT count(*) FROM pg_settings WHERE name = 'app.lasts'
? DISCARD ALL
? SELECT current_setting('app.lasts', true)
? SHOW app.lasts
@B
? SELECT current_setting('app.lasts', true) IS NULL
@A
? SELECT current_setting('app.lasts', true)
