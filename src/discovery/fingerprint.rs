//! Whether a shard's system catalogs are still what was read: one number, asked each second.
//!
//! Why row versions: every change of a catalog row writes a new one, whose `xmin` is a transaction that no row named
//! before, since it had not committed then. So the xmins of the rows that the picture is made of, as a multiset, differ
//! after any change, and a sum of their hashes tells so without sorting. What counters and sizes of the catalogs say
//! comes late or not at all.
//! Holds: whatever `catalog_sql.rs` reads is here, by a row that changes with it. Objects of temporary schemas and of
//! schema `shardgate` aren't, nor are statistics: these change all the time, and nothing of the picture with them.
//! Absent: what comes with the server (OIDs below 16384, but for schemas and languages, which may be renamed); operator
//! classes, privileges and comments, of which the picture says nothing. `benches/run --only catalog` says what it costs.

use crate::discovery::Error;
use crate::discovery::cells::Cells;

/// A value that changes when the system catalogs do, but for temporary objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(String);

impl Fingerprint {
    /// Out of the row of [`statement`].
    pub(super) fn of(cells: &Cells<'_>) -> Result<Fingerprint, Error> {
        cells.owned(0).map(Fingerprint)
    }
}

/// [`statement`] as every control connection has prepared it: planning it costs more than running it.
pub(super) const PREPARED: &str = "EXECUTE sg_fingerprint";

/// What the branches share: schemas that don't count, and what has columns, rules and triggers. That a relation has a row
/// type (indexes, sequences and TOAST tables have none, from 14 on) costs less to see than its kind.
const SETS: &str = "ours(oid) AS (SELECT coalesce(to_regnamespace('shardgate')::oid, 0)), \
    hidden(oid) AS MATERIALIZED \
    (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(toast_)?temp_' OR nspname = 'shardgate'), \
    tables AS MATERIALIZED (SELECT oid, relhasrules, relhastriggers FROM pg_class WHERE oid >= 16384 AND reltype <> 0 \
    AND relpersistence <> 't' AND relnamespace <> (SELECT oid FROM ours))";

/// The rows whose versions count. `(… IN …) IS TRUE` keeps a small set hashed, instead of a join that reads the large
/// side first.
const BRANCHES: [&str; 19] = [
    // 99 is pg_toast. Names of indexes and sequences too.
    "SELECT xmin FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't' AND relnamespace <> 99 \
     AND relnamespace <> (SELECT oid FROM ours)",
    // Defaults as well: whenever a row of pg_attrdef comes or goes, `atthasdef` is written here (StoreAttrDefault,
    // RemoveAttrDefaultById; 14 to 18). An index has columns of its own, of which nothing is read.
    "SELECT xmin FROM pg_attribute WHERE attnum > 0 AND attrelid = ANY (ARRAY(SELECT oid FROM tables))",
    // Nothing of an index changes but its name, which stands in pg_class, and whether it is alive.
    "SELECT xmin FROM pg_index WHERE NOT indislive",
    // Those of UNIQUE and PRIMARY KEY are indexes, NOT NULL is said by the column.
    "SELECT xmin FROM pg_constraint WHERE oid >= 16384 AND contype IN ('f', 'c', 'x') \
     AND connamespace NOT IN (SELECT oid FROM hidden)",
    // The servers themselves look for triggers and rules only where these flags are set.
    "SELECT xmin FROM pg_trigger WHERE NOT tgisinternal \
     AND (tgrelid IN (SELECT oid FROM tables WHERE relhastriggers)) IS TRUE",
    "SELECT xmin FROM pg_rewrite WHERE (ev_class IN (SELECT oid FROM tables WHERE relhasrules)) IS TRUE",
    "SELECT xmin FROM pg_policy",
    // A temporary table may inherit from a table that counts, and then its rows are that table's.
    "SELECT xmin FROM pg_inherits",
    "SELECT xmin FROM pg_enum",
    // The types of relations change with them, and the array of a type, the only one read by array_in, with it.
    "SELECT xmin FROM pg_type WHERE oid >= 16384 AND typrelid = 0 AND typinput <> 'array_in'::regproc \
     AND typnamespace NOT IN (SELECT oid FROM hidden)",
    "SELECT xmin FROM pg_proc WHERE oid >= 16384 AND pronamespace NOT IN (SELECT oid FROM hidden)",
    "SELECT xmin FROM pg_operator WHERE oid >= 16384",
    "SELECT xmin FROM pg_cast WHERE oid >= 16384",
    "SELECT xmin FROM pg_collation WHERE oid >= 16384",
    // Their names stand in the texts of views and defaults.
    "SELECT xmin FROM pg_ts_config WHERE oid >= 16384",
    "SELECT xmin FROM pg_ts_dict WHERE oid >= 16384",
    // A function may become an extension's without being touched itself.
    "SELECT xmin FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND classid = 'pg_proc'::regclass \
     AND objid >= 16384 AND deptype = 'e'",
    // Here rows of the server's own count. Those of its making (xmin 1 or 2) have no age: they count as of one version.
    "SELECT CASE WHEN xmin = ANY ('{1,2}'::xid[]) THEN '3'::xid ELSE xmin END FROM pg_namespace \
     WHERE oid NOT IN (SELECT oid FROM hidden)",
    "SELECT CASE WHEN xmin = ANY ('{1,2}'::xid[]) THEN '3'::xid ELSE xmin END FROM pg_language",
];

/// The fingerprint: one row of one column. A row counts by the distance of its xmin from a fixed one, since a transaction
/// id has no cheap cast to a number. Both ages are 32 bits that wrap, so the difference may be off by 2^32; `hashint8`
/// folds its upper half, 0 or all ones, away.
pub(super) fn statement() -> String {
    format!(
        "WITH {SETS}, rows(xmin) AS ({}) SELECT coalesce(sum(hashint8extended((SELECT age('100'::xid)::bigint) \
         - age(xmin), 0)), 0) FROM rows",
        BRANCHES.join(" UNION ALL ")
    )
}
