//! The house keeps its order: what `style.md` says of rooms, doors, purity and homes of crates, checked over `src/`.
//!
//! The order of the rooms is that of `src/lib.rs`. There is no list of exceptions. Each rule is seen red at the end of
//! this file, on a snippet that breaks it.

#![expect(clippy::expect_used, reason = "in a test's helper a failure is the test's")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms up to and with this one do no I/O and know neither time nor chance.
const LAST_PURE_ROOM: &str = "rebalance";

/// What a pure room may not name.
const IMPURE: [&str; 22] = [
    "tokio::",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::io::stdin",
    "std::io::stdout",
    "Instant::now",
    "SystemTime",
    "getrandom",
    "rand::",
    "socket2",
    "tokio_postgres",
    "hyper",
    "bb8",
    "RandomState",
    "thread_rng",
];

/// Types whose value can change behind a shared reference: a `static` of one is a global.
const INTERIOR: [&str; 12] = [
    "Mutex", "RwLock", "Atomic", "Cell<", "OnceLock", "LazyLock", "OnceCell", "LazyCell", "Lazy<", "ArcSwap",
    "Condvar", "Notify",
];

/// A crate that shapes our data has one room, and is named nowhere else.
const HOMES: [(&str, &[&str]); 15] = [
    ("pgwire", &["wire"]),
    ("sqlparser", &["sql"]),
    ("serde_saphyr", &["config"]),
    ("serde_yaml", &["config"]),
    ("hashring", &["topology"]),
    ("num_bigint", &["value"]),
    ("prometheus", &["telemetry"]),
    ("bb8", &["backend"]),
    ("bb8_postgres", &["backend"]),
    ("tokio_postgres", &["backend"]),
    ("getrandom", &["clock"]),
    ("hyper", &["admin"]),
    ("hyper_util", &["admin"]),
    ("http_body_util", &["admin"]),
    ("etcd_client", &["discovery"]),
];

/// One file of the house.
struct File {
    /// below `src/`
    path: PathBuf,
    text: String,
}

impl File {
    /// The room that it lies in; `None` for `lib.rs` and the binaries.
    fn room(&self) -> Option<String> {
        let first = self
            .path
            .components()
            .next()?
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        (self.path.components().count() > 1 && first != "bin").then_some(first)
    }

    /// Lines with comments, strings and unit tests blanked, numbered from 1.
    fn code(&self) -> Vec<(usize, String)> {
        let blanked = blank(&self.text);
        let mut lines: Vec<(usize, String)> = blanked
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.to_owned()))
            .collect();
        if self.path.to_string_lossy().ends_with("_tests.rs") {
            lines.clear();
        }
        // A test module is the last thing in a file, or a single line that points to one.
        if let Some(start) = lines.windows(2).position(|pair| {
            pair[0].1.trim() == "#[cfg(test)]" && pair[1].1.trim_start().starts_with("mod ") && pair[1].1.contains('{')
        }) {
            lines.truncate(start);
        }
        lines
    }
}

/// Rust text in which comments and the contents of literals are spaces; lines stay where they are.
fn blank(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let starts = |at: usize, what: &str| {
        what.chars()
            .enumerate()
            .all(|(offset, wanted)| characters.get(at + offset) == Some(&wanted))
    };
    while at < characters.len() {
        let end = if starts(at, "//") {
            (at..characters.len())
                .find(|end| characters[*end] == '\n')
                .unwrap_or(characters.len())
        } else if starts(at, "/*") {
            let mut depth = 0;
            let mut end = at;
            loop {
                if starts(end, "/*") {
                    (depth, end) = (depth + 1, end + 2);
                } else if starts(end, "*/") {
                    (depth, end) = (depth - 1, end + 2);
                } else {
                    end += 1;
                }
                if depth == 0 || end >= characters.len() {
                    break end.min(characters.len());
                }
            }
        } else if let Some(end) = raw_string(&characters, at) {
            end
        } else if characters[at] == '"' {
            let mut end = at + 1;
            while end < characters.len() && characters[end] != '"' {
                end += if characters[end] == '\\' { 2 } else { 1 };
            }
            (end + 1).min(characters.len())
        } else if characters[at] == '\'' && (starts(at + 1, "\\") || characters.get(at + 2) == Some(&'\'')) {
            let mut end = at + 1;
            while end < characters.len() && characters[end] != '\'' {
                end += if characters[end] == '\\' { 2 } else { 1 };
            }
            (end + 1).min(characters.len())
        } else {
            out.push(characters[at]);
            at += 1;
            continue;
        };
        out.extend(
            characters[at..end]
                .iter()
                .map(|character| if *character == '\n' { '\n' } else { ' ' }),
        );
        at = end;
    }
    out
}

