//! Reference tables must hold the same rows everywhere: count and checksum.

use std::sync::Arc;
use std::time::Duration;

use crate::discovery::cells::Cells;
use crate::discovery::checks::scene::error;
use crate::discovery::reach::{Reach, identifier};
use crate::discovery::{Error, Finding};
use crate::topology::QualifiedName;

const COUNT_TIMEOUT: Duration = Duration::from_secs(600);

/// Count and checksum of one table on one shard.
async fn content(reach: &Reach, table: &QualifiedName) -> Result<(String, String), Error> {
    // The sum of hashes doesn't depend on the rows' order; two seeds make a chance agreement absurd.
    let sql = format!(
        "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) || '/' || \
         coalesce(sum(hashtextextended(t::text, 1)::numeric), 0) FROM {}.{} t",
        identifier(&table.schema),
        identifier(&table.name)
    );
    let rows = reach.rows(&sql, COUNT_TIMEOUT).await?;
    let empty = Vec::new();
    let cells = Cells::new(rows.first().unwrap_or(&empty), reach.name());
    Ok((cells.owned(0)?, cells.owned(1)?))
}

/// Compares one reference table on the shards that have it.
pub(in crate::discovery) async fn references(
    table: &QualifiedName,
    reaches: &[Arc<Reach>],
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let mut first: Option<(&str, (String, String))> = None;
    for reach in reaches {
        let found = content(reach, table).await?;
        let Some((first_on, expected)) = &first else {
            first = Some((reach.name(), found));
            continue;
        };
        let detail = if expected.0 != found.0 {
            format!("Shard {first_on} has {} rows, this one {}.", expected.0, found.0)
        } else if expected.1 != found.1 {
            format!(
                "Shard {first_on} has as many rows, {}, but their checksums differ.",
                found.0
            )
        } else {
            continue;
        };
        let finding = error(
            Some(reach.name().to_owned()),
            table,
            "the reference table's rows differ",
        )
        .detail(detail)
        .hint("Copy the rows from the shard that has the right ones.");
        findings.push(finding);
    }
    Ok(findings)
}
