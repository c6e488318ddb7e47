//! Servers must be alike: version, encoding, collation.

use crate::discovery::checks::Scene;
use crate::discovery::shard_catalog::Server;
use crate::discovery::{Finding, Severity};

/// The oldest major version that the catalog reader knows.
const OLDEST: u32 = 14;

/// Compares every shard's server with the first one's.
pub(in crate::discovery) fn servers(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut first: Option<(String, &Server)> = None;
    for (shard, catalog) in scene.read() {
        let name = scene.name(shard);
        let server = &catalog.server;
        alone(&mut findings, &name, server);
        match &first {
            None => first = Some((name, server)),
            Some((other, first)) => beside(&mut findings, &name, server, other, first),
        }
    }
    findings
}

fn about(shard: &str, message: String, detail: String, hint: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        shard: Some(shard.to_owned()),
        object: String::new(),
        message,
        detail,
        hint: hint.to_owned(),
    }
}

fn alone(findings: &mut Vec<Finding>, name: &str, server: &Server) {
    if server.is_in_recovery {
        let hint = "Point primary: at the server that takes writes.";
        findings.push(about(
            name,
            "the server is a standby".to_owned(),
            "It is in recovery.".to_owned(),
            hint,
        ));
    }
    if server.major_version < OLDEST {
        let message = format!("Postgres {} is too old", server.version);
        findings.push(about(
            name,
            message,
            format!("{OLDEST} is the oldest that is known."),
            "Upgrade the server.",
        ));
    }
}

fn beside(findings: &mut Vec<Finding>, name: &str, server: &Server, other: &str, first: &Server) {
    if server.major_version != first.major_version {
        let detail = format!("Shard {other} runs {}, this one {}.", first.version, server.version);
        let hint = "All shards must run the same major version: statements must mean the same on each.";
        findings.push(about(name, "the major version differs".to_owned(), detail, hint));
    }
    if server.encoding != first.encoding {
        let detail = format!("Shard {other} has {}, this one {}.", first.encoding, server.encoding);
        let hint = "Create the database with the same ENCODING as the others.";
        findings.push(about(name, "the server encoding differs".to_owned(), detail, hint));
    }
    if server.collation_name != first.collation_name {
        let detail = format!(
            "Shard {other} has {}, this one {}.",
            first.collation_name, server.collation_name
        );
        let hint = "Create the database with the same LOCALE and LOCALE_PROVIDER as the others.";
        findings.push(about(name, "the default collation differs".to_owned(), detail, hint));
    }
}
