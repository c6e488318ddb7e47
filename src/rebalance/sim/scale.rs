//! What if the load were ten times what it is: which shard gives out first, and what plan holds.
//!
//! Why a plan at the worst moment, then a replay: a plan that was made for one moment may fail at another, and shards that
//! are added one by one while the load is there come too late. So shards are added before, the proposer is asked, with the
//! load of the worst tick standing still and without a churn budget, until it has nothing more to propose; then the whole
//! trace is replayed from there under the policy as it is.
//! Holds: a plan "holds" if no shard is ever wanted more than it can give in that replay.

use std::time::Duration;

use super::optimum::{Room, lowest_level, optimum, rooms};
use super::replay::Replay;
use super::simulate::{Simulation, SimulationError, simulate};
use super::trace::{Tick, Trace, Unit};
use crate::rebalance::{History, Policy, Proposal, propose};
use crate::topology::{Declaration, Evolved, Keyspace, SHARDS_MAX, Shard, ShardState, Topology, TopologyError};

/// Proposals of one plan.
const PLAN_STEPS_MAX: usize = 256;

/// How many shards more than the bound says are tried, one after the other.
const TRIES: [usize; 5] = [0, 1, 2, 4, 8];

/// Levels closer than this are alike: they are found by halving.
const SLACK: f64 = 1e-6;

/// How long the worst tick stands still before the proposer is asked: all windows have seen nothing else.
const STANDSTILL: Duration = Duration::from_secs(3600);

/// The answer.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// of load and sizes
    pub factor: f64,
    /// above which a shard is overloaded
    pub threshold: f64,
    /// with the shards that there are and nothing moved; `None` if all can carry it
    pub first: Option<GivesOut>,
    /// a key that no shard that there is can carry
    pub hot_key: Option<HotKey>,
    /// what to do
    pub answer: Answer,
}

/// A shard that is wanted more than it can give.
#[derive(Clone, Debug, PartialEq)]
pub struct GivesOut {
    /// its name
    pub shard: String,
    /// since the trace's begin
    pub at: Duration,
    /// then
    pub utilisation: f64,
}

/// A key that alone is too much for the largest shard: no split parts it.
#[derive(Clone, Debug, PartialEq)]
pub struct HotKey {
    /// of the key
    pub keyspace: String,
    /// its text
    pub key: String,
    /// busy seconds per second at its worst
    pub busy: f64,
    /// of the largest shard
    pub capacity: f64,
    /// with which a shard could carry it and stay below the threshold
    pub needed: f64,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A plan that holds.
    Holds(Box<Holding>),
    /// Nothing that was tried holds.
    NotFound {
        /// the most shards that were added
        added: usize,
        /// what the best try came to
        highest: f64,
    },
}

/// A plan that holds.
#[derive(Clone, Debug)]
pub struct Holding {
    /// names of shards to add
    pub added: Vec<String>,
    /// of each of them
    pub capacity: f64,
    /// in order
    pub plan: Vec<Proposal>,
    /// the whole trace, from there on
    pub replay: Simulation,
}

/// A shard can't be added, or a proposal can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScaleError {
    /// see there
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// the topology takes no more shards
    #[error("shards can't be added: {0}")]
    Shards(TopologyError),
}

/// Asks what a trace of `factor` times the load and size would do.
pub fn scale(trace: &Trace, factor: f64, policy: &Policy) -> Result<Scaled, ScaleError> {
    let scaled = trace.scaled(factor);
    let first = gives_out(&scaled);
    let hot_key = hottest_key(&scaled, policy.threshold);
    // A key that is too hot needs a shard of another size.
    let capacity = hot_key
        .as_ref()
        .map_or(0.0, |key| key.needed)
        .max(median(&trace.capacities));
    let answer = search(&scaled, first.as_ref(), capacity, policy)?;
    Ok(Scaled {
        factor,
        threshold: policy.threshold,
        first,
        hot_key,
        answer,
    })
}