/// The end of a raw string that begins here.
fn raw_string(characters: &[char], at: usize) -> Option<usize> {
    let inside_word = at > 0 && (characters[at - 1].is_alphanumeric() || characters[at - 1] == '_');
    if characters[at] != 'r' || inside_word && characters[at - 1] != 'b' {
        return None;
    }
    let hashes = characters[at + 1..]
        .iter()
        .take_while(|character| **character == '#')
        .count();
    if characters.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = at + 2 + hashes;
    (body..characters.len())
        .find(|end| characters[*end..].starts_with(&closing))
        .map(|end| end + closing.len())
}

/// The rooms in their order, from `lib.rs`.
fn rooms(library: &str) -> Vec<String> {
    let lines = library.lines().filter_map(|line| line.trim().strip_prefix("pub mod "));
    lines.map(|rest| rest.trim_end_matches(';').to_owned()).collect()
}

/// Paths (`a::b::C`) in a line of code, groups in braces spread: `crate::{a::B, c}` is two.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let characters: Vec<char> = code.chars().collect();
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let mut at = 0;
    while at < characters.len() {
        let fresh = at == 0 || !word(characters[at - 1]) && characters[at - 1] != ':';
        if !(word(characters[at]) && fresh) {
            at += 1;
            continue;
        }
        let (mut these, end) = path_at(&characters, at);
        found.append(&mut these);
        at = end.max(at + 1);
    }
    found
}

fn path_at(characters: &[char], start: usize) -> (Vec<String>, usize) {
    let mut path = String::new();
    let mut at = start;
    loop {
        while at < characters.len() && (characters[at].is_alphanumeric() || characters[at] == '_') {
            path.push(characters[at]);
            at += 1;
        }
        if characters.get(at) != Some(&':') || characters.get(at + 1) != Some(&':') {
            return (vec![path], at);
        }
        at += 2;
        path.push_str("::");
        if characters.get(at) == Some(&'{') {
            let mut found = Vec::new();
            at += 1;
            while at < characters.len() && characters[at] != '}' {
                if characters[at].is_alphanumeric() || characters[at] == '_' {
                    let (inner, end) = path_at(characters, at);
                    found.extend(inner.into_iter().map(|inner| format!("{path}{inner}")));
                    at = end.max(at + 1);
                } else {
                    at += 1;
                }
            }
            return (found, at + 1);
        }
    }
}

/// A `use` may run over lines; here each statement with `{` stands on the line where it began.
fn joined(lines: Vec<(usize, String)>) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in lines {
        match out.last_mut() {
            Some((_, last)) if open => last.push_str(line.trim()),
            _ => out.push((number, line.clone())),
        }
        let whole = out.last().map(|(_, text)| text.trim_start()).unwrap_or_default();
        let is_use = whole
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ")
            .starts_with("use ");
        open = is_use && !whole.contains(';');
    }
    out
}

