//! What the proxy's rebalancer sees and says: each shard's utilisation, and what it proposes and why.
//!
//! Why by the admin database: the demo shows what a DBA would see, and by the same commands.
//! Holds: a proxy that doesn't answer leaves the picture as it was; the workload goes on.

use std::collections::BTreeSet;
use std::time::Duration;

use shardgate::backend::{Control, ControlClient, ControlError};

use crate::answer::Answer;
use crate::ask;

/// The proxy is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What was last heard.
#[derive(Debug)]
pub(super) struct Balance {
    /// of the admin database
    url: String,
    client: Option<ControlClient>,
    /// of each shard, in the proxy's order; none before the first answer
    used: Vec<f64>,
    /// reasons of the open proposals
    reasons: Vec<String>,
    /// ids of those that have been told
    told: BTreeSet<String>,
    /// the last one that was told, whole
    latest: Vec<String>,
}

impl Balance {
    /// Of a proxy's admin database; nothing is asked yet.
    pub(super) fn of(url: String) -> Balance {
        Balance {
            url,
            client: None,
            used: Vec::new(),
            reasons: Vec::new(),
            told: BTreeSet::new(),
            latest: Vec::new(),
        }
    }

    /// Asks; the lines of what is proposed for the first time.
    pub(super) async fn look(&mut self) -> Vec<String> {
        let client = match self.client.take() {
            Some(client) => client,
            None => match Control::connect_url(&self.url, CONNECT_TIMEOUT).await {
                Ok(client) => client,
                Err(_) => return Vec::new(), // asked again at the next look
            },
        };
        match self.ask(&client).await {
            Ok(lines) => {
                self.client = Some(client);
                lines
            }
            Err(_) => Vec::new(),
        }
    }

    async fn ask(&mut self, client: &ControlClient) -> Result<Vec<String>, ControlError> {
        let shards = ask::run(client, "SHOW SHARDS").await?;
        let used = shards.rows.iter().map(|row| shards.value(row, "utilisation"));
        self.used = used
            .map(|used| used.and_then(|used| used.parse().ok()).unwrap_or(0.0))
            .collect();
        let proposals = ask::run(client, "SHOW PROPOSALS").await?;
        let open: Vec<(&str, &str)> = proposals.rows.iter().filter_map(|row| open(&proposals, row)).collect();
        self.reasons = open.iter().map(|(_, reason)| (*reason).to_owned()).collect();
        let mut lines = Vec::new();
        for (id, _) in open {
            if !self.told.insert(id.to_owned()) {
                continue;
            }
            let whole = ask::run(client, &format!("SHOW PROPOSAL {id}")).await?;
            let text = whole
                .rows
                .first()
                .and_then(|row| whole.value(row, "text"))
                .unwrap_or("");
            self.latest = text.lines().map(str::to_owned).collect();
            lines.extend(self.latest.iter().cloned());
        }
        Ok(lines)
    }

    /// `s0 92 %  s1 21 %`, for these names; empty before the first answer.
    pub(super) fn used(&self, shards: &[String]) -> String {
        let each = shards.iter().zip(&self.used);
        let each: Vec<String> = each
            .map(|(name, used)| format!("{name} {:.0} %", used * 100.0))
            .collect();
        each.join("  ")
    }

    /// The last proposal that was told, line by line.
    pub(super) fn latest(&self) -> &[String] {
        &self.latest
    }

    /// Reasons of the proposals that are open.
    pub(super) fn reasons(&self) -> &[String] {
        &self.reasons
    }
}

/// Id and reason of a proposal that waits for a decision.
fn open<'a>(proposals: &Answer, row: &'a [Option<String>]) -> Option<(&'a str, &'a str)> {
    let is_open = proposals.value(row, "state") == Some("open");
    let found = (proposals.value(row, "id")?, proposals.value(row, "reason")?);
    is_open.then_some(found)
}
