//! *Do the plan:* a read over several shards, its rows merged, a write on several, or a
//! COPY, into the client's buffer.
//!
//! Why: the one-shard path is a relay that the session's pump does in passing; what is left for this room is everything
//! that has several sources. It reads participants' links and writes into a [`Sink`]; it knows neither the client's
//! socket nor SQL.
//! Holds: nothing is read from a shard while the sink is full; memory is the merger's; an error on one shard stops the
//! others, and every link is at a message boundary, settled, when a run ends.
//! Absent: gather.

mod copy_fill;
mod copy_lane;
mod copy_in;
mod copy_lines;
mod copy_out;
mod error;
mod reading;
mod consistent;
mod fan;
mod finish;
mod returned;
mod sink;
mod writes;

pub use consistent::Consistency;
pub use copy_in::{Categories, Copied, CopyIn, Given as RowsGiven, Lanes, StopHow};
pub use copy_lane::Eager;
pub use copy_out::copy_out;
pub use error::ExecuteError;
pub use fan::{Describe, Fan, FanRequest, Given, Make};
pub use reading::Reading;
pub use sink::{Interrupt, Sink};
pub use writes::{WriteRequest, Written, write};
