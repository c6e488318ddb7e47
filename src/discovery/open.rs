//! Opening the room, and changing what it runs under: store, catalog, checks, picture.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, Notify, watch};

use crate::catalog::Builtin;
use crate::clock::Clock;
use crate::config::{Settings, Users};
use crate::discovery::categories::{Fixed, Known, derive};
use crate::discovery::health::Board;
use crate::discovery::loads::Loads;
use crate::discovery::proposer::Proposer;
use crate::discovery::reach::Reach;
use crate::discovery::sequences::Sequences;
use crate::discovery::shard_catalog::ShardCatalog;
use crate::discovery::stage::{self, Change, Depth, Home, Proposal, Stage};
use crate::discovery::store::{self, Stored};
use crate::discovery::together::together;
use crate::discovery::union::{self, Union};
use crate::discovery::watch::{RoleChanges, SeenRoles};
use crate::discovery::{Error, Finding, Health, Picture, Seen, Severity, builtin};
use crate::plan::{Category, Purpose, Snapshot};
use crate::telemetry::Metering;
use crate::topology::{KeyspaceId, QualifiedName, ShardId, Topology};

/// How often a proxy that lost the race for an epoch tries again: each loss means that another one made progress.
const RACES_MAX: usize = 8;

/// The open room: owns control connections and the picture. Clones share it.
#[derive(Clone, Debug)]
pub struct Discovery {
    pub(super) inner: Arc<Inner>,
}

/// What clones share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) clock: Clock,
    pub(super) picture: Picture,
    /// guards one pointer: held for a clone or a swap, never over an await
    live: RwLock<Arc<Live>>,
    /// held by whoever is reading catalogs in order to swap: one at a time, so that a later one sees later
    pub(super) turn: Mutex<()>,
    pub(super) fixed: Fixed,
    sequences: Sequences,
    pub(super) board: Board,
    pub(super) loads: Loads,
    pub(super) proposer: Proposer,
    /// something differs from the picture
    pub(super) stale: Notify,
    /// counts changes of roles
    pub(super) role_changes: watch::Sender<RoleChanges>,
    /// by shard's name, as they were seen last; guards the map, never held over an await
    pub(super) roles_seen: std::sync::Mutex<BTreeMap<String, SeenRoles>>,
    /// counts changes of the list of shards
    pub(super) generation: watch::Sender<u64>,
}

/// What the room runs under; swapped whole.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) settings: Arc<Settings>,
    pub(super) users: Arc<Users>,
    pub(super) topology: Arc<Topology>,
    /// for reading and writing, by shard's name
    pub(super) reaches: BTreeMap<String, Arc<Reach>>,
    /// by shard index; none: not read yet
    pub(super) catalogs: Vec<Option<Arc<ShardCatalog>>>,
    pub(super) builtin: (u32, Arc<Builtin>),
}

