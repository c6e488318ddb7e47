//! One thing that the check of a configuration against live shards found.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// the proxy doesn't start
    Error,
    /// it starts
    Warning,
}

/// One finding: what, on which shard, about which object, why we know, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// error or warning
    pub severity: Severity,
    /// the shard's name; none: all of them, or the configuration itself
    pub shard: Option<String>,
    /// `table public.orders`, `function billing.fee`, …; empty for the shard itself
    pub object: String,
    /// what is wrong, in lower case without a full stop
    pub message: String,
    /// why we know: full sentences, may be empty
    pub detail: String,
    /// the next action: full sentences, may be empty
    pub hint: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.severity)?;
        if let Some(shard) = &self.shard {
            write!(f, " shard {shard}:")?;
        }
        if !self.object.is_empty() {
            write!(f, " {}:", self.object)?;
        }
        write!(f, " {}", self.message)?;
        if !self.detail.is_empty() {
            write!(f, "\n  detail: {}", self.detail)?;
        }
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
