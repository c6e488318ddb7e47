//! *What should move?* From a load snapshot, a topology, a policy and what was before: proposals, and what no proposal helps.
//!
//! Why a pure function: an operator must be able to ask the same question twice, a test must be able to ask it of any day,
//! and the simulator must ask it in the very words of the live proxy.
//!
//! Holds: same inputs, same judgement, whatever the order of the snapshot's lists; a proposal never makes the highest
//! utilisation of the shards that it touches higher, never goes against a label, never spends more than the budget; tables
//! of one keyspace stay together, since only buckets of whole keyspaces move. `docs/rebalancing.md` has the formulas.
//! Absent: how load is measured, how a move runs, any clock.

mod policy;
mod history;
mod proposal;
mod finding;
mod cluster;
mod density;
mod tail;
mod effect;
mod options;
mod shift;
mod search;
mod judge;
mod findings;
mod words;
mod evidence;
mod paper;
mod render;
mod sim;

pub use finding::{Finding, FindingKind};
pub use history::History;
pub use judge::{Judgement, propose};
pub use paper::columns;
pub use policy::Policy;
pub use proposal::{Action, Considered, Evidence, Outlook, Part, Proposal, Sizes, Step, TopKey, UsualHours};
pub use render::{Headline, picture, table_row};
pub use sim::{
    Answer, Busy, Course, Figures, Found, GivesOut, Holding, HotKey, Kind, Move, Observation, Recorder, ScaleError,
    Scaled, Silent, Simulation, SimulationError, Synthetic, TRACE_TICKS_MAX, TRACE_UNITS_MAX, Tick, Trace, TraceError,
    TraceFault, Unit, scale, simulate,
};
