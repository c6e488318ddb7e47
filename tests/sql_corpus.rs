//! Room `sql` against a real Postgres: what the lexer takes, what literals and names mean, how settings replay.
//!
//! The expected side is always the server. Texts come from a seeded generator, so a failure comes back.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "in a test's helper a failure is the test's"
)]

use std::collections::BTreeSet;

use shardgate::sql::{
    Command, GucContext, Identifier, Lexing, Literal, LiteralClass, REPORTED, Reset, SessionSettings, Shape, Span,
    StandardStrings, TokenKind, command, guc_facts, identifiers, quote_identifier, quote_literal, scan, shape, split,
};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

#[path = "../src/bin/shardctl/clusters.rs"]
pub mod clusters;

use clusters::{Clusters, Recipe};

/// A server: the one that the run shares, or one of this test's own.
struct Server {
    port: u16,
    _own: Option<Clusters>,
}

impl Server {
    fn get() -> Server {
        if let Ok(port) = std::env::var("SHARDGATE_TEST_ORACLE") {
            return Server {
                port: port.parse().expect("SHARDGATE_TEST_ORACLE is a port"),
                _own: None,
            };
        }
        let own = Clusters::start(&Recipe::new(1)).expect("a Postgres starts");
        let port = own.iter().next().expect("there is one").port();
        Server { port, _own: Some(own) }
    }

    async fn connect(&self) -> Client {
        self.connect_reporting().await.0
    }

    /// A connection, and what it reported of [`REPORTED`].
    async fn connect_reporting(&self) -> (Client, Vec<Option<String>>) {
        let url = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("the server takes us");
        let reported = REPORTED
            .iter()
            .map(|name| connection.parameter(name).map(str::to_owned))
            .collect();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        tasks.detach_all();
        (client, reported)
    }
}

fn run(test: impl AsyncFnOnce(&Server)) {
    let server = Server::get();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test(&server));
}

/// First column of the first row, or the error's message.
async fn ask(client: &Client, sql: &str) -> Result<Option<String>, String> {
    match client.simple_query(sql).await {
        Ok(messages) => Ok(messages
            .iter()
            .find_map(|message| match message {
                SimpleQueryMessage::Row(row) if row.is_empty() => None,
                SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
                _ => None,
            })
            .flatten()),
        Err(error) => match error.as_db_error() {
            Some(error) => Err(error.message().to_owned()),
            None => panic!("{sql}: {error}"),
        },
    }
}

async fn value(client: &Client, sql: &str) -> String {
    ask(client, sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .unwrap_or_default()
}

/// A small generator of our own (xorshift): the same texts on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits fit") % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }

    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..self.roll(most + 1)).map(|_| self.pick(pieces)).collect()
    }
}

const LEXICAL: &[&str] = &[
    "unterminated",
    "zero-length delimited identifier",
    "trailing junk after",
    "operator too long",
    "unsafe use of string constant",
    "invalid Unicode escape character",
    "UESCAPE must be followed",
];

fn lexing(strings: StandardStrings) -> Lexing {
    Lexing {
        strings,
        ..Lexing::default()
    }
}

const SETTINGS: [(StandardStrings, &str); 2] = [
    (
        StandardStrings::On,
        "SET standard_conforming_strings = on; SET escape_string_warning = off",
    ),
    (
        StandardStrings::Off,
        "SET standard_conforming_strings = off; SET escape_string_warning = off",
    ),
];

