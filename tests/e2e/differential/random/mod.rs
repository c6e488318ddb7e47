//! Random statements: whatever the proxy answers, the plain Postgres answers too; a refusal is always right.
//!
//! Why beside the scripts: they hold what somebody thought of. The seeds are fixed, so `make test` repeats; other seeds
//! and longer runs come by environment (`tests/differential/README.md`). What fails is reduced before it is told.

mod conditions;
mod dice;
mod joins;
mod odd;
mod piece;
mod queries;
mod tables;
mod values;
mod writes;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::servers::SHARDS_MAX;
use crate::world::World;

use super::Source;
use super::run::{Outcome, Runner};
use super::script::{Allowance, Extent, Mode, Notices, Record, Rows};

use dice::Dice;
use piece::{Ordered, Piece, Written, fill, maybe, text};
use values::{Constants, Maker};

/// What statements are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// the grammar over the world `trading`
    Shapes,
    /// keys and values over the world `awkward`
    Odd,
}

impl Subject {
    fn world(self) -> &'static str {
        match self {
            Subject::Shapes => "trading",
            Subject::Odd => "awkward",
        }
    }

    fn case(self, dice: &mut Dice) -> Case {
        match self {
            Subject::Shapes => case(dice, WRITES),
            Subject::Odd => odd_case(dice),
        }
    }
}

/// One experiment.
#[derive(Debug)]
struct Case {
    /// for the table of what was refused
    what: &'static str,
    mode: Mode,
    /// each may be left out, but the first and the last of a block
    statements: Vec<Piece>,
    is_block: bool,
}

/// A statement as it is sent: which, and in which of its runs.
type Sent = (usize, usize);

fn mode(dice: &mut Dice) -> Mode {
    dice.weighted(&[
        (4, Mode::Simple),
        (2, Mode::Extended),
        (1, Mode::Binary),
        (3, Mode::Prepared),
        (1, Mode::Portions),
    ])
}

fn constants(dice: &mut Dice, mode: Mode) -> Constants {
    match mode != Mode::Simple && dice.percent(60) {
        true => Constants::Bound,
        false => Constants::Written,
    }
}

fn case(dice: &mut Dice, writes: usize) -> Case {
    let mode = mode(dice);
    let constants = constants(dice, mode);
    if !dice.percent(writes) {
        let statement = Maker::new(dice, constants).statement();
        let written = statement.written(0).sql;
        let what = match () {
            () if written.starts_with("WITH") => "with",
            () if [" UNION", " EXCEPT", " INTERSECT"]
                .iter()
                .any(|word| written.contains(word)) =>
            {
                "set operation"
            }
            () if written.contains(" OVER (") => "window",
            () if written.contains("GROUP BY") => "group",
            () if written.contains("DISTINCT") => "distinct",
            () if written.contains("JOIN") => "join",
            () if written.matches("SELECT").count() > 1 => "subquery",
            () => "plain",
        };
        return Case {
            what,
            mode,
            statements: vec![statement],
            is_block: false,
        };
    }
    if dice.one_in(6) {
        return several(dice);
    }
    if dice.percent(35) {
        let write = Maker::new(dice, constants).write();
        return Case {
            what: write.what,
            mode,
            statements: vec![write.piece],
            is_block: false,
        };
    }
    block(dice, mode, constants)
}

/// A read, or a write that is undone.
fn odd_case(dice: &mut Dice) -> Case {
    let mode = mode(dice);
    let constants = constants(dice, mode);
    if !dice.percent(WRITES) {
        let (statement, what) = odd::read(dice, constants);
        return Case {
            what,
            mode,
            statements: vec![statement],
            is_block: false,
        };
    }
    let mut statements = vec![text("BEGIN")];
    if dice.one_in(4) {
        statements.push(text(dice.pick(&SETTINGS)));
    }
    for _ in 0..=dice.below(2) {
        let (write, table) = odd::write(dice, constants);
        statements.push(write);
        statements.push(text(format!("SELECT * FROM {table}")));
    }
    statements.push(text("ROLLBACK"));
    Case {
        what: "odd writes",
        mode,
        statements,
        is_block: true,
    }
}

