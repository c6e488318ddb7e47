//! COPY with its options, old and new spelling (`CopyStmt` of `gram.y`).
//!
//! Holds: options that aren't understood to their last token are none at all, never some of them.

use super::command::{Copy, CopyDirection, CopyEnd, CopyOptions, CopySubject};
use super::recognise::Reader;

/// Behind `COPY`.
pub(super) fn copy(r: &mut Reader<'_>) -> Option<Copy> {
    let mut options = CopyOptions::default();
    let subject = match r.punctuation_here(b'(') {
        true => CopySubject::Query(r.parenthesised()?),
        false => {
            if r.eat("binary") {
                options.format = Some("binary".to_owned());
            }
            let mut parts = vec![r.name()?];
            while r.eat_punctuation(b'.') {
                parts.push(r.label()?);
            }
            let name = parts.pop()?;
            let schema = parts.pop();
            let columns = match r.punctuation_here(b'(') {
                true => r.name_list()?,
                false => Vec::new(),
            };
            CopySubject::Table { schema, name, columns }
        }
    };
    let direction = match (&subject, r.next_word()?.as_str()) {
        (CopySubject::Table { .. }, "from") => CopyDirection::From,
        (CopySubject::Table { .. } | CopySubject::Query(_), "to") => CopyDirection::To,
        _ => return None,
    };
    let end = if r.any(&["stdin", "stdout"]) {
        CopyEnd::Client
    } else {
        let end = if r.eat("program") {
            CopyEnd::Program
        } else {
            CopyEnd::File
        };
        r.string()?;
        end
    };
    let understood = behind(r, &mut options).is_some();
    let filter = match r.eat("where") {
        true => r.rest_span(),
        false => None,
    };
    let options = (understood && (r.is_done() || filter.is_some())).then(|| Box::new(options));
    r.finish();
    Some(Copy {
        subject,
        direction,
        end,
        options,
        filter,
    })
}

/// From behind the other end up to WHERE or the end.
fn behind(r: &mut Reader<'_>, options: &mut CopyOptions) -> Option<()> {
    if r.word_here() == "using" || r.word_here() == "delimiters" {
        r.eat("using");
        r.word("delimiters")?;
        once(&mut options.delimiter, r.string()?)?;
    }
    r.eat("with");
    match r.punctuation_here(b'(') {
        true => listed(r, options),
        false => spelt_out(r, options),
    }
}

