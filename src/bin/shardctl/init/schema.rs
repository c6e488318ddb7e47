//! What one Postgres says of its tables: sizes, columns, unique constraints, foreign keys.
//!
//! Holds: reads only; one statement, so that it is one moment; every name in full, since any search_path may be set.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use shardgate::backend::{Control, ControlClient, ControlError, SimpleQueryMessage};
use shardgate::value::{KeyType, Oid};

use crate::failure::Failure;

/// Connecting, and each question.
const PATIENCE: Duration = Duration::from_secs(15);

/// More different values than this are no categories.
pub(super) const CATEGORIES_MAX: usize = 40;

/// A table's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Name {
    pub(super) schema: String,
    pub(super) name: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.schema.as_str() {
            "public" => f.write_str(&self.name),
            schema => write!(f, "{schema}.{}", self.name),
        }
    }
}

/// One table, with its partitions.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Table {
    #[serde(flatten)]
    pub(super) name: Name,
    /// of rows, indexes and TOAST
    pub(super) bytes: u64,
    /// as statistics know them; negative when never analysed
    pub(super) rows: f64,
    pub(super) columns: Vec<Column>,
    pub(super) uniques: Vec<Unique>,
    pub(super) links: Vec<Link>,
    /// what keeps it from being spread whatever its key: triggers, rules, inheritance
    pub(super) oddities: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    /// the type's OID; 0 for a generated column or a collation that makes different texts equal: no key
    r#type: u32,
    pub(super) not_null: bool,
}

/// A unique constraint or index, or an exclusion constraint.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Unique {
    pub(super) name: String,
    pub(super) kind: UniqueKind,
    /// null: an expression
    pub(super) columns: Vec<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UniqueKind {
    Primary,
    Constraint,
    Index,
}

/// A foreign key.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    pub(super) target: Name,
    pub(super) target_columns: Vec<String>,
}