/// Reads or makes the topology, reads the catalog, checks the shards. `Err(Findings)` where a finding is an error;
/// else the room and the warnings.
pub async fn open(
    settings: Arc<Settings>,
    users: Arc<Users>,
    clock: Clock,
    metering: Metering,
) -> Result<(Discovery, Vec<Finding>), Error> {
    let (live, findings, _) = Box::pin(settle(settings, users, connect)).await?;
    let fixed = Fixed::default();
    if let Some(home) = live.home() {
        // Home may be down: what is fixed is asked for when it is needed.
        match fixed.preload(&home, &live.topology).await {
            Ok(()) | Err(Error::Unreachable { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let inner = Inner {
        clock,
        picture: Picture::new(live.seen()?),
        loads: Loads::new(&live.topology, metering),
        proposer: Proposer::default(),
        live: RwLock::new(Arc::new(live)),
        turn: Mutex::new(()),
        fixed,
        sequences: Sequences::default(),
        board: Board::default(),
        stale: Notify::new(),
        role_changes: watch::Sender::new(RoleChanges::default()),
        roles_seen: std::sync::Mutex::default(),
        generation: watch::Sender::new(0),
    };
    let discovery = Discovery { inner: Arc::new(inner) };
    discovery.list_health();
    Ok((discovery, findings))
}

/// Every finding about live shards, without creating or changing anything on them.
pub async fn check(settings: &Settings, users: &Users) -> Vec<Finding> {
    let mut findings = match Box::pin(inspect(settings, users)).await {
        Ok(findings) => findings,
        Err(error) => vec![Finding {
            severity: Severity::Error,
            shard: None,
            object: "topology".to_owned(),
            message: error.to_string(),
            detail: String::new(),
            hint: String::new(),
        }],
    };
    findings.sort();
    findings.dedup();
    findings
}

async fn inspect(settings: &Settings, users: &Users) -> Result<Vec<Finding>, Error> {
    let stage = stage::look(connect(settings), settings).await?;
    let mut findings = stage.unreachable(Severity::Error);
    let proposal = match stage::propose(&stage, settings) {
        Ok(proposal) => proposal,
        Err(found) => {
            findings.extend(found);
            return Ok(findings);
        }
    };
    let reaches = stage.by_index(&proposal.topology);
    let catalogs = read_catalogs(&stage, &reaches, &mut findings).await;
    findings.extend(stage::examine(settings, users, &proposal, &reaches, &catalogs, Depth::All).await);
    if let Home::Up(home) = &stage.home {
        findings.extend(stage::disagreements(&proposal.topology, home).await?);
    }
    Ok(findings)
}

/// Catalogs by shard index; shards that answered a moment ago and can't be read are findings.
async fn read_catalogs(
    stage: &Stage,
    reaches: &[Option<Arc<Reach>>],
    findings: &mut Vec<Finding>,
) -> Vec<Option<Arc<ShardCatalog>>> {
    let answering: Vec<Option<Arc<Reach>>> = reaches
        .iter()
        .map(|reach| reach.clone().filter(|reach| !stage.down.contains_key(reach.name())))
        .collect();
    let mut catalogs = Vec::new();
    for (catalog, error) in stage::catalogs(&answering).await {
        if let Some(error) = error {
            findings.push(Finding {
                severity: Severity::Error,
                shard: None,
                object: "catalog".to_owned(),
                message: error.to_string(),
                detail: String::new(),
                hint: "The control role must be able to read the system catalogs.".to_owned(),
            });
        }
        catalogs.push(catalog);
    }
    catalogs
}

fn connect(settings: &Settings) -> BTreeMap<String, Arc<Reach>> {
    settings
        .shards
        .iter()
        .map(|shard| (shard.name.clone(), Reach::new(shard)))
        .collect()
}

/// Which copy of the topology is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Authority {
    /// home's
    Home,
    /// the highest that was found while home didn't answer
    Copy,
}

/// From settings to what the room runs under, storing a new epoch if one is due.
async fn settle(
    settings: Arc<Settings>,
    users: Arc<Users>,
    connect: impl Fn(&Settings) -> BTreeMap<String, Arc<Reach>>,
) -> Result<(Live, Vec<Finding>, Authority), Error> {
    let reaches = connect(&settings);
    for _ in 0..RACES_MAX {
        let stage = stage::look(reaches.clone(), &settings).await?;
        let proposal = stage::propose(&stage, &settings).map_err(Error::Findings)?;
        let severity = match proposal.change {
            Change::Next => Severity::Error,
            Change::None => Severity::Warning,
        };
        let mut findings = stage.unreachable(severity);
        let reaches = stage.by_index(&proposal.topology);
        let catalogs = read_catalogs(&stage, &reaches, &mut findings).await;
        findings.extend(stage::examine(&settings, &users, &proposal, &reaches, &catalogs, Depth::Fresh).await);
        findings.sort();
        findings.dedup();
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Error::Findings(findings));
        }
        if proposal.change == Change::Next
            && store_next(&stage, &proposal, &reaches, &catalogs).await? == Stored::Theirs
        {
            continue;
        }
        let authority = match &stage.home {
            Home::Up(home) => {
                findings.extend(stage::disagreements(&proposal.topology, home).await?);
                Authority::Home
            }
            Home::Down(name) => {
                findings.push(home_is_down(name, &proposal.topology));
                Authority::Copy
            }
        };
        make_stores(&stage).await;
        let first = reaches
            .iter()
            .zip(&catalogs)
            .find_map(|(reach, catalog)| Some((reach.clone()?, catalog.clone()?)));
        let Some((reach, catalog)) = first else {
            return Err(Error::NoTopology("no shard answers".to_owned()));
        };
        let builtin = (catalog.server.major_version, Arc::new(builtin::read(&reach).await?));
        let topology = Arc::new(proposal.topology);
        let live = Live {
            settings,
            users,
            topology,
            reaches: stage.reaches,
            catalogs,
            builtin,
        };
        return Ok((live, findings, authority));
    }
    Err(Error::NoTopology(format!(
        "{RACES_MAX} other proxies stored an epoch first; try again"
    )))
}

/// The tables of commits over several shards, wherever an older version has left them out.
async fn make_stores(stage: &Stage) {
    let answering = stage
        .reaches
        .values()
        .filter(|reach| !stage.down.contains_key(reach.name()));
    let made = answering
        .cloned()
        .map(|reach| async move { store::create(&reach).await });
    for error in together(made).await.into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "schema shardgate is not complete: commits over several shards will fail there");
    }
}

fn home_is_down(name: &str, topology: &Topology) -> Finding {
    Finding {
        severity: Severity::Warning,
        shard: Some(name.to_owned()),
        object: String::new(),
        message: "the home shard doesn't answer".to_owned(),
        detail: format!(
            "Epoch {} is served from a copy; what the configuration changes has not been looked at.",
            topology.epoch().get()
        ),
        hint: "Reload once it is back.".to_owned(),
    }
}

