//! Reads `cases.txt`: one case per line, `mode | SQL`; `#` opens a comment.
//!
//! Modes: `order` (the order is fixed), `any` (it isn't), `count` (only the number of rows is), `refused ID`, `late ID`
//! (refused when the shards' types are seen), `error` (the server's own). Then may come `renamed` (names come from the
//! client's text, not from the shards') and `$1=value` for text parameters (`$1=` is empty, `$1:null` NULL).

const CASES: &str = include_str!("cases.txt");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    InOrder,
    AnyOrder,
    Count,
    Error,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two marks of a line, as the file has them")]
pub(crate) struct Case {
    pub(crate) line: usize,
    pub(crate) sql: std::borrow::Cow<'static, str>,
    pub(crate) rows: Rows,
    pub(crate) refused: Option<&'static str>,
    pub(crate) late: bool,
    pub(crate) renamed: bool,
    parameters: Vec<Option<&'static str>>,
}

impl Case {
    /// A statement without parameters that need not be refused.
    pub(crate) fn open(sql: String, rows: Rows) -> Case {
        Case {
            line: 0,
            sql: sql.into(),
            rows,
            refused: None,
            late: false,
            renamed: false,
            parameters: Vec::new(),
        }
    }

    pub(crate) fn values(&self) -> Vec<Option<Vec<u8>>> {
        self.parameters
            .iter()
            .map(|value| value.map(|value| value.as_bytes().to_vec()))
            .collect()
    }
}

pub(crate) fn all() -> Vec<Case> {
    let lines = CASES
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(at, line)| case(at + 1, line)).collect()
}

fn case(line: usize, text: &'static str) -> Case {
    let (head, sql) = text
        .split_once(" | ")
        .unwrap_or_else(|| panic!("line {line} has no mode"));
    let mut case = Case {
        line,
        sql: sql.trim().into(),
        rows: Rows::AnyOrder,
        refused: None,
        late: false,
        renamed: false,
        parameters: Vec::new(),
    };
    let mut words = head.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "order" => case.rows = Rows::InOrder,
            "any" => case.rows = Rows::AnyOrder,
            "count" => case.rows = Rows::Count,
            "error" => case.rows = Rows::Error,
            "refused" => case.refused = words.next(),
            "late" => {
                case.refused = words.next();
                case.late = true;
            }
            "renamed" => case.renamed = true,
            parameter if parameter.starts_with('$') => {
                let value = parameter.split_once('=').map(|(_, value)| value);
                case.parameters.push(value);
            }
            other => panic!("line {line}: unknown word {other}"),
        }
    }
    case
}
