//! A topology in the making: what is stored (or nothing yet), then what a declaration adds or contradicts.
//!
//! Why one path for the first topology and for the next: then both obey the same checks.
//! Holds: ids that were given stay; what is there is changed only where no row can lie elsewhere for it.

use std::collections::BTreeMap;

use super::build::{self, Shards};
use super::{
    Aspect, CategorySource, Declaration, DeclaredKeyspace, DeclaredTable, Epoch, FunctionClass, Keyspace, KeyspaceId,
    QualifiedName, SHARDS_MAX, Shard, ShardId, ShardState, Strategy, TablePlacement, Topology, TopologyError,
};

/// See the module.
pub(super) struct Draft {
    shards: Vec<Shard>,
    pub(super) keyspaces: Vec<Keyspace>,
    tables: BTreeMap<QualifiedName, TablePlacement>,
    functions: BTreeMap<QualifiedName, FunctionClass>,
    home: Option<ShardId>,
    default_shard: Option<ShardId>,
    findings: Vec<TopologyError>,
}

impl Draft {
    /// Nothing is stored yet.
    pub(super) fn empty() -> Draft {
        Draft {
            shards: Vec::new(),
            keyspaces: Vec::new(),
            tables: BTreeMap::new(),
            functions: BTreeMap::new(),
            home: None,
            default_shard: None,
            findings: Vec::new(),
        }
    }

    /// Starts from what is stored.
    pub(super) fn of(stored: &Topology) -> Draft {
        Draft {
            shards: stored.shards.clone(),
            keyspaces: stored.keyspaces.clone(),
            tables: stored.tables.clone(),
            functions: stored.functions.clone(),
            home: Some(stored.home),
            default_shard: stored.default_shard,
            findings: Vec::new(),
        }
    }

    /// Adds a declaration. Shards come first: all else names them.
    pub(super) fn declare(&mut self, declaration: &Declaration) {
        self.declare_shards(&declaration.shards);
        self.retire_shards(&declaration.shards);
        if self.home.is_none() {
            let first = self.serving().next().map(|(id, _)| id);
            self.home = match &declaration.home {
                Some(name) => self.shard_named(name, "home"),
                None => first,
            };
        } else {
            self.compare_home(declaration.home.as_deref());
        }
        self.declare_default_shard(declaration.default_shard.as_deref());
        self.declare_keyspaces(&declaration.keyspaces);
        self.declare_tables(&declaration.tables);
        self.functions
            .extend(declaration.functions.iter().map(|(name, class)| (name.clone(), *class)));
        self.check_lookups();
        self.check_labels();
    }

    /// The topology of this epoch, or all findings.
    pub(super) fn finish(self, epoch: Epoch) -> Result<Topology, Vec<TopologyError>> {
        match self.home {
            Some(home) if self.findings.is_empty() => Ok(Topology {
                epoch,
                shards: self.shards,
                keyspaces: self.keyspaces,
                tables: self.tables,
                functions: self.functions,
                home,
                default_shard: self.default_shard,
            }),
            None if self.findings.is_empty() => Err(vec![TopologyError::NoShards]),
            Some(_) | None => Err(self.findings),
        }
    }

    // === shards ===

    fn serving(&self) -> impl Iterator<Item = (ShardId, &Shard)> {
        let numbered = self
            .shards
            .iter()
            .enumerate()
            .filter_map(|(index, shard)| Some((ShardId::new(index)?, shard)));
        numbered.filter(|(_, shard)| shard.state == ShardState::Serving)
    }

