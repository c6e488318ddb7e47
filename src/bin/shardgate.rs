//! The proxy: reads its configuration, wires the rooms together, and stops them in order.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use shardgate::admin::{
    self, Console, HttpBounds, Pending, ProxyId, Registry, Reloaded, Resolution, Sources, TransactionRow,
    TransactionState, View,
};
use shardgate::backend::{BackendGauge, Endpoint, PoolGauge, PoolLimits, Pools};
use shardgate::clock::{Clock, Rng};
use shardgate::config::{self, Settings, Users};
use shardgate::discovery::{self, Finding, Health, Proposals, Severity};
use shardgate::plan::{Context, Facts, Parameters, Refusal, Request, RouteStep, Verdict, refusal_kinds};
use shardgate::session::{self, World, WorldParts};
use shardgate::telemetry::{LoadSnapshot, Metering, Start, Telemetry, Week};
use shardgate::topology::{ShardId, Topology};
use shardgate::transaction::{
    Coordinator, Fault, Recovery, ShardAddress, Shards, Step, Sweeper, Verdict as Decided, forgetting,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest wait for one connection to a shard, login included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements kept on one backend.
const PREPARED_PER_BACKEND: usize = 500;

/// How long a drained session may take before it is told to leave at once.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// A sharding proxy for Postgres: exact answers, or a clear refusal
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "two switches of a command line")]
#[command(name = "shardgate", version, about, after_help = AFTER_HELP)]
struct Arguments {
    /// The YAML file that says where to listen and which shards there are
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the file and the shards that it names, print every finding, and end
    #[arg(long)]
    check: bool,
    /// One JSON object per log line instead of text
    #[arg(long)]
    log_json: bool,
}