/// Stores a new epoch on home, then copies it; keys that lie in rows of new tables have their categories fixed before.
async fn store_next(
    stage: &Stage,
    proposal: &Proposal,
    reaches: &[Option<Arc<Reach>>],
    catalogs: &[Option<Arc<ShardCatalog>>],
) -> Result<Stored, Error> {
    let topology = &proposal.topology;
    let Home::Up(home) = &stage.home else {
        let shard = topology.shard_name(topology.home()).to_owned();
        return Err(Error::HomeDown {
            shard,
            what: "a new epoch",
        });
    };
    store::create(home).await?;
    for (index, keyspace) in topology.keyspaces().iter().enumerate() {
        let is_fresh = topology.tables().iter().any(|(name, placement)| {
            let is_of = matches!(placement, crate::topology::TablePlacement::Sharded { keyspace, .. } if keyspace.index() == index);
            is_of && proposal.fresh.contains(name)
        });
        let Some(id) = KeyspaceId::new(index).filter(|_| is_fresh) else {
            continue;
        };
        let known = stage::known_categories(topology, id, reaches, catalogs).await?;
        Fixed::default().fix(home, (id, keyspace), &known).await?;
    }
    let stored = store::insert(home, topology).await?;
    if stored == Stored::Ours {
        let others = stage
            .reaches
            .values()
            .filter(|reach| reach.name() != home.name())
            .cloned();
        let topology = Arc::new(topology.clone());
        let copies = others.map(|reach| {
            let topology = Arc::clone(&topology);
            async move { store::copy(&reach, &topology).await }
        });
        for copied in together(copies).await {
            if let Err(error) = copied {
                // A copy is for the day when home is down; the next epoch or start tries again.
                tracing::warn!(%error, epoch = topology.epoch().get(), "topology not copied");
            }
        }
    }
    Ok(stored)
}

// === impl Live ===

impl Live {
    /// The home shard's connection; none if the configuration doesn't have that shard.
    pub(super) fn home(&self) -> Option<Arc<Reach>> {
        self.reaches
            .get(self.topology.shard_name(self.topology.home()))
            .cloned()
    }

    /// The picture of this moment.
    pub(super) fn seen(&self) -> Result<Seen, Error> {
        let Union {
            catalog,
            oids,
            presence,
        } = union::join(&self.topology, &self.catalogs, &self.builtin.1)?;
        let snapshot = Arc::new(Snapshot::new(Arc::clone(&self.topology), Arc::new(catalog)));
        Ok(Seen {
            snapshot,
            oids,
            presence,
        })
    }
}

// === impl Discovery ===

impl Discovery {
    /// The handle that sessions take their snapshot from.
    pub fn picture(&self) -> &Picture {
        &self.inner.picture
    }

    /// Takes new settings: a changed declaration becomes a new epoch. The old ones stay in force on an error.
    pub async fn reload(&self, settings: Arc<Settings>, users: Arc<Users>) -> Result<Vec<Finding>, Error> {
        let _turn = self.inner.turn.lock().await;
        let before = self.inner.live();
        let keep = |settings: &Settings| {
            let known = |shard: &crate::config::ShardSettings| {
                before
                    .reaches
                    .get(&shard.name)
                    .filter(|reach| *reach.endpoint() == shard.primary)
                    .cloned()
            };
            settings
                .shards
                .iter()
                .map(|shard| (shard.name.clone(), known(shard).unwrap_or_else(|| Reach::new(shard))))
                .collect()
        };
        let (live, findings, authority) = Box::pin(settle(settings, users, keep)).await?;
        if authority == Authority::Copy {
            let shard = live.topology.shard_name(live.topology.home()).to_owned();
            return Err(Error::HomeDown {
                shard,
                what: "a reload",
            });
        }
        if let Some(home) = live.home() {
            self.inner.fixed.preload(&home, &live.topology).await?;
        }
        self.inner.replace(live)?;
        self.list_health();
        self.inner
            .generation
            .send_modify(|generation| *generation = generation.wrapping_add(1));
        Ok(findings)
    }

    /// Every finding about live shards under the settings in force; reads every row of every listed table.
    pub async fn check(&self) -> Vec<Finding> {
        let live = self.inner.live();
        check(&live.settings, &live.users).await
    }