impl Column {
    /// The key type that it can have.
    pub(super) fn key_type(&self) -> Option<KeyType> {
        KeyType::of(Oid(self.r#type))
    }
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The only column of its primary key.
    pub(super) fn primary(&self) -> Option<&Column> {
        let primary = self.uniques.iter().find(|unique| unique.kind == UniqueKind::Primary)?;
        match primary.columns.as_slice() {
            [Some(column)] => self.column(column),
            _ => None,
        }
    }
}

/// A Postgres and its tables.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) database: String,
    pub(super) version: String,
    pub(super) tables: Vec<Table>,
}

/// Asks for the tables.
pub(super) async fn read(client: &ControlClient) -> Result<Schema, Failure> {
    let server = rows(client, SERVER).await?;
    let (database, version) = match server.first().map(Vec::as_slice) {
        Some([database, version]) => (database.clone(), version.clone()),
        _ => return Err(Failure::new("the server didn't say which database this is")),
    };
    let mut tables = Vec::new();
    for row in rows(client, TABLES).await? {
        for document in row {
            let table = serde_json::from_str(&document).context("a table's description can't be read")?;
            tables.push(table);
        }
    }
    Ok(Schema {
        database,
        version,
        tables,
    })
}

/// A connection.
pub(super) async fn connect(url: &str) -> Result<ControlClient, Failure> {
    Control::connect_url(url, PATIENCE)
        .await
        .map_err(|error| Failure::from_control(&error))
}

/// The column of a small table that sorts its rows into few kinds, and those: of several the one with most kinds.
pub(super) async fn categories(
    client: &ControlClient,
    table: &Table,
) -> Result<Option<(String, Vec<String>)>, Failure> {
    let key = table.primary().map(|column| column.name.clone());
    let mut best: Option<(String, Vec<String>)> = None;
    for column in &table.columns {
        if Some(&column.name) == key.as_ref() || !is_text(column) || !column.not_null {
            continue;
        }
        let (name, from) = (quoted(&column.name), of(&table.name));
        let sql = format!(
            "SELECT DISTINCT {name}::text FROM {from} ORDER BY 1 LIMIT {}",
            CATEGORIES_MAX + 1
        );
        let values: Vec<String> = rows(client, &sql).await?.into_iter().flatten().collect();
        let rows = rows(client, &format!("SELECT count(*) FROM {from}")).await?;
        let count = rows
            .first()
            .and_then(|row| row.first()?.parse::<usize>().ok())
            .unwrap_or(0);
        let is_few = (2..=CATEGORIES_MAX).contains(&values.len()) && values.len().saturating_mul(2) <= count;
        if is_few && best.as_ref().is_none_or(|(_, before)| before.len() < values.len()) {
            best = Some((column.name.clone(), values));
        }
    }
    Ok(best)
}

fn is_text(column: &Column) -> bool {
    matches!(column.key_type(), Some(KeyType::Text | KeyType::Varchar))
}

/// An identifier in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table's name in quotes.
pub(super) fn of(name: &Name) -> String {
    format!("{}.{}", quoted(&name.schema), quoted(&name.name))
}

async fn rows(client: &ControlClient, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
    match tokio::time::timeout(PATIENCE, texts(client, sql)).await {
        Ok(answered) => answered.map_err(|error| Failure::from_control(&error)),
        Err(_elapsed) => Err(Failure::new(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// All rows as text; NULL as the empty one.
async fn texts(client: &ControlClient, sql: &str) -> Result<Vec<Vec<String>>, ControlError> {
    let messages = client.simple_query(sql).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let cells = rows.map(|row| {
        let cells = (0..row.len()).map(|at| row.try_get(at).ok().flatten().unwrap_or("").to_owned());
        cells.collect()
    });
    Ok(cells.collect())
}

const SERVER: &str = "SELECT pg_catalog.current_database(), pg_catalog.current_setting('server_version')";

const TABLES: &str = "
SELECT pg_catalog.json_build_object(
  'schema', n.nspname, 'name', c.relname,
  'bytes', CASE c.relkind WHEN 'p' THEN
      (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(relid)), 0) FROM pg_catalog.pg_partition_tree(c.oid))
    ELSE pg_catalog.pg_total_relation_size(c.oid) END,
  'rows', CASE c.relkind WHEN 'p' THEN
      (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0) FROM pg_catalog.pg_partition_tree(c.oid) p
       JOIN pg_catalog.pg_class l ON l.oid = p.relid WHERE p.isleaf) ELSE c.reltuples END,
  'columns', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname, 'not_null', a.attnotnull,
      'type', CASE WHEN a.attgenerated = '' AND coalesce(l.collisdeterministic, true) THEN a.atttypid::bigint ELSE 0 END)
      ORDER BY a.attnum), '[]')
    FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'uniques', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', x.relname, 'kind', CASE WHEN i.indisprimary THEN 'primary' WHEN EXISTS (SELECT FROM pg_catalog.pg_constraint k
        WHERE k.conindid = i.indexrelid AND k.conrelid = c.oid) THEN 'constraint' ELSE 'index' END,
      'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
        FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number AND k.number > 0
        WHERE k.place <= i.indnkeyatts)) ORDER BY NOT i.indisprimary, x.relname), '[]')
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)),
  'links', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', k.conname,
      'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.place) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number),
      'target', pg_catalog.json_build_object('schema', tn.nspname, 'name', t.relname),
      'target_columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY u.place) FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number)) ORDER BY k.conname), '[]')
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class t ON t.oid = k.confrelid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
    WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0),
  'oddities', (SELECT coalesce(pg_catalog.json_agg(o.what ORDER BY o.what), '[]') FROM (
      SELECT 'trigger ' || g.tgname FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
      UNION ALL SELECT 'rule ' || r.rulename FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid
      UNION ALL SELECT 'inheritance' FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class p ON p.oid = h.inhparent
        WHERE p.relkind = 'r' AND c.oid IN (h.inhrelid, h.inhparent)) o(what)))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'shardgate') AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname, c.relname";
