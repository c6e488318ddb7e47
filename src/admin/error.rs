//! What an admin command can answer instead of a table.

use crate::plan::Refusal;

/// Errors of the admin database. `Display` is the MESSAGE; `session` chooses the SQLSTATE, named here for each.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdminError {
    /// No command begins like this (42601).
    #[error("unknown admin command \"{0}\"", .text)]
    UnknownCommand {
        /// the first words
        text: String,
        /// the command that was probably meant
        meant: Option<&'static str>,
    },
    /// A command that a later version will have (0A000).
    #[error("{command} is not in this version")]
    NotInThisVersion {
        /// its words
        command: &'static str,
    },
    /// A command with an argument that it doesn't take, or without one that it needs (42601).
    #[error("{problem} in {command}")]
    Usage {
        /// its words
        command: &'static str,
        /// what is wrong
        problem: &'static str,
        /// how it is written
        usage: String,
    },
    /// SQL that belongs into the users' database (0A000).
    #[error("the admin database does not run SQL")]
    NotAnAdminCommand,
    /// `SHOW` of a setting that the admin database hasn't (42704).
    #[error("unrecognized configuration parameter \"{name}\"")]
    UnknownSetting {
        /// as asked for
        name: String,
    },
    /// The text ends within a quote or a comment (42601).
    #[error("{0}")]
    Unreadable(String),
    /// `ROUTE` of a statement that would be refused (the refusal's own code).
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// A reload was rejected; the old configuration stays in force (F0000).
    #[error("configuration not reloaded: {}", count(.problems.len(), "problem"))]
    ReloadRejected {
        /// one line each
        problems: Vec<String>,
    },
    /// `RESOLVE` of what can't be resolved, or need not be (55000).
    #[error("transaction \"{gid}\" is not resolved")]
    NotResolved {
        /// as given
        gid: String,
        /// why
        why: String,
    },
    /// Proposals can't be told or made (55000).
    #[error("no proposals: {why}")]
    NoProposals {
        /// why
        why: String,
    },
    /// `PROPOSE` for a keyspace that isn't there (42704).
    #[error("keyspace \"{name}\" does not exist")]
    UnknownKeyspace {
        /// as asked for
        name: String,
    },
    /// There is no topology yet (57P03).
    #[error("the proxy has no topology yet")]
    NoTopology,
}

impl AdminError {
    /// DETAIL: why we know.
    pub fn detail(&self) -> Option<String> {
        match self {
            AdminError::Refused(refusal) => Some(refusal.detail.clone()).filter(|detail| !detail.is_empty()),
            AdminError::ReloadRejected { problems } => Some(problems.join("\n")),
            AdminError::NotResolved { why, .. } => Some(format!("Nothing was done: {why}.")),
            AdminError::NoTopology => Some("It is still starting, or no shard has answered.".to_owned()),
            AdminError::UnknownCommand { .. }
            | AdminError::NotInThisVersion { .. }
            | AdminError::Usage { .. }
            | AdminError::NotAnAdminCommand
            | AdminError::UnknownSetting { .. }
            | AdminError::NoProposals { .. }
            | AdminError::UnknownKeyspace { .. }
            | AdminError::Unreadable(_) => None,
        }
    }

    /// HINT: the next action.
    pub fn hint(&self) -> Option<String> {
        match self {
            AdminError::UnknownCommand { meant: Some(meant), .. } => {
                Some(format!("Did you mean {meant}? SHOW HELP lists the commands."))
            }
            AdminError::UnknownCommand { meant: None, .. } | AdminError::NotInThisVersion { .. } => {
                Some("SHOW HELP lists the commands.".to_owned())
            }
            AdminError::Usage { usage, .. } => Some(format!("Write {usage}.")),
            AdminError::NotAnAdminCommand => Some(
                "SHOW HELP lists the commands; for SQL connect to the users' database (database: in the configuration)."
                    .to_owned(),
            ),
            AdminError::UnknownSetting { .. } => Some("SHOW CONFIG shows the proxy's configuration.".to_owned()),
            AdminError::Unreadable(_) => None,
            AdminError::Refused(refusal) => Some(refusal.hint.clone()).filter(|hint| !hint.is_empty()),
            AdminError::ReloadRejected { .. } => {
                Some("The old configuration stays in force; correct the file and reload again.".to_owned())
            }
            AdminError::NotResolved { .. } => {
                Some("SHOW TRANSACTIONS shows what is prepared, and what its decision says.".to_owned())
            }
            AdminError::NoProposals { .. } => Some(
                "They are kept on the home shard, and made under rebalancer: {policy: propose} in the configuration."
                    .to_owned(),
            ),
            AdminError::UnknownKeyspace { .. } => Some("SHOW KEYSPACES lists them.".to_owned()),
            AdminError::NoTopology => Some("SHOW SHARDS says which shards answer.".to_owned()),
        }
    }
}

fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
