//! Statements that were prepared before DateStyle, TimeZone or IntervalStyle changed: their literals mean what they meant.

use crate::differential::Source;
use crate::messages::{Format, Message, bind, describe, execute, parse, sync};
use crate::pair::Pair;
use crate::world::World;

/// Each over several shards, and with a literal that the settings read.
const STATEMENTS: [&str; 10] = [
    "SELECT id FROM users WHERE birthday > '01/02/1990' ORDER BY id",
    // what a server computes over merged groups
    "SELECT level, count(*) + 1, min(birthday) > '02/03/1990', '03/04/2020'::date FROM users GROUP BY level ORDER BY 1",
    "INSERT INTO users (id, name, joined, birthday) VALUES (9001, 'a', '2020-01-01 00:00:00', '05/06/2000'), \
        (9002, 'b', '2020-01-01 00:00:00', '06/07/2000'), (9003, 'c', '2020-01-01 00:00:00', '07/08/2000'), \
        (9004, 'd', '2020-01-01 00:00:00', '08/09/2000') RETURNING id, joined, birthday, '09/10/2000'::date",
    "UPDATE users SET birthday = '10/11/2000' WHERE id = 9001 RETURNING birthday",
    "INSERT INTO countries VALUES ('z9', 'to_char', to_char('11/12/2000'::date, 'YYYY-MM-DD')) RETURNING region, '01/02/2000'::date",
    "UPDATE countries SET name = '1-2'::interval::text WHERE code = 'z9' RETURNING name, '1-2'::interval",
    "DELETE FROM countries WHERE code = 'z9' AND region = to_char('11/12/2000'::date, 'YYYY-MM-DD')",
    "INSERT INTO accounts (owner, iban, amount) SELECT i, to_char('02/01/2001'::date, 'YYYY-MM-DD'), i FROM generate_series(9001, 9009) i",
    "SELECT iban FROM accounts WHERE owner BETWEEN 9001 AND 9009",
    "SELECT id, birthday, joined FROM users WHERE id > 9000 ORDER BY id",
];

#[test]
fn literals_of_prepared_statements_stay_what_they_were() {
    let source = Source::read("trading");
    let world = World::start(source.spec("r_then", 3));
    let settings = [
        [
            "SET DateStyle = 'ISO, MDY'",
            "SET TimeZone = 'UTC'",
            "SET IntervalStyle = 'postgres'",
        ],
        [
            "SET DateStyle = 'SQL, DMY'",
            "SET TimeZone = 'Asia/Tokyo'",
            "SET IntervalStyle = 'sql_standard'",
        ],
    ];
    for block in ["alone", "in a block"] {
        let mut pair = Pair::new(&world);
        pair.ask_all(&settings[0]);
        for (number, sql) in STATEMENTS.iter().enumerate() {
            let name = format!("s{number}");
            pair.send(&[parse(&name, sql, &[]), describe(b'S', &name), sync()].concat());
            pair.ready();
        }
        pair.ask_all(&settings[1]);
        if block == "in a block" {
            pair.ask("BEGIN");
            pair.ask("SET LOCAL DateStyle = 'German'");
        }
        for (number, sql) in STATEMENTS.iter().enumerate() {
            let name = format!("s{number}");
            pair.send(
                &[
                    bind("", &name, &[], Format::Text),
                    describe(b'P', ""),
                    execute("", 0),
                    sync(),
                ]
                .concat(),
            );
            let answer = pair.ready();
            let failed = answer.iter().find(|message| message.tag == b'E').map(Message::text);
            assert_eq!(failed, None, "{block}: {sql}");
        }
        pair.ask_all(&["SHOW DateStyle", "SHOW TimeZone", "SHOW IntervalStyle"]);
        match block {
            "in a block" => pair.ask_all(&["ROLLBACK", "SHOW DateStyle", "SELECT '01/02/2020'::date"]),
            _ => pair.ask_all(&["DELETE FROM users WHERE id = 9001", "SELECT '01/02/2020'::date"]),
        }
        for id in 9001..9010 {
            pair.ask(&format!("DELETE FROM users WHERE id = {id}"));
            pair.ask(&format!("DELETE FROM accounts WHERE owner = {id}"));
        }
    }
}

/// EXPLAIN reads its literals as then too; what it shows is the shards' affair.
#[test]
fn explain_runs_after_settings_have_changed() {
    let source = Source::read("trading");
    let world = World::start(source.spec("r_explain", 3));
    let mut client = world.client();
    client.rows("SET DateStyle = 'ISO, MDY'");
    let explain = "EXPLAIN (COSTS off) SELECT id FROM users WHERE birthday > '01/31/1990'";
    client.send(&[parse("e", explain, &[]), describe(b'S', "e"), sync()].concat());
    client.read_batch();
    client.rows("SET DateStyle = 'ISO, DMY'");
    // '01/31/1990' is no date any more.
    client.send(&[bind("", "e", &[], Format::Text), execute("", 0), sync()].concat());
    let answer = client.read_batch();
    let lines: Vec<String> = answer
        .iter()
        .filter(|message| message.tag == b'D')
        .filter_map(|message| message.values().remove(0))
        .map(|line| String::from_utf8(line).expect("text"))
        .collect();
    let shown = lines.iter().filter(|line| line.contains("1990-01-31")).count();
    assert_eq!(shown, 3, "{lines:?} {:?}", answer.first().map(Message::text));
}
