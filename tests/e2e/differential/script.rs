//! What a `.slt` file says: records of a head, `@` directives and SQL. The format is in `tests/differential/README.md`.

use std::collections::BTreeSet;

/// A script's records, and the world that they run in.
#[derive(Debug)]
pub struct Script {
    /// `tests/differential/worlds/<world>.*`
    pub world: String,
    /// in order
    pub records: Vec<Record>,
}

/// One statement and how it is to be run and compared.
#[derive(Clone, Debug)]
pub struct Record {
    /// line of its head, counted from 1
    pub line: usize,
    /// what of the rows has to agree
    pub rows: Rows,
    /// the protocols to run it by
    pub modes: Vec<Mode>,
    /// as written, with `{{name}}` unfilled
    pub sql: String,
    /// rows for COPY FROM STDIN
    pub input: Option<String>,
    /// numbers of shards at which the proxy refuses it
    pub refused: BTreeSet<usize>,
    /// whether every run is refused then
    pub extent: Extent,
    /// SQLSTATE that a refusal of this record has
    pub refusal: String,
    /// SQLSTATE that Postgres has to give
    pub error: Option<String>,
    /// parameter lists; one run for each, none: no parameters
    pub parameters: Vec<Vec<Option<String>>>,
    /// declared parameter types
    pub types: Vec<String>,
    /// `{{name}}` and what it stands for in each run
    pub variants: Vec<(String, Vec<String>)>,
    /// rows with this text in them don't count
    pub hide: Option<String>,
    /// notices needn't agree
    pub notices: Notices,
    /// what may differ by chance
    pub allowance: Allowance,
    /// which session of the script runs it
    pub session: String,
}

/// How rows are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// one by one
    Ordered,
    /// as a multiset, and these columns (from 0) one by one
    OrderedBy(Vec<usize>),
    /// as a multiset
    Sorted,
    /// their number only
    Count,
    /// not at all
    Any,
}

/// How a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Query
    Simple,
    /// unnamed Parse, results as text
    Extended,
    /// unnamed Parse, results in binary
    Binary,
    /// named Parse, executed twice
    Prepared,
    /// unnamed Parse, its portal executed three times: a few rows, fewer, the rest
    Portions,
}

/// Those of a record that doesn't name its own.
pub const MODES: [Mode; 4] = [Mode::Simple, Mode::Extended, Mode::Binary, Mode::Prepared];

/// How many runs of a record are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// every one
    All,
    /// one at least; it depends on the literals
    Some,
}

/// Whether notices are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notices {
    /// their SQLSTATEs have to agree
    Same,
    /// not at all
    Any,
}

/// What needn't agree where nobody has looked at the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// nothing
    None,
    /// which of several failing rows is told of (classes 22 and 23 count as one), typmods of computed columns, and when
    /// settings are reported
    Chance,
}

/// Reads a script; the error names the line.
pub fn parse(text: &str) -> Result<Script, String> {
    let mut world = "trading".to_owned();
    let mut records = Vec::new();
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .peekable();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("world ") {
            world = name.trim().to_owned();
            continue;
        }
        let mut record = head(number, line)?;
        let mut body = Vec::new();
        while let Some((number, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            match line.strip_prefix('@') {
                Some(directive) => {
                    directed(&mut record, directive).map_err(|error| format!("line {number}: {error}"))?
                }
                None if body.is_empty() && line.starts_with('#') => {}
                None => body.push(line),
            }
        }
        let mut parts = body.splitn(2, |line| *line == "----");
        record.sql = parts.next().unwrap_or_default().join("\n");
        record.input = parts
            .next()
            .map(|lines| lines.iter().map(|line| format!("{line}\n")).collect());
        if record.sql.is_empty() {
            return Err(format!("line {number}: a head without a statement"));
        }
        records.push(record);
    }
    Ok(Script { world, records })
}

fn head(line: usize, text: &str) -> Result<Record, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (rows, modes) = match words.as_slice() {
        ["query", "ordered"] => (Rows::Ordered, MODES.to_vec()),
        ["query", "ordered", columns] => (Rows::OrderedBy(numbers(columns)?), MODES.to_vec()),
        ["query", "rowsort"] => (Rows::Sorted, MODES.to_vec()),
        ["query", "count"] => (Rows::Count, MODES.to_vec()),
        ["query", "any"] => (Rows::Any, MODES.to_vec()),
        ["statement"] => (Rows::Sorted, vec![Mode::Simple]),
        ["statement", "any"] => (Rows::Any, vec![Mode::Simple]),
        ["statement", "each"] => (Rows::Sorted, MODES.to_vec()),
        _ => {
            return Err(format!(
                "line {line}: {text:?} is no head: query ordered|rowsort|count|any, statement [each|any]"
            ));
        }
    };
    Ok(Record {
        line,
        rows,
        modes,
        sql: String::new(),
        input: None,
        refused: BTreeSet::new(),
        extent: Extent::All,
        refusal: "0A000".to_owned(),
        error: None,
        parameters: Vec::new(),
        types: Vec::new(),
        variants: Vec::new(),
        hide: None,
        notices: Notices::Same,
        allowance: Allowance::None,
        session: "a".to_owned(),
    })
}

