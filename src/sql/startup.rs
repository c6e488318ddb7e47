//! The start-up parameter `options`: command-line switches for the session, as Postgres reads them.
//!
//! `pg_split_opts` and `process_postgres_switches` of 15: words are separated by white space, a backslash takes the next byte
//! as it is; `-c name=value`, `-cname=value` and `--name=value` set; in the name `-` means `_`. The single-letter debugging
//! switches are refused: none sets what a session should.

use super::error::OptionsError;

/// Settings of an `options` string in order, names folded; a repeated one counts by its last.
pub fn startup_options(options: &str) -> Result<Vec<(String, String)>, OptionsError> {
    let words = split(options);
    let mut words = words.into_iter();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next().ok_or_else(|| OptionsError(word.clone()))?
        } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
            rest.to_owned()
        } else {
            return Err(OptionsError(word));
        };
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| OptionsError(assignment.clone()))?;
        if name.is_empty() {
            return Err(OptionsError(assignment));
        }
        found.push((name.replace('-', "_").to_ascii_lowercase(), value.to_owned()));
    }
    Ok(found)
}

fn split(options: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = options.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}' => words.extend(word.take()),
            '\\' => {
                let kept = word.get_or_insert_default();
                kept.extend(characters.next());
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &str, expected: Result<&[(&str, &str)], &str>) {
        let expected = expected
            .map(|list| {
                list.iter()
                    .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                    .collect::<Vec<_>>()
            })
            .map_err(|word| OptionsError(word.to_owned()));
        assert_eq!(startup_options(options), expected, "{options}");
    }

    #[test]
    fn switches_are_read() {
        check("", Ok(&[]));
        check(
            "-c search_path=a,b --Work-Mem=4MB -cgeqo=off",
            Ok(&[("search_path", "a,b"), ("work_mem", "4MB"), ("geqo", "off")]),
        );
        check(r"-c application_name=a\ b\\c", Ok(&[("application_name", r"a b\c")]));
        check("-c", Err("-c"));
        check("-c x", Err("x"));
        check("-d 5", Err("-d"));
        check("--=x", Err("=x"));
    }
}
