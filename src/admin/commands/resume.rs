//! `RESUME`: lets statements run again.

use super::command::{Argument, Command, Run};
use crate::admin::{AdminError, Answer, Pending, Sources};

pub(super) const COMMAND: Command = Command {
    words: "RESUME",
    argument: Argument::None,
    help: "Lets statements run again after PAUSE.",
    columns: &[],
    run: Run::Act(run),
};

fn run<'a>(sources: &'a dyn Sources, _: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        sources.registry().resume();
        Ok(Answer::Done {
            tag: "RESUME".to_owned(),
        })
    })
}
