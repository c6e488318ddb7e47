//! A proxy's sources without a proxy: everything that the admin room shows, at a moment that stands still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shardgate::admin::{
    ClientInfo, Enrolment, Pending, ProxyId, Registry, Reloaded, Resolution, Sources, TransactionRow, TransactionState,
    View,
};
use shardgate::backend::{BackendGauge, PoolGauge};
use shardgate::catalog::Catalog;
use shardgate::config::{self, Settings};
use shardgate::discovery::{Finding, Health, Proposals, Severity, State, StoredProposal};
use shardgate::plan::{Refusal, RouteStep};
use shardgate::telemetry::{
    BackendState, BucketCost, BucketSizes, CacheUse, ClientState, Entropy, HourOfWeek, LearntHour, LoadAccess,
    LoadMeter, LoadSnapshot, Moment, Outcome, ShardFacts, Start, StatementEvent, StatementKind, Telemetry, Week,
};
use shardgate::topology::{BucketId, KeyspaceId, ShardId, ShardSet, Topology};
use shardgate::value::Key;

/// Sources that stand still.
pub(crate) struct Fixture {
    settings: Arc<Settings>,
    topology: Option<Arc<Topology>>,
    load: Option<Arc<LoadSnapshot>>,
    health: Vec<Health>,
    registry: Registry,
    telemetry: Telemetry,
    started: Instant,
    reload: Result<Reloaded, Vec<String>>,
    findings: Vec<Finding>,
    /// kept so that the clients stay
    _enrolments: Vec<Enrolment>,
}

/// What the fixture is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    /// four shards, the third of them down; some load
    Running,
    /// as it is before the topology was read
    Starting,
    /// every shard up
    Healthy,
}

const UPTIME: Duration = Duration::from_secs(3725);

pub(crate) const CONFIG: &str = r#"
version: 1
listen: 127.0.0.1:6432
http: 127.0.0.1:9432
auth: {method: trust}
database: trading
pool: {size: 20}
home: s0
shards:
  - {name: s0, primary: "postgres://shardgate:topsecret@127.0.0.1:5501/trading", weight: 1}
  - {name: s1, primary: "postgres://shardgate@127.0.0.1:5502/trading", weight: 2, labels: {region: eu-west}}
  - {name: s2, primary: "postgres://shardgate@127.0.0.1:5503/trading"}
keyspaces:
  user: {strategy: hash, type: bigint, buckets: 8, placement: {all: s1}}
  time:
    strategy: range
    type: timestamptz
    ranges: [{until: "2026-04-01T00:00:00Z", shard: s0}, {shard: s2}]
  instrument:
    strategy: category
    type: text
    lookup: {table: instruments, key: symbol, category: category}
    categories: {fx_major: s0, equity: [s1, s2]}
    default: s2
tables:
  orders: {keyspace: user, key: user_id}
  users: {keyspace: user, key: id}
  events: {keyspace: time, key: at}
  trades: {keyspace: instrument, key: instrument}
  instruments: {reference: true}
  audit_log: {unsharded: s0}
"#;

impl Fixture {
    pub(crate) fn new(scene: Scene) -> Fixture {
        let settings = match config::parse("shardgate.yaml", CONFIG, &|_| None) {
            Ok(settings) => settings,
            Err(error) => panic!("{error}"),
        };
        let topology = match scene {
            Scene::Starting => None,
            Scene::Running | Scene::Healthy => Some(Arc::new(Topology::create(&settings.declared).unwrap())),
        };
        let started = tokio::time::Instant::now().into_std();
        let registry = Registry::new(ProxyId::new(0).unwrap(), 10_000);
        let enrolments = match scene {
            Scene::Starting => Vec::new(),
            Scene::Running | Scene::Healthy => clients(&registry, started),
        };
        Fixture {
            settings: Arc::new(settings),
            load: topology.as_deref().map(|topology| Arc::new(load(topology, scene))),
            topology,
            health: health(scene),
            registry,
            telemetry: telemetry(scene),
            started,
            reload: Ok(Reloaded {
                epoch: 2,
                notes: vec!["table public.fees is new".to_owned()],
            }),
            findings: findings(),
            _enrolments: enrolments,
        }
    }

