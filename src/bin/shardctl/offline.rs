//! `check --config FILE`: a configuration against live shards, without a proxy.

use std::path::Path;

use anyhow::Context as _;
use shardgate::config::{self, Users};
use shardgate::discovery::{self, Finding};

use crate::answer::{Answer, Column, Kind};
use crate::failure::Failure;

/// Findings as CHECK answers them. What is wrong with the file itself is a failure that lists every problem.
pub(crate) async fn check(file: &Path) -> Result<Answer, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let name = file.to_string_lossy();
    let settings = config::parse(&name, &read(file)?, &environment).map_err(|error| rejected(&error))?;
    let users = match &settings.auth.users_file {
        None => Users::default(),
        Some(users_file) => {
            // Relative to the configuration, as the proxy reads it.
            let path = file.parent().unwrap_or(Path::new("")).join(users_file);
            let name = path.to_string_lossy();
            config::parse_users(&name, &read(&path)?, &environment, &settings).map_err(|error| rejected(&error))?
        }
    };
    Ok(answer(discovery::check(&settings, &users).await))
}

fn read(path: &Path) -> Result<String, anyhow::Error> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn rejected(error: &config::Error) -> Failure {
    let count = error.problems.len();
    let plural = if count == 1 { "" } else { "s" };
    Failure::new(format!("{count} problem{plural} in the configuration\n{error}"))
}

fn answer(findings: Vec<Finding>) -> Answer {
    let names = ["severity", "shard", "object", "message", "detail", "hint"];
    let present = |text: String| Some(text).filter(|text| !text.is_empty());
    let rows = findings.into_iter().map(|finding| {
        vec![
            Some(finding.severity.to_string()),
            finding.shard,
            present(finding.object),
            Some(finding.message),
            present(finding.detail),
            present(finding.hint),
        ]
    });
    Answer {
        columns: names
            .map(|name| Column {
                name: name.to_owned(),
                kind: Kind::Text,
            })
            .into(),
        rows: rows.collect(),
    }
}