const AFTER_HELP: &str = "SIGTERM drains: sessions end when they are idle. SIGHUP reads the file again.\n\
    RUST_LOG sets what is logged (default: info).\n\
    docs/configuration.md describes every key of the file.";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_unset| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    if arguments.log_json {
        log.json().init();
    } else {
        log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .init();
    }
    let workers = match worker_threads(std::env::var("TOKIO_WORKER_THREADS").ok().as_deref()) {
        Ok(workers) => workers,
        Err(message) => return complain(&message),
    };
    let mut builder = match workers {
        // One worker is the main thread itself: nothing is locked against others that aren't there, in the C library either.
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("shardgate: the runtime did not start: {error}")),
    };
    match runtime.block_on(Box::pin(run(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => complain(&message),
    }
}

/// One worker for two cores: threads that wake each other cost a statement more CPU than they save it time, and the
/// clients and shards on the same machine want cores too. `TOKIO_WORKER_THREADS` says otherwise.
fn worker_threads(said: Option<&str>) -> Result<usize, String> {
    match said {
        Some(said) => said
            .parse()
            .map(std::num::NonZero::<usize>::get)
            .map_err(|error| format!("shardgate: TOKIO_WORKER_THREADS is {said:?}: {error}")),
        None => {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            Ok(cores.div_ceil(2))
        }
    }
}

/// The one writer of the binary's own words.
fn say(line: &str) {
    // Nobody may be reading stderr; that is no reason to stop.
    let _written = writeln!(std::io::stderr(), "{line}");
}

fn complain(message: &str) -> ExitCode {
    say(message);
    ExitCode::FAILURE
}

/// Configuration and users, from their files.
fn read_files(path: &Path) -> Result<(Settings, Users), String> {
    let environment = |name: &str| std::env::var(name).ok();
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let settings =
        config::parse(&path.to_string_lossy(), &read(path)?, &environment).map_err(|error| error.to_string())?;
    let users = match &settings.auth.users_file {
        None => Users::default(),
        Some(file) => {
            let file = path.parent().unwrap_or(Path::new("")).join(file);
            config::parse_users(&file.to_string_lossy(), &read(&file)?, &environment, &settings)
                .map_err(|error| error.to_string())?
        }
    };
    Ok((settings, users))
}

async fn run(arguments: Arguments) -> Result<(), String> {
    if arguments.check {
        let (settings, users) = read_files(&arguments.config)?;
        return check(&settings, &users).await;
    }
    Box::pin(run_on(arguments.config)).await
}

/// Runs the proxy on a file until it is told to stop.
pub(crate) async fn run_on(config: PathBuf) -> Result<(), String> {
    let (settings, users) = read_files(&config)?;
    let clock = Clock;
    let rng = Rng;
    let (settings, users) = (Arc::new(settings), Arc::new(users));
    let metering = metering_of(std::env::var("SHARDGATE_METERING").ok().as_deref())?;
    let opened = discovery::open(Arc::clone(&settings), Arc::clone(&users), clock, metering).await;
    let (discovery, warnings) = match opened {
        Ok(opened) => opened,
        Err(discovery::Error::Findings(findings)) => return Err(listed(&findings)),
        Err(error) => return Err(format!("shardgate: {error}")),
    };
    for warning in &warnings {
        tracing::warn!("{}", warning.to_string().replace('\n', " "));
    }
    let topology = Arc::clone(discovery.picture().current().topology());
    let constructs: Vec<&'static str> = refusal_kinds().iter().map(|kind| kind.id).collect();
    let telemetry = Telemetry::new(Start {
        version: env!("CARGO_PKG_VERSION"),
        constructs: &constructs,
        clients_max: u64::from(settings.limits.clients),
    })
    .map_err(|error| format!("shardgate: {error}"))?;
    let telemetry = Arc::new(telemetry);
    telemetry.name_shards(topology.shards().iter().map(|shard| shard.name.as_str()));
    telemetry.set_epoch(topology.epoch());
    let bits = rng.bytes::<2>().map_err(|error| format!("shardgate: {error}"))?;
    let registry = Registry::new(ProxyId::from_random(u16::from_le_bytes(bits)), clients_max(&settings));
    let pools = Pools::new(
        endpoints(&settings, &topology),
        limits(&settings),
        (clock, rng),
        metering,
    );
    let shards = Arc::new(Shards::default());
    reload_shards(&shards, &settings, &topology);
    let (forgetter, forgetting) = forgetting(Arc::clone(&shards));
    let fault = fault_of(std::env::var("SHARDGATE_FAULT").ok().as_deref())?;
    let coordinator = Coordinator::new((clock, rng), Arc::clone(&telemetry), shards, forgetter, fault);
    let parts = WorldParts {
        clock,
        rng,
        settings: Arc::clone(&settings),
        users,
        pools,
        discovery,
        coordinator,
        registry,
        telemetry,
    };
    let world = Arc::new(World::new(parts).map_err(|error| format!("shardgate: {error}"))?);
    let recovery = Recovery::new(Arc::clone(world.coordinator.shards()), Arc::clone(&world.telemetry));
    let desk = Arc::new(Desk {
        world: Arc::clone(&world),
        recovery: recovery.clone(),
        config,
        started: clock.now(),
    });
    world.set_console(Console::new(Arc::clone(&desk) as Arc<dyn Sources>));
    let mut background = JoinSet::new();
    background.spawn(forgetting.run());
    let follower = Arc::clone(&world);
    background.spawn(async move { follower.follow_roles().await });
    background.spawn(async move { recovery.run().await });
    let (deadlocks, shards) = (world.coordinator.deadlocks().clone(), world.coordinator.shards());
    background.spawn(deadlocks.run(Arc::clone(shards), clock));
    background.spawn(Sweeper::new(Arc::clone(world.coordinator.shards()), clock).run());
    serve(&world, &desk, &settings, background).await
}

async fn check(settings: &Settings, users: &Users) -> Result<(), String> {
    let findings = discovery::check(settings, users).await;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(listed(&findings));
    }
    for finding in &findings {
        say(&finding.to_string());
    }
    say(&format!("configuration and {} shards agree", settings.shards.len()));
    Ok(())
}

fn listed(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    format!("shardgate: configuration and shards don't fit\n{}", lines.join("\n"))
}

fn clients_max(settings: &Settings) -> usize {
    usize::try_from(settings.limits.clients).unwrap_or(usize::MAX)
}

fn limits(settings: &Settings) -> PoolLimits {
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    PoolLimits {
        size: size(settings.pool.size),
        pinned: size(settings.pool.pinned),
        idle_timeout: settings.pool.idle_timeout,
        connect_timeout: CONNECT_TIMEOUT,
        prepared: PREPARED_PER_BACKEND,
    }
}

/// Addresses of the topology's shards; one that the configuration no longer names has none.
fn endpoints(settings: &Settings, topology: &Topology) -> Vec<(ShardId, Arc<str>, Endpoint)> {
    topology
        .shards()
        .iter()
        .enumerate()
        .filter_map(|(index, shard)| {
            let id = ShardId::new(index)?;
            let declared = settings.shards.iter().find(|declared| declared.name == shard.name)?;
            let primary = &declared.primary;
            Some((
                id,
                shard.name.as_str().into(),
                Endpoint::new(&primary.host, primary.port, &primary.database),
            ))
        })
        .collect()
}

