//! Plans and refusals, pinned: SQL in, what shall be done out. `UPDATE_GOLDEN=1` rewrites; read the diff.
//!
//! A block is some `#` lines that say what it pins, directives (`-- params:`, `-- types:`, `-- learnt:`, `-- constant:`,
//! `-- set:`, `-- temporary:`, `-- shards:`, `-- load`: whose it is), the statement, `----`, and what came of it, up to an empty line.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail loudly"
)]

#[path = "golden/fixture.rs"]
mod fixture;
#[path = "golden/case.rs"]
mod case;
#[path = "golden/property.rs"]
mod property;
#[path = "golden/coverage.rs"]
mod coverage;

use std::path::PathBuf;

/// The golden files, in order of name.
pub(crate) fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plans");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

#[test]
fn plans_are_as_pinned() {
    let mut runner = case::Runner::default();
    let mut different = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let fresh: Vec<String> = case::parse(&text).iter().map(|case| runner.block(case)).collect();
        let fresh = fresh.join("\n");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, fresh).unwrap();
        } else if fresh != text {
            let line = fresh.lines().zip(text.lines()).position(|(fresh, old)| fresh != old);
            let at = line.unwrap_or(fresh.lines().count().min(text.lines().count()));
            different.push(format!(
                "{}:{}: expected {:?}, planned {:?}",
                file.display(),
                at + 1,
                text.lines().nth(at),
                fresh.lines().nth(at)
            ));
        }
    }
    assert!(
        different.is_empty(),
        "plans changed (UPDATE_GOLDEN=1 rewrites):\n{}",
        different.join("\n")
    );
}
