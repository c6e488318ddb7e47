//! `shardctl init` against real schemas: what it writes is pinned, and the proxy's own check accepts it.
//!
//! A file of `tests/golden/init` is the SQL that makes the schema, `----`, and what is written. `UPDATE_GOLDEN=1` rewrites.

use std::path::PathBuf;

use shardgate::config::{Users, parse};
use shardgate::discovery::{Severity, check};

use crate::{Pair, clusters};

#[tokio::test]
async fn what_init_writes_is_as_recorded_and_passes_the_check() {
    let clusters = clusters();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/init");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the golden files")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{paths:?}");
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for path in paths {
        let stored = std::fs::read_to_string(&path).expect("a golden file");
        let given = stored.split_once("----\n").map_or(stored.as_str(), |(given, _)| given);
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let pair = Pair::new(&clusters, &name, ["", ""]).await;
        // Rows are on the first shard only: the first day.
        pair.run(0, given).await;
        pair.run(1, given.split("-- rows").next().unwrap_or(given)).await;
        pair.run(0, "ANALYZE").await;

        let written = init(&[&pair.url(0), &pair.url(1), "--file", "-"]).await;
        let settings =
            parse("init.yaml", &written, &|_| None).unwrap_or_else(|error| panic!("{name}: {error}\n{written}"));
        let findings = check(&settings, &Users::default()).await;
        let errors: Vec<_> = findings
            .iter()
            .filter(|found| found.severity == Severity::Error)
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}\n{written}");

        let steady = steady(&written);
        if is_update {
            std::fs::write(&path, format!("{given}----\n{steady}")).expect("a writable golden file");
        } else {
            assert_eq!(
                stored,
                format!("{given}----\n{steady}"),
                "{name}: UPDATE_GOLDEN=1 rewrites"
            );
        }
    }
}

#[tokio::test]
async fn a_file_that_exists_is_not_overwritten_and_nobody_there_is_an_error() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("init-exists.yaml");
    std::fs::write(&file, "mine").expect("a file");
    let nobody = "postgres://postgres@127.0.0.1:1/app";
    let output = run(&[nobody, "--file", &file.to_string_lossy()]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("exists; nothing was written"));
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "mine");
    let output = run(&[nobody, "--file", "-"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.is_empty() && output.stdout.is_empty());
}

async fn init(arguments: &[&str]) -> String {
    let output = run(arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

async fn run(arguments: &[&str]) -> std::process::Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_shardctl"))
        .arg("init")
        .args(arguments)
        .output()
        .await
        .expect("shardctl runs")
}

/// Ports, versions and sizes are the machine's.
fn steady(written: &str) -> String {
    let mut lines = String::new();
    for line in written.lines() {
        let line = match (line.find("127.0.0.1:"), line.trim_start().starts_with("primary:")) {
            (Some(at), true) => {
                let port = at + "127.0.0.1:".len();
                let rest = line[port..].trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{}PORT{rest}", &line[..port])
            }
            _ => line.to_owned(),
        };
        let line = match line.split_once(", Postgres ") {
            Some((before, _)) => format!("{before}, Postgres VERSION."),
            None => line,
        };
        let line = match line
            .rsplit_once(" # ")
            .filter(|(_, size)| size.contains(" kB") || size.contains(" MB"))
        {
            Some((before, size)) => {
                let unit = if size.contains(" kB") { " kB" } else { " MB" };
                let rest = size.split_once(unit).map_or("", |(_, rest)| rest);
                format!("{before} # SIZE{rest}")
            }
            None => line,
        };
        lines.push_str(&line);
        lines.push('\n');
    }
    lines
}
