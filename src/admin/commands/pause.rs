//! `PAUSE`: holds new statements back; those that run go on.

use super::command::{Argument, Command, Run};
use crate::admin::{AdminError, Answer, Pending, Sources};

pub(super) const COMMAND: Command = Command {
    words: "PAUSE",
    argument: Argument::None,
    help: "Holds new statements back until RESUME; those that run go on, clients wait.",
    columns: &[],
    run: Run::Act(run),
};

fn run<'a>(sources: &'a dyn Sources, _: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        sources.registry().pause();
        Ok(Answer::Done {
            tag: "PAUSE".to_owned(),
        })
    })
}
