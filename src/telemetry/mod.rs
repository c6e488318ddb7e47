//! *What was observed?* Counters, gauges and histograms of the whole process, and their Prometheus text.
//!
//! Why: one table ([`table`](Definition)) says for every metric its name, unit, help and labels; storage, registration
//! and `docs/metrics.md` all come from it, so that none of them can drift. Storage is our own array of atomics instead
//! of the crate's vectors: a statement costs a few relaxed additions at computed places, no lock, no lookup by string,
//! no allocation. The crate `prometheus` checks the definitions and prints the text.
//!
//! Holds: label values come from closed enums, from the list of refusals or from the topology's shards, never from SQL
//! or keys; a series that can be expected is there from the start, at zero; counters never go down.
//! Absent: the clock. Whoever observes brings durations.

mod error;
mod labels;
mod table;
mod series;
mod notebook;
mod record;
mod load;
mod rate;
mod entropy;
mod heavy;
mod sample;
mod cells;
mod report;
mod load_json;
mod meter;
mod document;
mod hours;

pub use cells::{BucketCost, LoadAccess, LoadCells};
pub use document::metrics_document;
pub use entropy::Entropy;
pub use error::Error;
pub use hours::{HourOfWeek, HourWatch, LearntHour, WatchedHour, Week};
pub use labels::{
    BackendState, CacheUse, CancelOutcome, ClientState, Direction, ErrorOrigin, LoginOutcome, Outcome, Phase,
    Recovered, ReloadOutcome, StatementKind, TransactionOutcome, Window,
};
pub use load::{BucketLoad, HeavyKey, KeyspaceLoad, LoadSnapshot, Moment, SampledKey, ShardLoad, Windows};
pub use meter::{LoadMeter, Metering};
pub use rate::{Ewma, WINDOW_LENGTHS};
pub use record::{PoolReading, Start, StatementEvent, StatementStats, Telemetry};
pub use report::{
    BucketReport, BucketSizes, HEAVY_KEYS, HeavyReport, KeyspaceReport, LoadReport, ShardFacts, ShardReport,
};
pub use table::{Definition, Shape, Unit, definitions};
