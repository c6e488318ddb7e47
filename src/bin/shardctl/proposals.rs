//! Proposals for people: a paragraph each, or one of them whole with its bars; then what was found that none helps.

use std::time::Duration;

use shardgate::rebalance::{Finding, Headline};

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::ask;
use crate::failure::Failure;
use crate::width::printable;

/// What was asked, and what the proxy answered.
pub(crate) enum Told {
    /// rows of SHOW PROPOSALS, and those of SHOW FINDINGS
    List(Answer, Answer),
    /// the row of SHOW PROPOSAL
    One(Answer),
}

/// Asks for proposals: all, or the one of this number.
pub(crate) async fn ask(arguments: &Arguments, id: Option<u64>) -> Result<Told, Failure> {
    Ok(match id {
        Some(id) => Told::One(ask::ask(arguments, &format!("SHOW PROPOSAL {id}")).await?),
        None => {
            let proposals = ask::ask(arguments, "SHOW PROPOSALS").await?;
            Told::List(proposals, ask::ask(arguments, "SHOW FINDINGS").await?)
        }
    })
}

/// Has load judged now.
pub(crate) async fn propose(arguments: &Arguments, keyspace: Option<&str>) -> Result<Told, Failure> {
    let keyspace = keyspace.map_or_else(String::new, |keyspace| format!(" '{}'", keyspace.replace('\'', "")));
    let proposals = ask::ask(arguments, &format!("PROPOSE{keyspace}")).await?;
    Ok(Told::List(proposals, ask::ask(arguments, "SHOW FINDINGS").await?))
}

impl Told {
    /// What scripts get.
    pub(crate) fn answer(&self) -> &Answer {
        let (Told::List(answer, _) | Told::One(answer)) = self;
        answer
    }
}

/// For a terminal of 80 columns.
pub(crate) fn print(told: &Told) -> String {
    let mut text = String::new();
    match told {
        Told::One(answer) => {
            for row in &answer.rows {
                let value = |name: &str| answer.value(row, name).unwrap_or_default();
                text.push_str(value("text"));
                let (state, made, until) = (value("state"), value("created_at"), value("expires_at"));
                text.push_str(&format!("  state     {state}; made {made}, until {until}\n"));
            }
        }
        Told::List(proposals, findings) => {
            for row in &proposals.rows {
                text.push_str(&headline(proposals, row));
                text.push('\n');
            }
            text.push_str(if proposals.rows.is_empty() {
                "no proposals\n"
            } else {
                "shardctl proposals ID shows one whole: steps, evidence, every shard after it.\n"
            });
            for row in &findings.rows {
                text.push('\n');
                text.push_str(&finding(findings, row));
            }
        }
    }
    // Keys are the clients' own: none of their control characters reaches the terminal.
    text.lines().map(|line| format!("{}\n", printable(line))).collect()
}

fn headline(answer: &Answer, row: &[Option<String>]) -> String {
    let value = |name: &str| answer.value(row, name).unwrap_or_default();
    let float = |name: &str| value(name).parse().unwrap_or(0.0);
    let whole = |name: &str| value(name).parse().unwrap_or(0);
    let headline = Headline {
        id: value("id"),
        state: value("state"),
        action: value("action"),
        subject: value("subject"),
        from: value("from"),
        to: value("to"),
        reason: value("reason"),
        before: float("before"),
        after: float("after"),
        bytes: whole("bytes"),
        duration: Duration::from_secs(whole("duration_seconds")),
    };
    headline.to_text()
}

fn finding(answer: &Answer, row: &[Option<String>]) -> String {
    let value = |name: &str| answer.value(row, name).unwrap_or_default();
    let (what, helps) = (value("seen").to_owned(), value("helps").to_owned());
    // A kind of a later version is shown by its words alone.
    match serde_json::from_value(serde_json::Value::from(value("kind"))) {
        Ok(kind) => Finding {
            kind,
            shard: None,
            keyspace: None,
            bucket: None,
            what,
            helps,
        }
        .to_text(),
        Err(_) => format!("  {what}\n  {helps}\n"),
    }
}