    fn nameable(&self) -> Shards<'_> {
        let serving = self.serving().collect();
        Shards { serving }
    }

    fn shard_named(&mut self, name: &str, used_by: &str) -> Option<ShardId> {
        let found = self.nameable().named(name, used_by);
        found.map_err(|fault| self.findings.push(fault)).ok()
    }

    pub(super) fn shard_name(&self, id: ShardId) -> String {
        self.shards
            .get(id.index())
            .map_or_else(|| "?".to_owned(), |shard| shard.name.clone())
    }

    fn declare_shards(&mut self, declared: &[Shard]) {
        if declared.is_empty() {
            self.findings.push(TopologyError::NoShards);
        }
        for (index, shard) in declared.iter().enumerate() {
            let name = || shard.name.clone();
            if shard.name.is_empty() {
                self.findings.push(TopologyError::ShardUnnamed);
            }
            if !(1..=Shard::WEIGHT_MAX).contains(&shard.weight) {
                let (weight, max) = (shard.weight, Shard::WEIGHT_MAX);
                self.findings.push(TopologyError::WeightOutOfRange {
                    shard: name(),
                    weight,
                    max,
                });
                continue;
            }
            if declared.iter().take(index).any(|before| before.name == shard.name) {
                self.findings.push(TopologyError::ShardTwice { shard: name() });
                continue;
            }
            match self.shards.iter_mut().find(|known| known.name == shard.name) {
                Some(Shard {
                    state: ShardState::Retired,
                    ..
                }) => {
                    self.findings.push(TopologyError::ShardRetired { shard: name() });
                }
                Some(known) => {
                    known.weight = shard.weight;
                    known.labels.clone_from(&shard.labels);
                }
                None => self.shards.push(Shard {
                    state: ShardState::Serving,
                    ..shard.clone()
                }),
            }
        }
        if self.shards.len() > SHARDS_MAX {
            self.findings.push(TopologyError::ShardsTooMany { max: SHARDS_MAX });
            self.shards.truncate(SHARDS_MAX);
        }
    }

    /// A shard that left the config goes if nothing lies on it.
    fn retire_shards(&mut self, declared: &[Shard]) {
        let gone: Vec<ShardId> = self
            .serving()
            .filter(|(_, shard)| !declared.iter().any(|declared| declared.name == shard.name))
            .map(|(id, _)| id)
            .collect();
        for id in gone {
            match self.use_of(id) {
                Some(owns) => {
                    let shard = self.shard_name(id);
                    self.findings.push(TopologyError::ShardGone { shard, owns });
                }
                None => {
                    if let Some(shard) = self.shards.get_mut(id.index()) {
                        shard.state = ShardState::Retired;
                    }
                }
            }
        }
    }

    fn use_of(&self, id: ShardId) -> Option<String> {
        if self.home == Some(id) {
            return Some("it is home and holds the topology".to_owned());
        }
        if self.default_shard == Some(id) {
            return Some("tables that aren't listed live there".to_owned());
        }
        if let Some(keyspace) = self.keyspaces.iter().find(|keyspace| keyspace.shards().contains(id)) {
            return Some(format!("owns buckets of keyspace \"{}\"", keyspace.name()));
        }
        let unsharded = self
            .tables
            .iter()
            .find(|(_, placement)| **placement == TablePlacement::Unsharded(id));
        unsharded.map(|(table, _)| format!("table {table} lives there"))
    }

    fn compare_home(&mut self, declared: Option<&str>) {
        let (Some(stored), Some(declared)) = (self.home.map(|home| self.shard_name(home)), declared) else {
            return;
        };
        if stored != declared {
            self.contradict("home".to_owned(), Aspect::Home, stored, declared.to_owned());
        }
    }

    fn declare_default_shard(&mut self, declared: Option<&str>) {
        let Some(declared) = declared else { return };
        let Some(id) = self.shard_named(declared, "default_shard") else {
            return;
        };
        match self.default_shard {
            Some(stored) if stored != id => {
                let stored = self.shard_name(stored);
                self.contradict(
                    "default_shard".to_owned(),
                    Aspect::DefaultShard,
                    stored,
                    declared.to_owned(),
                );
            }
            Some(_) | None => self.default_shard = Some(id),
        }
    }

    pub(super) fn contradict(&mut self, subject: String, aspect: Aspect, stored: String, declared: String) {
        self.findings.push(TopologyError::Contradiction {
            subject,
            aspect,
            stored,
            declared,
        });
    }

    // === keyspaces ===

    fn declare_keyspaces(&mut self, declared: &[DeclaredKeyspace]) {
        for (index, keyspace) in declared.iter().enumerate() {
            if declared.iter().take(index).any(|before| before.name == keyspace.name) {
                self.findings.push(TopologyError::KeyspaceTwice {
                    keyspace: keyspace.name.clone(),
                });
                continue;
            }
            let known = self.keyspaces.iter().position(|known| known.name() == keyspace.name);
            let stored = known.and_then(|known| self.keyspaces.get(known));
            let built = build::keyspace(keyspace, stored, &self.nameable());
            let built = match built {
                Ok(built) => built,
                Err(faults) => {
                    self.findings.extend(faults);
                    continue;
                }
            };
            match known {
                Some(known) => self.reconcile_keyspace(known, &built),
                None if KeyspaceId::new(self.keyspaces.len()).is_none() => {
                    self.findings.push(TopologyError::KeyspacesTooMany);
                }
                None => self.keyspaces.push(built),
            }
        }
    }

    /// A lookup table must be there in full wherever a symbol is asked for.
    fn check_lookups(&mut self) {
        for keyspace in &self.keyspaces {
            let Strategy::Category(category) = keyspace.strategy() else {
                continue;
            };
            let CategorySource::Lookup { table, .. } = category.source() else {
                continue;
            };
            if self.tables.get(table) != Some(&TablePlacement::Reference) {
                let (keyspace, table) = (keyspace.name().to_owned(), table.clone());
                self.findings
                    .push(TopologyError::LookupNotReference { keyspace, table });
            }
        }
    }

    /// Whoever owns a bucket carries the labels that it demands.
    fn check_labels(&mut self) {
        let mut unmet = BTreeMap::new();
        for keyspace in &self.keyspaces {
            if !keyspace.demands_labels() {
                continue;
            }
            for bucket in keyspace.buckets() {
                let wanted = keyspace.labels_of(bucket.id);
                let owner = self.shards.get(bucket.shard.index());
                if owner.is_none_or(|owner| owner.has_labels(&wanted)) {
                    continue;
                }
                let category = keyspace.spread_of(bucket.id).map(|spread| spread.category());
                let subject = match category {
                    Some(category) => format!(
                        "keyspace {}, category {}",
                        keyspace.name(),
                        category.unwrap_or("(default)")
                    ),
                    None => format!("keyspace {}", keyspace.name()),
                };
                let shard = self.shard_name(bucket.shard);
                unmet.insert((subject, shard), build::written(&wanted));
            }
        }
        let unmet = unmet
            .into_iter()
            .map(|((subject, shard), wanted)| TopologyError::LabelsUnmet { subject, wanted, shard });
        self.findings.extend(unmet);
    }

    // === tables ===

    fn declare_tables(&mut self, declared: &BTreeMap<QualifiedName, DeclaredTable>) {
        for (name, table) in declared {
            let Some(placement) = self.table(name, table) else {
                continue;
            };
            match self.tables.get(name).cloned() {
                Some(stored) if stored != placement => {
                    let (stored, declared) = (self.describe(&stored), self.describe(&placement));
                    self.contradict(format!("table {name}"), Aspect::TablePlacement, stored, declared);
                }
                Some(_) => {}
                None => {
                    self.tables.insert(name.clone(), placement);
                }
            }
        }
    }

    fn table(&mut self, name: &QualifiedName, declared: &DeclaredTable) -> Option<TablePlacement> {
        match declared {
            DeclaredTable::Reference => Some(TablePlacement::Reference),
            DeclaredTable::Unsharded(shard) => self
                .shard_named(shard, &format!("table {name}"))
                .map(TablePlacement::Unsharded),
            DeclaredTable::Sharded { keyspace, key } => {
                let index = self.keyspaces.iter().position(|known| known.name() == keyspace);
                let Some(id) = index.and_then(KeyspaceId::new) else {
                    let (table, keyspace) = (name.clone(), keyspace.clone());
                    self.findings.push(TopologyError::KeyspaceUnknown { table, keyspace });
                    return None;
                };
                Some(TablePlacement::Sharded {
                    keyspace: id,
                    key: key.clone(),
                })
            }
        }
    }

    fn describe(&self, placement: &TablePlacement) -> String {
        match placement {
            TablePlacement::Reference => "reference".to_owned(),
            TablePlacement::Unsharded(shard) => format!("unsharded on {}", self.shard_name(*shard)),
            TablePlacement::Sharded { keyspace, key } => {
                let keyspace = self.keyspaces.get(keyspace.index()).map_or("?", Keyspace::name);
                format!("keyspace {keyspace} by {key}")
            }
        }
    }
}
