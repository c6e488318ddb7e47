//! Runs a script on a plain Postgres and on a subject, and collects where they disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::client::Client;
use crate::messages::{self, Format, Message, Value};
use crate::servers::superuser;
use crate::world::{CLIENT_ROLE, World};

use super::answer::{Answer, Names, read};
use super::rows::Stock;
use super::script::{Extent, Mode, Record, Script};

/// What a run of a script showed.
#[derive(Debug, Default)]
pub struct Findings {
    /// disagreements, as text
    pub wrong: Vec<String>,
    /// records by the line of their head: whether any and whether all runs were refused
    pub refused: BTreeMap<usize, Extent>,
    /// what the refusals said, for the reviewer of a new one
    pub reasons: BTreeSet<String>,
}

/// Runs all records; `world` says who the subject is.
pub fn run(script: &Script, world: &World, shards: usize) -> Findings {
    let mut findings = Findings::default();
    let mut runner = Runner::new(world, shards);
    for record in &script.records {
        runner.record(record, &mut findings);
    }
    if let Some(difference) = runner.stock.difference() {
        findings
            .wrong
            .push(format!("at {shards} shards, at the end: {difference}"));
    }
    findings
}

/// Both sides' sessions.
pub struct Runner<'a> {
    world: &'a World,
    shards: usize,
    sessions: BTreeMap<String, (Client, Client)>,
    subject_names: Names,
    oracle_names: Names,
    stock: Stock,
    /// sessions that are inside a transaction
    busy: BTreeSet<String>,
}

