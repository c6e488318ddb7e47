//! One golden case: reading it, planning it, printing what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use shardgate::plan::{
    Access, Ask, Context, Facts, Found, Parameters, Privilege, Purpose, Refusal, Request, Routed, SequenceUse,
    SessionEffect, Snapshot, Touched, Verdict, Work,
};
use shardgate::value::Oid;

use super::fixture;

/// A block of a golden file.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) comments: Vec<String>,
    pub(crate) directives: Vec<String>,
    pub(crate) sql: Vec<String>,
}

/// Reads the blocks of a golden file; what was expected is left out.
pub(crate) fn parse(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = Case::default();
    let mut expected = false;
    for line in text.lines().chain([""]) {
        match line {
            "" if expected => {
                cases.push(std::mem::take(&mut case));
                expected = false;
            }
            "" if case.sql.is_empty() => {}
            "----" => expected = true,
            _ if expected => {}
            comment if comment.starts_with('#') && case.sql.is_empty() => case.comments.push(comment.to_string()),
            directive if directive.starts_with("-- ") && case.sql.is_empty() => {
                case.directives.push(directive.to_string())
            }
            sql => case.sql.push(sql.to_string()),
        }
    }
    assert!(case.sql.is_empty(), "a block without ----: {:?}", case.sql);
    cases
}

/// Pictures by number of shards, and what was planned.
#[derive(Default)]
pub(crate) struct Runner {
    snapshots: BTreeMap<(usize, Option<String>), Arc<Snapshot>>,
    /// ids of the refusals that came up
    pub(crate) refused: Vec<String>,
}

impl Case {
    fn values(&self, directive: &str) -> Option<Vec<String>> {
        let prefix = format!("-- {directive}: ");
        let line = self.directives.iter().find_map(|line| line.strip_prefix(&prefix))?;
        Some(line.split(", ").map(str::to_string).collect())
    }
}

impl Runner {
    /// The picture on so many shards.
    pub(crate) fn snapshot(&mut self, shards: usize, default_shard: Option<String>) -> Arc<Snapshot> {
        let made = self
            .snapshots
            .entry((shards, default_shard.clone()))
            .or_insert_with(|| Arc::new(fixture::snapshot(shards, default_shard)));
        Arc::clone(made)
    }

    /// The block as it should stand in the file.
    pub(crate) fn block(&mut self, case: &Case) -> String {
        let mut block = String::new();
        for line in case.comments.iter().chain(&case.directives).chain(&case.sql) {
            writeln!(block, "{line}").unwrap();
        }
        block.push_str("----\n");
        block.push_str(&self.outcome(case));
        block
    }

    fn outcome(&mut self, case: &Case) -> String {
        let shards = case.values("shards").map_or(4, |values| values[0].parse().unwrap());
        let snapshot = self.snapshot(shards, case.values("default_shard").map(|values| values[0].clone()));
        let sql = case.sql.join("\n");
        let mut context = (*fixture::context()).clone();
        for setting in case.values("set").unwrap_or_default() {
            let (name, value) = setting.split_once('=').unwrap();
            set(&mut context, name, value);
        }
        context.temporary = case.values("temporary").unwrap_or_default();
        let context = Arc::new(context);
        let oids = |values: Option<Vec<String>>| -> Vec<Oid> {
            values.unwrap_or_default().iter().map(|name| type_oid(name)).collect()
        };
        let types = oids(case.values("types"));
        let texts: Vec<Option<Vec<u8>>> = case
            .values("params")
            .unwrap_or_default()
            .iter()
            .map(|text| parameter(text))
            .collect();
        let values: Vec<Option<&[u8]>> = texts.iter().map(Option::as_deref).collect();
        let parameters = Parameters {
            formats: &[],
            values: &values,
        };
        let request = Request {
            text: sql.as_bytes(),
            parameter_types: &types,
            context: &context,
        };
        let mut facts = Facts::default();
        let mut out = String::new();
        for _ in 0..5 {
            let by_hand = case.values("by hand").and_then(|names| names.first().cloned());
            let late = case.values("late behind").and_then(|names| names.first().cloned());
            let way = Way {
                by_hand: by_hand.as_deref(),
                late_behind: late.as_deref(),
            };
            match steps(&snapshot, &request, &parameters, &facts, way) {
                Ok(text) => {
                    out.push_str(&text);
                    if case.directives.iter().any(|line| line == "-- load") {
                        let plan = snapshot.compile(&request, &facts).unwrap();
                        let plan = plan.bind(&snapshot, &request, &parameters, &facts).unwrap();
                        writeln!(out, "load of {}", load(&plan.touched)).unwrap();
                    }
                    return out;
                }
                Err(Verdict::Refused(refusal)) => {
                    self.refused.push(refusal.id.to_string());
                    out.push_str(&print(&refusal));
                    return out;
                }
                Err(Verdict::Ask(ask)) => match answer(&ask, case, &mut facts, &mut out) {
                    true => {}
                    false => return out,
                },
            }
        }
        panic!("too many questions: {sql}\n{out}");
    }
}

