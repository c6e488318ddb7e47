//! Files of cases: `# comment`, a text, `----`, what it answers. `UPDATE_GOLDEN=1` rewrites the answers.

use std::path::{Path, PathBuf};

/// One case of a file.
pub(crate) struct Case {
    pub(crate) comments: Vec<String>,
    pub(crate) input: String,
}

/// A file in the tree.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub(crate) fn read_cases(relative: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path(relative)).unwrap();
    text.split("\n\n")
        .map(str::trim)
        .filter(|block| !block.is_empty())
        .map(parse_case)
        .collect()
}

fn parse_case(block: &str) -> Case {
    let head = block.split_once("\n----").map_or(block, |(head, _)| head);
    let (comments, input): (Vec<&str>, Vec<&str>) = head.lines().partition(|line| line.starts_with('#'));
    Case {
        comments: comments.into_iter().map(str::to_owned).collect(),
        input: input.join("\n"),
    }
}

/// Compares every case with what it answers now, or writes that down.
pub(crate) fn settle(relative: &str, cases: &[Case], answers: &[String]) {
    let text: Vec<String> = cases
        .iter()
        .zip(answers)
        .map(|(case, answer)| {
            let comments: String = case.comments.iter().map(|line| format!("{line}\n")).collect();
            format!("{comments}{}\n----\n{}\n", case.input, without_empty_lines(answer))
        })
        .collect();
    settle_text(relative, &text.join("\n"));
}

/// An empty line parts cases, so one of an answer is written otherwise.
fn without_empty_lines(answer: &str) -> String {
    let lines = answer.trim_end().lines();
    let lines: Vec<&str> = lines
        .map(|line| if line.is_empty() { "(blank)" } else { line })
        .collect();
    lines.join("\n")
}

/// Compares a whole file with its text now, or writes it.
pub(crate) fn settle_text(relative: &str, now: &str) {
    let path = path(relative);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
        return;
    }
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let line = before.lines().zip(now.lines()).position(|(a, b)| a != b);
    let line = line.unwrap_or(before.lines().count().min(now.lines().count()));
    assert!(
        before == now,
        "{relative} differs from line {}:\n  file: {:?}\n  now:  {:?}\n(UPDATE_GOLDEN=1 rewrites it)",
        line + 1,
        before.lines().nth(line),
        now.lines().nth(line),
    );
}
