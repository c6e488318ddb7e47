//! `SHOW CONFIG`: the settings in force, secrets left out.

use super::command::{Argument, Command, Rows, Run};
use super::config_rows::config_rows;
use super::row::text;
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW CONFIG",
    argument: Argument::None,
    help: "The configuration in force, defaults filled in, secrets left out.",
    columns: &[Column::text("key"), Column::text("value")],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let rows = config_rows(&sources.settings())
        .into_iter()
        .map(|(key, value)| vec![text(key), text(value)]);
    Ok(rows.collect())
}
