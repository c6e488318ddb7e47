//! The rows that the proxy cuts out of a COPY's data are those that a real Postgres reads: the same number, the same values,
//! and broken input is broken for both.

use shardgate::sql::{AtEnd, Command, CopyColumn, CopyRows, Cut, Forced, KeyField, Lexing, command};

use crate::client::Client;
use crate::messages::{self, Message};
use crate::world::{Spec, World};

/// A small generator of its own: the same inputs in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

/// What the splitter makes of data.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ours {
    /// the wanted column of each row; `None` is NULL
    values: Vec<Option<Vec<u8>>>,
    /// rows with too few columns, or an open quote
    missing: usize,
    broken: bool,
    headers: usize,
}

fn rows_of(sql: &str, columns: usize, position: usize) -> CopyRows {
    let Ok(Command::Copy(copy)) = command(sql.as_bytes(), Lexing::default()) else {
        panic!("{sql} is no COPY");
    };
    let options = copy.options.expect("known options");
    let forced = if options.is_csv() {
        options.forced("b")
    } else {
        Forced::No
    };
    CopyRows::new(
        options.row_form().expect("valid options"),
        columns,
        Some(CopyColumn { position, forced }),
    )
}

/// Cuts data that come in pieces of these sizes, in turn.
fn cut(mut rows: CopyRows, data: &[u8], mut size: impl FnMut() -> usize) -> Ours {
    let mut ours = Ours::default();
    let mut pending = Vec::new();
    let mut given = 0;
    loop {
        let end = if given == data.len() { AtEnd::Yes } else { AtEnd::No };
        loop {
            let length = match rows.next(&pending, end) {
                Cut::More => break,
                Cut::Header(length) => {
                    ours.headers += 1;
                    length
                }
                Cut::Row(length) => {
                    match rows.key(&pending[..length]) {
                        KeyField::Missing => ours.missing += 1,
                        KeyField::Null => ours.values.push(None),
                        KeyField::Text(bytes) | KeyField::Binary(bytes) => ours.values.push(Some(bytes.to_vec())),
                    }
                    length
                }
                Cut::End => return ours,
                Cut::Broken(_) => {
                    ours.broken = true;
                    return ours;
                }
            };
            pending.drain(..length);
        }
        assert_eq!(
            end,
            AtEnd::No,
            "more bytes are wanted at the end of {:?}",
            data.escape_ascii()
        );
        let next = data.len().min(given + size().max(1));
        pending.extend_from_slice(&data[given..next]);
        given = next;
    }
}

/// What Postgres makes of it: the column's values, or its error.
fn theirs(client: &mut Client, sql: &str, data: &[u8]) -> Result<Vec<Option<Vec<u8>>>, Message> {
    // A fresh table: in a used one rows lie where there is room, not in their order.
    client.rows("BEGIN");
    client.rows("TRUNCATE copied");
    client.send(&messages::query(sql));
    let begun = client.read_until(b'G');
    assert_eq!(begun.last().map(|last| last.tag), Some(b'G'), "{sql}: {begun:?}");
    client.send(&[messages::copy_data(data), messages::copy_done()].concat());
    let answer = client.read_batch();
    let error = answer.into_iter().find(|message| message.tag == b'E');
    let read = match error {
        Some(error) => Err(error),
        None => {
            let answer = client.query("SELECT b FROM copied ORDER BY ctid");
            let rows = answer.iter().filter(|message| message.tag == b'D');
            Ok(rows.map(|row| row.values().remove(0)).collect())
        }
    };
    client.rows("ROLLBACK");
    read
}

/// Errors about where a line ends, which leave no row to look at.
fn is_about_lines(error: &Message) -> bool {
    let message = error.fields().get(&'M').cloned().unwrap_or_default();
    let said = ["literal", "unquoted", "end-of-copy marker"];
    said.iter().any(|what| message.contains(what))
}

