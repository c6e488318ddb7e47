-- Keys of every type, and values that two comparisons see two ways.
CREATE TABLE k_small (k smallint PRIMARY KEY, v text);
CREATE TABLE k_int (k integer PRIMARY KEY, v text);
CREATE TABLE k_text (k text PRIMARY KEY, v text);
CREATE TABLE k_varchar (k varchar(8) PRIMARY KEY, v text);
CREATE TABLE k_bpchar (k char(6) PRIMARY KEY, v text);
CREATE TABLE k_uuid (k uuid PRIMARY KEY, v text);
CREATE TABLE k_numeric (k numeric(12,2) PRIMARY KEY, v text);
CREATE TABLE k_ts (k timestamptz PRIMARY KEY, v text);
CREATE TABLE k_wall (k timestamp PRIMARY KEY, v text);
CREATE TABLE k_date (k date PRIMARY KEY, v text);
CREATE TABLE r_int (k bigint PRIMARY KEY, v text);
CREATE TABLE r_numeric (k numeric PRIMARY KEY, v text);
CREATE TABLE c_text (k text, v text, PRIMARY KEY (k, v));
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE vals (
  id integer PRIMARY KEY,
  f8 double precision,
  f4 real,
  n numeric,
  n2 numeric(20,4),
  i8 bigint,
  i4 integer,
  i2 smallint,
  t text,
  tc text COLLATE "C",
  vc varchar(10),
  bp char(5),
  nm name,
  b bytea,
  bo boolean,
  d date,
  ts timestamp,
  tz timestamptz,
  ti time,
  iv interval,
  j json,
  jb jsonb,
  a int[],
  ta text[],
  r int4range,
  ip inet,
  u uuid,
  m mood,
  p pair,
  po positive,
  mo money,
  bi bit(4),
  x xml
);
CREATE TABLE "Odd Names" ("The Key" integer PRIMARY KEY, "Column ""quoted""" text, "select" text, "ÄÖ" text, "UPPER" int, lower int);
