//! What a server answered, in a form in which two servers' answers can be compared.
//!
//! Types and tables go by name, since OIDs above Postgres's own differ between servers; values that are such OIDs are
//! masked. Everything else that a client can see stays.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::messages::Message;

use super::script::{Allowance, Notices, Record, Rows};

/// The first OID that isn't Postgres's own.
const FIRST_USER_OID: u32 = 16_384;

/// Types whose values are, or contain, OIDs: oid, oidvector, oid[], pg_node_tree, and the reg* types (in binary).
const OID_TYPES: [u32; 12] = [26, 30, 1_028, 194, 24, 2_202, 2_203, 2_204, 2_205, 2_206, 4_089, 4_096];

/// Transaction numbers, which differ between any two servers.
const XID_TYPES: [u32; 3] = [28, 29, 5_069];

/// One run's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// each column as a line; `None` without a RowDescription
    pub columns: Option<Vec<String>>,
    /// each row as a line
    pub rows: Vec<Vec<String>>,
    /// command tags
    pub tags: Vec<String>,
    /// the error's fields
    pub error: Option<BTreeMap<char, String>>,
    /// SQLSTATEs of notices
    pub notices: Vec<String>,
    /// settings reported
    pub settings: Vec<String>,
    /// transaction status at the end
    pub status: Option<String>,
    /// other messages' types, in order
    pub others: String,
}

/// Names of a server's types and tables.
#[derive(Debug)]
pub struct Names {
    client: Client,
    known: BTreeMap<(&'static str, u32), String>,
}

impl Names {
    /// Asks over this session, which has to see the same catalog as the answers to be read.
    pub fn new(client: Client) -> Names {
        Names {
            client,
            known: BTreeMap::new(),
        }
    }

    fn name(&mut self, catalog: &'static str, oid: u32) -> String {
        if oid < FIRST_USER_OID {
            return oid.to_string();
        }
        if let Some(name) = self.known.get(&(catalog, oid)) {
            return name.clone();
        }
        let name = unnumbered(&self.client.value(&format!("SELECT {oid}::{catalog}::text")));
        self.known.insert((catalog, oid), name.clone());
        name
    }
}

/// Reads a batch of messages.
pub fn read(batch: &[Message], names: &mut Names, hide: Option<&str>) -> Answer {
    let mut answer = Answer {
        columns: None,
        rows: Vec::new(),
        tags: Vec::new(),
        error: None,
        notices: Vec::new(),
        settings: Vec::new(),
        status: None,
        others: String::new(),
    };
    let mut types: Vec<(u32, u16)> = Vec::new();
    for message in batch {
        match message.tag {
            b'T' => {
                let columns = message.columns();
                types = columns.iter().map(|column| (column.oid, column.format)).collect();
                let lines = columns.iter().map(|column| {
                    // A proxy may know less of a column's origin only if it made the column.
                    let (table, kind) = (names.name("regclass", column.table), names.name("regtype", column.oid));
                    let (attribute, length, modifier, format) =
                        (column.attribute, column.length, column.modifier, column.format);
                    format!(
                        "{:?} type {kind} typmod {modifier} length {length} format {format} of {table}.{attribute}",
                        column.name
                    )
                });
                answer.columns.get_or_insert_default().extend(lines);
            }
            b'D' => answer.rows.push(row(&message.values(), &types)),
            b'd' => answer
                .rows
                .push(vec![String::from_utf8_lossy(&message.body).into_owned()]),
            b'C' => answer.tags.push(message.text()),
            b'E' => answer.error = Some(message.fields()),
            b'N' => answer.notices.push(message.code()),
            b'S' => answer.settings.push(message.body.escape_ascii().to_string()),
            b'Z' => answer.status = Some(message.text()),
            other => answer.others.push(char::from(other)),
        }
    }
    if let Some(hidden) = hide {
        answer
            .rows
            .retain(|row| !row.iter().any(|value| value.contains(hidden)));
    }
    answer.settings.sort();
    answer
}

fn row(values: &[Option<Vec<u8>>], types: &[(u32, u16)]) -> Vec<String> {
    let shown = |(index, value): (usize, &Option<Vec<u8>>)| {
        let Some(bytes) = value else { return "∅".to_owned() };
        let (oid, format) = types.get(index).copied().unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        match (oid, format) {
            (26, 0) if text.parse().is_ok_and(|oid: u32| oid < FIRST_USER_OID) => text.into_owned(),
            (26, 1)
                if bytes
                    .as_slice()
                    .try_into()
                    .is_ok_and(|oid| u32::from_be_bytes(oid) < FIRST_USER_OID) =>
            {
                bytes.escape_ascii().to_string()
            }
            (2_202..=2_206 | 4_089 | 4_096 | 24, 0) => text.into_owned(),
            (oid, _) if OID_TYPES.contains(&oid) => "<oid>".to_owned(),
            (oid, _) if XID_TYPES.contains(&oid) => "<xid>".to_owned(),
            (_, 0) => unnumbered(&text),
            (_, _) => bytes.escape_ascii().to_string(),
        }
    };
    values.iter().enumerate().map(shown).collect()
}

/// The number of a session's schema for temporary objects is a matter of luck.
fn unnumbered(text: &str) -> String {
    let Some((before, after)) = text.split_once("pg_temp_") else {
        return text.to_owned();
    };
    format!(
        "{before}pg_temp_N{}",
        unnumbered(after.trim_start_matches(|character: char| character.is_ascii_digit()))
    )
}

impl Answer {
    /// The error's SQLSTATE.
    pub fn code(&self) -> Option<&str> {
        self.error
            .as_ref()
            .and_then(|fields| fields.get(&'C'))
            .map(String::as_str)
    }

