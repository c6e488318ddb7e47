//! An answer as one array of objects, for scripts.
//!
//! Holds: keys are the column names, in their order; numbers and booleans are JSON's own, NULL is null.

use serde_json::{Number, Value};

use crate::answer::{Answer, Kind};

/// The array, one object per line.
pub(crate) fn print(answer: &Answer) -> Result<String, anyhow::Error> {
    let mut objects = Vec::new();
    for row in &answer.rows {
        let mut members = Vec::new();
        for (column, value) in answer.columns.iter().zip(row) {
            let key = serde_json::to_string(&column.name)?;
            members.push(format!("{key}: {}", value_of(value.as_deref(), column.kind)));
        }
        objects.push(format!("  {{{}}}", members.join(", ")));
    }
    Ok(if objects.is_empty() {
        "[]\n".to_owned()
    } else {
        format!("[\n{}\n]\n", objects.join(",\n"))
    })
}

fn value_of(value: Option<&str>, kind: Kind) -> Value {
    let Some(text) = value else { return Value::Null };
    let typed = match kind {
        Kind::Text => None,
        // What JSON can't write as a number (NaN, Infinity) stays a text.
        Kind::Number => text.parse::<Number>().ok().map(Value::Number),
        Kind::Boolean => match text {
            "t" => Some(Value::Bool(true)),
            "f" => Some(Value::Bool(false)),
            _ => None,
        },
    };
    typed.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Column;

    #[test]
    fn values_keep_their_types_and_keys_their_order() {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        let some = |text: &str| Some(text.to_owned());
        let answer = Answer {
            columns: vec![
                column("shard", Kind::Text),
                column("bucket", Kind::Number),
                column("busy_ratio", Kind::Number),
                column("home", Kind::Boolean),
            ],
            rows: vec![
                vec![some("a\"\n"), some("7"), some("0.25"), some("t")],
                vec![some("42"), None, some("NaN"), some("f")],
            ],
        };
        let printed = print(&answer).unwrap();
        let expected = "[\n  {\"shard\": \"a\\\"\\n\", \"bucket\": 7, \"busy_ratio\": 0.25, \"home\": true},\n  \
                        {\"shard\": \"42\", \"bucket\": null, \"busy_ratio\": \"NaN\", \"home\": false}\n]\n";
        assert_eq!(printed, expected);
        assert!(serde_json::from_str::<Value>(&printed).is_ok());
        assert_eq!(
            print(&Answer {
                columns: answer.columns,
                rows: Vec::new()
            })
            .unwrap(),
            "[]\n"
        );
    }
}
