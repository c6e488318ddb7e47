//! The demo from start to end.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use shardgate::clock::Clock;
use tokio::task::JoinSet;

use super::balance::Balance;
use super::directory::Directory;
use super::load;
use super::options::DemoOptions;
use super::pace::{self, Pace};
use super::places::Places;
use super::proxy::Proxy;
use super::settings::{self, APP_ROLE, DATABASE};
use super::suggestions;
use super::table;
use super::tally::Tally;
use super::voice::Voice;
use super::workload::{self, CLIENTS, Market};
use crate::clusters::{Clusters, Recipe};
use crate::failure::Failure;
use crate::signals::Signals;

/// How often a terminal's picture changes, and how often a line is written elsewhere.
const FRAME: Duration = Duration::from_secs(1);
const LINE: Duration = Duration::from_secs(5);

/// Starts everything, shows it until its time is over or a signal comes, and takes it all away again.
pub(crate) async fn run(options: &DemoOptions) -> Result<(), Failure> {
    for port in [options.port, options.http] {
        refuse_taken(port)?;
    }
    let mut signals = Signals::listen()?;
    let mut voice = Voice::of_stdout();
    let directory = Directory::create(options.dir.as_deref())?;
    let mut stage = Stage {
        directory: directory.path().to_owned(),
        clock: Clock,
        watched: None,
    };
    let Some(clusters) = start(options, &stage, &mut signals, &mut voice).await? else {
        voice.say("stopped: nothing is left");
        return Ok(());
    };
    let outcome = tokio::select! {
        outcome = Box::pin(show(options, &mut stage, &clusters, &mut voice)) => outcome,
        () = signals.next() => Ok(()),
    };
    voice.leave_screen();
    stage.summarise(&mut voice);
    voice.say("stopping the servers");
    drop(clusters);
    drop(directory);
    voice.say("stopped: nothing is left");
    outcome.map_err(Failure::from)
}

/// What the parts of the demo share.
struct Stage {
    directory: PathBuf,
    clock: Clock,
    /// the workload, once it runs
    watched: Option<Watched>,
}

/// A workload that runs or ran.
struct Watched {
    tally: Arc<Tally>,
    shards: Vec<String>,
    since: std::time::Instant,
    balance: Balance,
}

impl Stage {
    fn summarise(&self, voice: &mut Voice) {
        let Some(watched) = &self.watched else { return };
        let took = self.clock.now().saturating_duration_since(watched.since);
        let all = watched.tally.all();
        voice.say("");
        voice.say(&format!("the workload, {} s:", took.as_secs()));
        voice.say("");
        for line in table::lines(&all, &watched.shards, took) {
            voice.say(line.trim_end());
        }
        voice.say("");
        match &all.error {
            Some(error) => voice.say(&format!("{} errors, the last: {error}", table::grouped(all.errors))),
            None => voice.say("no errors"),
        }
        voice.say("");
        if watched.balance.reasons().is_empty() {
            voice.say("the rebalancer proposed nothing: it judges load once it has seen a minute of it");
        }
        for reason in watched.balance.reasons() {
            voice.say(&format!("proposed: {reason}"));
        }
    }
}

/// A port that somebody listens on, with the way out, before anything is started.
fn refuse_taken(port: u16) -> Result<(), Failure> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(format!("port {port} of 127.0.0.1 can't be had: {error}"))
            .with_hint("Another demo may be running. Others are chosen by --port and --http; 0 takes any free one.")),
    }
}

