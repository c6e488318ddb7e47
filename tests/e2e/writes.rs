//! Writes on several shards, message by message: what one plain Postgres says, places of errors in the text included.

use crate::differential::Source;
use crate::messages::{Format, bind, close, describe, execute, flush, parse, sync};
use crate::pair::Pair;
use crate::world::World;

/// A table over three shards; the keys 1, 4 and 2 lie on three of them.
fn three_shards(name: &str, run: impl FnOnce(&World)) {
    let source = Source::read("split");
    run(&World::start(source.spec(name, 3)));
}

/// An unnamed statement with text parameters, its results as text.
fn extended(sql: &str, values: &[&str]) -> Vec<u8> {
    let values: Vec<_> = values
        .iter()
        .map(|value| (Format::Text, Some(value.as_bytes().to_vec())))
        .collect();
    [
        parse("", sql, &[]),
        bind("", "", &values, Format::Text),
        describe(b'P', ""),
        execute("", 0),
    ]
    .concat()
}

#[test]
fn an_error_in_any_row_points_into_the_clients_text() {
    three_shards("w_place", |world| {
        let mut pair = Pair::new(world);
        pair.ask_all(&[
            "INSERT INTO log (k, what, n) VALUES (1, 'ä', 1), (4, 'ö€', 'x'), (2, 'c', 3)",
            "INSERT INTO log (k, what, n) VALUES (1, 'ä', 1), (4, 'ö€', 2), (1, 'c', 3), (2, '😀', nothing)",
            "INSERT INTO log (k, n) VALUES (1, 1), (4, 2), (2, no_such(3))",
            "INSERT INTO parts (k, id, amount) VALUES (1, 1, 1), (4, 1, 2), (1, 2, 3), (4, 2, 'x') ON CONFLICT DO NOTHING RETURNING id",
            "INSERT INTO log (k, n) VALUES (1, 1), (4, 2), (2, 3) RETURNING nothing",
            // of a row and of the text: the text is read first
            "INSERT INTO parts (k, id, amount) VALUES (1, 0, 1), (4, 1, 2), (2, 1, 'x')",
            "INSERT INTO parts (k, id, amount) VALUES (1, 1, 1), (4, 1, 2), (2, 1, NULL)",
            "SELECT k, id FROM parts WHERE id > 0",
        ]);
        pair.send(
            &[
                extended("INSERT INTO log (k, n) VALUES ($1, 1), ($2, 2), (2, 'x')", &["1", "4"]),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
    });
}

#[test]
fn a_pipeline_is_one_transaction_on_all_shards() {
    three_shards("w_pipeline", |world| {
        let mut pair = Pair::new(world);
        let insert = "INSERT INTO log (k, what) VALUES ($1, $2), (4, $2), (2, 'x') RETURNING k, what";
        pair.send(
            &[
                extended(insert, &["1", "a"]),
                extended(insert, &["5", "b"]),
                extended("INSERT INTO log (k) VALUES ($1)", &["6"]),
                extended("SELECT k, what FROM log ORDER BY k, what COLLATE \"C\"", &[]),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        // an error behind takes back what went before, on every shard
        pair.send(
            &[
                extended(insert, &["7", "c"]),
                extended("INSERT INTO parts (k, id) VALUES ($1, 5), (4, 5), (2, 0)", &["1"]),
                extended(insert, &["8", "d"]),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.ask("SELECT k, what FROM log ORDER BY k, what COLLATE \"C\"");
        pair.ask("SELECT k, id FROM parts WHERE id = 5");
        // named, bound several times, executed behind a Flush
        pair.send(&[parse("s", insert, &[20, 25]), describe(b'S', "s"), flush()].concat());
        pair.until(b'T');
        for key in ["11", "12"] {
            let values = [(Format::Text, Some(key.as_bytes().to_vec())), (Format::Text, None)];
            pair.send(&[bind("p", "s", &values, Format::Text), execute("p", 0), close(b'P', "p")].concat());
        }
        pair.send(&sync());
        pair.ready();
        pair.ask("SELECT k, what FROM log ORDER BY k, what COLLATE \"C\"");
    });
}

#[test]
fn many_rows_go_in_one_text_for_each_shard() {
    const ROWS: usize = 3_000;
    three_shards("w_many", |world| {
        let mut pair = Pair::new(world);
        let rows: Vec<String> = (0..ROWS).map(|k| format!("({k}, {k} % 7, 'row {k}')")).collect();
        let rows = rows.join(", ");
        pair.ask(&format!(
            "INSERT INTO parts (k, id, note) VALUES {rows} ON CONFLICT DO NOTHING"
        ));
        pair.ask(&format!("INSERT INTO log (k, n, what) VALUES {rows} RETURNING k, what"));
        // runs of a row or two, and every second row is there already
        pair.ask(&format!(
            "INSERT INTO parts AS p (k, id, note) VALUES {} ON CONFLICT (k, id) DO UPDATE SET note = 'again' \
             WHERE p.k % 2 = 0 RETURNING k, note",
            (0..300)
                .map(|k| format!("({k}, {})", [format!("{k} % 7"), format!("'{k}'")].join(", ")))
                .collect::<Vec<_>>()
                .join(", ")
        ));
        pair.ask("SELECT count(*), sum(k), sum(n) FROM log");
        pair.ask("SELECT count(*), sum(k) FROM parts");
    });
}