#[test]
fn the_lexer_fails_where_postgres_fails() {
    const PIECES: &[&str] = &[
        "'",
        "'",
        "\"",
        "\"",
        "$",
        "$$",
        "$a$",
        "E'",
        "e'",
        "b'",
        "X'",
        "n'",
        "U&'",
        "u&\"",
        " ",
        "\n",
        "--",
        "/*",
        "*/",
        "\\",
        "''",
        "1",
        "2.5",
        "1e",
        ".",
        "..",
        "a",
        "é",
        "_",
        "x1",
        "(",
        ")",
        ",",
        "::",
        ":=",
        "=>",
        "+",
        "-",
        "*",
        "/",
        "<",
        "=",
        "@",
        "~",
        "!",
        "%",
        "^",
        "&",
        "|",
        "?",
        "#",
        " UESCAPE ",
        "'!'",
        "1a",
        "$1",
        "$1a",
        "\r",
        "\t",
        "\x0c",
        "\x0b",
        "[",
        "]",
        "{",
    ];
    run(async |server| {
        let client = server.connect().await;
        let mut dice = Dice(0x5eed_0001);
        let (mut taken, mut failed) = (0, 0);
        for (strings, setting) in SETTINGS {
            client.batch_execute(setting).await.expect("settings");
            for _ in 0..4_000 {
                let text = format!("SELECT {}", dice.text(PIECES, 8));
                // one statement to Postgres too, so that a later one can't run
                let ours = scan(text.as_bytes(), lexing(strings));
                let theirs = ask(&client, &text).await;
                match (&ours, &theirs) {
                    (Ok(_), Err(message)) if LEXICAL.iter().any(|l| message.starts_with(l)) => {
                        panic!("{text:?}: we take it, Postgres says {message}");
                    }
                    (Ok(_), _) => taken += 1,
                    // the grammar may stop at a token before
                    (Err(_), Err(message)) if message.starts_with("syntax error") => failed += 1,
                    (Err(error), Err(message)) => {
                        let ours = error.kind.to_string();
                        let same = message.starts_with(&ours)
                            || (ours == "invalid Unicode escape character" && message.starts_with("UESCAPE must"))
                            // decoded while it is read, before the end is missed
                            || message.starts_with("invalid Unicode")
                            || message.starts_with("unsafe use of \\'");
                        assert!(same, "{text:?}: we say {ours}, Postgres {message}");
                        failed += 1;
                    }
                    (Err(error), Ok(_)) => panic!("{text:?}: Postgres takes it, we say {error}"),
                }
            }
        }
        assert!(taken > 500 && failed > 500, "{taken} {failed}");
    });
}

#[test]
fn literals_have_the_values_postgres_gives_them() {
    const PIECES: &[&str] = &[
        "a",
        "b",
        " ",
        "''",
        "\\\\",
        "\\n",
        "\\'",
        "\\",
        "\\x41",
        "\\101",
        "\\u00e9",
        "\\U0001F600",
        "\\ud83d\\ude00",
        "\\0061",
        "\\+01F600",
        "\\D83D\\DE00",
        "é",
        "😀",
        "$",
        "'\n'",
        "' -- c\n '",
        "!0062",
        "!!",
        "\\x",
        "\\u12",
        "\\8",
        "\\b\\f\\r\\t\\v",
    ];
    run(async |server| {
        let client = server.connect().await;
        let mut dice = Dice(0x5eed_0002);
        let (mut equal, mut errors) = (0, 0);
        for (strings, setting) in SETTINGS {
            client.batch_execute(setting).await.expect("settings");
            for _ in 0..3_000 {
                let body = dice.text(PIECES, 6);
                let text = match dice.roll(6) {
                    0 => format!("'{body}'"),
                    1 => format!("E'{body}'"),
                    2 => format!("U&'{body}'"),
                    3 => format!("U&'{body}' UESCAPE '!'"),
                    4 => format!("$q${}$q$", body.replace('\'', "")),
                    _ => format!("e'{body}'"),
                };
                let lexing = lexing(strings);
                let Ok(tokens) = scan(text.as_bytes(), lexing) else {
                    continue;
                };
                let [token] = tokens.as_slice() else { continue };
                let ours = Literal {
                    span: token.span,
                    class: LiteralClass::String,
                }
                .decode(text.as_bytes(), lexing);
                let theirs = ask(&client, &format!("SELECT {text}")).await;
                match (ours, theirs) {
                    (Ok(ours), Ok(theirs)) => {
                        assert_eq!(String::from_utf8_lossy(&ours), theirs.unwrap_or_default(), "{text:?}");
                        equal += 1;
                    }
                    (Err(_), Err(_)) => errors += 1,
                    (ours, theirs) => panic!("{text:?}: {ours:?}, but Postgres {theirs:?}"),
                }
            }
        }
        assert!(equal > 1_000 && errors > 100, "{equal} {errors}");
    });
}