fn check(client: &mut Client, dice: &mut Dice, sql: &str, columns: usize, data: &[u8], seen: &mut [usize; 3]) {
    let position = columns - 1;
    let whole = cut(rows_of(sql, columns, position), data, || data.len());
    for _ in 0..2 {
        let most = 1 + dice.roll(9);
        let pieces = cut(rows_of(sql, columns, position), data, || 1 + dice.roll(most));
        assert_eq!(pieces, whole, "{sql}: {:?} in pieces", data.escape_ascii().to_string());
    }
    let shown = format!("{sql}: {}", data.escape_ascii());
    match theirs(client, sql, data) {
        Ok(values) => {
            seen[0] += 1;
            assert!(
                !whole.broken && whole.missing == 0,
                "{shown}\nours: {whole:?}\nPostgres: {values:?}"
            );
            assert_eq!(whole.values, values, "{shown}");
        }
        Err(error) => {
            let about_lines = is_about_lines(&error);
            seen[if about_lines { 1 } else { 2 }] += 1;
            // A row before may be wrong too, and Postgres stops at the first.
            assert!(
                whole.broken || !about_lines,
                "{shown}\nours: {whole:?}\nPostgres: {error:?}"
            );
        }
    }
}

/// Many inputs made of these pieces, under each form in turn: statement, its columns, delimiter.
fn check_forms(client: &mut Client, dice: &mut Dice, forms: &[(&str, usize, &str)], pieces: &[&str]) {
    let mut seen = [0; 3];
    for turn in 0..2500 {
        let (sql, columns, delimiter) = forms[turn % forms.len()];
        let data = lines(dice, columns, delimiter, pieces);
        check(client, dice, sql, columns, &data, &mut seen);
    }
    assert!(
        seen.iter().all(|count| *count > 50),
        "inputs are too much alike: {seen:?}"
    );
}

const SCHEMA: &str = "CREATE TABLE copied (a text, b text)";

fn world(name: &str) -> World {
    World::start(Spec {
        schema: SCHEMA,
        ..Spec::empty(name, 1)
    })
}

/// Lines of pieces: mostly of two columns, mostly with one kind of newline.
fn lines(dice: &mut Dice, columns: usize, delimiter: &str, pieces: &[&str]) -> Vec<u8> {
    let newline = dice.pick(&["\n", "\n", "\r\n", "\r"]);
    let mut text = String::new();
    for _ in 0..dice.roll(6) {
        for column in 0..columns {
            if column > 0 {
                text.push_str(delimiter);
            }
            for _ in 0..dice.roll(4) {
                text.push_str(dice.pick(pieces));
            }
        }
        match dice.roll(40) {
            0 => text.push_str(dice.pick(&["\n", "\r", "\r\n", "\\."])),
            1 => text.push_str("\\.\n"),
            _ => {}
        }
        text.push_str(newline);
    }
    if dice.roll(4) == 0 {
        text.push_str(dice.pick(&[
            "\\.", "\\.\n", "\\.\r\n", "\\.\r", "\\", "x\\", "\\.x", "\\.\n1\n", "\r", "x",
        ]));
    }
    if dice.roll(6) == 0 {
        text.pop();
    }
    text.into_bytes()
}

#[test]
fn text_is_cut_as_postgres_reads_it() {
    let world = world("copy_rows_text");
    let (mut client, mut dice) = (world.oracle(), Dice(7));
    let pieces = [
        "a", "b7", "0", "é", "\\\\", "\\N", "\\n", "\\t", "\\r", "\\b", "\\v", "\\f", "\\.x", "\\101", "\\60", "\\7",
        "\\x41", "\\x4", "\\xg", "\\x", "\\\t", "\\\n", "\\,", "\\q", "\"", "nil", " ",
    ];
    let forms = [
        ("COPY copied (a, b) FROM STDIN", 2, "\t"),
        ("COPY copied (b) FROM STDIN", 1, "\t"),
        ("COPY copied (a, b) FROM STDIN DELIMITER ','", 2, ","),
        (
            "COPY copied (a, b) FROM STDIN WITH (FORMAT text, NULL 'nil', DELIMITER '|')",
            2,
            "|",
        ),
        ("COPY copied (a, b) FROM STDIN WITH (HEADER, NULL '')", 2, "\t"),
        ("COPY copied FROM STDIN WITH NULL AS '\\n'", 2, "\t"),
    ];
    check_forms(&mut client, &mut dice, &forms, &pieces);
}