    /// The same with a reload that is rejected and a check that finds nothing.
    pub(crate) fn with_rejected_reload(mut self) -> Fixture {
        let problem = "shardgate.yaml:14:5: unknown key \"stratgey\" in keyspaces.user; did you mean \"strategy\"?";
        self.reload = Err(vec![problem.to_owned()]);
        self.findings = Vec::new();
        self
    }
}

impl Sources for Fixture {
    fn view(&self) -> Option<View> {
        let topology = Arc::clone(self.topology.as_ref()?);
        Some(View {
            topology,
            catalog: Arc::new(Catalog::default()),
        })
    }

    fn health(&self) -> Vec<Health> {
        self.health.clone()
    }

    fn pools(&self) -> Vec<PoolGauge> {
        let gauge = |index, idle, busy, waiting, pinned| PoolGauge {
            shard: shard(index),
            idle,
            busy,
            waiting,
            pinned,
            size: 20,
            pinned_max: 5,
        };
        vec![gauge(0, 3, 2, 0, 0), gauge(1, 0, 20, 7, 0), gauge(2, 0, 0, 0, 1)]
    }

    fn backends(&self) -> Vec<BackendGauge> {
        let backend = |process_id, state, idle, prepared| BackendGauge {
            shard: shard(1),
            process_id,
            user: "app".into(),
            state,
            age: Duration::from_secs(90),
            idle,
            prepared,
        };
        vec![
            backend(4711, BackendState::Busy, None, None),
            backend(4712, BackendState::Idle, Some(Duration::from_millis(1200)), Some(12)),
        ]
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    fn load(&self) -> Option<Arc<LoadSnapshot>> {
        self.load.clone()
    }

    fn load_proxies(&self) -> usize {
        2
    }

    /// Mondays' first two hours, and nothing else.
    fn week(&self) -> Arc<Week> {
        let mut week = Week::default();
        for (hour, busy) in [(0, 0.5), (1, 0.9)] {
            let document = format!(
                r#"{{"version":1,"week":0,"weight":0.5,"shards":{{"s0":0.1}},"buckets":{{"instrument":[[0,{busy}]]}}}}"#
            );
            let learnt = LearntHour::from_json(&document).unwrap();
            week.insert(HourOfWeek::new(hour).unwrap(), learnt);
        }
        Arc::new(week)
    }

    fn started(&self) -> Instant {
        self.started
    }

    fn now(&self) -> Instant {
        self.started + UPTIME
    }

    fn route<'a>(&'a self, sql: &'a str) -> Pending<'a, Result<Vec<RouteStep>, Refusal>> {
        Box::pin(async move {
            if sql.contains("over") {
                return Err(Refusal {
                    id: "window-across-shards",
                    code: "0A000",
                    message: "window function over all shards needs one sort of every row".to_owned(),
                    detail: "rank() orders by \"total\"; table \"orders\" is spread over 3 shards.".to_owned(),
                    hint: "Filter one user_id.".to_owned(),
                });
            }
            let step = |step: &str, shards: &[&str], reason: &str| RouteStep {
                step: step.to_owned(),
                shards: shards.iter().map(|shard| (*shard).to_owned()).collect(),
                reason: reason.to_owned(),
            };
            Ok(vec![
                step("fan out", &["s0", "s1"], &format!("no key in: {sql}")),
                step("merge: order by 1", &[], "k-way, ties keep shard order"),
            ])
        })
    }

    fn reload(&self) -> Pending<'_, Result<Reloaded, Vec<String>>> {
        Box::pin(async { self.reload.clone() })
    }

