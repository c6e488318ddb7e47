//! The console: one statement of the admin database in, an answer out.

use std::sync::Arc;

use super::answer::{Answer, Column};
use super::error::AdminError;
use super::sources::Sources;

/// Runs admin commands over the proxy's sources.
#[derive(Clone)]
pub struct Console {
    sources: Arc<dyn Sources>,
}

impl Console {
    /// A console over these sources.
    pub fn new(sources: Arc<dyn Sources>) -> Console {
        Console { sources }
    }

    /// The columns that [`Self::run`] will answer with, without running anything; `None` for a command without rows.
    pub fn describe(&self, text: &str) -> Result<Option<Vec<Column>>, AdminError> {
        let _ = text;
        Err(AdminError::NotAnAdminCommand)
    }

    /// Runs one statement (see [`crate::sql::split`]); a `;` behind it is allowed.
    pub async fn run(&self, text: &str) -> Result<Answer, AdminError> {
        let _ = (text, &self.sources);
        Err(AdminError::NotAnAdminCommand)
    }
}