#[test]
fn csv_is_cut_as_postgres_reads_it() {
    let world = world("copy_rows_csv");
    let (mut client, mut dice) = (world.oracle(), Dice(11));
    let pieces = [
        "a",
        "b7",
        "é",
        "\"\"",
        "\"x\"",
        "\"a,b\"",
        "\"a\nb\"",
        "\"a\r\nb\"",
        "\"a\rb\"",
        "\"a\"\"b\"",
        "\"a\\\"b\"",
        "\\",
        "\\\"",
        "'",
        "'q''q'",
        "\"nil\"",
        "nil",
        " ",
        "\\.",
        "\"\\.\n\"",
        "\"",
        "'a\\'b'",
        "'a\\\\'",
        "\"\\\\\"",
    ];
    let forms = [
        ("COPY copied (a, b) FROM STDIN CSV", 2, ","),
        ("COPY copied (b) FROM STDIN CSV", 1, ","),
        (
            "COPY copied (a, b) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';')",
            2,
            ";",
        ),
        ("COPY copied (a, b) FROM STDIN WITH (FORMAT csv, ESCAPE '\\')", 2, ","),
        (
            "COPY copied (a, b) FROM STDIN WITH (FORMAT csv, QUOTE '''', ESCAPE '\\', NULL 'nil')",
            2,
            ",",
        ),
        (
            "COPY copied (a, b) FROM STDIN WITH (FORMAT csv, NULL 'nil', FORCE_NULL (b))",
            2,
            ",",
        ),
        (
            "COPY copied (a, b) FROM STDIN WITH (FORMAT csv, NULL 'nil', FORCE_NOT_NULL (b))",
            2,
            ",",
        ),
        (
            "COPY copied (a, b) FROM STDIN CSV NULL 'nil' FORCE NOT NULL b FORCE NULL b",
            2,
            ",",
        ),
    ];
    check_forms(&mut client, &mut dice, &forms, &pieces);
}

#[test]
fn binary_is_cut_as_postgres_reads_it() {
    let world = world("copy_rows_binary");
    let (mut client, mut dice) = (world.oracle(), Dice(13));
    let sql = "COPY copied (a, b) FROM STDIN (FORMAT binary)";
    let mut seen = [0; 2];
    for _ in 0..1500 {
        let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0".to_vec();
        let extension = dice.pick(&["", "", "abc"]).as_bytes();
        data.extend_from_slice(&u32::try_from(extension.len()).expect("short").to_be_bytes());
        data.extend_from_slice(extension);
        for _ in 0..dice.roll(4) {
            data.extend_from_slice(&2_u16.to_be_bytes());
            for _ in 0..2 {
                match dice.roll(4) {
                    0 => data.extend_from_slice(&(-1_i32).to_be_bytes()),
                    _ => {
                        let value = dice.pick(&["", "x", "some\nvalue\\.", "é"]).as_bytes();
                        data.extend_from_slice(&u32::try_from(value.len()).expect("short").to_be_bytes());
                        data.extend_from_slice(value);
                    }
                }
            }
        }
        if dice.roll(4) > 0 {
            data.extend_from_slice(&[0xff, 0xff]);
        }
        match dice.roll(4) {
            0 => data.truncate(data.len() - dice.roll(data.len().min(24))),
            1 => {
                let at = dice.roll(data.len());
                data[at] = *dice.pick(&[&[0_u8][..], &[1], &[0xff]]).first().expect("one");
            }
            2 if dice.roll(4) == 0 => data.push(0),
            _ => {}
        }
        let whole = cut(rows_of(sql, 2, 1), &data, || data.len());
        let pieces = cut(rows_of(sql, 2, 1), &data, || 1 + dice.roll(5));
        assert_eq!(pieces, whole, "{:?} in pieces", data.escape_ascii().to_string());
        match theirs(&mut client, sql, &data) {
            Ok(values) => {
                seen[0] += 1;
                assert!(!whole.broken, "{:?}: {values:?}", data.escape_ascii().to_string());
                assert_eq!(whole.values, values, "{:?}", data.escape_ascii().to_string());
            }
            Err(error) => {
                // Text that isn't UTF8 is the one error that isn't about the form.
                let code = error.code();
                seen[1] += 1;
                assert!(
                    whole.broken || code == "22021",
                    "{:?}: {error:?}",
                    data.escape_ascii().to_string()
                );
            }
        }
    }
    assert!(
        seen.iter().all(|count| *count > 50),
        "inputs are too much alike: {seen:?}"
    );
}
