//! Reading a catalog stays in proportion to it: a shard may have a thousand tables.
//!
//! Why counted rows: time says nothing on a busy machine, and a statement that looks through one catalog for each row of
//! another is fast in a small test.

use shardgate::discovery::overlay_sql;

use crate::{Pair, client, clusters};

const TABLES: usize = 60;
/// How often each row may be looked at: it is 10 times with Postgres 15, and was 93 times when each column looked through
/// `pg_depend`.
const LOOKS_MAX: i64 = 20;

#[tokio::test]
async fn reading_a_catalog_looks_at_each_row_a_few_times() {
    let clusters = clusters();
    let pair = Pair::new(&clusters, "reading", ["", ""]).await;
    let tables: String = (0..TABLES)
        .map(|number| {
            format!(
                "CREATE TABLE t{number} (id bigserial PRIMARY KEY, i int GENERATED ALWAYS AS IDENTITY, \
                 name text DEFAULT 'x' CHECK (name <> ''), EXCLUDE USING gist (int4range(i, i + 1) WITH &&)); \
                 CREATE VIEW v{number} AS SELECT id, name FROM t{number}; \
                 CREATE TYPE e{number} AS ENUM ('a', 'b'); CREATE POLICY own ON t{number} USING (i > 0);"
            )
        })
        .collect();
    let mut reader = client(&pair.url(0)).await;
    reader.batch_execute(&tables).await.expect("tables");
    let rows: i64 = reader
        .query_one(
            "SELECT (SELECT count(*) FROM pg_attribute) + (SELECT count(*) FROM pg_class) + (SELECT count(*) FROM pg_depend) \
             + (SELECT count(*) FROM pg_type) + (SELECT count(*) FROM pg_proc)",
            &[],
        )
        .await
        .expect("the size of the catalogs")
        .get(0);
    let block = reader.transaction().await.expect("a block");
    block.batch_execute(&overlay_sql()).await.expect("a catalog");
    let looks: i64 = block
        .query_one(
            "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_sys_tables",
            &[],
        )
        .await
        .expect("what the block has read")
        .get(0);
    assert!(looks > rows, "{looks} of {rows}: nothing was counted");
    assert!(looks < LOOKS_MAX * rows, "{looks} looks at {rows} rows");
}
