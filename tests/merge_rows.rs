//! Reads over several shards against one plain Postgres that holds all rows: the heart of "exact, or refused".
//!
//! Each case of `merge_rows/cases.txt` is planned; what the shards get is run on four databases that hold the rows by key,
//! their DataRows go through a `Merger`, and the answer is compared with that of the original text on one database: rows,
//! order where the SQL fixes one, names, type OIDs and typmods, the count of the tag, in text and in binary. Both sides
//! are a Postgres; the only expectations written by hand are which cases are refused, and by which id.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a helper that fails is a failed test, and a test without a server says so"
)]

#[path = "merge_rows/cases.rs"]
mod cases;
#[path = "merge_rows/connection.rs"]
mod connection;
#[path = "merge_rows/picture.rs"]
mod picture;
#[path = "merge_rows/random.rs"]
mod random;
#[path = "merge_rows/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use shardgate::merge::{Merger, Next, settle, shard_formats};
use shardgate::plan::{Ask, Facts, FanOut, Finish, Parameters, Plan, Request, Snapshot, Verdict, Work};
use shardgate::value::{Format, Oid};
use shardgate::wire::{DataRow, ParameterDescription, RowDescription};

use cases::{Case, Rows};
use connection::{Answer, Connection, Failure};

const SHARDS: usize = 4;