#[test]
fn a_number_has_the_type_its_class_says() {
    run(async |server| {
        let client = server.connect().await;
        let mut dice = Dice(0x5eed_0003);
        let mut found = Shape::default();
        for round in 0..600 {
            let digits: String = (0..1 + dice.roll(20))
                .map(|_| char::from(b'0' + u8::try_from(dice.roll(10)).expect("a digit")))
                .collect();
            let number = match round % 6 {
                0 => format!("{digits}.{digits}"),
                1 => format!("{digits}e3"),
                2 => [
                    "2147483647",
                    "2147483648",
                    "9223372036854775807",
                    "9223372036854775808",
                    "0",
                    "000",
                ][dice.roll(6)]
                .to_owned(),
                _ => digits,
            };
            for signed in [number.clone(), format!("-{number}"), format!("- {number}")] {
                let text = format!("SELECT pg_typeof({signed})");
                shape(text.as_bytes(), Lexing::default(), &mut found).expect("a statement");
                // one that isn't lifted is in the shape with all its digits
                let Some(literal) = found.literals().first() else {
                    continue;
                };
                let expected = match literal.class {
                    LiteralClass::Int4 => "integer",
                    LiteralClass::Int8 => "bigint",
                    LiteralClass::Numeric => "numeric",
                    other => panic!("{other:?}"),
                };
                assert_eq!(value(&client, &text).await, expected, "{text}");
            }
        }
    });
}

#[test]
fn operators_end_where_postgres_ends_them() {
    const CHARACTERS: &[&str] = &[
        "~", "!", "@", "#", "^", "&", "|", "`", "?", "+", "-", "*", "/", "%", "<", ">", "=",
    ];
    run(async |server| {
        let client = server.connect().await;
        let mut dice = Dice(0x5eed_0004);
        let mut compared = 0;
        for _ in 0..4_000 {
            let operator = format!("{}{}", dice.pick(CHARACTERS), dice.text(CHARACTERS, 3));
            let text = format!("SELECT 'a'::xid{operator}'b'::xid");
            let tokens = scan(text.as_bytes(), Lexing::default());
            let Err(message) = ask(&client, &text).await else {
                continue;
            };
            let Some(theirs) = message.strip_prefix("operator does not exist: ") else {
                continue;
            };
            let Ok(tokens) = tokens else {
                panic!("{text}: {message}")
            };
            let operators: Vec<&str> = tokens
                .iter()
                .filter(|t| t.kind == TokenKind::Operator)
                .map(|t| std::str::from_utf8(t.span.of(text.as_bytes())).expect("ASCII"))
                .map(|o| if o == "!=" { "<>" } else { o })
                .collect();
            let named: Vec<&str> = theirs.split(' ').filter(|w| *w != "xid").collect();
            assert!(
                named.iter().all(|n| operators.contains(n)),
                "{text}: {operators:?}, Postgres: {theirs}"
            );
            compared += 1;
        }
        assert!(compared > 500, "{compared}");
    });
}

#[test]
fn names_fold_as_in_postgres() {
    const PIECES: &[&str] = &[
        "a",
        "B",
        "É",
        "ß",
        "_",
        "1",
        "$",
        "\"\"",
        " ",
        "İ",
        "\\0041",
        "\\+0000e9",
        "日本語日本語日本語",
        "ABCDEFGHIJ",
    ];
    run(async |server| {
        let client = server.connect().await;
        let mut dice = Dice(0x5eed_0005);
        let mut compared = 0;
        for _ in 0..3_000 {
            let body = dice.text(PIECES, 9);
            let written = match dice.roll(4) {
                0 => format!("\"{body}\""),
                1 => format!("U&\"{body}\""),
                _ => body,
            };
            let text = format!("SELECT 1 AS {written}");
            let Ok(found) = identifiers(text.as_bytes(), Lexing::default()) else {
                continue;
            };
            let theirs = match client.simple_query(&text).await {
                Ok(messages) => messages.into_iter().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row.columns()[0].name().to_owned()),
                    _ => None,
                }),
                Err(_) => None,
            };
            let ours = match found.as_slice() {
                [_, _, Identifier::Name { name, .. }] => Some(name.clone()),
                _ => None,
            };
            // more than one token is a syntax error to Postgres, and more than one word to us
            if let Some(theirs) = theirs {
                assert_eq!(ours, Some(theirs), "{text}");
                compared += 1;
            }
        }
        assert!(compared > 800, "{compared}");
    });
}