    /// Categories of keys (text forms). For `Purpose::Write` each known key is fixed and committed on home first; a key
    /// that the lookup table doesn't know is `Unknown` and never kept.
    pub async fn categories(&self, keyspace: KeyspaceId, keys: &[String], purpose: Purpose) -> Result<Known, Error> {
        let live = self.inner.live();
        let described = live
            .topology
            .keyspace(keyspace)
            .ok_or(Error::Bug("a category of an unknown keyspace"))?;
        let fixed = self.inner.fixed.all();
        let known = keys
            .iter()
            .filter_map(|key| fixed.get_key_value(&(keyspace, key.clone())));
        let mut answer: Known = known.map(|(key, category)| (key.clone(), category.clone())).collect();
        let missing: Vec<String> = keys
            .iter()
            .filter(|key| !answer.contains_key(&(keyspace, (*key).clone())))
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(answer);
        }
        let home = self.home_for(&live, "a new key's category")?;
        let derived = derive(&home, described, &missing)
            .await
            .map_err(|error| down(error, "a new key's category"))?;
        let found = match purpose {
            Purpose::Write => {
                let fixed = self.inner.fixed.fix(&home, (keyspace, described), &derived).await;
                fixed.map_err(|error| down(error, "fixing a key's category"))?
            }
            Purpose::Read => derived
                .into_iter()
                .map(|(key, category)| ((keyspace, key), Category::Derived(category)))
                .collect(),
        };
        answer.extend(found);
        for key in missing {
            answer.entry((keyspace, key)).or_insert(Category::Unknown);
        }
        Ok(answer)
    }

    /// Fixes one key's category as a session derived it inside its own transaction; returns the winner, committed.
    pub async fn fix_category(&self, keyspace: KeyspaceId, key: &str, category: &str) -> Result<Category, Error> {
        let live = self.inner.live();
        let described = live
            .topology
            .keyspace(keyspace)
            .ok_or(Error::Bug("a category of an unknown keyspace"))?;
        let entry = (keyspace, key.to_owned());
        if let Some(fixed) = self.inner.fixed.all().get(&entry) {
            return Ok(fixed.clone());
        }
        let home = self.home_for(&live, "fixing a key's category")?;
        let wanted = BTreeMap::from([(key.to_owned(), category.to_owned())]);
        let mut fixed = self.inner.fixed.fix(&home, (keyspace, described), &wanted).await?;
        fixed
            .remove(&entry)
            .ok_or(Error::Bug("a category that was just fixed is gone"))
    }

    /// The next values of a sequence, `count` of them in their order, each given to nobody else. `role`: who must have
    /// USAGE or UPDATE on it, as for `nextval`; none for an identity column, whose sequence is part of its table.
    pub async fn draw(&self, sequence: &QualifiedName, count: usize, role: Option<&str>) -> Result<Vec<i64>, Error> {
        let live = self.inner.live();
        let home = self.home_for(&live, "a value of a sequence")?;
        let drawn = self.inner.sequences.draw(&home, sequence, count, role).await;
        drawn.map_err(|error| down(error, "a value of a sequence"))
    }

    /// All categories known to be fixed, for `Facts`; cheap.
    pub fn fixed(&self) -> Arc<Known> {
        self.inner.fixed.all()
    }

    /// Health of every shard, in shard order.
    pub fn health(&self) -> Vec<Health> {
        self.inner.board.read(self.inner.clock.now())
    }

    /// Can a shard take part in a commit over several shards (`max_prepared_transactions` above 0)?
    pub fn can_prepare(&self, shard: ShardId) -> bool {
        self.inner.board.can_prepare(shard)
    }

    fn home_for(&self, live: &Live, what: &'static str) -> Result<Arc<Reach>, Error> {
        let shard = || live.topology.shard_name(live.topology.home()).to_owned();
        live.home().ok_or_else(|| Error::HomeDown { shard: shard(), what })
    }

    fn list_health(&self) {
        let live = self.inner.live();
        let shards = live.topology.all_shards().iter().map(|shard| {
            let name = live.topology.shard_name(shard);
            let address = live
                .reaches
                .get(name)
                .map_or_else(|| "?".to_owned(), |reach| reach.endpoint().address());
            (shard, name.to_owned(), address)
        });
        self.inner
            .board
            .list(shards.collect::<Vec<(ShardId, String, String)>>().into_iter());
        for (index, catalog) in live.catalogs.iter().enumerate() {
            if let (Some(shard), Some(catalog)) = (ShardId::new(index), catalog) {
                self.inner.board.set_prepared_max(shard, catalog.server.prepared_max);
            }
        }
    }
}

fn down(error: Error, what: &'static str) -> Error {
    match error {
        Error::Unreachable { shard, .. } => Error::HomeDown { shard, what },
        error => error,
    }
}

// === impl Inner ===

impl Inner {
    /// What the room runs under now.
    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Swaps both what the room runs under and the picture.
    pub(super) fn replace(&self, live: Live) -> Result<(), Error> {
        let seen = live.seen()?;
        self.loads.meter.follow(&live.topology);
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
        self.picture.swap(seen);
        Ok(())
    }
}