fn directed(record: &mut Record, directive: &str) -> Result<(), String> {
    let (name, rest) = directive.split_once(' ').unwrap_or((directive, ""));
    let rest = rest.trim();
    match name {
        "refused" => {
            let some = rest.strip_prefix("some");
            record.extent = if some.is_some() { Extent::Some } else { Extent::All };
            let shards = some.unwrap_or(rest).trim();
            record.refused = if shards.is_empty() {
                BTreeSet::from([2, 3])
            } else {
                numbers(shards)?.into_iter().map(|n| n + 1).collect()
            };
        }
        "denied" => record.refusal = rest.to_owned(),
        "error" => record.error = Some(rest.to_owned()),
        "with" => record
            .parameters
            .push(rest.split('|').map(|value| parameter(value.trim())).collect()),
        "types" => record.types = rest.split_whitespace().map(str::to_owned).collect(),
        "vary" => {
            let (name, values) = rest.split_once(' ').ok_or("@vary NAME VALUE | VALUE …")?;
            record.variants.push((
                format!("{{{{{name}}}}}"),
                values.split('|').map(|value| value.trim().to_owned()).collect(),
            ));
        }
        "modes" => {
            let named = |word: &str| {
                MODES
                    .into_iter()
                    .chain([Mode::Portions])
                    .find(|mode| mode.name() == word)
                    .ok_or(format!("no mode {word:?}"))
            };
            record.modes = rest.split_whitespace().map(named).collect::<Result<_, _>>()?;
        }
        "hide" => record.hide = Some(rest.to_owned()),
        "notices" if rest == "any" => record.notices = Notices::Any,
        "on" => record.session = rest.to_owned(),
        _ => return Err(format!("@{directive} is no directive")),
    }
    Ok(())
}

fn parameter(text: &str) -> Option<String> {
    (text != "NULL").then(|| text.trim_matches('\'').to_owned())
}

/// `1,3` as indices from 0.
fn numbers(text: &str) -> Result<Vec<usize>, String> {
    let number = |part: &str| {
        part.trim()
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1))
    };
    text.split(',')
        .map(|part| number(part).ok_or(format!("{part:?} is no number from 1")))
        .collect()
}

impl Mode {
    /// As `@modes` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Simple => "simple",
            Mode::Extended => "extended",
            Mode::Binary => "binary",
            Mode::Prepared => "prepared",
            Mode::Portions => "portions",
        }
    }
}

impl Record {
    /// The texts of its runs: each variant's n-th value together in the n-th.
    pub fn texts(&self) -> Vec<String> {
        let runs = self.variants.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
        let filled = |run: usize| {
            let fill =
                |sql: String, (name, values): &(String, Vec<String>)| sql.replace(name, &values[run % values.len()]);
            self.variants.iter().fold(self.sql.clone(), fill)
        };
        (0..runs).map(filled).collect()
    }

    /// Its parameter lists; one empty list if it has none.
    pub fn parameter_lists(&self) -> Vec<Vec<Option<String>>> {
        if self.parameters.is_empty() {
            vec![Vec::new()]
        } else {
            self.parameters.clone()
        }
    }
}

/// The script's text with what each record says of refusals replaced; `found` goes by the line of the head.
pub fn with_refusals(text: &str, found: &std::collections::BTreeMap<usize, (BTreeSet<usize>, Extent)>) -> String {
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        if !line.starts_with("@refused") {
            out.push_str(line);
            out.push('\n');
        }
        let Some((shards, extent)) = found.get(&(index + 1)) else {
            continue;
        };
        if shards.is_empty() {
            continue;
        }
        out.push_str("@refused");
        if *extent == Extent::Some {
            out.push_str(" some");
        }
        if *shards != BTreeSet::from([2, 3]) {
            let list: Vec<String> = shards.iter().map(usize::to_string).collect();
            out.push(' ');
            out.push_str(&list.join(","));
        }
        out.push('\n');
    }
    out
}

#[test]
fn a_script_is_read_and_its_refusals_are_rewritten() {
    let text = "# why\nquery ordered 1,3\n@with 5 | NULL\n@types int8 text\n@refused 3\nSELECT $1,\n  $2\n\n\
                statement\n@vary n 1 | 2\nCOPY t FROM STDIN\n----\n{{n}}\n";
    let script = parse(text).expect("is a script");
    let [first, second] = script.records.as_slice() else {
        panic!("{script:?}")
    };
    assert_eq!((first.line, first.rows.clone()), (2, Rows::OrderedBy(vec![0, 2])));
    assert_eq!(first.parameters, [vec![Some("5".to_owned()), None]]);
    assert_eq!(
        (first.sql.as_str(), first.refused.clone()),
        ("SELECT $1,\n  $2", BTreeSet::from([3]))
    );
    assert_eq!((second.texts().len(), second.input.as_deref()), (2, Some("{{n}}\n")));
    let found = std::collections::BTreeMap::from([
        (9, (BTreeSet::from([2, 3]), Extent::Some)),
        (2, (BTreeSet::new(), Extent::All)),
    ]);
    let rewritten = with_refusals(text, &found);
    assert!(
        !rewritten.contains("@refused 3") && rewritten.contains("statement\n@refused some\n"),
        "{rewritten}"
    );
    assert!(
        parse("query sideways\nSELECT 1\n")
            .expect_err("no such head")
            .contains("line 1")
    );
}
