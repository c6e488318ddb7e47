-- Tables whose rows are loaded many at a time: defaults of every kind, checks, a domain, a generated column.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int DEFAULT 7 CHECK (VALUE > 0);
CREATE FUNCTION third(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 / 3';
CREATE TABLE rates (code text PRIMARY KEY, rate numeric(8,4) NOT NULL);
CREATE TABLE parts (
  k bigint NOT NULL,
  id int NOT NULL,
  note text DEFAULT 'none',
  amount numeric(10,2) NOT NULL DEFAULT 0,
  vc varchar(5),
  small smallint CHECK (small < 100),
  m mood DEFAULT 'ok',
  tags text[],
  po positive,
  twice numeric GENERATED ALWAYS AS (amount * 2) STORED,
  rate text REFERENCES rates (code),
  PRIMARY KEY (k, id)
);
CREATE TABLE log (k bigint NOT NULL, seen timestamptz, what text, n numeric, fl float8, js jsonb, "Odd ""name" int);
CREATE TABLE moments (
  k bigint NOT NULL,
  id int,
  made timestamptz DEFAULT now(),
  day date DEFAULT CURRENT_DATE,
  wall timestamp DEFAULT LOCALTIMESTAMP,
  later timestamptz DEFAULT (now() + '1 day'::interval),
  utc timestamp DEFAULT (now() AT TIME ZONE 'utc'),
  uid uuid DEFAULT gen_random_uuid(),
  tick timestamptz DEFAULT clock_timestamp(),
  who name DEFAULT CURRENT_USER,
  short text DEFAULT "left"(md5('x'), 4)
);
CREATE TABLE tenants (k bigint NOT NULL, tenant text DEFAULT current_setting('application_name'), third numeric DEFAULT third(1));
CREATE TABLE told (k bigint NOT NULL, v int);
CREATE INDEX parts_note ON parts (note);