/// Control connections for commits over several shards follow the topology too.
fn reload_shards(shards: &Shards, settings: &Settings, topology: &Topology) {
    let addresses = topology.shards().iter().enumerate().filter_map(|(index, shard)| {
        let declared = settings.shards.iter().find(|declared| declared.name == shard.name)?;
        Some(ShardAddress {
            shard: ShardId::new(index)?,
            name: shard.name.clone(),
            url: declared.primary.url(),
        })
    });
    if let Err(error) = shards.reload(topology.home(), addresses) {
        tracing::error!(%error, "commits over several shards keep the old addresses");
    }
}

/// `SHARDGATE_METERING`, for benches: `off` measures no load, so that what measuring costs can be told.
fn metering_of(text: Option<&str>) -> Result<Metering, String> {
    match text {
        None | Some("" | "on") => Ok(Metering::On),
        Some("off") => {
            tracing::warn!("SHARDGATE_METERING is off: this proxy measures no load and shows none of its own");
            Ok(Metering::Off)
        }
        Some(text) => Err(format!("shardgate: SHARDGATE_METERING \"{text}\" is not on or off")),
    }
}

/// `SHARDGATE_FAULT`, for tests: `STEP:exit` ends the process at a step as kill -9 would, `STEP:hold:FILE` makes FILE and
/// waits until it is gone. `STEP*N` means the Nth time that the step is reached.
fn fault_of(text: Option<&str>) -> Result<Fault, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(Fault::default());
    };
    let wrong = || format!("shardgate: SHARDGATE_FAULT \"{text}\" is not STEP[*N]:exit or STEP[*N]:hold:FILE");
    let (place, what) = text.split_once(':').ok_or_else(wrong)?;
    let (name, turn) = place.split_once('*').unwrap_or((place, "1"));
    let step = Step::ALL
        .into_iter()
        .find(|step| step.name() == name)
        .ok_or_else(wrong)?;
    let turn: usize = turn.parse().map_err(|_| wrong())?;
    let file = match what.split_once(':') {
        None if what == "exit" => None,
        Some(("hold", file)) => Some(PathBuf::from(file)),
        None | Some(_) => return Err(wrong()),
    };
    let passed = std::sync::atomic::AtomicUsize::new(0);
    tracing::warn!(fault = text, "SHARDGATE_FAULT is set: this proxy is being tested");
    Ok(Fault::new(Arc::new(move |reached| {
        let is_due = reached == step && passed.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1 == turn;
        let file = file.clone();
        Box::pin(async move {
            match file {
                _ if !is_due => {}
                None => std::process::abort(),
                Some(file) => hold(&file).await,
            }
        })
    })))
}

async fn hold(file: &Path) {
    const LOOK_AGAIN: Duration = Duration::from_millis(2);
    if let Err(error) = tokio::fs::write(file, b"held\n").await {
        tracing::error!(%error, "the file of a held step can't be written");
    }
    while tokio::fs::try_exists(file).await.unwrap_or(false) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Listens, serves, and stops in order: no new clients, sessions drained, then everything else.
async fn serve(
    world: &Arc<World>,
    desk: &Arc<Desk>,
    settings: &Settings,
    mut background: JoinSet<()>,
) -> Result<(), String> {
    let (stop, stopped) = watch::channel(());
    let mut tasks = JoinSet::new();
    let mut addresses = Vec::new();
    for address in &settings.listen {
        let listener = listen(*address).await?;
        addresses.push(bound(&listener)?);
        let (world, mut stopped) = (Arc::clone(world), stopped.clone());
        tasks.spawn(async move {
            session::serve(listener, world, async move {
                // Changed or gone: either way it is time.
                let _changed = stopped.changed().await;
            })
            .await;
        });
    }
    let mut http_address = None;
    if let Some(address) = settings.http {
        let listener = listen(address).await?;
        http_address = Some(bound(&listener)?);
        let sources = Arc::clone(desk) as Arc<dyn Sources>;
        background.spawn(async move {
            admin::serve_http(listener, sources, HttpBounds::DEFAULT, std::future::pending()).await;
        });
    }
    let keeper = Arc::clone(world);
    background.spawn(async move { keeper.discovery.run().await });
    let keeper = Arc::clone(world);
    background.spawn(async move { keeper.discovery.measure(Rng).await });
    let keeper = Arc::clone(world);
    background.spawn(async move { keeper.discovery.keep_proposing().await });
    let sweeper = Arc::clone(world);
    background.spawn(async move { sweep(&sweeper).await });
    let ready = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match http_address {
        Some(http) => say(&format!("shardgate ready on {ready} http {http}")),
        None => say(&format!("shardgate ready on {ready}")),
    }
    signals(desk).await?;
    tracing::info!("draining: no new clients, sessions end when they are idle");
    world.registry.drain();
    drop(stop);
    let patience = tokio::time::sleep(DRAIN_PATIENCE);
    tokio::select! {
        () = world.registry.emptied() => {}
        () = patience => {
            tracing::warn!("some sessions were not idle in time: they end now");
            world.registry.terminate();
        }
        again = signals(desk) => {
            again?;
            world.registry.terminate();
        }
    }
    while tasks.join_next().await.is_some() {}
    world.pools.drain();
    background.shutdown().await;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("shardgate: cannot listen on {address}: {error}"))
}

