//! What commits over several shards need of the servers: prepared transactions, and failovers that lose nothing.
//!
//! Holds: warnings only, since all else works without; one finding for all shards that lack the same.

use crate::discovery::checks::Scene;
use crate::discovery::{Finding, Severity};

/// Shards that can't prepare, and shards whose failover could lose an acknowledged commit.
pub(in crate::discovery) fn commits(scene: &Scene<'_>) -> Vec<Finding> {
    let mut cannot_prepare = Vec::new();
    let mut alone = Vec::new();
    let mut count: usize = 0;
    for (shard, catalog) in scene.read() {
        count = count.saturating_add(1);
        if catalog.server.prepared_max == 0 {
            cannot_prepare.push(scene.name(shard));
        }
        if catalog.server.synchronous_standbys.is_empty() {
            alone.push(scene.name(shard));
        }
    }
    if count < 2 {
        return Vec::new();
    }
    let about = |shards: &[String], message: &str, detail: &str, hint: &str| Finding {
        severity: Severity::Warning,
        shard: None,
        object: format!("shards {}", shards.join(", ")),
        message: message.to_owned(),
        detail: detail.to_owned(),
        hint: hint.to_owned(),
    };
    let mut findings = Vec::new();
    if !cannot_prepare.is_empty() {
        findings.push(about(
            &cannot_prepare,
            "max_prepared_transactions is 0",
            "A transaction that writes there and on another shard is refused.",
            "Set it to max_connections, and restart the server.",
        ));
    }
    if !alone.is_empty() {
        findings.push(about(
            &alone,
            "there is no synchronous standby",
            "A failover could lose a commit that was acknowledged, and with it half of a transaction over several shards.",
            "Name one in synchronous_standby_names, if failovers there are to keep every acknowledged commit.",
        ));
    }
    findings
}
