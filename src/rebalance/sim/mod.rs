//! The simulator: traces of load, replayed through the proposer as if each proposal were carried out.
//!
//! Why: a proposer that looks right on one snapshot may flap, overshoot or come too late. Only time shows that, and a
//! trace is time that can be had again.
//! Holds: the same trace and policy give the same result; no clock, no files, no entropy.

mod dice;
mod trace_error;
mod trace;
mod cluster;
mod synthetic;
mod trace_text;
mod observation;
mod recorder;
mod optimum;
mod replay;
mod simulate;
mod scale;
mod picture;
mod report;

pub use observation::Observation;
pub use recorder::Recorder;
pub use scale::{Answer, GivesOut, Holding, HotKey, ScaleError, Scaled, scale};
pub use simulate::{Course, Figures, Found, Move, Simulation, SimulationError, simulate};
pub use synthetic::{Kind, Synthetic};
pub use trace::{Busy, Silent, TRACE_TICKS_MAX, TRACE_UNITS_MAX, Tick, Trace, Unit};
pub use trace_error::{TraceError, TraceFault};