impl Runner<'_> {
    /// Nobody is logged in yet.
    pub fn new(world: &World, shards: usize) -> Runner<'_> {
        let names = |address: SocketAddr| Names::new(superuser(address, world.database()));
        let (home, oracle) = (world.servers().shard(0), world.servers().oracle());
        Runner {
            world,
            shards,
            sessions: BTreeMap::new(),
            subject_names: names(home),
            oracle_names: names(oracle),
            stock: Stock::new(world),
            busy: BTreeSet::new(),
        }
    }

    fn record(&mut self, record: &Record, findings: &mut Findings) {
        let mut runs = 0;
        let mut refusals = 0;
        for mode in &record.modes {
            for sql in record.texts() {
                for parameters in record.parameter_lists() {
                    let run = Run {
                        record,
                        mode: *mode,
                        sql: &sql,
                        parameters: &parameters,
                    };
                    runs += 1;
                    match self.run(&run) {
                        Outcome::Same { .. } => {}
                        Outcome::Refused(reason) => {
                            refusals += 1;
                            findings.reasons.insert(format!("line {}: {reason}", record.line));
                        }
                        Outcome::Wrong(what) => findings.wrong.push(run.tell(self.shards, &what)),
                    }
                }
            }
        }
        let found = match refusals {
            0 => None,
            some if some < runs => Some(Extent::Some),
            _ => Some(Extent::All),
        };
        let declared = record.refused.contains(&self.shards).then_some(record.extent);
        // Where it depends on the literals, luck may refuse them all or none.
        let matches = found == declared || declared == Some(Extent::Some);
        if !matches {
            let said = |extent: Option<Extent>| match extent {
                None => "answered",
                Some(Extent::Some) => "refused in some runs",
                Some(Extent::All) => "refused",
            };
            let text = format!(
                "is {} ({refusals} of {runs} runs); the script says {}",
                said(found),
                said(declared)
            );
            findings.wrong.push(format!(
                "line {} at {} shards: {text}\n{}",
                record.line, self.shards, record.sql
            ));
        }
        if let Some(extent) = found {
            findings.refused.insert(record.line, extent);
        }
    }

    fn run(&mut self, run: &Run<'_>) -> Outcome {
        let (subject, oracle) = self
            .sessions
            .entry(run.record.session.clone())
            .or_insert_with(|| pair(self.world));
        let hide = run.record.hide.as_deref();
        let said = run.send(subject);
        let Some(b'Z') = said.last().map(|message| message.tag) else {
            self.sessions.remove(&run.record.session);
            return Outcome::Wrong(format!("the subject closed the connection, having said {said:?}"));
        };
        let ours = read(&said, &mut self.subject_names, hide);
        match ours.status.as_deref() {
            Some("I") => self.busy.remove(&run.record.session),
            _ => self.busy.insert(run.record.session.clone()),
        };
        if ours.code() == Some(&run.record.refusal)
            && !ours.is_servers()
            && run.record.error.as_deref() != Some(&run.record.refusal)
        {
            // The plain Postgres doesn't do either what the proxy didn't do, and its transaction fails in step.
            if ours.status.as_deref() == Some("E") {
                oracle.query("DO $$ BEGIN RAISE feature_not_supported; END $$");
            }
            // One that doesn't say why and what now isn't ours, or isn't finished.
            return incomplete(&ours).map_or_else(|| Outcome::Refused(reason(&ours)), Outcome::Wrong);
        }
        let theirs = read(&run.send(oracle), &mut self.oracle_names, hide);
        // With several shards a refusal before may have made it fail on both sides; that is compared below.
        if let Some(complaint) = run.intended(&theirs).filter(|_| self.shards == 1) {
            return Outcome::Wrong(complaint);
        }
        if let Some(difference) = ours.difference(&theirs, run.record, self.shards) {
            return Outcome::Wrong(difference);
        }
        let same = Outcome::Same {
            code: ours.code().map(str::to_owned),
            rows: ours.rows.len(),
        };
        // What others hold locked can't be read; what isn't committed doesn't count yet.
        match may_write(run.sql) && self.busy.is_empty() {
            true => self.stock.difference().map_or(same, Outcome::Wrong),
            false => same,
        }
    }

    /// Runs a record's statement once, by its first mode and with its first parameters.
    pub fn once(&mut self, record: &Record) -> Outcome {
        let run = Run {
            record,
            mode: *record.modes.first().expect("a record has a mode"),
            sql: &record.sql,
            parameters: record.parameters.first().map_or(&[][..], Vec::as_slice),
        };
        self.run(&run)
    }

    /// Ends whatever transactions are open; where that can't be, the sessions end.
    pub fn leave(&mut self) {
        for session in std::mem::take(&mut self.busy) {
            if let Some((subject, oracle)) = self.sessions.get_mut(&session) {
                for client in [subject, oracle] {
                    client.query("ROLLBACK");
                }
            }
        }
    }

    /// In what the tables differ.
    pub fn difference(&mut self) -> Option<String> {
        self.stock.difference()
    }
}

/// Might the tables be others after it?
fn may_write(sql: &str) -> bool {
    const READERS: [&str; 9] = [
        "select", "values", "table", "show", "set", "reset", "explain", "fetch", "declare",
    ];
    let word: String = sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    !READERS.contains(&word.to_ascii_lowercase().as_str()) || sql.contains(';')
}

/// What became of one run.
pub enum Outcome {
    /// answered alike
    Same {
        /// SQLSTATE of an error
        code: Option<String>,
        /// how many rows came
        rows: usize,
    },
    /// by the proxy, which says why
    Refused(String),
    /// both sides disagree
    Wrong(String),
}

/// A refusal says what, why and what now.
fn incomplete(answer: &Answer) -> Option<String> {
    let fields = answer.error.as_ref()?;
    let missing: BTreeSet<char> = "MDH"
        .chars()
        .filter(|letter| fields.get(letter).is_none_or(String::is_empty))
        .collect();
    (!missing.is_empty()).then(|| format!("its refusal lacks the fields {missing:?}: {fields:?}"))
}

