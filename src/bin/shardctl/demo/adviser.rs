//! What the rebalancer says while the demo runs: its proposal, as soon as there is one.
//!
//! Holds: the workload doesn't wait for it; a proxy that doesn't answer is asked again at the next look.

use std::time::Duration;

use shardgate::backend::{Control, ControlClient};

use crate::ask;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the admin database now and then.
pub(super) struct Adviser {
    url: String,
    client: Option<ControlClient>,
    /// the open proposal's number, and its text by lines
    proposal: Option<(String, Vec<String>)>,
}

impl Adviser {
    /// For the proxy whose admin database is there.
    pub(super) fn new(url: String) -> Adviser {
        Adviser {
            url,
            client: None,
            proposal: None,
        }
    }

    /// Looks for a proposal; true if there is one that wasn't there before.
    pub(super) async fn look(&mut self) -> bool {
        let Some((id, text)) = self.ask().await else {
            return false;
        };
        let is_new = self.proposal.as_ref().is_none_or(|(known, _)| *known != id);
        self.proposal = Some((id, text.lines().map(str::to_owned).collect()));
        is_new
    }

    /// The last proposal, by lines; none yet: empty.
    pub(super) fn lines(&self) -> &[String] {
        self.proposal.as_ref().map_or(&[], |(_, lines)| lines)
    }

    async fn ask(&mut self) -> Option<(String, String)> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => Control::connect_url(&self.url, CONNECT_TIMEOUT).await.ok()?,
        };
        let list = ask::run(&client, "SHOW PROPOSALS").await.ok()?;
        let mut open = list.rows.iter().filter(|row| list.value(row, "state") == Some("open"));
        let id = open.next().and_then(|row| list.value(row, "id")).map(str::to_owned);
        let text = match &id {
            Some(id) => {
                let whole = ask::run(&client, &format!("SHOW PROPOSAL {id}")).await.ok()?;
                let row = whole.rows.first()?;
                whole.value(row, "text").map(str::to_owned)
            }
            None => None,
        };
        self.client = Some(client);
        id.zip(text)
    }
}
