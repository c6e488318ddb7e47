//! Before the room opens: what is stored, what the configuration makes of it, and what the shards say to that.
//!
//! Holds: home's copy is the authority; where home doesn't answer, the highest copy is served and nothing is changed; a
//! home that holds less than a copy (restored from a backup) is an error, never silently obeyed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{Settings, Users};
use crate::discovery::categories::{derive, lookup_of};
use crate::discovery::checks::{self, Scene, Search};
use crate::discovery::reach::Reach;
use crate::discovery::shard_catalog::{self, ShardCatalog};
use crate::discovery::store;
use crate::discovery::together::together;
use crate::discovery::{Error, Finding, Severity};
use crate::topology::{Evolved, KeyspaceId, QualifiedName, ShardId, TablePlacement, Topology, TopologyError};
use crate::value::KeyType;

/// What was found before anything is decided.
pub(super) struct Stage {
    /// by name
    pub(super) reaches: BTreeMap<String, Arc<Reach>>,
    pub(super) stored: Option<Topology>,
    pub(super) home: Home,
    /// shards that don't answer, and why
    pub(super) down: BTreeMap<String, String>,
}

/// The home shard: of the stored topology, else of the configuration.
pub(super) enum Home {
    Up(Arc<Reach>),
    Down(String),
}

/// The topology to be.
pub(super) struct Proposal {
    pub(super) topology: Topology,
    pub(super) change: Change,
    /// tables that the stored topology doesn't list
    pub(super) fresh: BTreeSet<QualifiedName>,
}

/// Does a proposal differ from what is stored?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// it must be stored as a new epoch
    Next,
    /// it is what is stored
    None,
}

/// Which tables' rows are read by a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// those of tables that are new to the topology
    Fresh,
    /// those of all tables
    All,
}

