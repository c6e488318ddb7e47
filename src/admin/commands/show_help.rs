//! `SHOW HELP`: the commands.

use super::COMMANDS;
use super::command::{Argument, Command, Rows, Run};
use super::row::text;
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW HELP",
    argument: Argument::None,
    help: "This list.",
    columns: &[Column::text("command"), Column::text("meaning")],
    run: Run::Show(rows),
};

fn rows(_: &dyn Sources) -> Result<Rows, AdminError> {
    Ok(COMMANDS
        .iter()
        .map(|command| vec![text(command.usage()), text(command.help)])
        .collect())
}