/// Everything that is wrong with the house.
fn findings(library: &str, files: &[File]) -> Vec<String> {
    let rooms = rooms(library);
    let last_pure = rooms
        .iter()
        .position(|room| room == LAST_PURE_ROOM)
        .unwrap_or(rooms.len());
    let mut found = Vec::new();
    for file in files {
        let mut tell = |line: usize, what: String| found.push(format!("src/{}:{line}: {what}", file.path.display()));
        if !file.text.starts_with("//!") {
            tell(
                1,
                "a file opens with //!: what it is, why it is so, what must hold".to_owned(),
            );
        }
        let room = file.room();
        let position = room
            .as_ref()
            .and_then(|room| rooms.iter().position(|other| other == room));
        if let (Some(room), None) = (&room, position) {
            tell(1, format!("room {room} isn't listed in src/lib.rs"));
        }
        let pure = position.is_some_and(|position| position <= last_pure);
        let depth = file.path.components().count();
        for (number, code) in joined(file.code()) {
            for path in paths(&code) {
                let parts: Vec<&str> = path.split("::").collect();
                let imported = match parts.as_slice() {
                    ["crate", room, rest @ ..] if rooms.iter().any(|known| known == room) => Some((*room, rest)),
                    ["shardgate", room, rest @ ..] if room != &"" && rooms.iter().any(|known| known == room) => {
                        Some((*room, rest))
                    }
                    _ => None,
                };
                if let Some((other, rest)) = imported {
                    let target = rooms.iter().position(|known| known == other);
                    if position.is_some_and(|position| target.is_some_and(|target| target > position)) {
                        tell(
                            number,
                            format!(
                                "{path}: room {other} stands below room {}",
                                rooms[position.unwrap_or_default()]
                            ),
                        );
                    }
                    // Inside its own room a file goes where it likes.
                    let own = room.as_deref() == Some(other);
                    let module = rest
                        .first()
                        .is_some_and(|part| part.starts_with(|first: char| first.is_lowercase()));
                    if !own && module && rest.len() > 1 && !is_public_module(files, other, rest[0]) {
                        tell(
                            number,
                            format!(
                                "{path}: past the door of room {other}; write crate::{other}::{}",
                                rest[rest.len() - 1]
                            ),
                        );
                    }
                }
                let ups = parts.iter().take_while(|part| **part == "super").count();
                // src/room/file.rs may go up once, to its room; each directory below gives one more.
                let levels = if file.path.ends_with("mod.rs") {
                    depth.saturating_sub(2)
                } else {
                    depth.saturating_sub(1)
                };
                if room.is_some() && ups > levels {
                    tell(number, format!("{path}: super out of the room; write crate::"));
                }
                for (name, homes) in HOMES {
                    let at_home = room.as_deref().is_some_and(|room| homes.contains(&room));
                    if parts.first() == Some(&name) && parts.len() > 1 && !at_home && room.is_some() {
                        tell(
                            number,
                            format!("{name} is at home in {}, and named nowhere else", homes.join(", ")),
                        );
                    }
                }
            }
            if pure {
                for name in IMPURE {
                    if mentions(&code, name) {
                        tell(
                            number,
                            format!(
                                "{name} in room {}, which does no I/O and knows no time or chance",
                                room.as_deref().unwrap_or_default()
                            ),
                        );
                    }
                }
            }
            let words = code
                .trim_start()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            if words.starts_with("static ")
                && (words.starts_with("static mut ") || INTERIOR.iter().any(|name| words.contains(name)))
            {
                tell(
                    number,
                    "a static that can change: pass the value to whoever needs it".to_owned(),
                );
            }
            if code.contains("thread_local!") || code.contains("lazy_static!") {
                tell(number, "a global: pass the value to whoever needs it".to_owned());
            }
        }
        // A room of one file (the clock) is its own door.
        let alone = files.iter().filter(|other| other.room() == room).count() == 1;
        if file.path.ends_with("mod.rs") && depth == 2 && !alone {
            for (number, code) in file.code() {
                let words = code.trim_start();
                if words.starts_with("fn ") || words.starts_with("pub fn ") || words.starts_with("impl") {
                    tell(
                        number,
                        "a door has only docs, private modules and one list of pub use".to_owned(),
                    );
                    break;
                }
            }
        }
    }
    found.dedup();
    found
}

/// `pub mod ast` or `pub use sqlparser::ast` at the door makes `crate::sql::ast::Expr` a path through the door.
fn is_public_module(files: &[File], room: &str, module: &str) -> bool {
    let door = files.iter().find(|file| file.path == Path::new(room).join("mod.rs"));
    let Some(door) = door else { return false };
    joined(door.code()).iter().any(|(_, code)| {
        let words = code.trim_start();
        words.starts_with(&format!("pub mod {module}"))
            || words.starts_with("pub use ") && paths(words).iter().any(|path| path.ends_with(&format!("::{module}")))
    })
}

fn mentions(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
    })
}

fn read_house() -> (String, Vec<File>) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut directories = vec![source.clone()];
    let mut files = BTreeMap::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&source).expect("is below src").to_owned();
                files.insert(below, fs::read_to_string(&path).expect("is text"));
            }
        }
    }
    let library = files.get(Path::new("lib.rs")).expect("src/lib.rs is there").clone();
    (
        library,
        files.into_iter().map(|(path, text)| File { path, text }).collect(),
    )
}