/// Settings that a literal's meaning, or a value's text, may depend on.
const SETTINGS: [&str; 8] = [
    "SET LOCAL TimeZone = 'Asia/Tokyo'",
    "SET LOCAL DateStyle = 'SQL, DMY'",
    "SET LOCAL TimeZone = 'America/New_York'",
    "SET LOCAL IntervalStyle = 'iso_8601'",
    "SET LOCAL extra_float_digits = 0",
    "SET LOCAL search_path = alt, public",
    "SET LOCAL bytea_output = 'escape'",
    "SET LOCAL transform_null_equals = on",
];

/// What the world's rows lack: values that add up, compare and print in odd ways.
const ODD_ROWS: [&str; 12] = [
    "UPDATE orders SET total = 'NaN' WHERE user_id = 3 AND id % 2 = 1",
    "UPDATE orders SET total = 'Infinity', price = 0 WHERE user_id = 5",
    "UPDATE orders SET total = '-Infinity', price = -1.5 WHERE user_id = 11",
    "UPDATE users SET balance = 'NaN', score = 'Infinity' WHERE id = 7",
    "UPDATE users SET balance = -99999.99, score = '-Infinity' WHERE id = 8",
    "UPDATE users SET name = E'tab\\tand\\nline', tags = ARRAY['a,b', NULL, '\"q\"', ''] WHERE id = 9",
    "UPDATE users SET name = 'e\u{301}', email = '', profile = 'null' WHERE id = 10",
    "UPDATE users SET name = '😀', level = -32768, referrer = -1 WHERE id = 12",
    "UPDATE accounts SET amount = 4000000000000000000 WHERE owner = 4",
    "UPDATE accounts SET amount = -4000000000000000000 WHERE owner = 6",
    "UPDATE orders SET note = 'a\\b ' WHERE user_id = 13",
    "UPDATE trades SET buyer = NULL, price = 'NaN' WHERE instrument = 'SAP' AND id % 3 = 0",
];

/// Several statements in one Query: one transaction, and each one's answer.
fn several(dice: &mut Dice) -> Case {
    let count = 2 + dice.below(2);
    let mut all = Vec::new();
    for _ in 0..count {
        let mut maker = Maker::new(dice, Constants::Written);
        let one = match maker.dice.percent(60) {
            true => maker.statement(),
            false => maker.write().piece,
        };
        all.push(one);
    }
    if dice.one_in(6) {
        all.insert(0, text("BEGIN"));
        all.push(text(dice.pick(&["COMMIT", "ROLLBACK"])));
    }
    Case {
        what: "several",
        mode: Mode::Simple,
        statements: vec![Piece::List("; ", 1, all)],
        is_block: false,
    }
}

/// Writes and what is seen of them, some of it undone.
fn block(dice: &mut Dice, mode: Mode, constants: Constants) -> Case {
    let mut statements = vec![text("BEGIN")];
    let mut saved = Vec::new();
    let count = 1 + dice.below(4);
    let mut what = "block";
    for at in 0..count {
        if dice.one_in(4) {
            let name = format!("s{at}");
            statements.push(text(format!("SAVEPOINT {name}")));
            saved.push(name);
        }
        if dice.one_in(8) {
            statements.push(text(dice.pick(&SETTINGS)));
        }
        if dice.one_in(4) {
            statements.push(Maker::new(dice, constants).statement());
        } else if mode == Mode::Simple && dice.one_in(4) {
            // A cursor's rows come in parts.
            let query = Maker::new(dice, Constants::Written).statement();
            statements.push(fill(&format!("DECLARE k{at} CURSOR FOR {{}}"), [query]));
            for _ in 0..=dice.below(2) {
                let how = dice.pick(&["3", "FORWARD 5", "ALL", "NEXT", "0"]);
                statements.push(text(format!("FETCH {how} FROM k{at}")));
            }
        } else {
            let mut maker = Maker::new(dice, constants);
            let write = match maker.dice.one_in(12) {
                true => maker.written_with(),
                false => maker.write(),
            };
            if count == 1 {
                what = write.what;
            }
            statements.push(write.piece);
            statements.push(text(format!("SELECT * FROM {}", write.table)));
        }
        if dice.one_in(5)
            && let Some(name) = saved.pop()
        {
            statements.push(text(match dice.one_in(4) {
                true => format!("RELEASE SAVEPOINT {name}"),
                false => format!("ROLLBACK TO SAVEPOINT {name}"),
            }));
        }
    }
    statements.push(text(match dice.one_in(4) {
        true => "COMMIT",
        false => "ROLLBACK",
    }));
    Case {
        what,
        mode,
        statements,
        is_block: true,
    }
}