#[test]
fn a_message_holds_as_many_statements_as_postgres_runs() {
    const STATEMENTS: &[&str] = &[
        "SELECT 1",
        "SELECT ';'",
        "SELECT $$;$$",
        "SELECT E'\\';'",
        "SELECT 1 AS \";\"",
        "VALUES (1), (2)",
        "SHOW work_mem",
        "SET work_mem = '4MB'",
        "",
        " ",
        "-- ;\n",
        "/* ; /* ; */ */",
        "SELECT/*;*/1",
        "BEGIN",
        "END",
        "(SELECT 1)",
        "CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
        "CREATE OR REPLACE FUNCTION pg_temp.g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS end; END",
        "CREATE OR REPLACE PROCEDURE pg_temp.p() BEGIN ATOMIC END",
        "CREATE OR REPLACE FUNCTION pg_temp.h() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE RULE r AS ON INSERT TO pg_temp.t DO ALSO (SELECT 1; SELECT 2)",
    ];
    run(async |server| {
        let client = server.connect().await;
        client
            .batch_execute("CREATE TEMP TABLE t (a int)")
            .await
            .expect("a table");
        let mut dice = Dice(0x5eed_0006);
        for _ in 0..1_500 {
            let count = dice.roll(6);
            let texts: Vec<&str> = (0..count).map(|_| dice.pick(STATEMENTS)).collect();
            let text = texts.join(";");
            let ours = split(text.as_bytes(), Lexing::default()).expect("they lex");
            let messages = client
                .simple_query(&text)
                .await
                .unwrap_or_else(|error| panic!("{text}: {error:?}"));
            let theirs = messages
                .iter()
                .filter(|m| matches!(m, SimpleQueryMessage::CommandComplete(_)))
                .count();
            // an empty message is answered too
            assert_eq!(ours.len().max(1), theirs, "{text}");
            for statement in ours {
                assert_ne!(
                    command(statement.of(text.as_bytes()), Lexing::default()),
                    Ok(Command::Empty),
                    "{text}"
                );
            }
        }
    });
}

/// Statements that a client may send, each valid alone.
const SETS: &[&str] = &[
    "SET work_mem = '5MB'",
    "SET work_mem = 7000",
    "RESET work_mem",
    "SET search_path TO a, \"B c\", \"$user\"",
    "SET search_path TO ''",
    "SET SCHEMA 'x y'",
    "SELECT set_config('search_path', 'p, q', false)",
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET TIME ZONE -7.5",
    "SET TIME ZONE 3",
    "SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE",
    "SET TIME ZONE INTERVAL '+5:45'",
    "SET TIME ZONE LOCAL",
    "SET DateStyle TO German",
    "SET DateStyle = ISO, DMY",
    "SET IntervalStyle = iso_8601",
    "SET extra_float_digits = -2",
    "SET geqo_threshold TO 007",
    "SET seq_page_cost = 1.50",
    "SET statement_timeout = '90s'",
    "SET application_name = E'it''s \\\\ é'",
    "SET application_name TO my_App",
    "SET standard_conforming_strings = off",
    "SET standard_conforming_strings = on",
    "SET XML OPTION DOCUMENT",
    "SET NAMES 'UTF8'",
    "SET app.tenant = 'T1'",
    "SET \"App\".Tenant = 'T2'",
    "RESET app.tenant",
    "SET app.other TO DEFAULT",
    "SET my.\"odd name\" = 'x'",
    "SET ROLE sql_corpus_a",
    "SET ROLE NONE",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION sql_corpus_b",
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET SESSION AUTHORIZATION",
    "RESET ALL",
    "DISCARD ALL",
    "SET bytea_output = escape",
    "SET temp_tablespaces TO ''",
    "SET default_transaction_isolation = 'repeatable read'",
    "SET enable_seqscan = off",
];

