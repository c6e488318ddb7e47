//! The language of stories: one frame or one expectation per line.
//!
//! ```text
//! === title [1]             a story, for one shard only ([3]: for three only)
//! @B TimeZone=UTC           from here on client B speaks; it logs in where it is new, with these parameters
//! ? SELECT 1                Query, and both sides must answer alike up to ReadyForQuery
//! Q SELECT 1                Query, queued
//! P name|25,23|SELECT $1    Parse; the list of types may be left out
//! B portal|name|a|~|x:01    Bind: text, NULL, binary;   Bb: with binary results
//! DS name  DP name          Describe of a statement, of a portal
//! E portal|3                Execute with a row limit
//! CS name  CP name          Close
//! run name                  Bind, Execute, Sync of a statement, compared
//! ext SELECT 1              Parse, Bind, Describe, Execute, unnamed, queued
//! H  S  X  c                Flush, Sync, Terminate, CopyDone
//! d text\n   f why          CopyData, CopyFail
//! raw 51000000              bytes
//! = Z 2                     sends what is queued; compares up to the second ReadyForQuery (or other type), or `end`
//! eof                       sends what is queued and closes for writing;   gone: drops the connection
//! su sql                    a superuser, on both sides past the proxy;   wait sql => value: until it gives that
//! intruder off|on           whether another client uses the backend between the steps
//! ```
//! A line that begins with `#` is a comment. `\n`, `\t` and `\\` in data stand for themselves.

use crate::messages::{self, Format, Value};

/// One line of a story.
#[derive(Clone, Debug)]
pub enum Step {
    /// who speaks, with start-up parameters
    Client(String, Vec<(String, String)>),
    /// bytes to queue
    Frame(Vec<u8>),
    /// what is queued goes out; answers up to so many of this type are compared; none: to the end
    Expect(Option<(u8, usize)>),
    /// nothing more is sent
    HalfClose,
    /// the connection is dropped
    Gone,
    /// SQL of a superuser on both sides
    Super(String),
    /// until a superuser's query gives a value, on both sides
    Wait(String, String),
    /// does the other client interfere?
    Intruder(bool),
}

/// A story and where it stands.
#[derive(Debug)]
pub struct Story {
    /// title
    pub title: String,
    /// for this many shards only
    pub only: Option<usize>,
    /// steps with their lines
    pub steps: Vec<(usize, String, Step)>,
}

/// Reads a file of stories.
pub fn parse(text: &str) -> Vec<Story> {
    let mut stories: Vec<Story> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("=== ") {
            let only = [1, 3].into_iter().find(|n| title.ends_with(&format!("[{n}]")));
            stories.push(Story {
                title: title.to_owned(),
                only,
                steps: Vec::new(),
            });
            continue;
        }
        let story = stories.last_mut().expect("a story begins with ===");
        for step in steps(line) {
            story.steps.push((index + 1, line.to_owned(), step));
        }
    }
    stories
}

fn steps(line: &str) -> Vec<Step> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let ready = || Step::Expect(Some((b'Z', 1)));
    let frame = |bytes: Vec<u8>| vec![Step::Frame(bytes)];
    match word {
        "?" => vec![Step::Frame(messages::query(&unescape(rest))), ready()],
        "Q" => frame(messages::query(&unescape(rest))),
        "P" => frame(parse_frame(rest)),
        "B" => frame(bind_frame(rest, Format::Text)),
        "Bb" => frame(bind_frame(rest, Format::Binary)),
        "DS" => frame(messages::describe(b'S', rest)),
        "DP" => frame(messages::describe(b'P', rest)),
        "E" => {
            let (portal, limit) = rest.split_once('|').unwrap_or((rest, "0"));
            frame(messages::execute(portal, limit.parse().expect("a row limit")))
        }
        "CS" => frame(messages::close(b'S', rest)),
        "CP" => frame(messages::close(b'P', rest)),
        "run" => vec![
            Step::Frame(bind_frame(&format!("|{rest}"), Format::Text)),
            Step::Frame(messages::describe(b'P', "")),
            Step::Frame(messages::execute("", 0)),
            Step::Frame(messages::sync()),
            ready(),
        ],
        "ext" => vec![
            Step::Frame(messages::parse("", &unescape(rest), &[])),
            Step::Frame(messages::bind("", "", &[], Format::Text)),
            Step::Frame(messages::describe(b'P', "")),
            Step::Frame(messages::execute("", 0)),
        ],
        "H" => frame(messages::flush()),
        "S" => frame(messages::sync()),
        "X" => frame(messages::terminate()),
        "c" => frame(messages::copy_done()),
        "d" => frame(messages::copy_data(unescape(rest).as_bytes())),
        "f" => frame(messages::copy_fail(rest)),
        "raw" => frame(hex(rest)),
        "=" => vec![expectation(rest)],
        "eof" => vec![Step::HalfClose],
        "gone" => vec![Step::Gone],
        "su" => vec![Step::Super(rest.to_owned())],
        "wait" => {
            let (sql, value) = rest.split_once(" => ").expect("wait sql => value");
            vec![Step::Wait(sql.to_owned(), value.to_owned())]
        }
        "intruder" => vec![Step::Intruder(rest == "on")],
        _ if word.starts_with('@') => vec![Step::Client(word.to_owned(), parameters(rest))],
        _ => panic!("a story has a line that nobody understands: {line}"),
    }
}

fn expectation(rest: &str) -> Step {
    if rest == "end" {
        return Step::Expect(None);
    }
    let (tag, count) = rest.split_once(' ').unwrap_or((rest, "1"));
    let tag = *tag.as_bytes().first().expect("a message type");
    Step::Expect(Some((tag, count.parse().expect("a count"))))
}

fn parse_frame(rest: &str) -> Vec<u8> {
    let (name, rest) = rest.split_once('|').expect("P name|text");
    let typed = rest
        .split_once('|')
        .filter(|(types, _)| !types.is_empty() && types.bytes().all(|b| b.is_ascii_digit() || b == b','));
    match typed {
        Some((types, text)) => {
            let types: Vec<u32> = types.split(',').map(|oid| oid.parse().expect("an OID")).collect();
            messages::parse(name, &unescape(text), &types)
        }
        None => messages::parse(name, &unescape(rest), &[]),
    }
}

fn bind_frame(rest: &str, results: Format) -> Vec<u8> {
    let mut parts = rest.split('|');
    let (portal, statement) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let values: Vec<Value> = parts
        .map(|part| match part.strip_prefix("x:") {
            Some(bytes) => (Format::Binary, Some(hex(bytes))),
            None if part == "~" => (Format::Text, None),
            None => (Format::Text, Some(unescape(part).into_bytes())),
        })
        .collect();
    messages::bind(portal, statement, &values, results)
}

/// `name=value` pairs, separated by `;`.
fn parameters(rest: &str) -> Vec<(String, String)> {
    let pairs = rest.split(';').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').expect("name=value");
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("hex"))
        .collect()
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}