/// A refusal in one line.
fn reason(answer: &Answer) -> String {
    let field = |letter| answer.error.as_ref().and_then(|fields| fields.get(&letter));
    let said: Vec<&str> = "CMDH"
        .chars()
        .filter_map(|letter| field(letter).map(String::as_str))
        .collect();
    said.join(" | ")
}

fn pair(world: &World) -> (Client, Client) {
    (world.client(), world.oracle())
}

struct Run<'a> {
    record: &'a Record,
    mode: Mode,
    sql: &'a str,
    parameters: &'a [Option<String>],
}

impl Run<'_> {
    fn send(&self, client: &mut Client) -> Vec<Message> {
        const STATEMENT: &str = "differential";
        match self.mode {
            Mode::Simple => {
                client.send(&messages::query(&inlined(
                    self.sql,
                    self.parameters,
                    &self.record.types,
                )));
                self.answer(client)
            }
            Mode::Extended => self.unnamed(client, Format::Text),
            Mode::Binary => self.unnamed(client, Format::Binary),
            Mode::Portions => {
                let whole = self.executed("", Format::Text);
                let before = whole.len() - messages::execute("", 0).len() - messages::sync().len();
                client.send(
                    &[
                        &messages::parse("", self.sql, &self.oids())[..],
                        &whole[..before],
                        &messages::execute("", 3),
                        &messages::execute("", 2),
                        &messages::execute("", 0),
                        &messages::sync(),
                    ]
                    .concat(),
                );
                self.answer(client)
            }
            Mode::Prepared => {
                client.send(
                    &[
                        messages::parse(STATEMENT, self.sql, &self.oids()),
                        messages::describe(b'S', STATEMENT),
                        messages::sync(),
                    ]
                    .concat(),
                );
                let mut said = self.answer(client);
                if said.iter().all(|message| message.tag != b'E') {
                    for _ in 0..2 {
                        client.send(&self.executed(STATEMENT, Format::Text));
                        said.extend(self.answer(client));
                        // In a block the second would tell of the first's failure alone.
                        if said.iter().any(|message| message.tag == b'E') {
                            break;
                        }
                    }
                }
                client.send(&[messages::close(b'S', STATEMENT), messages::sync()].concat());
                said.extend(client.read_batch());
                said
            }
        }
    }

    fn unnamed(&self, client: &mut Client, results: Format) -> Vec<Message> {
        client.send(&[messages::parse("", self.sql, &self.oids()), self.executed("", results)].concat());
        self.answer(client)
    }

    fn executed(&self, statement: &str, results: Format) -> Vec<u8> {
        let values: Vec<Value> = self
            .parameters
            .iter()
            .enumerate()
            .map(|(index, value)| self.value(index, value.as_deref()))
            .collect();
        [
            messages::bind("", statement, &values, results),
            messages::describe(b'P', ""),
            messages::execute("", 0),
            messages::sync(),
        ]
        .concat()
    }

    /// The answer up to ReadyForQuery; gives COPY its rows on the way.
    fn answer(&self, client: &mut Client) -> Vec<Message> {
        let mut said = Vec::new();
        while let Some(message) = client.read() {
            let tag = message.tag;
            said.push(message);
            if tag == b'G' {
                let rows = self.record.input.as_deref().unwrap_or_default();
                client.send(&[messages::copy_data(rows.as_bytes()), messages::copy_done()].concat());
                // By the extended protocol the Sync sent along is swallowed by the COPY.
                if self.mode != Mode::Simple {
                    client.send(&messages::sync());
                }
            }
            if tag == b'Z' {
                break;
            }
        }
        said
    }

    fn oids(&self) -> Vec<u32> {
        self.record.types.iter().map(|name| oid(name)).collect()
    }

    /// By the prepared protocol parameters of simple types go in binary.
    fn value(&self, index: usize, text: Option<&str>) -> Value {
        let Some(text) = text else { return (Format::Text, None) };
        let declared = self.record.types.get(index).filter(|_| self.mode == Mode::Prepared);
        let binary = declared.and_then(|name| encode(name, text));
        match binary {
            Some(bytes) => (Format::Binary, Some(bytes)),
            None => (Format::Text, Some(text.as_bytes().to_vec())),
        }
    }

    /// What is amiss if Postgres didn't do what the script's author meant.
    fn intended(&self, answer: &Answer) -> Option<String> {
        match (&self.record.error, answer.code()) {
            (None, None) => None,
            (Some(meant), Some(code)) if meant == code => None,
            (None, Some(_)) => Some(format!(
                "Postgres itself fails, and the script has no @error: {:?}",
                answer.error
            )),
            (Some(meant), code) => Some(format!(
                "the script expects Postgres to fail with {meant}, it gave {code:?}"
            )),
        }
    }

    fn tell(&self, shards: usize, what: &str) -> String {
        let parameters = if self.parameters.is_empty() {
            String::new()
        } else {
            format!("\n  with {:?}", self.parameters)
        };
        format!(
            "line {} at {shards} shards, {}: {what}\n  {}{parameters}",
            self.record.line,
            self.mode.name(),
            self.sql
        )
    }
}

