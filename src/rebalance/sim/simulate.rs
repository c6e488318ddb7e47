//! A trace through the proposer, as if each proposal were carried out.
//!
//! Why one at a time: carrying out is the executor's work, which runs one move after another; the next judgement then sees
//! what the last one did. Holds: a proposal takes the time that it estimates; while rows are copied, the shards that lose
//! and gain them have that work beside their own; only then do keys lie elsewhere.

use std::time::Duration;

use super::optimum::optimum;
use super::replay::Replay;
use super::trace::{Tick, Trace};
use crate::rebalance::{Finding, History, Policy, Proposal, propose};
use crate::telemetry::Moment;
use crate::topology::{Change, ShardId, Topology, TopologyError};

/// Backends that copying keeps busy, on the shard that gives and on the one that takes.
const COPY_BACKENDS: f64 = 1.0;

/// Copying is throttled to this part of a shard's capacity.
const COPY_SHARE_MAX: f64 = 0.1;

/// What came of a trace.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// above which a shard is overloaded
    pub threshold: f64,
    /// length of a tick
    pub interval: Duration,
    /// names, by index
    pub shards: Vec<String>,
    /// with each proposal carried out
    pub rebalanced: Course,
    /// as if nobody had done anything
    pub left_alone: Course,
    /// by tick: the lowest highest utilisation that any placement could have had
    pub optimum: Vec<f64>,
    /// in order of decision
    pub moves: Vec<Move>,
    /// each the first time that it was found
    pub findings: Vec<Found>,
    /// where keys lie at the end
    pub topology: Topology,
}

/// Utilisation over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// by tick, by shard
    pub utilisation: Vec<Vec<f64>>,
}

/// A proposal that was carried out.
#[derive(Clone, Debug)]
pub struct Move {
    /// since the trace's begin
    pub decided: Duration,
    /// since the trace's begin; `None` if the trace ended first
    pub done: Option<Duration>,
    /// what was proposed
    pub proposal: Proposal,
    /// the same in terms of the topology that it was made for
    pub changes: Vec<Change>,
}

/// Something that no move helps against.
#[derive(Clone, Debug)]
pub struct Found {
    /// since the trace's begin
    pub at: Duration,
    /// what
    pub finding: Finding,
}

/// One course in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// utilisation
    pub highest: f64,
    /// of the highest utilisation, over time
    pub mean: f64,
    /// how long a shard was above the threshold
    pub over_threshold: Duration,
    /// how long a shard was wanted more than it can give
    pub over_capacity: Duration,
    /// against the optimum, at least 1: see [`Simulation::regret`]
    pub regret: f64,
}

/// The proposer's steps can't be applied: a fault of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("proposal {number} can't be carried out: {source}")]
pub struct SimulationError {
    /// counted from 1
    pub number: usize,
    /// what the topology says
    #[source]
    pub source: TopologyError,
}

/// Replays a trace, every proposal carried out.
pub fn simulate(trace: &Trace, policy: &Policy) -> Result<Simulation, SimulationError> {
    let mut run = Run {
        replay: Replay::new(trace),
        policy,
        history: History::default(),
        moves: Vec::new(),
        under_way: None,
        findings: Vec::new(),
        trace,
    };
    let mut rebalanced = Course::default();
    for tick in &trace.ticks {
        rebalanced.utilisation.push(run.tick(tick)?);
    }
    let alone = Replay::new(trace);
    let left_alone = trace.ticks.iter().map(|tick| alone.utilisation(tick));
    Ok(Simulation {
        threshold: policy.threshold,
        interval: trace.interval,
        shards: trace.topology.shards().iter().map(|shard| shard.name.clone()).collect(),
        rebalanced,
        left_alone: Course {
            utilisation: left_alone.collect(),
        },
        optimum: optimum(trace),
        moves: run.moves,
        findings: run.findings,
        topology: run.replay.topology().clone(),
    })
}

// === the run ===

struct Run<'t> {
    trace: &'t Trace,
    replay: Replay<'t>,
    policy: &'t Policy,
    history: History,
    moves: Vec<Move>,
    under_way: Option<UnderWay>,
    findings: Vec<Found>,
}

/// The last of the moves, not yet done.
struct UnderWay {
    until: Moment,
    before: Topology,
    next: Topology,
    /// busy seconds per second, by shard
    copying: Vec<f64>,
}

