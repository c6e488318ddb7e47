//! Proposals for people: a paragraph each, or one of them whole with its bars; then what was found that none helps.

use shardgate::rebalance::{Finding, Proposal};

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::ask;
use crate::failure::Failure;
use crate::table::printable;

/// What was asked, and what the proxy answered.
pub(crate) struct Told {
    /// rows of SHOW PROPOSALS
    pub(crate) proposals: Answer,
    findings: Answer,
    is_one: bool,
}

/// Asks for proposals: all, or the one of this number.
pub(crate) async fn ask(arguments: &Arguments, id: Option<u64>) -> Result<Told, Failure> {
    let mut proposals = ask::ask(arguments, "SHOW PROPOSALS").await?;
    if let Some(id) = id {
        let wanted = id.to_string();
        let rows = std::mem::take(&mut proposals.rows);
        proposals.rows = rows
            .into_iter()
            .filter(|row| proposals.value(row, "id") == Some(wanted.as_str()))
            .collect();
        if proposals.rows.is_empty() {
            return Err(
                Failure::new(format!("there is no proposal {id}")).with_hint("`shardctl proposals` lists them.")
            );
        }
    }
    Ok(Told {
        proposals,
        findings: ask::ask(arguments, "SHOW FINDINGS").await?,
        is_one: id.is_some(),
    })
}

/// Has load judged now.
pub(crate) async fn propose(arguments: &Arguments, keyspace: Option<&str>) -> Result<Told, Failure> {
    let keyspace = keyspace.map_or_else(String::new, |keyspace| format!(" '{}'", keyspace.replace('\'', "")));
    Ok(Told {
        proposals: ask::ask(arguments, &format!("PROPOSE{keyspace}")).await?,
        findings: ask::ask(arguments, "SHOW FINDINGS").await?,
        is_one: false,
    })
}

/// For a terminal of 80 columns.
pub(crate) fn print(told: &Told) -> Result<String, Failure> {
    let mut text = String::new();
    for row in &told.proposals.rows {
        let value = |name: &str| told.proposals.value(row, name).unwrap_or_default();
        let proposal = Proposal::from_json(value("document"))
            .map_err(|error| Failure::new(format!("proposal {} can't be read: {error}", value("id"))))?;
        if told.is_one {
            text.push_str(&proposal.to_text(value("id")));
            text.push_str(&format!(
                "  {:<10}{}; made {}, holds until {}\n",
                "state",
                value("state"),
                value("created_at"),
                value("expires_at")
            ));
        } else {
            text.push_str(&proposal.to_summary(value("id"), value("state")));
            text.push('\n');
        }
    }
    if told.is_one {
        return Ok(shown(&text));
    }
    if told.proposals.rows.is_empty() {
        text.push_str("no proposals\n");
    } else {
        text.push_str("shardctl proposals ID shows one whole: steps, evidence, every shard's load after it.\n");
    }
    for row in &told.findings.rows {
        let value = |name: &str| told.findings.value(row, name).unwrap_or_default();
        // A kind of a later version is shown by its words alone.
        let kind = serde_json::from_value(serde_json::Value::from(value("kind")));
        let Ok(kind) = kind else {
            text.push_str(&format!("\n{}\n{}\n", value("seen"), value("helps")));
            continue;
        };
        let finding = Finding {
            kind,
            shard: None,
            keyspace: None,
            bucket: None,
            what: value("seen").to_owned(),
            helps: value("helps").to_owned(),
        };
        text.push('\n');
        text.push_str(&finding.to_text());
    }
    Ok(shown(&text))
}

/// Keys are the clients' own: none of their control characters reaches the terminal.
fn shown(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", printable(line))).collect()
}