fn bound(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener.local_addr().map_err(|error| format!("shardgate: {error}"))
}

/// Idle backends that are too old or dead are closed; pools follow the topology.
async fn sweep(world: &World) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let mut epoch = world.discovery.picture().current().topology().epoch();
    loop {
        every.tick().await;
        world.pools.sweep();
        world.registry.tidy();
        let topology = Arc::clone(world.discovery.picture().current().topology());
        if topology.epoch() != epoch {
            epoch = topology.epoch();
            let live = world.live();
            world
                .pools
                .reload(endpoints(&live.settings, &topology), limits(&live.settings));
            reload_shards(world.coordinator.shards(), &live.settings, &topology);
            world
                .telemetry
                .name_shards(topology.shards().iter().map(|shard| shard.name.as_str()));
            world.telemetry.set_epoch(epoch);
        }
    }
}

/// Ends with SIGTERM or SIGINT; SIGHUP reloads.
async fn signals(desk: &Desk) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| format!("shardgate: signals cannot be received: {error}"));
    let mut term = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hup = listen(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hup.recv() => match desk.reload_now().await {
                Ok(reloaded) => tracing::info!(epoch = reloaded.epoch, "configuration reloaded"),
                Err(problems) => {
                    for problem in problems {
                        tracing::error!("configuration not reloaded: {problem}");
                    }
                }
            },
        }
    }
}

/// What the admin database and HTTP read from.
struct Desk {
    world: Arc<World>,
    recovery: Recovery,
    config: PathBuf,
    started: Instant,
}

impl Desk {
    async fn reload_now(&self) -> Result<Reloaded, Vec<String>> {
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (settings, users) = read_files(&self.config).map_err(lines)?;
        let (settings, users) = (Arc::new(settings), Arc::new(users));
        let old = self.world.live();
        let mut notes = Vec::new();
        if old.settings.listen != settings.listen || old.settings.http != settings.http {
            notes.push("listen and http change at the next start only".to_owned());
        }
        let warnings = match self
            .world
            .discovery
            .reload(Arc::clone(&settings), Arc::clone(&users))
            .await
        {
            Ok(warnings) => warnings,
            Err(discovery::Error::Findings(findings)) => {
                return Err(findings.iter().map(ToString::to_string).collect());
            }
            Err(error) => return Err(vec![error.to_string()]),
        };
        notes.extend(warnings.iter().map(ToString::to_string));
        let topology = Arc::clone(self.world.discovery.picture().current().topology());
        self.world
            .pools
            .reload(endpoints(&settings, &topology), limits(&settings));
        reload_shards(self.world.coordinator.shards(), &settings, &topology);
        self.world.registry.set_clients_max(clients_max(&settings));
        self.world.telemetry.set_clients_max(u64::from(settings.limits.clients));
        self.world.set_live(settings, users);
        Ok(Reloaded {
            epoch: topology.epoch().get(),
            notes,
        })
    }

    /// Plans without running; categories may be asked for, other questions need a session.
    async fn route_now(&self, sql: &str) -> Result<Vec<RouteStep>, Refusal> {
        const ROUNDS_MAX: usize = 3;
        let snapshot = self.world.discovery.picture().current();
        let context = Arc::new(default_context());
        let mut facts = Facts {
            categories: self.world.discovery.fixed(),
            ..Facts::default()
        };
        let request = Request {
            text: sql.as_bytes(),
            parameter_types: &[],
            context: &context,
        };
        for _ in 0..=ROUNDS_MAX {
            match snapshot.explain(&request, &Parameters::default(), &facts) {
                Ok(steps) => return Ok(steps),
                Err(Verdict::Refused(refusal)) => return Err(*refusal),
                Err(Verdict::Ask(shardgate::plan::Ask::Categories { keyspace, keys, .. })) => {
                    let purpose = shardgate::plan::Purpose::Read;
                    match self.world.discovery.categories(keyspace, &keys, purpose).await {
                        Ok(found) => {
                            let mut all = (*facts.categories).clone();
                            all.extend(found);
                            facts.categories = Arc::new(all);
                        }
                        Err(error) => return Err(needs_session(&error.to_string())),
                    }
                }
                Err(Verdict::Ask(ask)) => return Err(needs_session(&format!("{ask:?}"))),
            }
        }
        Err(needs_session("the plan asks for more and more"))
    }
}