impl Run<'_> {
    /// One tick: what was to be done by its begin is done; then load comes; then the proposer judges.
    fn tick(&mut self, tick: &Tick) -> Result<Vec<f64>, SimulationError> {
        let now = self.replay.now();
        if let Some(done) = self.under_way.take_if(|under_way| under_way.until <= now) {
            self.replay.adopt(done.next);
            if let Some(last) = self.moves.last_mut() {
                last.done = Some(self.replay.length());
                self.history.carried_out(&last.proposal, &done.before, now);
            }
        }
        let copying = self.under_way.as_ref().map_or(&[][..], |under_way| &under_way.copying);
        let utilisation = self.replay.advance(tick, copying);
        self.judge()?;
        Ok(utilisation)
    }

    fn judge(&mut self) -> Result<(), SimulationError> {
        let (snapshot, now) = (self.replay.snapshot(), self.replay.now());
        let topology = self.replay.topology();
        self.history.observe(&snapshot, topology, self.policy);
        // Nothing else is begun meanwhile, so nothing is asked.
        if self.under_way.is_some() {
            return Ok(());
        }
        let judgement = propose(&snapshot, topology, self.policy, &self.history, now);
        for finding in judgement.findings {
            if !self.findings.iter().any(|known| is_same(&known.finding, &finding)) {
                let at = self.replay.length();
                self.findings.push(Found { at, finding });
            }
        }
        let Some(proposal) = judgement.proposals.into_iter().next() else {
            return Ok(());
        };
        let fault = |source| SimulationError {
            number: self.moves.len().saturating_add(1),
            source,
        };
        let changes = proposal.changes(topology).map_err(fault)?;
        let next = topology.changed(&changes).map_err(fault)?;
        self.history.proposed(&proposal, topology);
        let duration = u64::try_from(proposal.duration().as_millis()).unwrap_or(u64::MAX);
        self.under_way = Some(UnderWay {
            until: Moment(now.0.saturating_add(duration)),
            copying: self.copying(&next),
            before: topology.clone(),
            next,
        });
        self.moves.push(Move {
            decided: self.replay.length(),
            done: None,
            proposal,
            changes,
        });
        Ok(())
    }

    /// What copying costs each shard until keys lie as `next` has it.
    fn copying(&self, next: &Topology) -> Vec<f64> {
        let mut copying = vec![0.0; self.trace.capacities.len()];
        let before = self.replay.topology();
        for unit in &self.trace.units {
            let (from, to) = (unit.place(before), unit.place(next));
            let (Some(from), Some(to)) = (from, to) else { continue };
            if from.shard == to.shard {
                continue;
            }
            for shard in [from.shard, to.shard] {
                self.work(&mut copying, shard);
            }
        }
        copying
    }

    fn work(&self, copying: &mut [f64], shard: ShardId) {
        let capacity = self.trace.capacities.get(shard.index()).copied().unwrap_or(0.0);
        if let Some(busy) = copying.get_mut(shard.index()) {
            *busy = COPY_BACKENDS.min(COPY_SHARE_MAX * capacity);
        }
    }
}

/// Are they about the same thing? Their figures may differ.
fn is_same(a: &Finding, b: &Finding) -> bool {
    (a.kind, &a.shard, &a.keyspace, a.bucket) == (b.kind, &b.shard, &b.keyspace, b.bucket)
}

// === impl Simulation ===

impl Simulation {
    /// How much worse a course was than the optimum: the sum over ticks of the highest utilisation, divided by the same sum
    /// of the optimum, where what lies below the threshold counts as the threshold in both.
    ///
    /// Why clamped: below the threshold there is nothing to win, and a rebalancer that moves rows since one shard has 20 %
    /// and another 40 % does harm. Why a sum over time: the minutes until a move is decided and done count too.
    pub fn regret(&self, course: &Course) -> f64 {
        let clamped = |level: f64| level.max(self.threshold);
        let had: f64 = course.highest().map(clamped).sum();
        let best: f64 = self.optimum.iter().copied().map(clamped).sum();
        had / best.max(f64::MIN_POSITIVE)
    }

    /// A course in figures.
    pub fn figures(&self, course: &Course) -> Figures {
        let above = |level: f64| {
            let ticks = course.highest().filter(|highest| *highest > level).count();
            self.interval.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
        };
        Figures {
            highest: course.highest().fold(0.0, f64::max),
            mean: course.highest().sum::<f64>() / course.utilisation.len().max(1) as f64,
            over_threshold: above(self.threshold),
            over_capacity: above(1.0),
            regret: self.regret(course),
        }
    }

    /// The optimum as a course of one shard.
    pub fn best(&self) -> Course {
        Course {
            utilisation: self.optimum.iter().map(|level| vec![*level]).collect(),
        }
    }

    /// Bytes of all proposals that were carried out.
    pub fn bytes_moved(&self) -> u64 {
        self.moves.iter().map(|done| done.proposal.bytes).sum()
    }
}

impl Course {
    /// By tick: of the shard that has most to do.
    pub fn highest(&self) -> impl Iterator<Item = f64> {
        self.utilisation
            .iter()
            .map(|shards| shards.iter().copied().fold(0.0, f64::max))
    }

    /// By tick: of one shard.
    pub fn of(&self, shard: usize) -> Vec<f64> {
        self.utilisation
            .iter()
            .map(|shards| shards.get(shard).copied().unwrap_or(0.0))
            .collect()
    }
}