fn after(settings: SessionSettings, text: &str) -> SessionSettings {
    match command(text.as_bytes(), Lexing::default()) {
        Ok(Command::Set(set)) => settings.with_set(&set).expect("a valid setting"),
        Ok(Command::Reset(Reset::All)) => settings.reset_all(),
        Ok(Command::Reset(Reset::Name(name))) => settings.with_reset(&name),
        Ok(Command::Discard(_)) => settings.discard_all(),
        Ok(Command::SetConfig(calls)) => {
            calls
                .into_iter()
                .fold(settings, |settings, call| match (call.name, call.value) {
                    (
                        shardgate::sql::ConstantOrParameter::Constant(name),
                        shardgate::sql::ConstantOrParameter::Constant(value),
                    ) => settings.with_value(&name, &value).expect("a valid setting"),
                    other => panic!("{other:?}"),
                })
        }
        other => panic!("{text}: {other:?}"),
    }
}

/// Everything that a client could see of its settings.
async fn seen(client: &Client) -> String {
    let own = value(
        client,
        "SELECT concat_ws('|', current_user, session_user, current_setting('role'), current_setting('session_authorization'), \
         coalesce(current_setting('app.tenant', true), 'NULL'), coalesce(current_setting('app.other', true), 'NULL'), \
         coalesce(current_setting('my.odd name', true), 'NULL'))",
    )
    .await;
    let all = value(
        client,
        "SELECT string_agg(name || '=' || setting, E'\\n' ORDER BY name) FROM pg_settings",
    )
    .await;
    format!("{own}\n{all}")
}

#[test]
fn a_replayed_backend_cant_be_told_from_the_original() {
    run(async |server| {
        let first = server.connect().await;
        first
            .batch_execute("DROP ROLE IF EXISTS sql_corpus_a, sql_corpus_b; CREATE ROLE sql_corpus_a; CREATE ROLE sql_corpus_b SUPERUSER")
            .await
            .expect("roles");
        let mut dice = Dice(0x5eed_0007);
        let mut replays = 0;
        for _ in 0..120 {
            let original = server.connect().await;
            let backend = server.connect().await;
            let (mut wanted, mut held) = (SessionSettings::default(), SessionSettings::default());
            for _ in 0..dice.roll(6) {
                let text = dice.pick(SETS);
                if ask(&backend, text).await.is_ok() {
                    held = after(held, text);
                }
            }
            let mut texts = Vec::new();
            for _ in 0..1 + dice.roll(8) {
                let text = dice.pick(SETS);
                if ask(&original, text).await.is_ok() {
                    wanted = after(wanted, text);
                    texts.push(text);
                }
                if !wanted.can_take_over(&held) {
                    continue;
                }
                let sql = String::from_utf8(wanted.diff(&held)).expect("UTF-8");
                backend
                    .batch_execute(&sql)
                    .await
                    .unwrap_or_else(|error| panic!("{texts:?}: {sql}: {error:?}"));
                held = wanted.clone();
                assert_eq!(seen(&backend).await, seen(&original).await, "{texts:?}: {sql}");
                replays += 1;
            }
        }
        assert!(replays > 200, "{replays}");
        first
            .batch_execute("DROP ROLE sql_corpus_a, sql_corpus_b")
            .await
            .expect("nobody needs them");
    });
}

