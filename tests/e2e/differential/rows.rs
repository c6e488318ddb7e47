//! What lies in the tables: all shards together must hold the rows that the plain Postgres holds.
//!
//! Why past the proxy: a row that was lost, or written twice, may be hidden by the same mistake when it is read. Sums of
//! hashes are compared first, since they add up over shards; rows only where they differ.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::layout::Placement;
use crate::servers::superuser;
use crate::world::{World, wait_for};

/// Sessions past the proxy, and the tables to be compared.
#[derive(Debug)]
pub struct Stock {
    oracle: Client,
    shards: Vec<Client>,
    tables: Vec<(String, Placement)>,
    reported: Reported,
}

/// Was a difference told? One makes the next ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Yes,
    No,
}

/// Rows of one table on one server: how many, and the sum of their hashes.
type Sum = (i128, i128);

impl Stock {
    /// Of a world's tables.
    pub fn new(world: &World) -> Stock {
        Stock {
            oracle: superuser(world.servers().oracle(), world.database()),
            shards: (0..world.shards()).map(|shard| world.shard(shard)).collect(),
            tables: world.tables().to_vec(),
            reported: Reported::No,
        }
    }

    /// In what the shards' rows differ from the plain Postgres's; `None` if in nothing, or if they have before.
    pub fn difference(&mut self) -> Option<String> {
        if self.reported == Reported::Yes {
            return None;
        }
        self.compare()?;
        // A commit that is decided may still be on its way to a shard.
        for shard in &mut self.shards {
            let prepared = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()";
            wait_for(shard, prepared, "0");
        }
        let found = self.compare();
        if found.is_some() {
            self.reported = Reported::Yes;
        }
        found
    }

    fn compare(&mut self) -> Option<String> {
        let names: Vec<&str> = self.tables.iter().map(|(name, _)| name.as_str()).collect();
        let expected = sums(&mut self.oracle, &names);
        let found: Vec<_> = self.shards.iter_mut().map(|shard| sums(shard, &names)).collect();
        for (name, placement) in &self.tables {
            let want = expected.get(name);
            let mut each = found.iter().map(|sums| sums.get(name));
            let same = match placement {
                Placement::Reference => each.all(|sum| sum == want),
                Placement::Sharded | Placement::Unsharded(_) => {
                    let together = each.flatten().copied().reduce(|a, b| (a.0 + b.0, a.1 + b.1));
                    together.as_ref() == want
                }
            };
            if !same {
                return Some(tell(name, &mut self.oracle, &mut self.shards));
            }
        }
        None
    }
}

/// By table; one that isn't there has no entry.
fn sums(client: &mut Client, tables: &[&str]) -> BTreeMap<String, Sum> {
    let quoted = |name: &str| name.replace('\'', "''");
    let there: Vec<String> = tables
        .iter()
        .map(|name| format!("to_regclass('{}') IS NOT NULL", quoted(name)))
        .collect();
    if there.is_empty() {
        return BTreeMap::new();
    }
    let there = client.rows(&format!("SELECT {}", there.join(", "))).remove(0);
    let sum = |name: &&str| {
        format!(
            "SELECT '{}', count(*), coalesce(sum(hashtextextended(whole_row::text, 0)::numeric), 0) FROM {name} whole_row",
            quoted(name)
        )
    };
    let selects: Vec<String> = tables
        .iter()
        .zip(&there)
        .filter(|(_, there)| *there == "t")
        .map(|(name, _)| sum(name))
        .collect();
    if selects.is_empty() {
        return BTreeMap::new();
    }
    let number = |text: &str| text.parse::<i128>().expect("is a whole number");
    let rows = client.rows(&selects.join(" UNION ALL "));
    rows.into_iter()
        .map(|row| (row[0].clone(), (number(&row[1]), number(&row[2]))))
        .collect()
}

/// Both sides' rows that the other lacks.
fn tell(table: &str, oracle: &mut Client, shards: &mut [Client]) -> String {
    const SHOWN: usize = 10;
    let sql = format!("SELECT whole_row::text FROM {table} whole_row");
    let mut surplus: BTreeMap<String, (i64, Vec<usize>)> = BTreeMap::new();
    for row in oracle.rows(&sql) {
        surplus.entry(row[0].clone()).or_default().0 -= 1;
    }
    for (index, shard) in shards.iter_mut().enumerate() {
        for row in shard.rows(&sql) {
            let entry = surplus.entry(row[0].clone()).or_default();
            entry.0 += 1;
            entry.1.push(index);
        }
    }
    surplus.retain(|_, (count, _)| *count != 0);
    let lines: Vec<String> = surplus
        .iter()
        .take(SHOWN)
        .map(|(row, (count, at))| format!("    {count:+} on shards {at:?}: {row}"))
        .collect();
    format!("rows of {table} differ (+: the shards have more)\n{}", lines.join("\n"))
}