#[test]
fn every_case_is_exact_or_refused() {
    let Some(server) = server::Server::start("merge-rows") else {
        return;
    };
    let world = World::new(&server);
    let only = std::env::var("ONLY").ok();
    let mut failures = Vec::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases::all() {
        if only.as_ref().is_some_and(|only| !case.sql.contains(only.as_str())) {
            continue;
        }
        match world.check(&case) {
            Ok(outcome) => *counts.entry(outcome).or_default() += 1,
            Err(why) => failures.push(format!("line {}: {}\n    {}", case.line, case.sql, why)),
        }
    }
    eprintln!("{counts:?}");
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn random_statements_are_exact_or_refused() {
    let Some(server) = server::Server::start("merge-random") else {
        return;
    };
    let world = World::new(&server);
    let number = |name: &str, otherwise: u64| {
        std::env::var(name)
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(otherwise)
    };
    let (seed, count) = (number("SEED", 7), number("COUNT", 1500));
    let mut dice = random::Dice::new(seed);
    let mut failures = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..count {
        let (sql, rows) = random::statement(&mut dice);
        let case = Case::open(sql, rows);
        match world.check(&case) {
            Ok(outcome) => *counts.entry(outcome.to_string()).or_default() += 1,
            Err(why) if why.starts_with("refused as ") => *counts.entry(why).or_default() += 1,
            Err(why) if why.contains("late refusal: cannot") => *counts.entry("refused late".into()).or_default() += 1,
            Err(why) => failures.push(format!("{}\n    {}", case.sql, why)),
        }
    }
    eprintln!("{counts:#?}");
    assert!(
        failures.is_empty(),
        "seed {seed}: {} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(
        counts.get("several shards").is_some_and(|exact| *exact > 100),
        "too few statements run on several shards"
    );
}

/// One database with all rows, some with a part each, and the planner's picture of them.
struct World {
    snapshot: Snapshot,
    one: std::cell::RefCell<Connection>,
    shards: Vec<std::cell::RefCell<Connection>>,
}

impl World {
    fn new(server: &server::Server) -> World {
        let (topology, mut one, mut shards) = picture::load(server, SHARDS);
        let catalog = picture::catalog(&mut one);
        let snapshot = Snapshot::new(Arc::new(topology), Arc::new(catalog));
        for connection in shards.iter_mut().chain([&mut one]) {
            connection.query("SET TimeZone = 'Europe/Berlin'");
        }
        World {
            snapshot,
            one: std::cell::RefCell::new(one),
            shards: shards.into_iter().map(std::cell::RefCell::new).collect(),
        }
    }

    /// Whether the case was answered exactly, on one shard or several, or refused as it says; else why not.
    fn check(&self, case: &Case) -> Result<&'static str, String> {
        let planned = self.plan(case);
        let plan = match (planned, case.refused) {
            (Err(Planned::Refused(id)), Some(wanted)) if id == wanted => return Ok("refused"),
            (Err(Planned::Refused(id)), Some(wanted)) => return Err(format!("refused as {id}, not as {wanted}")),
            (Err(Planned::Refused(id)), None) => return Err(format!("refused as {id}")),
            (Err(Planned::Failed(failure)), _) => match case.rows {
                Rows::Error => return Ok("error"),
                _ => return Err(format!("the server says {failure:?}")),
            },
            (Ok(_), Some(wanted)) if !case.late => return Err(format!("planned, not refused as {wanted}")),
            (Ok(plan), _) => plan,
        };
        let fan_out = match &plan.plan.work {
            Work::One(shard) => {
                let mut shard = self.shards[shard.index()].borrow_mut();
                return self
                    .compare_formats(case, &plan.types, |formats| {
                        shard
                            .run(case.sql.as_bytes(), &plan.types, &case.values(), formats)
                            .map(Merged::from)
                    })
                    .map(|()| "one shard");
            }
            Work::Many(fan_out) => Arc::clone(fan_out),
            Work::Writes(_) | Work::CopyIn(_) => return Err("a read was planned as a write".to_string()),
            Work::Cursor(_) | Work::Explain(_) | Work::CopyOut(_) => {
                return Err("a query was planned as something else".to_string());
            }
        };
        let result = self.compare_formats(case, &plan.types, |formats| self.fan_out(&fan_out, case, formats));
        match (result, case.late) {
            (Err(why), true) if why.contains("late refusal") => Ok("refused late"),
            (Ok(()), true) => Err("answered, not refused late".to_string()),
            (result, _) => result
                .map(|()| "several shards")
                .map_err(|why| format!("{why}\n    pushed: {}", String::from_utf8_lossy(&fan_out.text))),
        }
    }

    fn plan(&self, case: &Case) -> Result<Ready, Planned> {
        let context = Arc::new(picture::context());
        let request = Request {
            text: case.sql.as_bytes(),
            parameter_types: &[],
            context: &context,
        };
        let values = case.values();
        let values: Vec<Option<&[u8]>> = values.iter().map(|value| value.as_deref()).collect();
        let parameters = Parameters {
            formats: &[],
            values: &values,
        };
        let mut facts = Facts::default();
        for _ in 0..4 {
            let compiled = self.snapshot.compile(&request, &facts);
            let bound = compiled.and_then(|compiled| compiled.bind(&self.snapshot, &request, &parameters, &facts));
            let ask = match bound {
                Ok(plan) => {
                    let types = facts.parameter_types.clone().unwrap_or_default();
                    return Ok(Ready { plan, types });
                }
                Err(Verdict::Refused(refusal)) => return Err(Planned::Refused(refusal.id)),
                Err(Verdict::Ask(ask)) => ask,
            };
            let mut home = self.shards[0].borrow_mut();
            match ask {
                Ask::ParameterTypes => {
                    let described = home.describe(case.sql.as_bytes(), &[]).map_err(Planned::Failed)?;
                    let types = ParameterDescription::parse(&described.parameters)
                        .unwrap()
                        .types
                        .iter()
                        .collect();
                    facts.parameter_types = Some(types);
                }
                Ask::Constants(texts) => {
                    // every part of a statement sees one moment: the same statement answers all
                    let list = texts.join(", ");
                    let rows = home.query(&format!("SELECT {list}"));
                    for (text, value) in texts.into_iter().zip(rows[0].clone()) {
                        facts.constants.insert(text, value);
                    }
                }
                Ask::Categories { .. } => panic!("no category keyspace here"),
                Ask::Sequences(_) | Ask::Rows(_) => panic!("no sequence here"),
            }
        }
        panic!("the planner asks for ever: {}", case.sql);
    }

    /// Runs the shards' text everywhere, merges, and has one shard compute what is left to compute.
    fn fan_out(&self, fan_out: &FanOut, case: &Case, formats: &[Format]) -> Result<Merged, Failure> {
        match &fan_out.finish {
            None => self.merge(fan_out, case, formats),
            Some(finish) => {
                let merged = self.merge(fan_out, case, &[Format::Text])?;
                self.finish(fan_out, finish, case, &merged, formats)
            }
        }
    }

    /// The merged groups go to a shard as parameters, as `execute` sends them (there in binary).
    fn finish(
        &self,
        fan_out: &FanOut,
        finish: &Finish,
        case: &Case,
        merged: &Merged,
        formats: &[Format],
    ) -> Result<Merged, Failure> {
        let mut values = case.values();
        let mut types = fan_out.parameter_types.clone();
        types.resize(values.len(), Oid(0));
        let mut text = finish.before_rows.clone();
        for (at, row) in merged.rows.iter().enumerate() {
            let row = DataRow::parse(row).unwrap();
            let before = values.len();
            values.extend(row.values.map(|value| value.map(<[u8]>::to_vec)));
            assert_eq!(values.len() - before, finish.columns, "width of a merged row");
            types.extend(merged.types.iter());
            let numbers: Vec<String> = (before + 1..=values.len()).map(|number| format!("${number}")).collect();
            let lead = if at == 0 { " UNION ALL VALUES " } else { ", " };
            text.extend_from_slice(format!("{lead}({})", numbers.join(", ")).as_bytes());
        }
        text.extend_from_slice(&finish.behind_rows);
        let mut shard = self.shards[fan_out.shards[0].index()].borrow_mut();
        let own = shard.describe(&finish.client_text, &fan_out.parameter_types)?;
        let answer = Merged::from(shard.run(&text, &types, &values, formats)?);
        let own = columns(&own.columns);
        let of = |columns: &[(String, Oid, i32)]| columns.iter().map(|(_, oid, _)| *oid).collect::<Vec<_>>();
        assert_eq!(of(&own), of(&answer.columns), "types that the text itself has");
        Ok(Merged { columns: own, ..answer })
    }

    /// Runs the shards' text everywhere and merges.
    fn merge(&self, fan_out: &FanOut, case: &Case, formats: &[Format]) -> Result<Merged, Failure> {
        let shard_formats = shard_formats(&fan_out.merge, formats);
        let mut answers = Vec::new();
        for shard in &fan_out.shards {
            let mut shard = self.shards[shard.index()].borrow_mut();
            answers.push(shard.run(&fan_out.text, &fan_out.parameter_types, &case.values(), &shard_formats)?);
        }
        let descriptions: Vec<RowDescription<'_>> = answers
            .iter()
            .map(|answer| RowDescription::parse(&answer.description).unwrap())
            .collect();
        let late = |error: shardgate::merge::MergeError| Failure {
            code: format!("late refusal: {error}"),
        };
        let settled = settle(&fan_out.merge, &descriptions).map_err(late)?;
        let mut merger = Merger::new(settled, answers.len(), formats);
        let mut rows = Vec::new();
        let mut fed = vec![0usize; answers.len()];
        let mut out = BytesMut::new();
        loop {
            out.clear();
            match merger.next(&mut out).map_err(late)? {
                Next::Row => rows.push(out[5..].to_vec()),
                Next::Done => break,
                Next::Wait(source) => match answers[source].rows.get(fed[source]) {
                    Some(row) => {
                        fed[source] += 1;
                        merger.row(source, row).map_err(late)?;
                    }
                    None => merger.end(source).map_err(late)?,
                },
                Next::Relay(source) => {
                    rows.extend(answers[source].rows.iter().cloned());
                    merger.relayed(u64::try_from(answers[source].rows.len()).unwrap());
                    merger.end(source).map_err(late)?;
                }
            }
        }
        // columns as the shards call them; their enums have OIDs of their own
        let visible = fan_out.merge.form.visible;
        let columns = descriptions[0].fields().take(visible).map(|field| {
            let oid = if field.type_oid.0 < 16384 {
                field.type_oid
            } else {
                Oid(0)
            };
            (
                String::from_utf8(field.name.to_vec()).unwrap(),
                oid,
                field.type_modifier,
            )
        });
        Ok(Merged {
            columns: columns.collect(),
            types: descriptions[0]
                .fields()
                .take(visible)
                .map(|field| field.type_oid)
                .collect(),
            rows,
            count: merger.rows(),
        })
    }

    fn compare_formats(
        &self,
        case: &Case,
        types: &[Oid],
        mut run: impl FnMut(&[Format]) -> Result<Merged, Failure>,
    ) -> Result<(), String> {
        for format in [Format::Text, Format::Binary] {
            let wanted = self
                .one
                .borrow_mut()
                .run(case.sql.as_bytes(), types, &case.values(), &[format])
                .map(Merged::from);
            let got = run(&[format]);
            match (wanted, got) {
                (Ok(wanted), Ok(got)) => compare(case, &wanted, &got).map_err(|why| format!("{format:?}: {why}"))?,
                (Err(wanted), Err(got)) if wanted.code == got.code => {}
                (wanted, got) => {
                    let show = |side: Result<Merged, Failure>| match side {
                        Ok(merged) => format!("{} rows", merged.rows.len()),
                        Err(failure) => failure.code,
                    };
                    return Err(format!(
                        "{format:?}: one database: {}; shards: {}",
                        show(wanted),
                        show(got)
                    ));
                }
            }
        }
        Ok(())
    }
}

