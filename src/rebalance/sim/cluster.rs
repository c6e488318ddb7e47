//! The clusters that invented traces are about: shards, a keyspace, its keys, and what each key carries.
//!
//! Why the same names as in the README: a proposal for an invented trace then reads like one for the demo.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::synthetic::{Kind, Settled};
use super::trace::Unit;
use super::trace_error::TraceFault;
use crate::topology::{
    CategorySource, Declaration, DeclaredCategory, DeclaredKeyspace, DeclaredRange, DeclaredStrategy, DeclaredTable,
    HashStart, KeyspaceId, QualifiedName, Shard, ShardId, Topology,
};
use crate::value::{Key, KeyType};

/// Bytes of a keyspace, over all shards.
const BYTES: f64 = 24e9;

/// Buckets of a hash keyspace: few enough to be read, enough for moves of a percent.
const BUCKETS: u32 = 256;

/// Keys of a group that is hot for a while.
const GROUP: usize = 40;

/// A topology, its keys, and what they carry.
pub(super) struct Cluster {
    pub(super) topology: Topology,
    pub(super) units: Vec<Unit>,
    /// one per unit
    pub(super) parts: Vec<Part>,
}

/// What one key carries.
pub(super) struct Part {
    /// of the load of everything; all together 1
    pub(super) share: f64,
    /// groups that are hot for a while, and its share of each
    pub(super) groups: Vec<(usize, f64)>,
    /// part of its load that only reads
    pub(super) reads: f64,
}

pub(super) fn make(kind: Kind, settled: &Settled, dice: &mut Dice) -> Result<Cluster, TraceFault> {
    match kind {
        Kind::Zipf => users(settled, 0.9, dice),
        Kind::Growth => users(settled, 0.9, dice),
        Kind::Noise => users(settled, 0.5, dice),
        Kind::FlashCrowd | Kind::MovingHotSpot => {
            users(settled, 0.5, dice).map(|cluster| with_crowds(cluster, settled))
        }
        Kind::HotKey => users(settled, 0.5, dice).map(with_hot_key),
        Kind::Market => instruments(settled, &["fx_major"], dice),
        Kind::TwoHotCategories => instruments(settled, &["fx_major", "crypto"], dice),
        Kind::Diurnal => instruments(settled, &[], dice),
        Kind::SkewedRanges => tenants(settled, dice),
    }
}

fn shards(count: usize) -> Vec<Shard> {
    (0..count).map(|index| Shard::new(format!("s{index}"))).collect()
}

fn topology(
    settled: &Settled,
    keyspace: DeclaredKeyspace,
    tables: BTreeMap<QualifiedName, DeclaredTable>,
) -> Result<Topology, TraceFault> {
    let declaration = Declaration {
        shards: shards(settled.shards),
        keyspaces: vec![keyspace],
        tables,
        ..Declaration::default()
    };
    Topology::create(&declaration).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        TraceFault::Synthetic(errors.join("; "))
    })
}

fn sharded(table: &str, keyspace: &str, key: &str) -> (QualifiedName, DeclaredTable) {
    let placement = DeclaredTable::Sharded {
        keyspace: keyspace.to_owned(),
        key: key.to_owned(),
    };
    (QualifiedName::public(table), placement)
}

/// The only keyspace of these clusters.
fn only_keyspace() -> Result<KeyspaceId, TraceFault> {
    KeyspaceId::new(0).ok_or_else(|| TraceFault::Synthetic("it has no keyspace".to_owned()))
}

/// Shares that fall with their rank: 1, 1/2^skew, 1/3^skew …; all together 1.
fn zipf(count: usize, skew: f64) -> Vec<f64> {
    let raw: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-skew)).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|share| share / sum).collect()
}

// === users: hash ===

fn users(settled: &Settled, skew: f64, dice: &mut Dice) -> Result<Cluster, TraceFault> {
    let keyspace = DeclaredKeyspace {
        name: "user".to_owned(),
        key_type: KeyType::Int8,
        labels: BTreeMap::new(),
        strategy: DeclaredStrategy::Hash {
            buckets: BUCKETS,
            start: HashStart::Ring,
        },
    };
    let tables = BTreeMap::from([sharded("users", "user", "id"), sharded("orders", "user", "user_id")]);
    let topology = topology(settled, keyspace, tables)?;
    let mut shares = zipf(settled.keys, skew);
    dice.shuffle(&mut shares);
    let keyspace = only_keyspace()?;
    let units = (1..).zip(&shares).map(|(id, _)| Unit {
        keyspace,
        key: Key::Int(id),
        category: None,
        bytes: (BYTES / settled.keys as f64) as u64,
        since: 0,
    });
    let parts = shares.iter().map(|share| Part {
        share: *share,
        groups: Vec::new(),
        reads: 0.8,
    });
    Ok(Cluster {
        units: units.collect(),
        parts: parts.collect(),
        topology,
    })
}

/// Per shard a group of its keys, the first that it holds: group 0 lies on the second shard, and so on around.
fn with_crowds(mut cluster: Cluster, settled: &Settled) -> Cluster {
    for group in 0..settled.shards {
        let shard = ShardId::new((group + 1) % settled.shards);
        let members: Vec<usize> = (0..cluster.units.len())
            .filter(|index| {
                let place = cluster.units.get(*index).and_then(|unit| unit.place(&cluster.topology));
                place.is_some() && place.map(|place| place.shard) == shard
            })
            .take(GROUP)
            .collect();
        for member in &members {
            if let Some(part) = cluster.parts.get_mut(*member) {
                part.groups.push((group, 1.0 / members.len() as f64));
            }
        }
    }
    cluster
}