/// The clusters; none if a signal came meanwhile.
async fn start(
    options: &DemoOptions,
    stage: &Stage,
    signals: &mut Signals,
    voice: &mut Voice,
) -> Result<Option<Clusters>, Failure> {
    let count = usize::from(options.shards);
    voice.say(&format!(
        "starting {count} Postgres server{} in {}",
        if count == 1 { "" } else { "s" },
        stage.directory.display()
    ));
    let began = stage.clock.now();
    let recipe = Recipe {
        parent: stage.directory.clone(),
        ..Recipe::new(count)
    };
    let mut starting = tokio::task::spawn_blocking(move || Clusters::start(&recipe));
    let (clusters, is_stopped) = tokio::select! {
        clusters = &mut starting => (clusters, false),
        () = signals.next() => {
            voice.say("stopping as soon as the servers are up");
            (starting.await, true)
        }
    };
    if is_stopped {
        return Ok(None);
    }
    let clusters = clusters.context("starting the servers").map_err(Failure::from)?;
    let clusters = clusters.map_err(|error| match is_denied(&error) {
        true => Failure::from(error).with_hint(
            "Started by root, the servers run as user postgres, who must be able to enter every directory above \
             theirs. --dir names another one.",
        ),
        false => Failure::from(error),
    })?;
    let ports: Vec<String> = clusters.iter().map(|cluster| cluster.port().to_string()).collect();
    let took = stage.clock.now().saturating_duration_since(began);
    voice.say(&format!(
        "  on ports {} of 127.0.0.1  {:.1} s",
        ports.join(", "),
        took.as_secs_f64()
    ));
    Ok(Some(clusters))
}

fn is_denied(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    kinds
        .into_iter()
        .any(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Rows, proxy, workload. Dropped at any point, it leaves nothing but the clusters and the directory, which aren't its.
async fn show(options: &DemoOptions, stage: &mut Stage, clusters: &Clusters, voice: &mut Voice) -> Result<()> {
    let ports: Vec<u16> = clusters.iter().map(crate::clusters::Cluster::port).collect();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let capacity = settings::capacity(cpus, ports.len());
    let text = settings::text(&ports, capacity, options.port, options.http);
    let config = write_config(&stage.directory, &text)?;
    let places = Arc::new(Places::of_config(&text)?);
    load::create_database(clusters).await?;
    voice.say("starting the proxy");
    let mut proxy = Proxy::start(&config).await?;
    voice.say("creating the tables through it");
    load::create_schema(&url(&proxy)).await?;
    voice.say("loading through it");
    load::load(&url(&proxy), stage.clock, voice).await?;
    let invitation = invitation(&proxy, ports.len());
    for line in &invitation {
        voice.say(line);
    }
    if options.no_load {
        match options.duration {
            Some(time) => voice.say(&format!(
                "no workload runs; this ends after {} s, or by Ctrl-C",
                time.as_secs()
            )),
            None => voice.say("no workload runs; Ctrl-C ends this"),
        }
        return until_over(options.duration, &mut proxy, std::future::pending()).await;
    }
    let market = Market {
        url: url(&proxy),
        places: Arc::clone(&places),
        tally: Arc::new(Tally::new(ports.len())),
        pace: Arc::new(Pace::new(stage.clock)),
        clock: stage.clock,
    };
    let watched = stage.watched.insert(Watched {
        tally: Arc::clone(&market.tally),
        shards: places.shard_names(),
        since: stage.clock.now(),
        balance: Balance::of(admin_url(&proxy)),
    });
    voice.say("the market opens; Ctrl-C ends this");
    opening(&watched.shards).iter().for_each(|line| voice.say(line));
    // Dropped with this future, before the proxy: its clients are gone when it drains.
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(Box::pin(workload::client(market.clone(), number)));
    }
    let hot = watched.shards.first().cloned().unwrap_or_default();
    let admin = admin_url(&proxy);
    let steering = pace::steer(&admin, &hot, &market.tally, &market.pace, stage.clock);
    let picture = Box::pin(async {
        tokio::select! {
            () = watch(watched, stage.clock, voice, &invitation) => {}
            () = steering => {}
        }
    });
    let outcome = until_over(options.duration, &mut proxy, picture).await;
    clients.shutdown().await;
    outcome
}

/// Waits for the end of the time, or for what must not happen: the proxy's end.
async fn until_over(time: Option<Duration>, proxy: &mut Proxy, picture: impl Future<Output = ()>) -> Result<()> {
    let over = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => Ok(()),
        error = proxy.ended() => Err(error),
        () = picture => Ok(()),
    }
}

