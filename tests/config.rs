//! Configuration messages, examples and the generated reference: golden, `UPDATE_GOLDEN=1` rewrites.
//!
//! A golden file holds cases divided by `====`: lines with `#>` say what is pinned, then the file, then `----`, then
//! what is reported. Top-level keys that every file needs are added at the end where a case leaves them out.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests aren't #[test] themselves"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use shardgate::config::{Settings, parse, parse_users, reference};

const NEEDED: [&str; 4] = [
    "version: 1",
    "auth: {method: trust}",
    "database: trading",
    "shards: [{name: s0, primary: \"postgres://shardgate@127.0.0.1:5501/trading\"}, {name: s1, primary: \"postgres://shardgate@127.0.0.1:5502/trading\"}]",
];

fn environment(name: &str) -> Option<String> {
    match name {
        "S0_URL" => Some("postgres://shardgate:p%40ss@10.0.0.1:5501/trading".to_owned()),
        "S0_PASSWORD" => Some("p@ss/w:rd".to_owned()),
        "VERIFIER" => Some(format!(
            "SCRAM-SHA-256$4096:c2FsdA==${0}:{0}",
            "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
        )),
        _ => None,
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn is_updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// Runs every case of a golden file and compares, or rewrites, the reports.
fn golden(path: &Path, report: &dyn Fn(&str) -> String) {
    let text = std::fs::read_to_string(path).expect("a golden file");
    let mut fresh = String::new();
    for case in text.split("====\n").filter(|case| !case.trim().is_empty()) {
        let (given, _) = case.split_once("----\n").unwrap_or((case, ""));
        let body: String = given
            .lines()
            .filter(|line| !line.starts_with("#>"))
            .fold(String::new(), |body, line| body + line + "\n");
        if !fresh.is_empty() {
            fresh.push_str("====\n");
        }
        write!(fresh, "{given}----\n{}\n", report(&body)).expect("a string takes everything");
    }
    compare(path, &fresh);
}

fn compare(path: &Path, fresh: &str) {
    if is_updating() {
        std::fs::write(path, fresh).expect("a writable golden file");
        return;
    }
    let stored = std::fs::read_to_string(path).expect("a golden file");
    for (number, (stored, fresh)) in stored.lines().zip(fresh.lines()).enumerate() {
        assert_eq!(
            stored,
            fresh,
            "{}:{}; UPDATE_GOLDEN=1 rewrites",
            path.display(),
            number + 1
        );
    }
    assert_eq!(stored, fresh, "{}; UPDATE_GOLDEN=1 rewrites", path.display());
}

fn completed(body: &str) -> String {
    let mut text = body.to_owned();
    for line in NEEDED {
        let key = line.split(':').next().expect("a key");
        if !body.lines().any(|line| line.split(':').next() == Some(key)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn settings(text: &str) -> Settings {
    parse("shardgate.yaml", text, &environment).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn reports_are_as_recorded() {
    let directory = root().join("tests/golden/config");
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .expect("the golden directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name != "users.txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        golden(&path, &|body| {
            let text = if body.starts_with("%bare\n") {
                body.replacen("%bare\n", "", 1)
            } else {
                completed(body)
            };
            match parse("shardgate.yaml", &text, &environment) {
                Ok(settings) => format!("{settings:#?}"),
                Err(error) => error.to_string(),
            }
        });
    }
}

#[test]
fn reports_on_users_are_as_recorded() {
    golden(&root().join("tests/golden/config/users.txt"), &|body| {
        let (auth, body) = match body.strip_prefix("%shared\n") {
            Some(rest) => ("auth: {method: trust, role: shared, name: app}", rest),
            None => ("auth: {users_file: users.yaml}", body),
        };
        let settings = settings(&completed(&format!("{auth}\n")));
        match parse_users("users.yaml", body, &environment, &settings) {
            Ok(users) => format!("{users:#?}"),
            Err(error) => error.to_string(),
        }
    });
}

#[test]
fn every_example_is_read() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("shard-config")).expect("the examples") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("an example");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let any = |_: &str| Some("example".to_owned());
        if name.contains("users") {
            let settings = settings(&completed("auth: {users_file: users.yaml}\n"));
            parse_users(&name, &text, &environment, &settings).unwrap_or_else(|error| panic!("{error}"));
        } else {
            parse(&name, &text, &any).unwrap_or_else(|error| panic!("{error}"));
        }
        seen += 1;
    }
    assert!(seen >= 5, "{seen} examples");
}

#[test]
fn the_reference_is_current() {
    compare(&root().join("docs/configuration.md"), &reference());
}

#[test]
fn secrets_never_print() {
    let text = completed("shards: [{name: s0, primary: \"postgres://shardgate:${S0_PASSWORD}@10.0.0.1/trading\"}]\n");
    let settings = settings(&text);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("p@ss"), "{shown}");
    let primary = &settings.shards.first().expect("one shard").primary;
    assert_eq!(
        primary.password.as_ref().map(|secret| secret.reveal()),
        Some("p@ss/w:rd")
    );
    assert_eq!((primary.port, primary.host.as_str()), (5432, "10.0.0.1"));
}