    fn transactions(&self) -> Pending<'_, Vec<TransactionRow>> {
        let row = |gid: &str, state, shards: &[&str], age| TransactionRow {
            gid: gid.to_owned(),
            state,
            shards: shards.iter().map(|shard| (*shard).to_owned()).collect(),
            age: Duration::from_millis(age),
            decided_on: "s0".to_owned(),
        };
        let rows = match self.topology {
            None => Vec::new(),
            Some(_) => vec![
                row(
                    "sg:00112233445566778899aabbccddeeff:0:812:2",
                    TransactionState::Committing,
                    &["s2"],
                    61_250,
                ),
                row(
                    "sg:ffeeddccbbaa99887766554433221100:0:813:1",
                    TransactionState::Prepared,
                    &["s1", "s2"],
                    40,
                ),
            ],
        };
        Box::pin(async move { rows })
    }

    fn resolve<'a>(&'a self, gid: &'a str, how: Resolution) -> Pending<'a, Result<usize, String>> {
        Box::pin(async move {
            match (gid.starts_with("sg:"), how) {
                (true, Resolution::Commit) => Ok(2),
                (true, Resolution::Rollback) => Err("its decision row says commit".to_owned()),
                (false, _) => Err(format!("\"{gid}\" is not the gid of a transaction over several shards")),
            }
        })
    }

    fn proposals(&self) -> Pending<'_, Result<Proposals, String>> {
        Box::pin(async {
            match self.topology {
                None => Err("the home shard \"s0\" doesn't answer, so the list of proposals must wait".to_owned()),
                Some(_) => Ok(proposals()),
            }
        })
    }

    fn propose(&self) -> Pending<'_, Result<Proposals, String>> {
        self.proposals()
    }

    fn check(&self) -> Pending<'_, Vec<Finding>> {
        Box::pin(async { self.findings.clone() })
    }
}

/// One that is open, one that has ended, and a finding.
fn proposals() -> Proposals {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/admin/proposal.json");
    let document = std::fs::read_to_string(path).unwrap();
    let proposal = shardgate::rebalance::Proposal::from_json(document.trim()).unwrap();
    let stored = |id, state: &str| StoredProposal {
        id,
        state: state.to_owned(),
        created_at: "2026-03-02 12:00:00+00".to_owned(),
        expires_at: "2026-03-02 12:15:00+00".to_owned(),
        proposal: proposal.clone(),
    };
    Proposals {
        stored: vec![stored(8, "open"), stored(7, "expired")],
        findings: vec![shardgate::rebalance::Finding {
            kind: shardgate::rebalance::FindingKind::HotKey,
            shard: Some("s2".to_owned()),
            keyspace: Some("account".to_owned()),
            bucket: Some(6),
            what: "one key of keyspace account, 4711, is 90 % of the load of s2: no split parts it".to_owned(),
            helps: "Shard by a finer key, cache what is read of it, or give this shard more capacity.".to_owned(),
        }],
    }
}

fn shard(index: usize) -> ShardId {
    ShardId::new(index).unwrap()
}

fn clients(registry: &Registry, started: Instant) -> Vec<Enrolment> {
    let info = |user: &str, application_name: &str, after: u64| ClientInfo {
        user: user.into(),
        database: "trading".into(),
        address: "127.0.0.1:50123".to_owned(),
        application_name: application_name.to_owned(),
        connected_at: started + Duration::from_secs(after),
        secret: 7,
    };
    let busy = registry.enrol(info("app", "billing", 60)).unwrap();
    busy.set_state(ClientState::Active);
    busy.set_shards([shard(0), shard(1)].into_iter().collect::<ShardSet>());
    (0..42).for_each(|_| busy.count_statement());
    let pinned = registry.enrol(info("ann", "", 3000)).unwrap();
    pinned.set_state(ClientState::IdleInTransaction);
    pinned.set_shards(ShardSet::only(shard(2)));
    pinned.set_pinned(Some("temporary table"));
    vec![busy, pinned]
}

fn health(scene: Scene) -> Vec<Health> {
    let one = |index: usize, port: u16| Health {
        shard: shard(index),
        name: format!("s{index}"),
        address: format!("127.0.0.1:{port}"),
        state: State::Up,
        answered_ago: Some(Duration::from_millis(250)),
        version: Some("15.18".to_owned()),
        round_trip: Some(Duration::from_micros(180)),
    };
    let mut all = vec![one(0, 5501), one(1, 5502), one(2, 5503)];
    match scene {
        Scene::Healthy => {}
        Scene::Running => {
            all[2].state = State::Down("connection refused".to_owned());
            all[2].answered_ago = Some(Duration::from_secs(12));
        }
        Scene::Starting => {
            for health in &mut all {
                *health = Health {
                    state: State::Unknown,
                    answered_ago: None,
                    version: None,
                    round_trip: None,
                    ..health.clone()
                };
            }
        }
    }
    all
}

