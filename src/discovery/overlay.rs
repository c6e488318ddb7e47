//! The picture of a transaction that has changed the schema: read over its own backends, seen by it alone.
//!
//! Why the checks of the start run here too: Postgres alone knows what its DDL has made of a table, and what the start
//! would refuse must not be committed. Holds: only what the transaction itself brought about counts; a shard that it
//! hasn't touched is as the common picture has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalog::RelationKind;
use crate::discovery::checks::{self, Scene};
use crate::discovery::reach::{PREAMBLE, PREAMBLE_STATEMENTS, Row};
use crate::discovery::shard_catalog::{self, ShardCatalog};
use crate::discovery::{Discovery, Error, Finding, Seen, Severity, catalog_sql};
use crate::topology::{QualifiedName, ShardId, TablePlacement, Topology};

/// What a transaction's own schema amounts to.
#[derive(Debug)]
pub struct Overlay {
    /// the picture to plan by
    pub seen: Arc<Seen>,
    /// what the transaction has brought about that the proxy wouldn't start with
    pub broken: Vec<Finding>,
}

/// The rows of each statement of a text, in order.
pub type Answers = Vec<Vec<Vec<Option<String>>>>;

/// What a backend is asked, inside its block, as one Query. A savepoint takes its settings back.
pub fn overlay_sql() -> String {
    format!(
        "SAVEPOINT shardgate_overlay;\n{PREAMBLE}\n{};\nROLLBACK TO SAVEPOINT shardgate_overlay;\n\
         RELEASE SAVEPOINT shardgate_overlay",
        catalog_sql::catalog()
    )
}

impl Discovery {
    /// The overlay out of the backends' answers to [`overlay_sql`].
    pub fn overlay(&self, read: Vec<(ShardId, Answers)>) -> Result<Overlay, Error> {
        let before = self.inner.live();
        let mut after = before.as_ref().clone();
        let mut touched = BTreeSet::new();
        for (shard, answers) in read {
            let catalog = catalog_of(&before.topology, shard, answers)?;
            let place = after.catalogs.get_mut(shard.index());
            *place.ok_or(Error::Bug("an overlay of an unknown shard"))? = Some(Arc::new(catalog));
            touched.insert(shard);
        }
        let scene = |catalogs| Scene {
            topology: &before.topology,
            catalogs,
            keeps_key: &before.settings.keeps_key,
        };
        // By what is wrong with what: a detail may tell of more than one change.
        let known: BTreeSet<_> = checks::tables(&scene(&before.catalogs)).into_iter().map(what).collect();
        let mut broken = checks::tables(&scene(&after.catalogs));
        broken.retain(|finding| finding.severity == Severity::Error && !known.contains(&what(finding.clone())));
        for shard in touched {
            let catalogs = (before.catalogs.get(shard.index()), after.catalogs.get(shard.index()));
            if let (Some(Some(before_it)), Some(Some(after_it))) = catalogs {
                broken.extend(strays(&before.topology, shard, before_it, after_it));
            }
        }
        Ok(Overlay {
            seen: Arc::new(after.seen()?),
            broken,
        })
    }
}

fn what(finding: Finding) -> (Option<String>, String, String) {
    (finding.shard, finding.object, finding.message)
}

fn catalog_of(topology: &Topology, shard: ShardId, answers: Vec<Vec<Row>>) -> Result<ShardCatalog, Error> {
    const SAVEPOINT: usize = 1;
    let mut tables = answers;
    tables.drain(..PREAMBLE_STATEMENTS.saturating_add(SAVEPOINT).min(tables.len()));
    tables.truncate(catalog_sql::STATEMENTS);
    shard_catalog::from_tables(tables, topology.shard_name(shard))
}

/// New tables on a shard where nobody would look for their rows: renamed ones, partitions set free.
fn strays(topology: &Topology, shard: ShardId, before: &ShardCatalog, after: &ShardCatalog) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, relation) in &after.relations {
        let kind = relation.relation.kind;
        let is_table = matches!(kind, RelationKind::Table | RelationKind::Partitioned);
        if !is_table || before.relations.contains_key(name) {
            continue;
        }
        let root = relation.relation.partition_root.as_ref().unwrap_or(name);
        let belongs = match topology.table(root) {
            Some(TablePlacement::Sharded { .. } | TablePlacement::Reference) => true,
            Some(TablePlacement::Unsharded(own)) => *own == shard,
            None => topology.default_shard() == Some(shard),
        };
        if !belongs {
            found.push(stray(topology, shard, name));
        }
    }
    found
}

fn stray(topology: &Topology, shard: ShardId, name: &QualifiedName) -> Finding {
    Finding {
        severity: Severity::Error,
        shard: Some(topology.shard_name(shard).to_owned()),
        object: format!("table {name}"),
        message: "the table would lie on a shard where the configuration doesn't look for it".to_owned(),
        detail: "It is listed for no shard, or for another one.".to_owned(),
        hint: format!("List {name} under tables: and RELOAD first, or leave its name and schema as they are."),
    }
}
