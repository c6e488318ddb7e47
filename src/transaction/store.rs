//! What a commit over several shards keeps in schema `shardgate` of each shard.
//!
//! Why functions: a decision is inserted by the client's own transaction, under the client's role, which has no right on
//! the tables. The function takes the secret behind the transaction's name and the present transaction's own number, so
//! that nobody can decide for another (`gid.rs`). Marks may be read by everybody: each read over several shards reads
//! them under its client's role, and they name nothing but transactions. Holds: everything is named in full; a function's search_path is fixed.

/// True where everything of [`CREATE`] is there.
pub const IS_THERE: &str = "SELECT pg_catalog.to_regclass('shardgate.decision') IS NOT NULL \
    AND pg_catalog.to_regclass('shardgate.mark') IS NOT NULL \
    AND pg_catalog.to_regprocedure('shardgate.decide(bytea, integer[])') IS NOT NULL \
    AND pg_catalog.to_regprocedure('shardgate.put_mark(text, integer[])') IS NOT NULL \
    AND pg_catalog.to_regprocedure('shardgate.pass_gate(integer, integer)') IS NOT NULL";

/// Makes it; safe to repeat. The schema must be there.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS shardgate.decision (txid text COLLATE \"C\" PRIMARY KEY, \
    verdict text NOT NULL CHECK (verdict IN ('commit', 'abort')), x xid8 NOT NULL, participants integer[] NOT NULL, \
    made_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()); \
    CREATE TABLE IF NOT EXISTS shardgate.mark (txid text COLLATE \"C\" PRIMARY KEY, participants integer[] NOT NULL); \
    CREATE OR REPLACE FUNCTION shardgate.decide(secret bytea, participants integer[]) RETURNS void \
    LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ \
    INSERT INTO shardgate.decision (txid, verdict, x, participants) VALUES ( \
    pg_catalog.\"left\"(pg_catalog.encode(pg_catalog.sha256(secret), 'hex'), 32), 'commit', \
    pg_catalog.pg_current_xact_id(), participants) $$; \
    CREATE OR REPLACE FUNCTION shardgate.put_mark(txid text, participants integer[]) RETURNS void \
    LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ \
    INSERT INTO shardgate.mark (txid, participants) VALUES (put_mark.txid, put_mark.participants) $$; \
    CREATE OR REPLACE FUNCTION shardgate.pass_gate(class integer, object integer) RETURNS void \
    LANGUAGE sql VOLATILE STRICT SET search_path = pg_catalog, pg_temp SET lock_timeout = '0' AS $$ \
    SELECT pg_catalog.pg_advisory_xact_lock_shared(class, object) $$; \
    REVOKE ALL ON shardgate.decision, shardgate.mark FROM PUBLIC; \
    GRANT SELECT ON shardgate.mark TO PUBLIC; \
    REVOKE CREATE ON SCHEMA shardgate FROM PUBLIC; \
    GRANT USAGE ON SCHEMA shardgate TO PUBLIC; \
    GRANT EXECUTE ON FUNCTION shardgate.decide(bytea, integer[]), shardgate.put_mark(text, integer[]), \
    shardgate.pass_gate(integer, integer) TO PUBLIC";