/// The text with `$n` replaced by literals: of the declared type, or of unknown type, as an untyped parameter is.
fn inlined(sql: &str, parameters: &[Option<String>], types: &[String]) -> String {
    let mut text = sql.to_owned();
    for (index, value) in parameters.iter().enumerate().rev() {
        let literal = value
            .as_ref()
            .map_or("NULL".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
        let declared = types.get(index).filter(|name| *name != "unknown");
        let cast = declared.map(|name| format!("::{name}")).unwrap_or_default();
        text = text.replace(&format!("${}", index + 1), &format!("{literal}{cast}"));
    }
    text
}

fn oid(name: &str) -> u32 {
    let known = [
        ("bool", 16),
        ("bytea", 17),
        ("int8", 20),
        ("int2", 21),
        ("int4", 23),
        ("text", 25),
        ("float4", 700),
        ("float8", 701),
        ("bpchar", 1042),
        ("varchar", 1043),
        ("date", 1082),
        ("timestamp", 1114),
        ("timestamptz", 1184),
        ("numeric", 1700),
        ("uuid", 2950),
        ("jsonb", 3802),
        ("int4[]", 1007),
        ("int8[]", 1016),
        ("text[]", 1009),
        ("unknown", 0),
    ];
    known
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("@types knows no {name:?}"))
        .1
}

fn encode(kind: &str, text: &str) -> Option<Vec<u8>> {
    match kind {
        "int2" => text.parse::<i16>().ok().map(|number| number.to_be_bytes().to_vec()),
        "int4" => text.parse::<i32>().ok().map(|number| number.to_be_bytes().to_vec()),
        "int8" => text.parse::<i64>().ok().map(|number| number.to_be_bytes().to_vec()),
        "float8" => text.parse::<f64>().ok().map(|number| number.to_be_bytes().to_vec()),
        "bool" => Some(vec![u8::from(text == "t" || text == "true")]),
        "text" | "varchar" | "bpchar" => Some(text.as_bytes().to_vec()),
        "uuid" => {
            let digits: Vec<char> = text.chars().filter(char::is_ascii_hexdigit).collect();
            digits
                .chunks(2)
                .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok())
                .collect()
        }
        _ => None,
    }
}

/// The role is part of what is compared (`current_user`), so say which it is.
#[test]
fn parameters_are_inlined_from_the_last() {
    let parameters: Vec<Option<String>> = (1..=10).map(|number| Some(number.to_string())).collect();
    assert_eq!(inlined("$1 $10 $2", &parameters, &[]), "'1' '10' '2'");
    assert_eq!(inlined("$1", &[None], &["int8".to_owned()]), "NULL::int8");
    assert_ne!(CLIENT_ROLE, crate::clusters::SUPERUSER);
}