#[test]
fn the_house_is_in_order() {
    let (library, files) = read_house();
    assert!(
        rooms(&library).len() > 10 && files.len() > 15,
        "the rooms were not found"
    );
    let found = findings(&library, &files);
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

/// A house with one more file.
fn with(path: &str, text: &str) -> Vec<String> {
    let library = "//! x\npub mod value;\npub mod wire;\npub mod sql;\npub mod telemetry;\npub mod rebalance;\npub mod backend;\npub mod session;\n";
    let door = |room: &str, text: &str| File {
        path: Path::new(room).join("mod.rs"),
        text: text.to_owned(),
    };
    let mut files = vec![
        door(
            "sql",
            "//! x\nmod tree;\npub use sqlparser::ast;\npub use tree::Tree;\n",
        ),
        door("wire", "//! x\nmod frame;\n"),
    ];
    files.push(File {
        path: PathBuf::from(path),
        text: text.to_owned(),
    });
    findings(library, &files)
}

#[test]
fn every_rule_is_seen_red() {
    let cases = [
        ("sql/a.rs", "//! x\nuse crate::session::Session;\n", "stands below"),
        (
            "sql/a.rs",
            "//! x\nuse crate::{value::Oid, backend::Pool};\n",
            "stands below",
        ),
        (
            "sql/a.rs",
            "//! x\nfn f() { crate::telemetry::count() }\n",
            "stands below",
        ),
        (
            "sql/a.rs",
            "//! x\nuse crate::{\n    value::Oid,\n    backend::Pool,\n};\n",
            "stands below",
        ),
        (
            "session/a.rs",
            "//! x\nuse crate::wire::frame::Frame;\n",
            "past the door",
        ),
        (
            "bin/shardgate.rs",
            "//! x\nuse shardgate::wire::frame::Frame;\n",
            "past the door",
        ),
        (
            "sql/a.rs",
            "//! x\nuse super::super::wire::Frame;\n",
            "super out of the room",
        ),
        (
            "sql/mod.rs",
            "//! x\nuse super::wire::Frame;\n",
            "super out of the room",
        ),
        ("wire/a.rs", "//! x\nuse tokio::net::TcpStream;\n", "does no I/O"),
        (
            "wire/a.rs",
            "//! x\nfn f() { let t = std::time::Instant::now(); }\n",
            "does no I/O",
        ),
        ("telemetry/a.rs", "//! x\nfn f() { std::fs::read(p) }\n", "does no I/O"),
        (
            "session/a.rs",
            "//! x\nstatic COUNT: AtomicU64 = AtomicU64::new(0);\n",
            "static that can change",
        ),
        (
            "session/a.rs",
            "//! x\npub static mut COUNT: u64 = 0;\n",
            "static that can change",
        ),
        ("session/a.rs", "//! x\nthread_local! {}\n", "a global"),
        ("session/a.rs", "use crate::sql::Tree;\n", "opens with //!"),
        ("session/a.rs", "//! x\nuse sqlparser::ast::Expr;\n", "at home in sql"),
        (
            "session/a.rs",
            "//! x\nfn f() -> tokio_postgres::Client { g() }\n",
            "at home in backend",
        ),
        ("attic/a.rs", "//! x\n", "isn't listed"),
        ("wire/mod.rs", "//! x\nimpl Thing {}\n", "a door has only"),
    ];
    for (path, text, expected) in cases {
        let found = with(path, text);
        assert!(
            found.iter().any(|finding| finding.contains(expected)),
            "{path}: {text:?} gave {found:?} instead of {expected:?}"
        );
    }
}

#[test]
fn what_is_right_stays_green() {
    let cases = [
        (
            "session/a.rs",
            "//! x\nuse crate::sql::ast::Expr;\nuse crate::sql::Tree;\nuse super::b::C;\nuse crate::session::b::C;\n",
        ),
        (
            "sql/a.rs",
            "//! x\nuse sqlparser::ast::Expr; // not crate::session::Session\n/* std::fs */ const A: &str = \"tokio::net\";\n",
        ),
        (
            "sql/a.rs",
            "//! x\nconst A: &str = r#\"std::fs \" tokio::net\"#; const B: char = '\"'; const C: char = '\\'';\n",
        ),
        (
            "sql/a.rs",
            "//! x\nfn f<'a>(x: &'a str) {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n",
        ),
        ("sql/a_tests.rs", "//! x\nuse std::fs;\n"),
        ("sql/deep/a.rs", "//! x\nuse super::super::b::C;\n"),
        (
            "session/a.rs",
            "//! x\nstatic NAMES: [&str; 1] = [\"a\"];\nuse tokio::net::TcpStream;\n",
        ),
    ];
    for (path, text) in cases {
        assert_eq!(with(path, text), Vec::<String>::new(), "{path}: {text:?}");
    }
}