impl Case {
    /// What is sent, in order. A read goes twice: its second run finds the first one's plan.
    fn sent(&self) -> Vec<Sent> {
        let reads = !self.is_block && self.statements.iter().all(|piece| is_read(&piece.written(0).sql));
        let all = 0..self.statements.len();
        match reads {
            true => all.flat_map(|at| [(at, 0), (at, 1)]).collect(),
            false => all.map(|at| (at, 0)).collect(),
        }
    }

    /// May it be tried again? Not after it changed the tables.
    fn is_repeatable(&self) -> bool {
        match self.is_block {
            true => self.statements.last() == Some(&text("ROLLBACK")),
            false => self.statements.iter().all(|piece| is_read(&piece.written(0).sql)),
        }
    }

    fn smaller(&self) -> Vec<Case> {
        let with = |statements| Case {
            what: self.what,
            mode: self.mode,
            statements,
            is_block: self.is_block,
        };
        let mut found = Vec::new();
        if self.is_block {
            for at in 1..self.statements.len() - 1 {
                let mut less = self.statements.clone();
                less.remove(at);
                found.push(with(less));
            }
        }
        for (at, piece) in self.statements.iter().enumerate() {
            for smaller in piece.smaller() {
                let mut less = self.statements.clone();
                less[at] = smaller;
                found.push(with(less));
            }
        }
        if self.mode != Mode::Simple {
            found.push(Case {
                mode: Mode::Simple,
                ..with(self.statements.clone())
            });
        }
        found
    }
}

fn is_read(sql: &str) -> bool {
    let is_query = sql.starts_with("SELECT") || sql.starts_with("WITH");
    is_query && !sql.contains("DELETE FROM") && !sql.contains("; ")
}

/// How a statement's rows may be compared.
fn rows(written: &Written) -> Rows {
    if written.sql.starts_with("FETCH") {
        return Rows::Count;
    }
    match (&written.order, written.is_limited) {
        // Of several answers the order of one says nothing.
        (_, true) if written.sql.contains("; ") => return Rows::Count,
        (_, false) if written.sql.contains("; ") => return Rows::Sorted,
        _ => {}
    }
    match (&written.order, written.is_limited) {
        (Some(Ordered::Total), _) => Rows::Ordered,
        (_, true) => Rows::Count,
        (Some(Ordered::By(columns)), false) => Rows::OrderedBy(columns.clone()),
        (None, false) => Rows::Sorted,
    }
}

fn record(written: &Written, mode: Mode) -> Record {
    let mode = match mode {
        // A write is done once.
        Mode::Prepared | Mode::Portions if !is_read(&written.sql) => Mode::Extended,
        mode => mode,
    };
    Record {
        line: 0,
        rows: rows(written),
        modes: vec![mode],
        sql: written.sql.clone(),
        input: None,
        refused: BTreeSet::new(),
        extent: Extent::All,
        refusal: "0A000".to_owned(),
        error: None,
        parameters: Vec::new(),
        types: written.types.clone(),
        variants: Vec::new(),
        hide: None,
        notices: Notices::Any,
        allowance: Allowance::Chance,
        session: "a".to_owned(),
    }
}

/// How often each kind of statement was answered, refused, or failed alike.
#[derive(Debug, Default)]
struct Tally {
    /// answered, with rows, refused, failed
    kinds: BTreeMap<&'static str, [usize; 4]>,
    /// how often, and the first such statement
    reasons: BTreeMap<String, (usize, String)>,
}

