-- A table for each type of key that rows are made for on the servers.
CREATE TABLE numbers (k bigint NOT NULL, n int, what text DEFAULT 'none', c char(4), made timestamptz);
CREATE TABLE smalls (k smallint NOT NULL, twice int GENERATED ALWAYS AS (k * 2) STORED, CHECK (k < 300));
CREATE TABLE names (k varchar(6) NOT NULL, n int);
CREATE TABLE codes (k char(5) NOT NULL, n int);
CREATE TABLE devices (k uuid NOT NULL, n int);
CREATE TABLE rates (k numeric NOT NULL, n int);
CREATE TABLE days (k date NOT NULL, n int);
CREATE TABLE slots (k timestamptz NOT NULL, n int);
CREATE TABLE uniques (k int PRIMARY KEY);
CREATE TABLE serials (k bigint NOT NULL, id serial, seen timestamptz DEFAULT now());
CREATE TABLE plain (a int);
CREATE TABLE other (a int);
CREATE TABLE small (a int PRIMARY KEY);
