//! The loop that proposes: every proxy watches, one of them speaks.
//!
//! Why all watch: whichever takes over must know at once what has lasted for how long. Which one speaks is decided by an
//! advisory lock on home that goes with its holder's connection. Holds: the data path waits for nothing here; with home
//! down nothing is proposed; a proxy that has watched for less than a few minutes ends nobody's proposal, and while it
//! sees only a part of the load it doesn't watch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::config::Rebalancer;
use crate::discovery::open::{Inner, Live};
use crate::discovery::proposal_store::{self, Others, Proposals};
use crate::discovery::reach::Reach;
use crate::discovery::{Discovery, Error};
use crate::rebalance::{History, Judgement, Policy, propose};
use crate::telemetry::{LoadSnapshot, Moment};

/// How often load is judged.
const EVERY: Duration = Duration::from_secs(5);
/// Who has watched for so long knows which shards are overloaded.
const WATCHED_ENOUGH: Duration = Duration::from_secs(180);

/// What was seen of load since this proxy started.
#[derive(Debug, Default)]
pub(super) struct Proposer {
    /// held for an observation or a judgement, never over an await
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    history: History,
    since: Option<Moment>,
    /// home has been told that there is nothing to say
    is_quiet: bool,
}

impl Proposer {
    fn with<T>(&self, act: impl FnOnce(&mut Watched) -> T) -> T {
        act(&mut self.watched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Discovery {
    /// Judges load every few seconds until the future is dropped: the owner awaits it in a task.
    pub async fn keep_proposing(&self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut line: Option<Arc<Reach>> = None;
        let mut voice = Voice::default();
        loop {
            ticks.tick().await;
            let live = self.inner.live();
            let Some(policy) = policy(&live) else {
                // The lock goes with the connection.
                line = None;
                self.inner.proposer.with(|watched| *watched = Watched::default());
                continue;
            };
            if self.inner.loads.is_partial() {
                // An overload would look as if it were over.
                self.inner.proposer.with(|watched| *watched = Watched::default());
            }
            let load = self.load();
            observe(&self.inner, &live, &load, &policy);
            let Some(home) = live.home() else { continue };
            let reach = match line.take() {
                Some(reach) if reach.endpoint() == home.endpoint() => reach,
                Some(_) | None => home.twin(),
            };
            let spoken = speak(&self.inner, &reach, &live, &load, &policy).await;
            voice.tell(spoken);
            line = Some(reach);
        }
    }

    /// Proposals and findings, as home has them.
    pub async fn proposals(&self) -> Result<Proposals, Error> {
        let live = self.inner.live();
        let home = live.home().ok_or_else(|| no_home(&live))?;
        proposal_store::read(&home).await
    }

    /// Judges load now and stores what is proposed; then as [`Discovery::proposals`], with the findings of this judgement.
    /// `None` where the configuration has the rebalancer off.
    pub async fn propose_now(&self) -> Result<Option<Proposals>, Error> {
        let live = self.inner.live();
        let Some(policy) = policy(&live) else { return Ok(None) };
        let home = live.home().ok_or_else(|| no_home(&live))?;
        let load = self.load();
        observe(&self.inner, &live, &load, &policy);
        let open = proposal_store::open(&home).await?;
        self.inner.proposer.with(|watched| {
            watched.history.standing_are(&open, &live.topology);
            watched.is_quiet = false;
        });
        let judgement = judge(&self.inner, &live, &load, &policy);
        proposal_store::keep(&home, &judgement, &[], Others::Stay).await?;
        let mut proposals = proposal_store::read(&home).await?;
        proposals.findings = judgement.findings;
        Ok(Some(proposals))
    }
}

fn no_home(live: &Live) -> Error {
    Error::HomeDown {
        shard: live.topology.shard_name(live.topology.home()).to_owned(),
        what: "the list of proposals",
    }
}

fn policy(live: &Live) -> Option<Policy> {
    match live.settings.rebalancer {
        Rebalancer::Off => None,
        Rebalancer::Propose { threshold } => Some(Policy::with_threshold(threshold)),
    }
}

fn observe(inner: &Inner, live: &Live, load: &LoadSnapshot, policy: &Policy) {
    inner.proposer.with(|watched| {
        watched.since.get_or_insert(load.at);
        watched.history.observe(load, &live.topology, policy);
        watched.history.know(inner.loads.week());
    });
}

fn judge(inner: &Inner, live: &Live, load: &LoadSnapshot, policy: &Policy) -> Judgement {
    inner
        .proposer
        .with(|watched| propose(load, &live.topology, policy, &watched.history, load.at))
}

/// Proposes, if it is this proxy's turn; how many proposals there are.
async fn speak(
    inner: &Inner,
    reach: &Reach,
    live: &Live,
    load: &LoadSnapshot,
    policy: &Policy,
) -> Result<Option<Judgement>, Error> {
    let Some(open) = proposal_store::lead(reach).await? else {
        return Ok(None);
    };
    let has_open = !open.is_empty();
    let (others, was_quiet) = inner.proposer.with(|watched| {
        watched.history.standing_are(&open, &live.topology);
        let others = match watched.since {
            Some(since) if load.at.since(since) >= WATCHED_ENOUGH => Others::End,
            Some(_) | None => Others::Stay,
        };
        (others, watched.is_quiet)
    });
    let judgement = judge(inner, live, load, policy);
    let is_silent = judgement.proposals.is_empty() && judgement.findings.is_empty();
    if has_open || !is_silent || !was_quiet {
        let overloaded: Vec<String> = judgement
            .overloaded
            .iter()
            .map(|shard| live.topology.shard_name(*shard).to_owned())
            .collect();
        proposal_store::keep(reach, &judgement, &overloaded, others).await?;
        inner.proposer.with(|watched| watched.is_quiet = is_silent);
    }
    Ok(Some(judgement))
}

/// Says once what changes: proposals that are new, and that home doesn't answer.
#[derive(Debug, Default)]
struct Voice {
    told: Vec<String>,
    is_cut_off: bool,
}

impl Voice {
    fn tell(&mut self, spoken: Result<Option<Judgement>, Error>) {
        match spoken {
            Ok(judgement) => {
                self.is_cut_off = false;
                let proposals = judgement.map(|judgement| judgement.proposals).unwrap_or_default();
                for proposal in &proposals {
                    if !self.told.contains(&proposal.identity) {
                        tracing::info!(
                            keyspace = %proposal.keyspace,
                            shard = %proposal.from,
                            action = proposal.action.name(),
                            "a move or split is proposed"
                        );
                    }
                }
                self.told = proposals.into_iter().map(|proposal| proposal.identity).collect();
            }
            Err(error) if !self.is_cut_off => {
                self.is_cut_off = true;
                tracing::warn!(%error, "nothing is proposed until home answers");
            }
            Err(_) => {}
        }
    }
}