/// Asks every configured shard what it has stored.
pub(super) async fn look(reaches: BTreeMap<String, Arc<Reach>>, settings: &Settings) -> Result<Stage, Error> {
    let asked = reaches
        .values()
        .cloned()
        .map(|reach| async move { store::highest(&reach).await });
    let answers = together(asked).await;
    let mut down = BTreeMap::new();
    let mut copies: BTreeMap<&str, Option<Topology>> = BTreeMap::new();
    for (name, answer) in reaches.keys().zip(answers) {
        match answer {
            Ok(stored) => {
                copies.insert(name, stored);
            }
            Err(error @ (Error::Unreachable { .. } | Error::Server { .. })) => {
                down.insert(name.clone(), error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let newest = copies
        .iter()
        .filter_map(|(name, stored)| Some((*name, stored.as_ref()?)));
    let newest = newest.max_by_key(|(_, stored)| stored.epoch());
    let home = match newest {
        Some((_, stored)) => stored.shard_name(stored.home()).to_owned(),
        None => settings.declared.home.clone().unwrap_or_default(),
    };
    let stored = match (newest, copies.get(home.as_str())) {
        (Some((on, newest)), Some(own)) if own.as_ref().map(Topology::epoch) != Some(newest.epoch()) => {
            Some(authority(&reaches, &home, on, newest).await?)
        }
        (newest, _) => newest.map(|(_, newest)| newest.clone()),
    };
    let up = reaches.get(&home).filter(|_| !down.contains_key(&home)).cloned();
    let home = up.map_or_else(|| Home::Down(home), Home::Up);
    Ok(Stage {
        reaches,
        stored,
        home,
        down,
    })
}

/// Home's copy where another shard's was newer a moment ago: read once more, since an epoch may have been stored and
/// copied between the two looks.
async fn authority(
    reaches: &BTreeMap<String, Arc<Reach>>,
    home: &str,
    on: &str,
    newest: &Topology,
) -> Result<Topology, Error> {
    let reach = reaches
        .get(home)
        .ok_or(Error::Bug("a home shard that answered is gone"))?;
    let own = store::highest(reach).await?;
    let has = own
        .as_ref()
        .map_or_else(|| "no epoch".to_owned(), |own| format!("epoch {}", own.epoch().get()));
    match own {
        Some(own) if own.epoch() >= newest.epoch() => Ok(own),
        Some(_) | None => Err(Error::NoTopology(format!(
            "home shard \"{home}\" holds {has}, but shard \"{on}\" has a copy of epoch {}: was home restored from a \
             backup? Copy the newer rows of shardgate.topology to it",
            newest.epoch().get()
        ))),
    }
}

/// What the configuration makes of what is stored.
pub(super) fn propose(stage: &Stage, settings: &Settings) -> Result<Proposal, Vec<Finding>> {
    let findings = |errors: Vec<TopologyError>| errors.iter().map(contradiction).collect::<Vec<_>>();
    let (topology, change) = match (&stage.stored, &stage.home) {
        (Some(stored), Home::Down(_)) => (stored.clone(), Change::None),
        (Some(stored), Home::Up(_)) => match stored.evolve(&settings.declared).map_err(findings)? {
            Evolved::Unchanged => (stored.clone(), Change::None),
            Evolved::Next(next) => (next, Change::Next),
        },
        (None, _) => (Topology::create(&settings.declared).map_err(findings)?, Change::Next),
    };
    let stored = |name: &QualifiedName| stage.stored.as_ref().and_then(|stored| stored.table(name));
    let fresh = topology
        .tables()
        .keys()
        .filter(|name| stored(name).is_none())
        .cloned()
        .collect();
    Ok(Proposal {
        topology,
        change,
        fresh,
    })
}

fn contradiction(error: &TopologyError) -> Finding {
    Finding {
        severity: Severity::Error,
        shard: None,
        object: "configuration".to_owned(),
        message: error.to_string(),
        detail: String::new(),
        hint: error.hint().unwrap_or_default().to_owned(),
    }
}

impl Stage {
    /// Findings about shards that don't answer.
    pub(super) fn unreachable(&self, severity: Severity) -> Vec<Finding> {
        let about = |(name, why): (&String, &String)| Finding {
            severity,
            shard: Some(name.clone()),
            object: String::new(),
            message: "the shard can't be reached".to_owned(),
            detail: format!("{why}."),
            hint: "Is the server up, and are host, port, user, password and database in primary: right?".to_owned(),
        };
        self.down.iter().map(about).collect()
    }

    /// Control connections by shard index; none for retired shards and those that the configuration doesn't have.
    pub(super) fn by_index(&self, topology: &Topology) -> Vec<Option<Arc<Reach>>> {
        by_index(&self.reaches, topology)
    }
}

/// Control connections by shard index.
pub(super) fn by_index(reaches: &BTreeMap<String, Arc<Reach>>, topology: &Topology) -> Vec<Option<Arc<Reach>>> {
    let serving = topology.all_shards();
    let shards = topology.shards().iter().enumerate();
    shards
        .map(|(index, shard)| {
            let serves = ShardId::new(index).is_some_and(|id| serving.contains(id));
            reaches.get(&shard.name).filter(|_| serves).cloned()
        })
        .collect()
}

/// Reads the catalogs of all shards that answer, by shard index.
pub(super) async fn catalogs(reaches: &[Option<Arc<Reach>>]) -> Vec<(Option<Arc<ShardCatalog>>, Option<Error>)> {
    let work = reaches.iter().cloned().map(|reach| async move {
        match reach {
            Some(reach) => shard_catalog::read(&reach).await.map(Some),
            None => Ok(None),
        }
    });
    let read = together(work).await.into_iter();
    read.map(|result| match result {
        Ok(catalog) => (catalog.map(Arc::new), None),
        Err(error) => (None, Some(error)),
    })
    .collect()
}

/// Everything that the shards say against a proposal.
pub(super) async fn examine(
    settings: &Settings,
    users: &Users,
    proposal: &Proposal,
    reaches: &[Option<Arc<Reach>>],
    catalogs: &[Option<Arc<ShardCatalog>>],
    depth: Depth,
) -> Vec<Finding> {
    let topology = &proposal.topology;
    let scene = Scene {
        topology,
        catalogs,
        keeps_key: &settings.keeps_key,
    };
    let mut findings = checks::servers(&scene);
    if depth == Depth::All {
        findings.extend(checks::commits(&scene));
    }
    findings.extend(checks::tables(&scene));
    let read: Vec<Arc<Reach>> = reaches
        .iter()
        .zip(catalogs)
        .filter(|(_, catalog)| catalog.is_some())
        .filter_map(|(reach, _)| reach.clone())
        .collect();
    collect(&mut findings, checks::roles(settings, users, &read).await);
    // Rows are read last, and only of tables that are as they should be.
    if topology.all_shards().len() > 1 {
        let broken: BTreeSet<String> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| finding.object.clone())
            .collect();
        rows(&mut findings, proposal, reaches, catalogs, depth, &broken).await;
    }
    findings
}

fn collect(findings: &mut Vec<Finding>, result: Result<Vec<Finding>, Error>) {
    match result {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(failed(&error)),
    }
}

fn failed(error: &Error) -> Finding {
    Finding {
        severity: Severity::Error,
        shard: None,
        object: "check".to_owned(),
        message: format!("a check couldn't be made: {error}"),
        detail: String::new(),
        hint: "The control role must be able to read every listed table on every shard.".to_owned(),
    }
}

async fn rows(
    findings: &mut Vec<Finding>,
    proposal: &Proposal,
    reaches: &[Option<Arc<Reach>>],
    catalogs: &[Option<Arc<ShardCatalog>>],
    depth: Depth,
    broken: &BTreeSet<String>,
) {
    let topology = &proposal.topology;
    let is_searched = |name: &QualifiedName| {
        let bare = if name.schema == "public" {
            name.name.clone()
        } else {
            format!("{}.{}", name.schema, name.name)
        };
        (depth == Depth::All || proposal.fresh.contains(name)) && !broken.contains(&format!("table {bare}"))
    };
    let mut categories: BTreeMap<KeyspaceId, Arc<BTreeMap<String, String>>> = BTreeMap::new();
    for (name, placement) in topology.tables().iter().filter(|(name, _)| is_searched(name)) {
        let there: Vec<(ShardId, Arc<Reach>, Arc<ShardCatalog>)> = on_shards(reaches, catalogs)
            .filter(|(_, _, catalog)| catalog.relations.contains_key(name))
            .collect();
        match placement {
            TablePlacement::Sharded { keyspace: id, key } => {
                let Some(keyspace) = topology.keyspace(*id) else {
                    continue;
                };
                if !categories.contains_key(id) {
                    match known_categories(topology, *id, reaches, catalogs).await {
                        Ok(known) => {
                            categories.insert(*id, Arc::new(known));
                        }
                        Err(error) => findings.push(failed(&error)),
                    }
                }
                let searches = there.iter().filter_map(|(shard, reach, catalog)| {
                    let column = catalog.relations.get(name)?.relation.column(key)?;
                    Some(Search {
                        reach: Arc::clone(reach),
                        shard: *shard,
                        table: name.clone(),
                        key: key.clone(),
                        key_type: KeyType::of(column.type_oid)?,
                        keyspace: keyspace.clone(),
                        categories: categories.get(id).cloned().unwrap_or_default(),
                    })
                });
                let work: Vec<_> = searches
                    .map(|search| async move { checks::misplaced(&search).await })
                    .collect();
                for found in together(work).await {
                    collect(findings, found.map(|found| found.into_iter().collect()));
                }
            }
            TablePlacement::Reference => {
                let reaches: Vec<Arc<Reach>> = there.into_iter().map(|(_, reach, _)| reach).collect();
                collect(findings, checks::references(name, &reaches).await);
            }
            TablePlacement::Unsharded(own) => {
                let belongs = topology.shard_name(*own);
                for (_, reach, _) in there.iter().filter(|(shard, _, _)| shard != own) {
                    collect(
                        findings,
                        checks::stray(reach, name, belongs)
                            .await
                            .map(|found| found.into_iter().collect()),
                    );
                }
            }
        }
    }
    unlisted(findings, topology, reaches, catalogs).await;
}

fn on_shards<'a>(
    reaches: &'a [Option<Arc<Reach>>],
    catalogs: &'a [Option<Arc<ShardCatalog>>],
) -> impl Iterator<Item = (ShardId, Arc<Reach>, Arc<ShardCatalog>)> + 'a {
    reaches
        .iter()
        .zip(catalogs)
        .enumerate()
        .filter_map(|(index, (reach, catalog))| Some((ShardId::new(index)?, reach.clone()?, catalog.clone()?)))
}

/// Tables that nobody listed have their rows on the default shard, or nowhere.
async fn unlisted(
    findings: &mut Vec<Finding>,
    topology: &Topology,
    reaches: &[Option<Arc<Reach>>],
    catalogs: &[Option<Arc<ShardCatalog>>],
) {
    let Some(default) = topology.default_shard() else {
        return;
    };
    for (_, reach, catalog) in on_shards(reaches, catalogs).filter(|(shard, _, _)| *shard != default) {
        for (name, relation) in &catalog.relations {
            let is_own_table = relation.relation.kind == crate::catalog::RelationKind::Table
                || relation.relation.kind == crate::catalog::RelationKind::Partitioned;
            let is_part = relation.relation.partition_root.is_some();
            if is_own_table && !is_part && topology.table(name).is_none() {
                let found = checks::stray(&reach, name, topology.shard_name(default)).await;
                collect(findings, found.map(|found| found.into_iter().collect()));
            }
        }
    }
}

/// Categories of all keys that lie in rows of a keyspace's tables: fixed ones first, the lookup table's for the rest.
pub(super) async fn known_categories(
    topology: &Topology,
    id: KeyspaceId,
    reaches: &[Option<Arc<Reach>>],
    catalogs: &[Option<Arc<ShardCatalog>>],
) -> Result<BTreeMap<String, String>, Error> {
    let Some(keyspace) = topology.keyspace(id) else {
        return Ok(BTreeMap::new());
    };
    let Some((lookup, _, _)) = lookup_of(keyspace) else {
        return Ok(BTreeMap::new());
    };
    let mut keys = BTreeSet::new();
    for (name, placement) in topology.tables() {
        let TablePlacement::Sharded { keyspace, key } = placement else {
            continue;
        };
        if *keyspace != id {
            continue;
        }
        let there = on_shards(reaches, catalogs).filter(|(_, _, catalog)| {
            catalog
                .relations
                .get(name)
                .is_some_and(|found| found.relation.column(key).is_some())
        });
        for (_, reach, _) in there {
            keys.extend(checks::category_keys(&reach, name, key).await?);
        }
    }
    let keys: Vec<String> = keys.into_iter().collect();
    let Some(reach) = on_shards(reaches, catalogs)
        .find(|(shard, _, _)| *shard == topology.home())
        .map(|(_, reach, _)| reach)
    else {
        return Ok(BTreeMap::new());
    };
    let has_lookup = on_shards(reaches, catalogs)
        .any(|(shard, _, catalog)| shard == topology.home() && catalog.relations.contains_key(lookup));
    let mut known = if has_lookup {
        derive(&reach, keyspace, &keys).await?
    } else {
        BTreeMap::new()
    };
    for ((named, key), category) in store::categories(&reach).await? {
        if named == keyspace.name() {
            known.insert(key, category);
        }
    }
    Ok(known)
}

/// Fixed categories that the lookup table contradicts by now: routing keeps the fixed one.
pub(super) async fn disagreements(topology: &Topology, home: &Reach) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let stored = store::categories(home).await?;
    for keyspace in topology.keyspaces() {
        let Some((table, _, _)) = lookup_of(keyspace) else {
            continue;
        };
        let fixed: BTreeMap<&String, &String> = stored
            .iter()
            .filter(|((name, _), _)| name == keyspace.name())
            .map(|((_, key), category)| (key, category))
            .collect();
        let keys: Vec<String> = fixed.keys().map(|key| (*key).clone()).collect();
        let derived = match derive(home, keyspace, &keys).await {
            Ok(derived) => derived,
            // The lookup table isn't there yet, or has lost its columns: said elsewhere.
            Err(Error::Server { code, .. }) if code == "42P01" || code == "42703" => continue,
            Err(error) => return Err(error),
        };
        for (key, category) in &derived {
            if let Some(fixed) = fixed.get(key).filter(|fixed| **fixed != category) {
                findings.push(Finding {
                    severity: Severity::Warning,
                    shard: None,
                    object: format!("keyspace {}", keyspace.name()),
                    message: format!("key \"{key}\" is fixed as {fixed}, but {} says {category}", table.name),
                    detail: "A key's category is fixed at first use; routing keeps to it.".to_owned(),
                    hint: "Only a move changes where its rows lie; set the lookup table back if it was a mistake."
                        .to_owned(),
                });
            }
        }
    }
    Ok(findings)
}