/// `CSV HEADER DELIMITER AS ';'`: the spelling of before Postgres 9.0.
fn spelt_out(r: &mut Reader<'_>, options: &mut CopyOptions) -> Option<()> {
    let string = |r: &mut Reader<'_>| {
        r.eat("as");
        r.string()
    };
    while !r.is_done() && r.word_here() != "where" {
        match r.next_word()?.as_str() {
            "binary" => once(&mut options.format, "binary".to_owned())?,
            "csv" => once(&mut options.format, "csv".to_owned())?,
            "freeze" => once(&mut options.freeze, "true".to_owned())?,
            "header" => once(&mut options.header, "true".to_owned())?,
            "delimiter" => once(&mut options.delimiter, string(r)?)?,
            "null" => once(&mut options.null, string(r)?)?,
            "quote" => once(&mut options.quote, string(r)?)?,
            "escape" => once(&mut options.escape, string(r)?)?,
            "encoding" => once(&mut options.encoding, r.string()?)?,
            "force" => match r.next_word()?.as_str() {
                "quote" => {
                    if !r.eat_operator(b"*") {
                        columns(r)?;
                    }
                }
                "not" => {
                    r.word("null")?;
                    once(&mut options.force_not_null, columns(r)?)?;
                }
                "null" => once(&mut options.force_null, columns(r)?)?,
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(())
}

/// A list of columns without parentheses.
fn columns(r: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut found = vec![r.name()?];
    while r.eat_punctuation(b',') {
        found.push(r.name()?);
    }
    Some(found)
}

/// `(FORMAT csv, HEADER, DELIMITER ';')`.
fn listed(r: &mut Reader<'_>, options: &mut CopyOptions) -> Option<()> {
    r.eat_punctuation(b'(').then_some(())?;
    loop {
        let name = r.label()?;
        match name.as_str() {
            "format" => once(&mut options.format, value(r)?)?,
            "freeze" => once(&mut options.freeze, value(r).unwrap_or("true".to_owned()))?,
            "delimiter" => once(&mut options.delimiter, value(r)?)?,
            "null" => once(&mut options.null, value(r)?)?,
            "header" => once(&mut options.header, value(r).unwrap_or("true".to_owned()))?,
            "quote" => once(&mut options.quote, value(r)?)?,
            "escape" => once(&mut options.escape, value(r)?)?,
            "encoding" => once(&mut options.encoding, value(r)?)?,
            "force_quote" => {
                if !r.eat_operator(b"*") {
                    r.name_list()?;
                }
            }
            "force_not_null" => once(&mut options.force_not_null, r.name_list()?)?,
            "force_null" => once(&mut options.force_null, r.name_list()?)?,
            _ => return None,
        }
        if !r.eat_punctuation(b',') {
            break;
        }
    }
    r.eat_punctuation(b')').then_some(())
}

/// An option's value: a string, a word or a plain number.
fn value(r: &mut Reader<'_>) -> Option<String> {
    if r.punctuation_here(b',') || r.punctuation_here(b')') {
        return None;
    }
    if let Some(text) = r.string() {
        return Some(text);
    }
    match r.kind_here()? {
        super::scan::TokenKind::Integer => r.take_text(),
        _ => r.label(),
    }
}

/// Postgres refuses an option that is given twice.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use crate::sql::{Command, Copy, CopyOptions, Lexing, command};

    fn copy(behind: &str) -> Copy {
        match command(format!("COPY t FROM STDIN {behind}").as_bytes(), Lexing::default()) {
            Ok(Command::Copy(copy)) => copy,
            other => panic!("{behind}: {other:?}"),
        }
    }

    fn options(behind: &str) -> CopyOptions {
        let options = copy(behind).options;
        *options.unwrap_or_else(|| panic!("{behind} is not understood"))
    }

    #[test]
    fn old_and_new_spelling_agree() {
        for (old, new) in [
            ("", "WITH (FORMAT text)"),
            ("CSV", "(FORMAT csv)"),
            (
                "WITH CSV HEADER QUOTE AS '''' ESCAPE E'\\\\'",
                "(FORMAT csv, HEADER true, QUOTE '''', ESCAPE E'\\\\')",
            ),
            ("DELIMITERS '|' WITH NULL AS 'x'", "(DELIMITER '|', NULL 'x')"),
            (
                "CSV FORCE NOT NULL a, \"B\" FORCE NULL c",
                "(FORMAT csv, FORCE_NOT_NULL (a, \"B\"), FORCE_NULL (c))",
            ),
            ("BINARY", "(FORMAT 'binary')"),
            ("ENCODING 'latin1' FREEZE", "(ENCODING latin1, FREEZE)"),
            ("CSV HEADER", "(FORMAT csv, HEADER MATCH)"),
        ] {
            let (old, new) = (options(old), options(new));
            assert_eq!(old.row_form(), new.row_form());
            assert!(old.row_form().is_some());
            for column in ["a", "b", "B", "c"] {
                assert_eq!(old.forced(column), new.forced(column));
            }
            assert_eq!((old.encoding, old.freeze), (new.encoding, new.freeze));
        }
    }

    #[test]
    fn what_is_not_understood_has_no_options() {
        for behind in [
            "(FORMAT csv, FORMAT csv)",
            "(FORMAT)",
            "(ON_ERROR ignore)",
            "(FORMAT csv",
            "CSV QUOTE",
            "CSV CSV",
            "(FORMAT csv) HEADER",
            "FORCE NOT NULL",
        ] {
            assert_eq!(copy(behind).options, None, "{behind}");
        }
    }

    #[test]
    fn what_postgres_refuses_has_no_form() {
        for behind in [
            "(DELIMITER 'ab')",
            "(DELIMITER '')",
            "(DELIMITER 'a')",
            "(FORMAT 'CSV')",
            "(FORMAT csv, QUOTE 'ab')",
            "(QUOTE '\"')",
            "(NULL E'a\\n')",
            "(HEADER perhaps)",
            "(FORMAT binary, HEADER)",
        ] {
            assert_eq!(options(behind).row_form(), None, "{behind}");
        }
    }

    #[test]
    fn a_condition_is_seen() {
        assert!(copy("(FORMAT csv) WHERE a > 5").filter.is_some());
        assert!(copy("CSV WHERE a > 5").filter.is_some());
        assert_eq!(copy("CSV").filter, None);
    }
}