fn telemetry(scene: Scene) -> Telemetry {
    let start = Start {
        version: "0.1.0",
        constructs: &["window-across-shards"],
        clients_max: 10_000,
    };
    let telemetry = Telemetry::new(start).unwrap();
    telemetry.name_shards(["s0", "s1", "s2"]);
    if scene == Scene::Starting {
        return telemetry;
    }
    let event = |kind, shard, outcome, micros, rows| StatementEvent {
        kind,
        shard,
        outcome,
        cache: CacheUse::Hit,
        elapsed: Duration::from_micros(micros),
        queue: Duration::ZERO,
        backend: Some(Duration::from_micros(micros / 2)),
        rows,
        bytes_to_shard: 100,
        bytes_from_shard: 1000,
    };
    for micros in [120, 140, 300, 8000] {
        telemetry.statement(&event(
            StatementKind::OneShard,
            Some(shard(1)),
            Outcome::Done,
            micros,
            1,
        ));
    }
    telemetry.statement(&event(StatementKind::Merge, None, Outcome::Done, 30_000, 500));
    telemetry.statement(&event(StatementKind::OneShard, Some(shard(2)), Outcome::Failed, 900, 0));
    telemetry.statement(&event(StatementKind::Unplanned, None, Outcome::Refused, 50, 0));
    telemetry.refusal("window-across-shards");
    telemetry
}

fn findings() -> Vec<Finding> {
    vec![
        Finding {
            severity: Severity::Error,
            shard: Some("s1".to_owned()),
            object: "table public.orders".to_owned(),
            message: "column \"total\" is numeric here and double precision on s0".to_owned(),
            detail: String::new(),
            hint: "Run the same ALTER TABLE on every shard.".to_owned(),
        },
        Finding {
            severity: Severity::Warning,
            shard: None,
            object: "table public.fees".to_owned(),
            message: "listed, but exists on no shard".to_owned(),
            detail: "It may be created through the proxy.".to_owned(),
            hint: String::new(),
        },
    ]
}

/// Ninety seconds during which s0 works for fx_major above all.
fn load(topology: &Topology, scene: Scene) -> LoadSnapshot {
    let meter = LoadMeter::new(topology);
    let (cells, mut entropy) = (meter.cells().unwrap(), Entropy::new(7));
    let at = |keyspace, bucket| (KeyspaceId::new(keyspace).unwrap(), BucketId::new(bucket).unwrap());
    let cost = |(keyspace, bucket), on, access, statements, busy_ms: u64| BucketCost {
        keyspace,
        bucket,
        shard: shard(on),
        access,
        statements,
        rows: statements * 2,
        bytes: statements * 150,
        errors: 0,
        busy: Duration::from_millis(busy_ms),
        lasted: Duration::from_millis(busy_ms),
        waiting: Duration::from_millis(busy_ms / 10),
    };
    for second in 0..90 {
        if scene == Scene::Running {
            let fx_major = at(2, 0);
            cells.bucket(&cost(fx_major, 0, LoadAccess::Write, 800, 900));
            cells.bucket(&cost(fx_major, 0, LoadAccess::Read, 400, 500));
            cells.bucket(&cost(at(0, 3), 1, LoadAccess::Read, 100, 110));
            cells.bucket(&cost(at(1, 1), 2, LoadAccess::Read, 10, 40));
            cells.unattributed(shard(0), Duration::from_millis(200), Duration::ZERO);
            for (key, busy) in [("EURUSD", 60), ("USDJPY", 30), ("GBPUSD", 10)] {
                let busy = Duration::from_millis(busy);
                cells.key(fx_major, &Key::Text(key.into()), busy, entropy.draw());
            }
            let user = Key::Int(1000 + second % 3);
            cells.key(at(0, 3), &user, Duration::from_millis(100), entropy.draw());
        }
        meter.tick(Duration::from_secs(1));
    }
    let facts = [
        (2.0, Some(3), Some(48 << 20)),
        (4.0, Some(0), Some(12 << 20)),
        (20.0, None, None),
    ];
    let facts = facts.map(|(capacity, active_backends, size_bytes)| ShardFacts {
        capacity,
        active_backends,
        size_bytes,
    });
    let sizes = BucketSizes::from([(at(2, 0), 40 << 20), (at(1, 0), 8 << 20), (at(0, 3), 3 << 20)]);
    LoadSnapshot::merge(topology, Moment(0), &[&meter.report(Moment(0))], &facts, &sizes)
}
