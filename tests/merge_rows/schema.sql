CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE users (
    id bigint PRIMARY KEY, name text, plain text COLLATE "C", nick varchar(20), code char(6), score int, small smallint,
    big bigint, balance numeric(20, 4), loose numeric, f double precision, r real, born date, at timestamptz,
    seen timestamp, flag boolean, tag uuid, feel mood, raw bytea, span interval, doc jsonb, country text, tags text[]
);
CREATE TABLE orders (
    user_id bigint NOT NULL, id int NOT NULL, total numeric(12, 2), qty int, note text, placed date,
    PRIMARY KEY (user_id, id)
);
CREATE TABLE countries (code text PRIMARY KEY, label text, n int, owner bigint);
CREATE TABLE audit (id int, what text);
CREATE VIEW rich AS SELECT id, name, balance FROM users WHERE balance > 100;
CREATE VIEW totals AS SELECT user_id, count(*) AS orders, sum(total) AS total FROM orders GROUP BY user_id;
CREATE VIEW all_totals AS SELECT count(*) AS orders FROM orders;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
