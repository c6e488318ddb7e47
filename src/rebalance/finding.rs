//! What was seen that no move or split helps, or not yet; and what would.

use serde::{Deserialize, Serialize};

/// What was seen that no move or split helps, or not yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// which kind
    pub kind: FindingKind,
    /// the shard that it is about
    pub shard: Option<String>,
    /// the keyspace that it is about
    pub keyspace: Option<String>,
    /// the bucket that it is about
    pub bucket: Option<usize>,
    /// what was seen, one sentence
    pub what: String,
    /// what would help, one sentence
    pub helps: String,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// one key carries what no split can part
    HotKey,
    /// load that belongs to no bucket
    Scans,
    /// a range to whose end all is appended
    AppendOnlyTail,
    /// over the threshold for a moment
    Spike,
    /// no shard has room
    ClusterFull,
    /// labels keep the load where it is
    LabelsBind,
    /// what would help costs more than the budget leaves
    BudgetSpent,
    /// a move has just been made
    Cooling,
    /// too few keys were sampled to know where to split
    FewSamples,
    /// load hasn't been measured for long enough
    Warming,
    /// load was measured under another epoch
    OtherEpoch,
    /// overloaded, and nothing found helps enough
    NothingHelps,
}

impl FindingKind {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::HotKey => "hot_key",
            FindingKind::Scans => "scans",
            FindingKind::AppendOnlyTail => "append_only_tail",
            FindingKind::Spike => "spike",
            FindingKind::ClusterFull => "cluster_full",
            FindingKind::LabelsBind => "labels_bind",
            FindingKind::BudgetSpent => "budget_spent",
            FindingKind::Cooling => "cooling",
            FindingKind::FewSamples => "few_samples",
            FindingKind::Warming => "warming",
            FindingKind::OtherEpoch => "other_epoch",
            FindingKind::NothingHelps => "nothing_helps",
        }
    }
}