#[test]
fn facts_are_the_servers() {
    run(async |server| {
        let (client, reported) = server.connect_reporting().await;
        for (name, value) in REPORTED.iter().zip(reported) {
            assert!(value.is_some(), "{name} is not reported");
        }
        let messages = client
            .simple_query("SELECT name, context FROM pg_settings")
            .await
            .expect("settings");
        let mut names = BTreeSet::new();
        for message in &messages {
            let SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            let (name, context) = (row.get(0).expect("a name"), row.get(1).expect("a context"));
            if name.contains('.') {
                continue;
            }
            let facts = guc_facts(&name.to_ascii_uppercase()).unwrap_or_else(|| panic!("{name} is unknown"));
            let expected = match context {
                "internal" => GucContext::Fixed,
                "postmaster" | "sighup" => GucContext::Server,
                "backend" | "superuser-backend" => GucContext::Startup,
                "user" | "superuser" => GucContext::Session,
                other => panic!("{other}"),
            };
            assert_eq!((facts.name, facts.context), (name, expected));
            names.insert(name.to_owned());
        }
        assert!(names.len() > 300, "{}", names.len());
        // every keyword, and some more, is quoted as the server quotes it
        let words = value(&client, "SELECT string_agg(word, ' ') FROM pg_get_keywords()").await;
        let more = ["A", "a b", "1a", "a1", "é", "a\"b", "$user", "_x"];
        for word in words.split(' ').chain(more) {
            let theirs = value(&client, &format!("SELECT quote_ident({})", quote_literal(word))).await;
            assert_eq!(quote_identifier(word), theirs, "{word}");
        }
    });
}

#[test]
fn control_statements_that_we_answer_are_ones_postgres_takes() {
    // each text that we understand must parse in Postgres, and each that it can't parse we must not understand
    run(async |server| {
        const PIECES: &[&str] = &[
            "work",
            "transaction",
            "isolation",
            "level",
            "serializable",
            "read",
            "only",
            "write",
            "committed",
            "not",
            "deferrable",
            ",",
            "and",
            "no",
            "chain",
            "to",
            "savepoint",
            "a",
            "select",
            "all",
            "prepare",
            "\"B\"",
            "'x'",
            "1",
            "prepared",
            "session",
            "local",
            "time",
            "zone",
            "=",
            "default",
            "work_mem",
            "characteristics",
            "as",
            "names",
            "role",
            "none",
            "from",
            "current",
            "next",
            "-",
            "plans",
            "constraints",
            "immediate",
            "authorization",
            "user",
        ];
        const HEADS: &[&str] = &[
            "begin",
            "start transaction",
            "commit",
            "rollback",
            "end",
            "abort",
            "savepoint",
            "release",
            "set",
            "set session",
            "reset",
            "show",
            "discard",
            "deallocate",
            "close",
            "listen",
            "unlisten",
            "fetch",
            "prepare transaction",
            "set transaction",
        ];
        let client = server.connect().await;
        let mut dice = Dice(0x5eed_0008);
        let (mut understood, mut unknown) = (0, 0);
        for _ in 0..6_000 {
            let mut text = dice.pick(HEADS).to_owned();
            for _ in 0..dice.roll(5) {
                text.push(' ');
                text.push_str(dice.pick(PIECES));
            }
            let syntax_error = match ask(&client, &format!("{text}; SELECT 1/0 FROM no_such_table_anywhere {{")).await {
                // the whole message is parsed first: an error at our brace means that the text before is fine
                Err(message) => !message.contains("at or near \"{\""),
                Ok(_) => false,
            };
            let ours = command(text.as_bytes(), Lexing::default()).expect("they lex");
            match ours {
                Command::Unknown(_) => unknown += 1,
                // whose body is somebody else's to read
                Command::Prepare(_) => {}
                _ => {
                    assert!(!syntax_error, "{text}: we take it for {ours:?}");
                    understood += 1;
                }
            }
        }
        assert!(understood > 200 && unknown > 200, "{understood} {unknown}");
    });
}

#[test]
fn spans_of_a_split_are_whole() {
    let text = b" select 1 ; ; select 2 ";
    assert_eq!(
        split(text, Lexing::default()),
        Ok(vec![Span::new(1, 9), Span::new(14, 22)])
    );
}
