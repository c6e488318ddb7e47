//! `SHOW VERSION`: this build.

use super::command::{Argument, Command, Rows, Run};
use super::row::text;
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW VERSION",
    argument: Argument::None,
    help: "The version of this proxy.",
    columns: &[Column::text("version")],
    run: Run::Show(rows),
};

fn rows(_: &dyn Sources) -> Result<Rows, AdminError> {
    Ok(vec![vec![text(concat!("shardgate ", env!("CARGO_PKG_VERSION")))]])
}
