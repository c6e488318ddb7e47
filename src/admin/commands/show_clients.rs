//! `SHOW CLIENTS`: each session.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, shards, text, text_or_null, whole_seconds};
use crate::admin::{AdminError, ClientRow, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW CLIENTS",
    argument: Argument::None,
    help: "Each client: what its session is doing, on which shards, and whether it pins a backend.",
    columns: &[
        Column::integer("id"),
        Column::text("user"),
        Column::text("database"),
        Column::text("state"),
        Column::text("address"),
        Column::text("shards"),
        Column::text("pinned"),
        Column::text("application_name"),
        Column::integer("connected_seconds"),
        Column::integer("statements"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    Ok(sources
        .registry()
        .clients()
        .into_iter()
        .map(|client| row(sources, client))
        .collect())
}

fn row(sources: &dyn Sources, client: ClientRow) -> Vec<Option<String>> {
    let held = sources.view().map(|view| shards(&view.topology, client.shards.iter()));
    vec![
        number(client.id),
        text(&*client.user),
        text(&*client.database),
        text(client.state.label()),
        text(client.address),
        held.and_then(text_or_null),
        client.pinned.map(str::to_owned),
        text_or_null(client.application_name),
        whole_seconds(sources.now().saturating_duration_since(client.connected_at)),
        number(client.statements),
    ]
}
