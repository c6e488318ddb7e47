-- The schema of the demo, with what real ones have besides: views, functions, an enum, comments, indexes.
CREATE TYPE side AS ENUM ('buy', 'sell', 'short');
CREATE TABLE instruments (
  symbol text PRIMARY KEY,
  category text NOT NULL,
  name text NOT NULL,
  tick numeric(10,5) NOT NULL,
  active boolean NOT NULL DEFAULT true
);
CREATE TABLE countries (
  code char(2) PRIMARY KEY,
  name text NOT NULL,
  region text
);
CREATE TABLE users (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  email text,
  country char(2) REFERENCES countries (code),
  balance numeric(14,2) NOT NULL DEFAULT 0,
  score double precision,
  level smallint,
  referrer bigint,
  joined timestamptz NOT NULL,
  birthday date,
  tags text[],
  profile jsonb
);
CREATE INDEX users_name ON users (name);
CREATE TABLE orders (
  user_id bigint NOT NULL REFERENCES users (id),
  id bigint NOT NULL,
  instrument text NOT NULL REFERENCES instruments (symbol),
  side side NOT NULL,
  qty integer NOT NULL CHECK (qty > 0),
  price numeric(14,5),
  total numeric,
  placed timestamptz NOT NULL,
  note text,
  PRIMARY KEY (user_id, id)
);
CREATE INDEX orders_placed ON orders (placed);
CREATE TABLE accounts (
  owner integer NOT NULL,
  iban text NOT NULL,
  amount bigint,
  PRIMARY KEY (owner, iban)
);
CREATE TABLE events (
  at timestamptz NOT NULL,
  id bigint NOT NULL,
  user_id bigint,
  kind text NOT NULL,
  payload jsonb,
  PRIMARY KEY (at, id)
);
CREATE TABLE trades (
  instrument text NOT NULL,
  id bigint NOT NULL,
  at timestamptz NOT NULL,
  qty integer NOT NULL,
  price numeric(14,5) NOT NULL,
  buyer bigint,
  seller bigint,
  PRIMARY KEY (instrument, id)
);
CREATE TABLE audit_log (
  id bigint PRIMARY KEY,
  who text NOT NULL,
  what text,
  at timestamptz
);
CREATE TABLE archive (
  id bigint PRIMARY KEY,
  body text
);
COMMENT ON TABLE users IS 'People who trade';
COMMENT ON COLUMN users.score IS 'Ours, not theirs';
CREATE VIEW instrument_names AS SELECT symbol, name FROM instruments;
CREATE VIEW big_orders AS SELECT user_id, id, total FROM orders WHERE total > 5000;
CREATE VIEW order_totals AS SELECT user_id, count(*) AS orders, sum(total) AS total FROM orders GROUP BY user_id;
CREATE FUNCTION order_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM orders';
CREATE FUNCTION double(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE SCHEMA alt;