/// The first shard above its capacity, with nothing moved; of several in the same tick, the highest.
fn gives_out(trace: &Trace) -> Option<GivesOut> {
    let replay = Replay::new(trace);
    (0_u32..).zip(&trace.ticks).find_map(|(number, tick)| {
        let at = trace.interval.saturating_mul(number);
        let utilisation = replay.utilisation(tick);
        let highest = utilisation.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let (index, highest) = highest.filter(|(_, highest)| **highest > 1.0)?;
        Some(GivesOut {
            shard: trace.topology.shards().get(index)?.name.clone(),
            at,
            utilisation: *highest,
        })
    })
}

/// The key that no shard can carry, if there is one.
fn hottest_key(trace: &Trace, threshold: f64) -> Option<HotKey> {
    let capacity = trace.capacities.iter().copied().fold(0.0, f64::max);
    let all = trace.ticks.iter().flat_map(|tick| &tick.busy);
    let worst = all.max_by(|a, b| a.sum().total_cmp(&b.sum()))?;
    let unit = trace.units.get(worst.unit).filter(|_| worst.sum() > capacity)?;
    Some(HotKey {
        keyspace: trace
            .topology
            .keyspace(unit.keyspace)
            .map_or("?", Keyspace::name)
            .to_owned(),
        key: unit.key.to_text(),
        busy: worst.sum(),
        capacity,
        needed: (worst.sum() / threshold).ceil(),
    })
}

fn search(trace: &Trace, first: Option<&GivesOut>, capacity: f64, policy: &Policy) -> Result<Answer, ScaleError> {
    let levels = optimum(trace);
    let worst = trace.ticks.iter().zip(&levels).max_by(|(_, a), (_, b)| a.total_cmp(b));
    let Some((worst, _)) = worst else {
        return Ok(Answer::NotFound { added: 0, highest: 0.0 });
    };
    let least = shards_needed(trace, worst, capacity, policy.threshold);
    let mut best = f64::INFINITY;
    let mut tried = 0;
    for more in TRIES {
        let count = least.saturating_add(more);
        if trace.topology.shards().len().saturating_add(count) > SHARDS_MAX {
            break;
        }
        tried = count;
        let (larger, added) = with_shards(trace, count, capacity, first.map(|first| first.shard.as_str()))?;
        let (topology, plan) = plan(&larger, worst_of(&larger, worst), policy)?;
        let replay = simulate(&Trace { topology, ..larger }, policy)?;
        let highest = replay.rebalanced.highest().fold(0.0, f64::max);
        if highest <= 1.0 {
            return Ok(Answer::Holds(Box::new(Holding {
                added,
                capacity,
                plan,
                replay,
            })));
        }
        best = best.min(highest);
    }
    Ok(Answer::NotFound {
        added: tried,
        highest: best,
    })
}

/// Shards of this capacity to add so that some placement might keep this tick below the threshold (or as low as its heaviest
/// key lets it).
fn shards_needed(trace: &Trace, tick: &Tick, capacity: f64, threshold: f64) -> usize {
    let keys: Vec<f64> = tick.busy.iter().map(|busy| busy.sum()).collect();
    let mut rooms = rooms(trace, tick);
    let largest = rooms.iter().map(|room| room.capacity).fold(capacity, f64::max);
    let fixed = rooms.iter().map(|room| room.fixed).sum::<f64>() / rooms.len().max(1) as f64;
    let heaviest = keys.iter().copied().fold(0.0, f64::max) + fixed;
    let target = threshold.max(heaviest / largest.max(f64::MIN_POSITIVE)).min(1.0);
    let mut added = 0;
    while rooms.len() < SHARDS_MAX && lowest_level(&rooms, keys.clone()) > target + SLACK {
        rooms.push(Room { capacity, fixed });
        added += 1;
    }
    added
}

/// Capacity of a shard like those that there are.
fn median(capacities: &[f64]) -> f64 {
    let mut sorted = capacities.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(1.0)
}

