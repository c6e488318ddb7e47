//! Names in strings, as `regclassin` reads them.

/// The parts of a qualified name in a string, folded where they aren't quoted; `None` where Postgres rejects it, or might.
/// (`stringToQualifiedNameList` of Postgres 15: white space around parts, `"` doubled inside quotes.)
pub(super) fn parts_of(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim_matches([' ', '\t', '\n', '\r', '\u{c}']);
    loop {
        let (part, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted)?,
            None => plain_part(rest)?,
        };
        parts.push(part);
        let behind = behind.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        match behind.strip_prefix('.') {
            Some(next) => rest = next.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']),
            None if behind.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"')?;
        part.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return (!part.is_empty() && part.len() < 64).then_some((part, behind)),
        }
    }
}

/// Only what folds the same under every encoding: ASCII letters, digits, `_`, `$`.
fn plain_part(text: &str) -> Option<(String, &str)> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let end = text.find(|c: char| !inside(c)).unwrap_or(text.len());
    let (part, behind) = text.split_at_checked(end)?;
    let starts = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (starts && part.len() < 64).then(|| (part.to_ascii_lowercase(), behind))
}

#[cfg(test)]
mod tests {
    use super::parts_of;

    #[test]
    fn names_are_read_as_regclass_reads_them() {
        let cases: [(&str, Option<&[&str]>); 9] = [
            ("users_id_seq", Some(&["users_id_seq"])),
            ("Public.Users_ID_seq", Some(&["public", "users_id_seq"])),
            ("\"Public\".\"a.b\"", Some(&["Public", "a.b"])),
            ("\"say \"\"x\"\"\"", Some(&["say \"x\""])),
            (" a . b ", Some(&["a", "b"])),
            ("a b", None),
            ("\"open", None),
            ("", None),
            ("1a", None),
        ];
        for (text, expected) in cases {
            let parts = parts_of(text);
            let parts: Option<Vec<&str>> = parts.as_ref().map(|parts| parts.iter().map(String::as_str).collect());
            assert_eq!(parts.as_deref(), expected, "{text}");
        }
    }
}