fn with_hot_key(mut cluster: Cluster) -> Cluster {
    // Any key would do; the seventh has a number that is easily found in a proposal.
    if let Some(part) = cluster.parts.get_mut(6) {
        part.groups.push((0, 1.0));
    }
    cluster
}

// === instruments: category ===

const FX_MAJOR: [&str; 12] = [
    "EURUSD", "USDJPY", "GBPUSD", "USDCHF", "AUDUSD", "USDCAD", "NZDUSD", "EURGBP", "EURJPY", "GBPJPY", "EURCHF",
    "AUDJPY",
];

/// Category, its shards by index, how many instruments, share of the load.
const CATEGORIES: [(&str, &[usize], usize, f64); 5] = [
    ("fx_major", &[0], 12, 0.36),
    ("fx_exotic", &[2], 16, 0.16),
    ("equity", &[1, 3], 48, 0.24),
    ("crypto", &[1], 16, 0.10),
    ("bond", &[3], 20, 0.14),
];

fn instruments(settled: &Settled, hot: &[&str], dice: &mut Dice) -> Result<Cluster, TraceFault> {
    let name = |index: usize| format!("s{}", index % settled.shards);
    let categories = CATEGORIES.iter().map(|(category, shards, _, _)| {
        let mut shards: Vec<String> = shards.iter().map(|index| name(*index)).collect();
        shards.dedup();
        DeclaredCategory {
            name: (*category).to_owned(),
            shards,
            labels: BTreeMap::new(),
        }
    });
    let keyspace = DeclaredKeyspace {
        name: "instrument".to_owned(),
        key_type: KeyType::Text,
        labels: BTreeMap::new(),
        strategy: DeclaredStrategy::Category {
            source: CategorySource::Lookup {
                table: QualifiedName::public("instruments"),
                key: "symbol".to_owned(),
                category: "category".to_owned(),
            },
            categories: categories.collect(),
            default: vec![name(3)],
        },
    };
    let tables = BTreeMap::from([
        sharded("trades", "instrument", "instrument"),
        (QualifiedName::public("instruments"), DeclaredTable::Reference),
    ]);
    let topology = topology(settled, keyspace, tables)?;
    let keyspace = only_keyspace()?;
    let (mut units, mut parts) = (Vec::new(), Vec::new());
    for (category, _, count, load) in CATEGORIES {
        let group = hot.iter().position(|hot| *hot == category);
        for (index, share) in zipf(count, 0.8).into_iter().enumerate() {
            let symbol = match FX_MAJOR.get(index) {
                Some(symbol) if category == "fx_major" => (*symbol).to_owned(),
                Some(_) | None => format!("{}{index:02}", category.to_uppercase().get(..2).unwrap_or_default()),
            };
            units.push(Unit {
                keyspace,
                key: Key::Text(symbol.into_bytes()),
                category: Some(category.to_owned()),
                bytes: (BYTES * load * share) as u64,
                since: 0,
            });
            parts.push(Part {
                share: load * share,
                groups: group.map(|group| (group, share)).into_iter().collect(),
                reads: 0.6 + 0.2 * dice.unit(),
            });
        }
    }
    Ok(Cluster { topology, units, parts })
}

// === tenants: range ===

fn tenants(settled: &Settled, dice: &mut Dice) -> Result<Cluster, TraceFault> {
    let width = 1_000_000 / settled.shards;
    let ranges = (0..settled.shards).map(|index| DeclaredRange {
        until: (index + 1 < settled.shards).then(|| (width * (index + 1)).to_string()),
        shard: format!("s{index}"),
    });
    let keyspace = DeclaredKeyspace {
        name: "tenant".to_owned(),
        key_type: KeyType::Int8,
        labels: BTreeMap::new(),
        strategy: DeclaredStrategy::Range {
            ranges: ranges.collect(),
        },
    };
    let tables = BTreeMap::from([sharded("documents", "tenant", "tenant_id")]);
    let topology = topology(settled, keyspace, tables)?;
    let keyspace = only_keyspace()?;
    let mut ids = std::collections::BTreeSet::new();
    while ids.len() < settled.keys {
        // A third of the tenants are crowded into a quarter of the second range.
        let id = if dice.unit() < 0.35 {
            width + dice.below(width / 4)
        } else {
            dice.below(1_000_000)
        };
        ids.insert(id);
    }
    let mut shares = zipf(settled.keys, 0.4);
    dice.shuffle(&mut shares);
    let units = ids.into_iter().map(|id| Unit {
        keyspace,
        key: Key::Int(i64::try_from(id).unwrap_or(0)),
        category: None,
        bytes: (BYTES / settled.keys as f64) as u64,
        since: 0,
    });
    let parts = shares.iter().map(|share| Part {
        share: *share,
        groups: Vec::new(),
        reads: 0.7,
    });
    Ok(Cluster {
        units: units.collect(),
        parts: parts.collect(),
        topology,
    })
}