/// The same trace with so many empty shards more, with the labels of the shard that they are to relieve. Load that belongs
/// to no bucket comes to them as to the others: fan-outs and reference tables reach every shard.
fn with_shards(
    trace: &Trace,
    count: usize,
    capacity: f64,
    like: Option<&str>,
) -> Result<(Trace, Vec<String>), ScaleError> {
    let known = trace.topology.shards();
    let free = (known.len()..).map(|index| format!("s{index}"));
    let added: Vec<String> = free
        .filter(|name| !known.iter().any(|shard| shard.name == *name))
        .take(count)
        .collect();
    if added.is_empty() {
        return Ok((trace.clone(), added));
    }
    let labels = known.iter().find(|shard| Some(shard.name.as_str()) == like);
    let labels = labels.map(|shard| shard.labels.clone()).unwrap_or_default();
    let serving = known.iter().filter(|shard| shard.state == ShardState::Serving);
    let declaration = Declaration {
        shards: serving
            .cloned()
            .chain(added.iter().map(|name| Shard {
                labels: labels.clone(),
                ..Shard::new(name.clone())
            }))
            .collect(),
        ..Declaration::default()
    };
    let evolved = trace.topology.evolve(&declaration);
    let topology = match evolved.map_err(|errors| errors.into_iter().next()) {
        Ok(Evolved::Next(topology)) => topology,
        Ok(Evolved::Unchanged) => trace.topology.clone(),
        Err(first) => return Err(ScaleError::Shards(first.unwrap_or(TopologyError::NoShards))),
    };
    let capacities = trace.capacities.iter().copied();
    let larger = Trace {
        capacities: capacities.chain(added.iter().map(|_| capacity)).collect(),
        ticks: trace.ticks.iter().map(|tick| reaching(tick, count)).collect(),
        topology,
        ..trace.clone()
    };
    Ok((larger, added))
}

fn reaching(tick: &Tick, more: usize) -> Tick {
    let mean = tick.unattributed.iter().sum::<f64>() / tick.unattributed.len().max(1) as f64;
    let unattributed = tick.unattributed.iter().copied();
    Tick {
        unattributed: unattributed.chain(std::iter::repeat_n(mean, more)).collect(),
        busy: tick.busy.clone(),
    }
}

/// The worst tick as it comes to a larger cluster.
fn worst_of(larger: &Trace, worst: &Tick) -> Tick {
    reaching(worst, larger.capacities.len().saturating_sub(worst.unattributed.len()))
}

/// What the proposer would have done, had this tick come for ever and nothing cost anything.
fn plan(trace: &Trace, tick: Tick, policy: &Policy) -> Result<(Topology, Vec<Proposal>), SimulationError> {
    let policy = Policy {
        bytes_per_hour: u64::MAX,
        moves_per_day: usize::MAX,
        ..policy.clone()
    };
    let mut standing = Trace {
        interval: STANDSTILL,
        // Twice: only what lasts is an overload.
        ticks: vec![tick; 2],
        // Keys that appear later have their rows in the plan too.
        units: trace
            .units
            .iter()
            .map(|unit| Unit {
                since: 0,
                ..unit.clone()
            })
            .collect(),
        ..trace.clone()
    };
    let mut plan: Vec<Proposal> = Vec::new();
    while plan.len() < PLAN_STEPS_MAX {
        let mut replay = Replay::new(&standing);
        let mut history = History::new();
        for tick in &standing.ticks {
            replay.advance(tick, &[]);
            history.observe(&replay.snapshot(), replay.topology(), &policy);
        }
        let topology = replay.topology();
        let judgement = propose(&replay.snapshot(), topology, &policy, &history, replay.now());
        let Some(proposal) = judgement.proposals.into_iter().next() else {
            break;
        };
        let next = proposal
            .changes(topology)
            .and_then(|changes| topology.changed(&changes));
        let next = next.map_err(|source| SimulationError {
            number: plan.len().saturating_add(1),
            source,
        })?;
        plan.push(proposal);
        standing.topology = next;
    }
    Ok((standing.topology, plan))
}
