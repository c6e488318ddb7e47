//! `SHOW TRACE`: what a recorder writes down, as one document: the load of this moment, all proxies together.
//!
//! Why a document: it is read by `shardctl record` every few seconds, not by people; SHOW LOAD and SHOW KEYS are for them.

use super::command::{Argument, Command, Rows, Run};
use super::row::text;
use crate::admin::{AdminError, Column, Sources};
use crate::rebalance::Observation;

pub(super) const COMMAND: Command = Command {
    words: "SHOW TRACE",
    argument: Argument::None,
    help: "The load of this moment as one document, for shardctl record; no row before it is measured.",
    columns: &[Column::text("observation")],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let view = sources.view().ok_or(AdminError::NoTopology)?;
    let load = sources.load();
    // Just after a change of the topology the load is still told by the old one's ids.
    let load = load.filter(|load| load.epoch == view.topology.epoch() && !load.measured.is_zero());
    let observed = load.map(|load| Observation::of(&load, &view.topology).to_json());
    Ok(observed.into_iter().map(|observed| vec![text(observed)]).collect())
}
