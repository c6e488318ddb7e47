//! `PROPOSE [keyspace]`: judges load now, stores what is proposed, and shows what is open.

use super::command::{Argument, Command, Run};
use super::show_proposals;
use crate::admin::{AdminError, Answer, Pending, Sources, Table};

pub(super) const COMMAND: Command = Command {
    words: "PROPOSE",
    argument: Argument::Optional("keyspace"),
    help: "Judges load now instead of within 5 s, and shows the open proposals, of one keyspace or all.",
    columns: show_proposals::COLUMNS,
    run: Run::Act(run),
};

fn run<'a>(sources: &'a dyn Sources, argument: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let wanted = Some(argument.trim().trim_matches(['\'', '"'])).filter(|wanted| !wanted.is_empty());
        let topology = sources.view().ok_or(AdminError::NoTopology)?.topology;
        if let Some(name) = wanted.filter(|name| topology.keyspace_by_name(name).is_none()) {
            return Err(AdminError::UnknownKeyspace { name: name.to_owned() });
        }
        let proposals = sources.propose().await.map_err(|why| AdminError::NoProposals { why })?;
        let shown = proposals
            .stored
            .iter()
            .filter(|stored| stored.state == "open" && wanted.is_none_or(|wanted| stored.proposal.keyspace == wanted));
        Ok(Answer::Table(Table {
            columns: show_proposals::COLUMNS.to_vec(),
            rows: show_proposals::rows(shown),
            tag: COMMAND.tag().to_owned(),
        }))
    })
}