/// ROUTE plans as a fresh session would: `public`, UTC, ISO dates.
fn default_context() -> Context {
    let other = [
        ("standard_conforming_strings", "on"),
        ("transform_null_equals", "off"),
        ("row_security", "on"),
    ];
    Context {
        search_path: vec!["public".to_owned()],
        role: String::new(),
        time_zone: "UTC".to_owned(),
        date_style: "ISO, MDY".to_owned(),
        interval_style: "postgres".to_owned(),
        client_encoding: "UTF8".to_owned(),
        other: other
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        temporary: Vec::new(),
    }
}

fn needs_session(why: &str) -> Refusal {
    Refusal {
        id: "route-needs-session",
        code: "0A000",
        message: "the route depends on a session".to_owned(),
        detail: format!("Planning would ask a server: {why}."),
        hint: "Use EXPLAIN (ROUTE) in the users' database.".to_owned(),
    }
}

impl Sources for Desk {
    fn view(&self) -> Option<View> {
        let snapshot = self.world.discovery.picture().current();
        Some(View {
            topology: Arc::clone(snapshot.topology()),
            catalog: Arc::clone(snapshot.catalog()),
        })
    }

    fn health(&self) -> Vec<Health> {
        self.world.discovery.health()
    }

    fn pools(&self) -> Vec<PoolGauge> {
        self.world.pools.gauges()
    }

    fn backends(&self) -> Vec<BackendGauge> {
        self.world.pools.backends()
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.world.live().settings)
    }

    fn registry(&self) -> &Registry {
        &self.world.registry
    }

    fn telemetry(&self) -> &Telemetry {
        &self.world.telemetry
    }

    fn load(&self) -> Option<Arc<LoadSnapshot>> {
        Some(self.world.discovery.load())
    }

    fn load_proxies(&self) -> usize {
        self.world.discovery.proxies_heard().saturating_add(1)
    }

    fn week(&self) -> Arc<Week> {
        self.world.discovery.week()
    }

    fn started(&self) -> Instant {
        self.started
    }

    fn now(&self) -> Instant {
        self.world.clock.now()
    }

    fn route<'a>(&'a self, sql: &'a str) -> Pending<'a, Result<Vec<RouteStep>, Refusal>> {
        Box::pin(self.route_now(sql))
    }

    fn reload(&self) -> Pending<'_, Result<Reloaded, Vec<String>>> {
        Box::pin(self.reload_now())
    }

    fn transactions(&self) -> Pending<'_, Vec<TransactionRow>> {
        Box::pin(async move {
            let rows = self.recovery.in_doubt().await.into_iter().filter_map(|one| {
                let name = |shard: ShardId| self.world.shard_name(shard);
                Some(TransactionRow {
                    gid: one.gids.values().next()?.to_string(),
                    state: match one.verdict {
                        None => TransactionState::Prepared,
                        Some(Decided::Commit) => TransactionState::Committing,
                        Some(Decided::Abort) => TransactionState::RollingBack,
                    },
                    shards: one.gids.keys().map(|shard| name(*shard)).collect(),
                    age: one.age,
                    decided_on: name(one.decision),
                })
            });
            rows.collect()
        })
    }

    fn resolve<'a>(&'a self, gid: &'a str, how: Resolution) -> Pending<'a, Result<usize, String>> {
        let verdict = match how {
            Resolution::Commit => Decided::Commit,
            Resolution::Rollback => Decided::Abort,
        };
        Box::pin(async move {
            self.recovery
                .resolve(gid, verdict)
                .await
                .map_err(|error| error.to_string())
        })
    }

    fn proposals(&self) -> Pending<'_, Result<Proposals, String>> {
        Box::pin(async move {
            self.world
                .discovery
                .proposals()
                .await
                .map_err(|error| error.to_string())
        })
    }

    fn propose(&self) -> Pending<'_, Result<Proposals, String>> {
        Box::pin(async move {
            let proposals = self.world.discovery.propose_now().await;
            let proposals = proposals.map_err(|error| error.to_string())?;
            proposals.ok_or_else(|| "the rebalancer is off in the configuration".to_owned())
        })
    }

    fn check(&self) -> Pending<'_, Vec<Finding>> {
        Box::pin(self.world.discovery.check())
    }
}