impl Tally {
    fn tell(&self) -> String {
        let mut text = String::from("kind             answered with rows   refused    failed\n");
        let mut sums = [0; 4];
        for (kind, counts) in &self.kinds {
            text.push_str(&counted(kind, counts));
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        text.push_str(&counted("all", &sums));
        let mut reasons: Vec<(&String, &(usize, String))> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        const SHOWN: usize = 60;
        let examples = std::env::var_os("SHARDGATE_RANDOM_EXAMPLES").is_some();
        for (reason, (count, example)) in reasons.into_iter().take(if examples { usize::MAX } else { SHOWN }) {
            text.push_str(&format!("{count:>6} {reason}\n"));
            if examples {
                text.push_str(&format!("         {example}\n"));
            }
        }
        text
    }

    fn reason(&mut self, reason: String, sql: &str) {
        self.reasons.entry(reason).or_insert((0, sql.to_owned())).0 += 1;
    }
}

fn counted(kind: &str, counts: &[usize; 4]) -> String {
    let columns: String = counts.iter().map(|count| format!("{count:>10}")).collect();
    format!("{kind:<15}{columns}\n")
}

/// What one case came to.
enum End {
    Same,
    Wrong(String),
}

/// Runs a case; both sides are out of any transaction after it.
fn run(case: &Case, runner: &mut Runner<'_>, tally: &mut Tally) -> End {
    let mut end = End::Same;
    let mut failed = false;
    for (at, run) in case.sent() {
        let written = case.statements[at].written(run);
        // What a failed block answers to more statements is told once in a while; else to where it goes on.
        let goes_on = written.sql.starts_with("ROLLBACK") || at + 1 == case.statements.len();
        if failed && !goes_on && !case.statements.len().is_multiple_of(8) {
            continue;
        }
        let mut record = record(&written, case.mode);
        record.parameters.push(written.parameters.clone());
        let counts = tally.kinds.entry(case.what).or_default();
        match runner.once(&record) {
            Outcome::Same { code: None, rows } => {
                counts[0] += 1;
                counts[1] += usize::from(rows > 0);
                failed = false;
            }
            Outcome::Same { code: Some(code), .. } => {
                counts[3] += 1;
                tally.reason(format!("{} failed with {code}", case.what), &written.sql);
                failed = case.is_block;
            }
            Outcome::Refused(reason) => {
                counts[2] += 1;
                let said = reason.split(" | ").nth(1).unwrap_or_default();
                tally.reason(format!("{}: {said}", case.what), &written.sql);
                failed = case.is_block;
            }
            Outcome::Wrong(what) => {
                let (mode, parameters, sql) = (case.mode.name(), &written.parameters, &written.sql);
                end = End::Wrong(format!("{mode} {parameters:?}: {what}\n  {sql}"));
                break;
            }
        }
    }
    runner.leave();
    end
}

/// The first line of a finding says of which sort it is.
fn sort(finding: &str) -> String {
    let line = finding.lines().next().unwrap_or_default();
    line.split_once("]: ").map_or(line, |(_, sort)| sort).to_owned()
}

/// Leaves out what may be left out, for as long as it fails in the same way.
fn reduce(mut case: Case, mut finding: String, runner: &mut Runner<'_>) -> (Case, String) {
    const TRIES: usize = 600;
    let mut left = TRIES;
    let meant = sort(&finding);
    'smaller: loop {
        for less in case.smaller() {
            let Some(rest) = left.checked_sub(1) else {
                break 'smaller;
            };
            left = rest;
            if let End::Wrong(found) = run(&less, runner, &mut Tally::default())
                && sort(&found) == meant
            {
                (case, finding) = (less, found);
                continue 'smaller;
            }
        }
        break;
    }
    (case, finding)
}

/// Says which seed it was, also where a helper panics.
struct Doing(String);

impl Drop for Doing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("while at {}", self.0);
        }
    }
}