/// What stands around a statement.
#[derive(Clone, Copy)]
struct Way<'a> {
    /// the shard that the client names
    by_hand: Option<&'a str>,
    /// the shard on which its transaction began
    late_behind: Option<&'a str>,
}

fn steps(
    snapshot: &Snapshot,
    request: &Request<'_>,
    parameters: &Parameters<'_>,
    facts: &Facts,
    way: Way<'_>,
) -> Result<String, Verdict> {
    let compiled = snapshot.compile(request, facts)?;
    let plan = compiled.bind(snapshot, request, parameters, facts);
    let mut out = String::new();
    if let Some(name) = way.by_hand {
        let shard = snapshot.topology().shard_by_name(name).unwrap();
        let planned = match plan {
            Ok(plan) => Ok(plan),
            Err(Verdict::Refused(refusal)) => Err(refusal),
            Err(ask) => return Err(ask),
        };
        let led = compiled.by_hand(planned, Routed::Query, (shard, name));
        let led = led.map_err(Verdict::Refused)?;
        writeln!(
            out,
            "by hand: {:?}",
            led.work
                .shards()
                .iter()
                .map(|s| snapshot.topology().shard_name(s))
                .collect::<Vec<_>>()
        )
        .unwrap();
        return Ok(out);
    }
    let mut plan = plan?;
    if let Some(name) = way.late_behind {
        let first = snapshot.topology().shard_by_name(name).unwrap();
        let sent = plan.work.shards();
        assert_ne!(sent.single(), Some(first), "not late");
        plan = snapshot.join_late((&compiled, plan), request, parameters, facts, Some(first))?;
        if plan.work.shards() != sent {
            let moved = plan.work.shards();
            let names: Vec<_> = moved.iter().map(|s| snapshot.topology().shard_name(s)).collect();
            writeln!(out, "goes to {names:?}").unwrap();
            return Ok(out);
        }
    }
    for step in snapshot.explain(request, parameters, facts)? {
        let shards = step.shards.join(" ");
        let line = [step.step.as_str(), &shards, &step.reason]
            .into_iter()
            .filter(|part| !part.is_empty());
        writeln!(out, "{}", line.collect::<Vec<_>>().join("  ")).unwrap();
    }
    let mut more = Vec::new();
    match plan.access {
        Access::Read => {}
        Access::Lock => more.push("locks".to_string()),
        Access::Write => more.push("writes".to_string()),
    }
    match &plan.effect {
        SessionEffect::None => {}
        SessionEffect::Pin(why) => more.push(format!("pins: {why}")),
        SessionEffect::Opaque => more.push("opaque".to_string()),
    }
    match &plan.sequences {
        SequenceUse::Untouched => {}
        SequenceUse::UnseenOf(sequences) => {
            let names: Vec<String> = sequences.iter().map(ToString::to_string).collect();
            more.push(format!("changes unseen: {}", names.join(", ")));
        }
        SequenceUse::Unseen => more.push("draws unseen".to_string()),
        SequenceUse::Restarted => more.push("restarts sequences".to_string()),
    }
    if !more.is_empty() {
        writeln!(out, "{}", more.join(", ")).unwrap();
    }
    let fan_out = match &plan.work {
        Work::Many(fan_out) | Work::Cursor(fan_out) => Some(fan_out),
        Work::Explain(explained) => Some(&explained.fan),
        Work::One(_) | Work::Writes(_) | Work::CopyIn(_) | Work::CopyOut(_) => None,
    };
    if let Some(fan_out) = fan_out {
        let text = String::from_utf8_lossy(&fan_out.text);
        if text.as_bytes() != request.text {
            writeln!(out, "sends: {text}").unwrap();
        }
    }
    if let Work::Writes(writes) = &plan.work {
        for part in &writes.parts {
            let shard = snapshot.topology().shard_name(part.shard);
            let text = String::from_utf8_lossy(&part.text);
            writeln!(out, "sends to {shard}: {text}").unwrap();
            if !part.parameters.is_empty() {
                writeln!(out, "    with parameters {:?}", part.parameters).unwrap();
            }
        }
        writeln!(out, "answer: {:?}", writes.answer).unwrap();
    }
    Ok(out)
}