/// What the workload is, and how fast.
fn opening(shards: &[String]) -> [String; 2] {
    let hot = shards.first().map_or("", String::as_str);
    [
        format!("{CLIENTS} clients trade, mostly major currency pairs, faster and faster until {hot},"),
        format!(
            "where those lie, is used at {:.0} % of its capacity",
            pace::TARGET * 100.0
        ),
    ]
}

fn write_config(directory: &Path, text: &str) -> Result<PathBuf> {
    let inner = directory.join("proxy");
    std::fs::create_dir(&inner).with_context(|| format!("creating {}", inner.display()))?;
    let path = inner.join("shardgate.yaml");
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn url(proxy: &Proxy) -> String {
    format!("postgres://{APP_ROLE}@{}/{DATABASE}", proxy.address)
}

fn admin_url(proxy: &Proxy) -> String {
    format!("postgres://{APP_ROLE}@{}/shardgate", proxy.address)
}

/// How to get in, and what to try.
fn invitation(proxy: &Proxy, shards: usize) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "The proxy is ready. In another terminal:".to_owned(),
        String::new(),
        format!("  psql \"{}\"", url(proxy)),
        String::new(),
    ];
    for suggestion in suggestions::for_shards(shards) {
        lines.push(format!("  -- {}", suggestion.shows));
        lines.extend(suggestion.sql.iter().map(|line| format!("  {line}")));
    }
    lines.push(String::new());
    let admin = admin_url(proxy);
    for command in ["buckets instrument", "top", "proposals"] {
        lines.push(format!("  shardctl --url {admin} {command}"));
    }
    lines.push(format!("  http://{}/metrics", proxy.http));
    lines.push(String::new());
    lines
}

/// The picture of the workload, for ever.
async fn watch(watched: &mut Watched, clock: Clock, voice: &mut Voice, invitation: &[String]) {
    let every = if voice.is_live() { FRAME } else { LINE };
    let mut last = clock.now();
    loop {
        tokio::time::sleep(every).await;
        let now = clock.now();
        let took = now.saturating_duration_since(last);
        last = now;
        let span = watched.tally.look();
        let seconds = now.saturating_duration_since(watched.since).as_secs();
        let time = format!("{:02}:{:02}", seconds / 60, seconds % 60);
        let proposed = watched.balance.look().await;
        if voice.is_live() {
            voice.draw(&picture(watched, &span, took, &time, invitation));
            continue;
        }
        let used = watched.balance.used(&watched.shards);
        voice.say(&format!(
            "{time}  {}  used: {used}",
            table::line(&span, &watched.shards, took)
        ));
        if !proposed.is_empty() {
            voice.say("");
            voice.say("the rebalancer proposes:");
            proposed.iter().for_each(|line| voice.say(line));
            voice.say("");
        }
    }
}

fn picture(
    watched: &Watched,
    span: &super::tally::Span,
    took: Duration,
    time: &str,
    invitation: &[String],
) -> Vec<String> {
    let mut lines = vec![format!("Shardgate demo  {time}; Ctrl-C ends it")];
    lines.extend(opening(&watched.shards));
    lines.push(String::new());
    lines.extend(table::lines(span, &watched.shards, took));
    let all = watched.tally.all();
    lines.push(match &all.error {
        Some(error) => format!("{} errors, the last: {error}", table::grouped(all.errors)),
        None => "no errors".to_owned(),
    });
    let used = watched.balance.used(&watched.shards);
    if !used.is_empty() {
        lines.push(format!("used, of each shard's capacity over 1 m: {used}"));
    }
    if watched.balance.latest().is_empty() {
        lines.push("the rebalancer judges once it has seen a minute of load".to_owned());
    } else {
        lines.push("the rebalancer proposes:".to_owned());
        // Up to its bars; the rest is for `shardctl proposals`.
        let lead = watched.balance.latest().iter();
        lines.extend(lead.take_while(|line| !line.starts_with("  step")).cloned());
    }
    // How to get in stands first in it: on a small terminal the rest is cut off.
    lines.extend(invitation.iter().filter(|line| !line.is_empty()).cloned());
    lines
}