/// So many cases of a seed in a fresh world; the findings.
fn hunt(subject: Subject, seed: u64, count: usize, world: &World, shards: usize, tally: &mut Tally) -> Vec<String> {
    let mut runner = Runner::new(world, shards);
    let mut findings = Vec::new();
    let mut doing = Doing(String::new());
    if subject == Subject::Shapes {
        for sql in ODD_ROWS {
            let written = Written {
                sql: sql.to_owned(),
                ..Written::default()
            };
            if let Outcome::Wrong(what) = runner.once(&record(&written, Mode::Simple)) {
                findings.push(format!("{sql}: {what}"));
            }
        }
    }
    for number in 0..count {
        let mut dice = Dice::new(
            seed.wrapping_mul(1_000_003)
                .wrapping_add(u64::try_from(number).expect("small")),
        );
        let case = subject.case(&mut dice);
        doing.0 = format!(
            "seed {seed} case {number} at {shards} shards: {:?}",
            case.statements[0].written(0).sql
        );
        let End::Wrong(finding) = run(&case, &mut runner, tally) else {
            continue;
        };
        let repeatable = case.is_repeatable();
        let whole: Vec<String> = case.statements.iter().map(|piece| piece.written(0).sql).collect();
        let (case, finding) = match repeatable {
            true => reduce(case, finding, &mut runner),
            false => (case, finding),
        };
        let block = match case.is_block {
            true => {
                let texts: Vec<String> = case.statements.iter().map(|piece| piece.written(0).sql).collect();
                format!("\n  in {}", texts.join(";\n     "))
            }
            false => String::new(),
        };
        findings.push(format!(
            "seed {seed} case {number} at {shards} shards, {finding}{block}\n  made from {}",
            whole.join("; ")
        ));
        println!("{}\n", findings.last().expect("just pushed"));
        if !repeatable {
            // The tables may differ now, and everything after would tell of that.
            break;
        }
    }
    if let Some(difference) = runner.difference() {
        findings.push(format!("seed {seed} at {shards} shards, at the end: {difference}"));
    }
    findings
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Seeds, cases of each, and percent of writes among them.
fn plan(seed: u64, cases: usize) -> (std::ops::Range<u64>, usize) {
    let seed = number("SHARDGATE_RANDOM_SEED").unwrap_or(seed);
    let seeds = number("SHARDGATE_RANDOM_SEEDS").unwrap_or(1);
    let cases = number("SHARDGATE_RANDOM_CASES").map_or(cases, |cases| usize::try_from(cases).expect("small"));
    (seed..seed + seeds, cases)
}

/// Percent of cases that write. More, and few rows would be left to be read.
const WRITES: usize = 25;

fn through_the_proxy(subject: Subject, seed: u64, cases: usize, shards: usize) {
    let source = Source::read(subject.world());
    let (seeds, cases) = plan(seed, cases);
    let mut tally = Tally::default();
    let mut findings = Vec::new();
    for seed in seeds {
        let database = format!("d_random_{}_{shards}_{seed}", subject.world());
        let world = World::start(source.spec(&database, shards));
        findings.extend(hunt(subject, seed, cases, &world, shards, &mut tally));
    }
    println!("{}", tally.tell());
    assert!(
        findings.is_empty(),
        "{} findings:\n\n{}",
        findings.len(),
        findings.join("\n\n")
    );
}

/// Two plain servers agree: what is random here is the statement, not its answer.
#[test]
fn postgres() {
    const CASES: usize = 150;
    let source = Source::read("trading");
    let (seeds, cases) = plan(1, CASES);
    for seed in seeds {
        let database = format!("d_random_pg_{seed}");
        let world = World::start_direct(source.spec(&database, 1));
        let mut tally = Tally::default();
        let findings = hunt(Subject::Shapes, seed, cases, &world, SHARDS_MAX, &mut tally);
        println!("{}", tally.tell());
        assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    }
}

#[test]
fn proxy_over_two_shards() {
    const CASES: usize = 200;
    through_the_proxy(Subject::Shapes, 1, CASES, 2);
}

#[test]
fn odd_over_two_shards() {
    const CASES: usize = 200;
    through_the_proxy(Subject::Odd, 3, CASES, 2);
}

#[test]
fn odd_over_three_shards() {
    const CASES: usize = 200;
    through_the_proxy(Subject::Odd, 4, CASES, SHARDS_MAX);
}

#[test]
fn proxy_over_three_shards() {
    const CASES: usize = 200;
    through_the_proxy(Subject::Shapes, 2, CASES, SHARDS_MAX);
}

#[test]
fn cases_are_the_same_for_a_seed() {
    const CASES: u64 = 300;
    let texts = |seed| -> Vec<String> {
        let made = |number| case(&mut Dice::new(seed + number), WRITES).statements;
        let text = |pieces: Vec<Piece>| {
            pieces
                .iter()
                .map(|piece| piece.written(1).sql)
                .collect::<Vec<_>>()
                .join("; ")
        };
        (0..CASES).map(made).map(text).collect()
    };
    assert_eq!(texts(7), texts(7));
    assert_ne!(texts(7), texts(8));
    let all = texts(7).join("\n");
    let seen = [
        "LEFT JOIN",
        "FULL JOIN",
        "LATERAL",
        "UNION",
        "OVER (",
        "HAVING",
        "EXISTS",
        "ON CONFLICT",
        "SAVEPOINT",
        "$1",
    ];
    assert_eq!(seen.iter().find(|word| !all.contains(**word)), None, "never made");
    let bare = fill("{}", [maybe(text("x"))]);
    assert_eq!(bare.smaller().len(), 1);
}