/// A plan, and the types of its parameters.
struct Ready {
    plan: Plan,
    types: Vec<Oid>,
}

enum Planned {
    Refused(&'static str),
    Failed(Failure),
}

/// An answer as the client sees it.
struct Merged {
    columns: Vec<(String, Oid, i32)>,
    /// the columns' types as the shard calls them
    types: Vec<Oid>,
    rows: Vec<Vec<u8>>,
    count: u64,
}

impl From<Answer> for Merged {
    fn from(answer: Answer) -> Merged {
        let description = RowDescription::parse(&answer.description).unwrap();
        let types = description.fields().map(|field| field.type_oid).collect();
        let columns = columns(&answer.description);
        let count = u64::try_from(answer.rows.len()).unwrap();
        Merged {
            columns,
            types,
            rows: answer.rows,
            count,
        }
    }
}

/// Names, types (0 for a user's, whose OIDs are a shard's own) and modifiers of a RowDescription.
fn columns(description: &[u8]) -> Vec<(String, Oid, i32)> {
    let description = RowDescription::parse(description).unwrap();
    let columns = description.fields().map(|field| {
        let oid = if field.type_oid.0 < 16384 {
            field.type_oid
        } else {
            Oid(0)
        };
        (
            String::from_utf8(field.name.to_vec()).unwrap(),
            oid,
            field.type_modifier,
        )
    });
    columns.collect()
}

fn compare(case: &Case, wanted: &Merged, got: &Merged) -> Result<(), String> {
    let names = |merged: &Merged| merged.columns.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>();
    let types = |merged: &Merged| {
        merged
            .columns
            .iter()
            .map(|(_, oid, typmod)| (*oid, *typmod))
            .collect::<Vec<_>>()
    };
    // the client's names come from its own text, described at home; where the text had to change they may differ
    if names(wanted) != names(got) && !case.renamed {
        return Err(format!("names {:?}, not {:?}", names(got), names(wanted)));
    }
    if types(wanted) != types(got) {
        return Err(format!("types {:?}, not {:?}", types(got), types(wanted)));
    }
    let count = u64::try_from(got.rows.len()).unwrap();
    if got.count != count {
        return Err(format!("counted {} rows of {count}", got.count));
    }
    let (mut left, mut right) = (wanted.rows.clone(), got.rows.clone());
    match case.rows {
        Rows::InOrder => {}
        Rows::AnyOrder => {
            left.sort();
            right.sort();
        }
        Rows::Count => {
            left.iter_mut().chain(&mut right).for_each(Vec::clear);
        }
        Rows::Error => return Err("no error".to_string()),
    }
    if left == right {
        return Ok(());
    }
    let at = left
        .iter()
        .zip(&right)
        .position(|(l, r)| l != r)
        .unwrap_or(left.len().min(right.len()));
    Err(format!(
        "{} rows, not {}; first difference at {at}: {} instead of {}",
        right.len(),
        left.len(),
        right.get(at).map_or("nothing".to_string(), |row| show(row)),
        left.get(at).map_or("nothing".to_string(), |row| show(row)),
    ))
}

fn show(row: &[u8]) -> String {
    let row = DataRow::parse(row).unwrap();
    let value = |value: Option<&[u8]>| value.map_or("NULL".to_string(), |v| String::from_utf8_lossy(v).into_owned());
    row.values.map(value).collect::<Vec<_>>().join("|")
}