    /// Does its error come from a server, which says by which routine?
    pub fn is_servers(&self) -> bool {
        self.error.as_ref().is_some_and(|fields| fields.contains_key(&'R'))
    }

    /// Did both sides fail by what a row holds?
    fn failed_by_rows(&self, other: &Answer) -> bool {
        let by_row = |answer: &Answer| answer.code().is_some_and(|code| matches!(&code[..2], "22" | "23"));
        by_row(self) && by_row(other)
    }

    /// In what the proxy's answer differs from Postgres's; `None` if it agrees as far as the record asks.
    pub fn difference(&self, expected: &Answer, record: &Record, shards: usize) -> Option<String> {
        let mut ours = self.clone();
        let mut theirs = expected.clone();
        for answer in [&mut ours, &mut theirs] {
            if record.hide.is_some() || record.rows == Rows::Any {
                // Their tags count the rows that don't.
                answer
                    .tags
                    .iter_mut()
                    .for_each(|tag| tag.retain(|character| !character.is_ascii_digit()));
            }
            if record.notices == Notices::Any {
                answer.notices.clear();
            }
            if let Some(fields) = &mut answer.error {
                trim_error(fields, shards);
            }
        }
        if shards > 1 && ours.error.is_some() && theirs.error.is_some() {
            // How far several shards got before one failed is open; that nothing but the error counts isn't.
            for answer in [&mut ours, &mut theirs] {
                answer.columns = None;
                answer.rows.clear();
                answer.notices.clear();
                answer.others.clear();
            }
        }
        if record.allowance == Allowance::Chance {
            if ours.failed_by_rows(&theirs) {
                ours.error.clone_from(&theirs.error);
            }
            for answer in [&mut ours, &mut theirs] {
                answer.columns.iter_mut().flatten().for_each(trim_computed);
                // A failed block's settings go back at once or with its end.
                answer.settings.clear();
            }
        }
        let order = |answer: &Answer| match &record.rows {
            Rows::Ordered => answer.rows.clone(),
            Rows::OrderedBy(columns) => {
                let pick = |row: &Vec<String>| {
                    columns
                        .iter()
                        .map(|column| row.get(*column).cloned().unwrap_or_default())
                        .collect()
                };
                answer.rows.iter().map(pick).collect()
            }
            Rows::Sorted | Rows::Count | Rows::Any => Vec::new(),
        };
        // Where one side failed, that is the news.
        if ours.error == theirs.error && order(&ours) != order(&theirs) {
            return Some(both("rows in order", &ours.rows, &theirs.rows));
        }
        for answer in [&mut ours, &mut theirs] {
            match record.rows {
                Rows::Ordered => {}
                Rows::OrderedBy(_) | Rows::Sorted => answer.rows.sort(),
                Rows::Any => answer.rows.clear(),
                Rows::Count => answer.rows = vec![vec![answer.rows.len().to_string()]],
            }
        }
        let parts = [
            (
                ours.error == theirs.error,
                // With the message, which says more than what is compared.
                both("error", &self.error, &expected.error),
            ),
            (ours.rows == theirs.rows, both("rows", &ours.rows, &theirs.rows)),
            (ours.tags == theirs.tags, both("command tag", &ours.tags, &theirs.tags)),
            (
                ours.notices == theirs.notices,
                both("notices", &ours.notices, &theirs.notices),
            ),
            (
                ours.settings == theirs.settings,
                both("reported settings", &ours.settings, &theirs.settings),
            ),
            (
                ours.status == theirs.status,
                both("transaction status", &ours.status, &theirs.status),
            ),
            (
                ours.others == theirs.others,
                both("message types", &ours.others, &theirs.others),
            ),
            (
                ours.columns == theirs.columns,
                both("columns", &ours.columns, &theirs.columns),
            ),
        ];
        parts.into_iter().find(|(same, _)| !same).map(|(_, text)| text)
    }
}

/// A computed column's typmod may depend on which node of Postgres's plan computes it.
fn trim_computed(column: &mut String) {
    if let (true, Some((before, after))) = (column.ends_with(" of 0.0"), column.split_once(" typmod "))
        && let Some((_, behind)) = after.split_once(' ')
    {
        *column = format!("{before} {behind}");
    }
}

/// Leaves what has to agree: with one shard all but the place in Postgres's source; with several the code and the
/// names of objects, since the message may tell of another of several failing rows, and WHERE names the shard.
fn trim_error(fields: &mut BTreeMap<char, String>, shards: usize) {
    let kept = if shards == 1 { "SVCMDHPpqWsctdn" } else { "SVCsctdn" };
    fields.retain(|letter, _| kept.contains(*letter));
}

fn both(what: &str, ours: &impl std::fmt::Debug, theirs: &impl std::fmt::Debug) -> String {
    const SHOWN_BYTES: usize = 1_500;
    let shown = |value: &dyn std::fmt::Debug| {
        let text = format!("{value:?}");
        match text.char_indices().nth(SHOWN_BYTES) {
            Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
            None => text,
        }
    };
    format!(
        "{what} differ\n    proxy:    {}\n    Postgres: {}",
        shown(ours),
        shown(theirs)
    )
}
