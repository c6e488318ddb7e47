//! What a check found, as paragraphs: a finding has whole sentences, which no table column holds.

use crate::answer::Answer;
use crate::style::Style;
use crate::width::printable;

/// One paragraph per finding, then a count.
pub(crate) fn print(answer: &Answer, style: Style) -> String {
    let mut text = String::new();
    for row in &answer.rows {
        let value = |name: &str| answer.value(row, name).map(printable);
        let severity = value("severity").unwrap_or_default();
        text.push_str(&style.state(&severity));
        text.push(':');
        if let Some(shard) = value("shard") {
            text.push_str(&format!(" shard {shard}:"));
        }
        if let Some(object) = value("object") {
            text.push_str(&format!(" {object}:"));
        }
        text.push_str(&format!(" {}\n", value("message").unwrap_or_default()));
        for name in ["detail", "hint"] {
            if let Some(sentence) = value(name) {
                text.push_str(&format!("  {name}: {sentence}\n"));
            }
        }
    }
    let (errors, warnings) = (count(answer, "error"), count(answer, "warning"));
    text.push_str(&match (errors, warnings) {
        (0, 0) => "no findings: the configuration fits the shards\n".to_owned(),
        _ => format!("errors: {errors}, warnings: {warnings}\n"),
    });
    text
}

/// Whether a finding is an error.
pub(crate) fn has_error(answer: &Answer) -> bool {
    count(answer, "error") > 0
}

fn count(answer: &Answer, severity: &str) -> usize {
    answer
        .rows
        .iter()
        .filter(|row| answer.value(row, "severity") == Some(severity))
        .count()
}