/// Whose load a statement is.
fn load(touched: &Touched) -> String {
    match touched {
        Touched::Nothing => "no bucket".to_string(),
        Touched::Several => "any bucket".to_string(),
        Touched::One(one) => {
            let key = one
                .key
                .as_ref()
                .map_or("no one key".to_string(), |key| format!("key {key}"));
            format!("bucket {}, {key}", one.bucket.index())
        }
        Touched::Rows(rows) => {
            let shares = rows.shares.iter();
            let shares = shares.map(|share| {
                format!(
                    "{} × bucket {} on s{}",
                    share.rows,
                    share.bucket.index(),
                    share.shard.index()
                )
            });
            let keys = rows
                .keys
                .iter()
                .map(|(bucket, key)| format!("{key} in {}", bucket.index()));
            format!(
                "rows: {}; keys {}",
                shares.collect::<Vec<_>>().join(", "),
                keys.collect::<Vec<_>>().join(", ")
            )
        }
    }
}

fn print(refusal: &Refusal) -> String {
    let Refusal {
        id,
        code,
        message,
        detail,
        hint,
    } = refusal;
    format!("refused  {id}\nERROR:  {code}: {message}\nDETAIL:  {detail}\nHINT:  {hint}\n")
}

/// Answers as the fixture's servers would; `false`: they can't.
fn answer(ask: &Ask, case: &Case, facts: &mut Facts, out: &mut String) -> bool {
    match ask {
        Ask::Categories {
            keyspace,
            keys,
            purpose,
        } => {
            let purpose = match purpose {
                Purpose::Read => "read",
                Purpose::Write => "write",
            };
            writeln!(out, "asks  categories of {} to {purpose}", keys.join(" ")).unwrap();
            let mut categories = (*facts.categories).clone();
            for key in keys {
                let (symbol, category) = fixture::category(*keyspace, key);
                let fixed = match category {
                    shardgate::plan::Category::Derived(name) if purpose == "write" => {
                        shardgate::plan::Category::Fixed(name)
                    }
                    category => category,
                };
                categories.insert(symbol, fixed);
            }
            facts.categories = Arc::new(categories);
            true
        }
        Ask::ParameterTypes => {
            writeln!(out, "asks  parameter types").unwrap();
            match case.values("learnt") {
                Some(names) => {
                    facts.parameter_types = Some(names.iter().map(|name| type_oid(name)).collect());
                    true
                }
                None => false,
            }
        }
        Ask::Sequences(ask) => {
            for draw in &ask.draws {
                let privilege = match draw.privilege {
                    Privilege::OfTable => "",
                    Privilege::Usage => ", with USAGE",
                };
                writeln!(out, "draws  {} of {}{privilege}", draw.count, draw.sequence).unwrap();
                let values = (101..).take(draw.count).collect();
                facts.drawn.insert(draw.sequence.clone(), values);
            }
            for recall in &ask.recalls {
                writeln!(out, "recalls  {recall:?}").unwrap();
                facts.recalled.insert(recall.clone(), 77);
            }
            true
        }
        Ask::Rows(asks) => {
            for ask in asks {
                writeln!(out, "asks  {}", ask.text).unwrap();
                let found = Found {
                    type_oid: Oid::INT8,
                    value: Some("42".to_owned()),
                };
                facts.found.insert(ask.clone(), vec![found; ask.columns]);
            }
            true
        }
        Ask::Constants(expressions) => {
            for expression in expressions {
                writeln!(out, "asks  {expression}").unwrap();
            }
            match case.values("constant") {
                Some(values) => {
                    let answers = expressions.iter().cloned().zip(values.into_iter().map(Some));
                    facts.constants.extend(answers);
                    true
                }
                None => false,
            }
        }
    }
}

fn parameter(text: &str) -> Option<Vec<u8>> {
    match text {
        "NULL" => None,
        text => Some(text.trim_matches('\'').as_bytes().to_vec()),
    }
}

fn type_oid(name: &str) -> Oid {
    match name {
        "unspecified" => Oid(0),
        "int8[]" => Oid::INT8_ARRAY,
        "int4[]" => Oid::INT4_ARRAY,
        name => Oid::BUILTIN.iter().find(|(known, _)| *known == name).unwrap().1,
    }
}

fn set(context: &mut Context, name: &str, value: &str) {
    match name {
        "search_path" => context.search_path = value.split(' ').map(str::to_string).collect(),
        "client_encoding" => context.client_encoding = value.to_string(),
        name => {
            context.other.insert(name.to_string(), value.to_string());
        }
    }
}
