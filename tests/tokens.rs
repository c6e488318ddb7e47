//! `value` against a real Postgres: tokens, parsing, assignment casts, order, exact decimals, arrays.
//!
//! Every expectation here is a server's answer. Random inputs come from a fixed seed, so a failure repeats.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]
#![expect(clippy::print_stderr, reason = "a test without a server says so")]

use std::cmp::Ordering;
use std::error::Error;

use bytes::BytesMut;

use shardgate::value::{Comparator, Format, Key, KeyError, KeyType, Numeric, Oid, TextOrder};

use tokio_postgres::types::{IsNull, ToSql, Type};

#[path = "tokens/inputs.rs"]
mod inputs;
#[path = "tokens/server.rs"]
mod server;

use inputs::{Random, edges};
use server::{Server, quoted, unhex};

/// The name that casts and `pg_type` take.
fn sql_type(key_type: KeyType) -> &'static str {
    Oid::BUILTIN.iter().find(|(_, oid)| *oid == key_type.oid()).unwrap().0
}

fn send(type_name: &str, expression: &str) -> String {
    let function = match type_name {
        "int2" | "int4" | "int8" | "text" | "varchar" | "bpchar" | "bool" | "oid" | "name" | "bytea" | "float4"
        | "float8" => {
            format!("{type_name}send")
        }
        "char" => "charsend".to_owned(),
        _ => format!("{type_name}_send"),
    };
    format!("encode({function}({expression}), 'hex')")
}

// === the tests ===

#[test]
fn oids_and_hash_functions_are_the_servers() {
    let Some(server) = Server::start("oids") else { return };
    let rows = server.rows("SELECT typname, oid FROM pg_type");
    for (name, oid) in Oid::BUILTIN {
        let expected = rows
            .iter()
            .find(|row| row[0].as_deref() == Some(name))
            .unwrap_or_else(|| panic!("{name}"));
        assert_eq!(expected[1].as_deref(), Some(oid.0.to_string().as_str()), "{name}");
    }
    // Each key type's default hash operator class uses the extended function that the tokens are compared with below.
    for (key_type, function) in [
        (KeyType::Int2, "hashint2extended"),
        (KeyType::Int4, "hashint4extended"),
        (KeyType::Int8, "hashint8extended"),
        (KeyType::Text, "hashtextextended"),
        (KeyType::Bpchar, "hashbpcharextended"),
        (KeyType::Uuid, "uuid_hash_extended"),
        (KeyType::Date, "hashint4extended"),
        (KeyType::Timestamp, "timestamp_hash_extended"),
        (KeyType::Timestamptz, "timestamp_hash_extended"),
        (KeyType::Numeric, "hash_numeric_extended"),
    ] {
        let rows = server.rows(&format!(
            "SELECT p.amproc FROM pg_opclass c JOIN pg_amproc p ON p.amprocfamily = c.opcfamily \
             WHERE c.opcdefault AND c.opcmethod = (SELECT oid FROM pg_am WHERE amname = 'hash') \
             AND c.opcintype = '{0}'::regtype AND p.amproclefttype = '{0}'::regtype AND p.amprocnum = 2",
            sql_type(key_type)
        ));
        assert_eq!(rows, [[Some(function.to_owned())]], "{key_type:?}");
    }
}

/// Thousands of valid values per type: our text and binary readers agree with the server, and so does the token.
#[test]
fn tokens_equal_the_servers_hashes() {
    let Some(server) = Server::start("hashes") else { return };
    server.run("SET DateStyle = 'ISO'; SET TimeZone = 'UTC'");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for key_type in KeyType::ALL {
        let mut texts: Vec<String> = (0..3000).map(|_| random.key(key_type)).collect();
        texts.extend(
            edges(key_type)
                .into_iter()
                .filter(|text| Key::parse_text(key_type, text.as_bytes()).is_ok())
                .map(str::to_owned),
        );
        let name = sql_type(key_type);
        let value = format!("t::{name}");
        let values: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| format!("({index}, {})", quoted(text)))
            .collect();
        let rows = server.rows(&format!(
            "SELECT {}, {} FROM (VALUES {}) v(i, t) ORDER BY i",
            key_type.token_sql(&value),
            send(name, &value),
            values.join(",")
        ));
        assert_eq!(rows.len(), texts.len());
        for (text, row) in texts.iter().zip(&rows) {
            let [Some(hash), Some(wire)] = row.as_slice() else {
                panic!("{row:?}")
            };
            let key = Key::parse_text(key_type, text.as_bytes())
                .unwrap_or_else(|error| panic!("{key_type:?} {text:?}: {error}"));
            assert_eq!(key.hash().to_string(), *hash, "{key_type:?} {text:?}");
            let from_binary = Key::parse(key_type.oid(), Format::Binary, &unhex(wire), key_type).unwrap();
            assert_eq!(from_binary, key, "{key_type:?} {text:?} {wire}");
            assert_eq!(from_binary.hash(), key.hash(), "{key_type:?} {text:?} {wire}");
            match Key::parse_text(key_type, key.to_text().as_bytes()) {
                Ok(again) => assert_eq!(again, key, "{key_type:?} {text:?}"),
                // An offset may carry a timestamptz out of the years that are read.
                Err(error) => assert!(
                    text.starts_with("0001-") || text.starts_with("9999-"),
                    "{text:?}: {error}"
                ),
            }
        }
    }
}

/// Edges and near misses: what we accept the server accepts with the same value, what we call invalid it rejects, and what
/// it accepts we accept or call ambiguous; under every DateStyle and an odd time zone.
#[test]
fn parsing_agrees_with_the_servers_input_functions() {
    let Some(server) = Server::start("parsing") else { return };
    let mut random = Random(0xdead_beef_cafe_f00d);
    for key_type in KeyType::ALL {
        let mut texts: Vec<String> = edges(key_type).into_iter().map(str::to_owned).collect();
        for _ in 0..1500 {
            let valid = random.key(key_type);
            texts.push(random.mutated(&valid));
        }
        for edge in edges(key_type) {
            texts.extend((0..8).map(|_| random.mutated(edge)));
        }
        let name = sql_type(key_type);
        let expressions: Vec<String> = texts
            .iter()
            .map(|text| send(name, &format!("{}::{name}", quoted(text))))
            .collect();
        let styles: &[&str] = match key_type {
            KeyType::Date | KeyType::Timestamp | KeyType::Timestamptz => &["ISO, MDY", "SQL, DMY", "German, YMD"],
            _ => &["ISO, MDY"],
        };
        for style in styles {
            server.run(&format!("SET DateStyle = '{style}'; SET TimeZone = 'Asia/Kolkata'"));
            let (mut accepted, mut rejected, mut ambiguous) = (0, 0, 0);
            for (text, answer) in texts.iter().zip(server.attempts(&expressions)) {
                let answer = answer.unwrap();
                match (
                    Key::parse_text(key_type, text.as_bytes()),
                    answer.strip_prefix("error "),
                ) {
                    (Ok(key), None) => {
                        let theirs = Key::parse_binary(key_type.oid(), &unhex(&answer), key_type).unwrap();
                        assert_eq!(key, theirs, "{key_type:?} {text:?} under {style}");
                        accepted += 1;
                    }
                    (Err(KeyError::Invalid { .. }), Some(code)) => {
                        // Digits that overflow before the character that is none are out of range to Postgres.
                        assert!(["22P02", "22003"].contains(&code), "{key_type:?} {text:?}: {code}");
                        rejected += 1;
                    }
                    (Err(KeyError::OutOfRange { .. }), Some(code)) => {
                        assert!(
                            ["22003", "22008", "22009"].contains(&code),
                            "{key_type:?} {text:?}: {code}"
                        );
                        rejected += 1;
                    }
                    (Err(KeyError::Ambiguous { .. }), _) => ambiguous += 1,
                    (ours, theirs) => panic!("{key_type:?} {text:?} under {style}: ours {ours:?}, theirs {theirs:?}"),
                }
            }
            // The generators produce every outcome that the type has.
            assert!(accepted > 20, "{key_type:?}: {accepted}");
            let is_text = matches!(key_type, KeyType::Text | KeyType::Varchar | KeyType::Bpchar);
            assert!(
                is_text || rejected > 20,
                "{key_type:?}: {rejected} rejected, {ambiguous} ambiguous"
            );
        }
    }
}

/// Sent as they are, whatever the type.
#[derive(Debug)]
struct Raw(Vec<u8>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// Binary parameters, sound and not: hidden digits, zeros at both ends, lengths and ranges that are off.
#[test]
fn binary_parameters_agree_with_the_servers_receive_functions() {
    let Some(server) = Server::start("binary") else { return };
    let mut random = Random(0x1357_9bdf_0246_8ace);
    for (key_type, length) in [
        (KeyType::Int2, 2),
        (KeyType::Int4, 4),
        (KeyType::Int8, 8),
        (KeyType::Uuid, 16),
        (KeyType::Date, 4),
        (KeyType::Timestamp, 8),
        (KeyType::Timestamptz, 8),
        (KeyType::Numeric, 0),
    ] {
        let (mut accepted, mut rejected) = (0, 0);
        for _ in 0..400 {
            let mut bytes = match key_type {
                KeyType::Numeric => random.numeric_wire(),
                _ => (0..length)
                    .map(|_| *random.pick(&[0x00, 0x01, 0x7f, 0x80, 0xff, 0x2a]))
                    .collect(),
            };
            if random.below(10) == 0 {
                bytes.pop();
            }
            let name = sql_type(key_type);
            let ours = Key::parse_binary(key_type.oid(), &bytes, key_type);
            let context = format!("{key_type:?} {bytes:02x?}: {ours:?}");
            match (
                server.sent(&format!("SELECT {}", send(name, &format!("$1::{name}"))), Raw(bytes)),
                ours,
            ) {
                (Ok(theirs), Ok(ours)) => {
                    let theirs = Key::parse_binary(key_type.oid(), &unhex(&theirs), key_type).unwrap();
                    assert_eq!(ours, theirs, "{context}");
                    assert_eq!(ours.to_text(), theirs.to_text(), "{context}");
                    accepted += 1;
                }
                (Err(code), Err(KeyError::OutOfRange { .. })) => {
                    assert!(["22003", "22008"].contains(&code.as_str()), "{context}: {code}");
                    rejected += 1;
                }
                (Err(code), Err(KeyError::Invalid { .. })) => {
                    assert!(["22P03", "08P01"].contains(&code.as_str()), "{context}: {code}");
                    rejected += 1;
                }
                (theirs, _) => panic!("{context}, theirs {theirs:?}"),
            }
        }
        assert!(accepted > 50 && rejected > 5, "{key_type:?}: {accepted} {rejected}");
    }
}

/// What a written key becomes in its column: INSERT … VALUES of a typed value, read back in wire form.
#[test]
fn assignment_agrees_with_insert() {
    let Some(server) = Server::start("assign") else { return };
    server.run("SET DateStyle = 'ISO'; SET TimeZone = 'UTC'");
    server.run(
        "CREATE FUNCTION stored(target text, value text) RETURNS text LANGUAGE plpgsql AS $$
         DECLARE result text;
         BEGIN
           EXECUTE 'INSERT INTO ' || target || ' VALUES (' || value || ') RETURNING ' ||
             (SELECT format('encode(%s(k), ''hex'')', typsend) FROM pg_type WHERE oid =
               (SELECT atttypid FROM pg_attribute WHERE attrelid = target::regclass AND attname = 'k')) INTO result;
           RETURN result;
         END $$",
    );
    let columns = [
        "smallint",
        "int",
        "bigint",
        "text",
        "varchar",
        "varchar(3)",
        "varchar(10)",
        "bpchar",
        "char(3)",
        "char(12)",
        "uuid",
        "date",
        "timestamp",
        "timestamp(0)",
        "timestamp(3)",
        "timestamptz",
        "timestamptz(1)",
        "numeric",
        "numeric(10,2)",
        "numeric(5)",
        "numeric(3,5)",
        "numeric(6,-2)",
    ];
    let mut random = Random(0x0123_4567_89ab_cdef);
    let mut sources: Vec<(KeyType, String)> = Vec::new();
    for key_type in KeyType::ALL {
        sources.extend(
            edges(key_type)
                .into_iter()
                .filter(|text| Key::parse_text(key_type, text.as_bytes()).is_ok())
                .map(|text| (key_type, text.to_owned())),
        );
        sources.extend((0..25).map(|_| (key_type, random.key(key_type))));
    }
    for text in ["abc  ", "abcd", "ab", "é€漢 ", "é€漢x", "abc d", "   ", "    x", "42"] {
        sources.push((KeyType::Text, text.to_owned()));
        sources.push((KeyType::Bpchar, text.to_owned()));
    }
    for text in [
        "1.005",
        "-1.005",
        "99999999.995",
        "99999999.994",
        "0.5",
        "1.5",
        "-2.5",
        "0.000995",
        "0.0099999",
        "149",
        "150",
        "-150",
        "99999949.9",
        "99999950",
    ] {
        sources.push((KeyType::Numeric, text.to_owned()));
    }
    for text in [
        "2020-01-01 10:00:00.5",
        "1999-12-31 23:59:59.9996",
        "1999-12-31 23:59:59.4999",
        "1970-01-01 00:00:00.0005",
    ] {
        sources.push((KeyType::Timestamp, text.to_owned()));
        sources.push((KeyType::Timestamptz, format!("{text}Z")));
    }
    let (mut stored, mut refused, mut ambiguous) = (0, 0, 0);
    for (number, column) in columns.iter().enumerate() {
        server.run(&format!("CREATE TABLE t{number} (k {column})"));
        let typmod = server.rows(&format!(
            "SELECT atttypid, atttypmod FROM pg_attribute WHERE attrelid = 't{number}'::regclass AND attname = 'k'"
        ));
        let oid = Oid(typmod[0][0].as_ref().unwrap().parse().unwrap());
        let typmod: i32 = typmod[0][1].as_ref().unwrap().parse().unwrap();
        let key_type = KeyType::of(oid).unwrap();
        assert_eq!(KeyType::from_name(column), Some(key_type), "{column}");
        let expressions: Vec<String> = sources
            .iter()
            .map(|(source, text)| {
                format!(
                    "stored('t{number}', {})",
                    quoted(&format!("{}::{}", quoted(text), sql_type(*source)))
                )
            })
            .collect();
        for ((source, text), answer) in sources.iter().zip(server.attempts(&expressions)) {
            let key = Key::parse_text(*source, text.as_bytes()).unwrap();
            let answer = answer.unwrap();
            let context = format!("{text:?}::{} into {column}", sql_type(*source));
            match (key.assign(key_type, typmod), answer.strip_prefix("error ")) {
                (Ok(ours), None) => {
                    let theirs = Key::parse_binary(oid, &unhex(&answer), key_type).unwrap();
                    assert_eq!(ours, theirs, "{context}");
                    if key_type != KeyType::Bpchar {
                        assert_eq!(ours.to_text(), theirs.to_text(), "{context}");
                    }
                    stored += 1;
                }
                (Err(KeyError::TooLong { .. }), Some(code)) => {
                    assert_eq!(code, "22001", "{context}");
                    refused += 1;
                }
                (Err(KeyError::OutOfRange { .. }), Some(code)) => {
                    assert!(["22003", "22008", "0A000"].contains(&code), "{context}: {code}");
                    refused += 1;
                }
                (Err(KeyError::Ambiguous { .. }), _) => ambiguous += 1,
                (ours, theirs) => panic!("{context}: ours {ours:?}, theirs {theirs:?}"),
            }
        }
    }
    assert!(
        stored > 1000 && refused > 100 && ambiguous > 100,
        "{stored} {refused} {ambiguous}"
    );
}

/// Every pair of some hundred values per type: our comparator says what ORDER BY says.
#[test]
fn comparators_order_as_the_server_does() {
    let Some(server) = Server::start("order") else { return };
    let mut random = Random(0x5555_1234_9876_abcd);
    let many = |random: &mut Random, make: &dyn Fn(&mut Random) -> String| -> Vec<String> {
        (0..250).map(|_| make(random)).collect()
    };
    let texts = many(&mut random, &|random| random.text());
    let floats = |random: &mut Random| -> Vec<String> {
        let mut values: Vec<String> = ["NaN", "Infinity", "-Infinity", "0", "-0", "1e-30", "-1e-30", "1.5"]
            .map(str::to_owned)
            .to_vec();
        values.extend((0..200).map(|_| format!("{}e{}", random.int(24), random.int(5))));
        values
    };
    let interval = |random: &mut Random| {
        format!(
            "{} mons {} days {} microseconds",
            random.int(6),
            random.int(8),
            random.int(48)
        )
    };
    let with_edges = |random: &mut Random, key_type: KeyType| -> Vec<String> {
        let valid = edges(key_type)
            .into_iter()
            .filter(|text| Key::parse_text(key_type, text.as_bytes()).is_ok());
        valid
            .map(str::to_owned)
            .chain((0..250).map(|_| random.key(key_type)))
            .collect()
    };
    let cases: Vec<(&str, &str, Vec<String>)> = vec![
        ("bool", "", vec!["t".to_owned(), "f".to_owned()]),
        ("int2", "", with_edges(&mut random, KeyType::Int2)),
        ("int4", "", with_edges(&mut random, KeyType::Int4)),
        ("int8", "", with_edges(&mut random, KeyType::Int8)),
        (
            "oid",
            "",
            many(&mut random, &|random| (random.next() >> 32).to_string()),
        ),
        ("float4", "", floats(&mut random)),
        ("float8", "", floats(&mut random)),
        ("numeric", "", with_edges(&mut random, KeyType::Numeric)),
        ("date", "", with_edges(&mut random, KeyType::Date)),
        ("timestamp", "", with_edges(&mut random, KeyType::Timestamp)),
        ("timestamptz", "", with_edges(&mut random, KeyType::Timestamptz)),
        ("time", "", many(&mut random, &|random| random.time())),
        (
            "interval",
            "",
            many(&mut random, &interval)
                .into_iter()
                .chain(["1 mon", "30 days", "720 hours", "-1 mon", "29 days 24:00"].map(str::to_owned))
                .collect(),
        ),
        ("uuid", "", with_edges(&mut random, KeyType::Uuid)),
        (
            "bytea",
            "",
            many(&mut random, &|random| {
                format!("\\x{}", &random.uuid()[..usize::try_from(random.below(8) * 2).unwrap()])
            }),
        ),
        ("text", "COLLATE \"C\"", texts.clone()),
        ("varchar", "COLLATE \"C\"", texts.clone()),
        (
            "bpchar",
            "COLLATE \"C\"",
            texts
                .iter()
                .flat_map(|text| [text.clone(), format!("{text}  "), format!("{text}\t")])
                .collect(),
        ),
        (
            "name",
            "COLLATE \"C\"",
            texts.iter().map(|text| text.chars().take(15).collect()).collect(),
        ),
        (
            "\"char\"",
            "",
            many(&mut random, &|random| {
                char::from(1 + u8::try_from(random.below(126)).unwrap()).to_string()
            }),
        ),
    ];
    for (name, collation, texts) in cases {
        let bare = name.trim_matches('"');
        let oid = Oid::BUILTIN.iter().find(|(known, _)| *known == bare).unwrap().1;
        let comparator = Comparator::for_type(oid, TextOrder::Bytes).unwrap();
        if !collation.is_empty() {
            assert_eq!(Comparator::for_type(oid, TextOrder::Unknown), None, "{name}");
        }
        let values: Vec<String> = texts.iter().map(|text| format!("({})", quoted(text))).collect();
        let rows = server.rows(&format!(
            "SELECT {}, dense_rank() OVER (ORDER BY t::{name} {collation}) FROM (VALUES {}) v(t)",
            send(bare, &format!("t::{name}")),
            values.join(",")
        ));
        let ranked: Vec<(Vec<u8>, u64)> = rows
            .iter()
            .map(|row| {
                (
                    unhex(row[0].as_ref().unwrap()),
                    row[1].as_ref().unwrap().parse().unwrap(),
                )
            })
            .collect();
        let mut distinct = 0;
        for (a, rank_a) in &ranked {
            for (b, rank_b) in &ranked {
                assert_eq!(comparator.compare(a, b), Ok(rank_a.cmp(rank_b)), "{name} {a:?} {b:?}");
            }
            distinct = distinct.max(*rank_a);
        }
        assert!(distinct >= 2, "{name}");
        if let Some(key_type) = KeyType::of(oid) {
            let keys: Vec<(Key, u64)> = ranked
                .iter()
                .map(|(wire, rank)| (Key::parse_binary(oid, wire, key_type).unwrap(), *rank))
                .collect();
            for (a, rank_a) in &keys {
                for (b, rank_b) in &keys {
                    assert_eq!(a.compare(b), Some(rank_a.cmp(rank_b)), "{name} {a} {b}");
                    assert!(rank_a != rank_b || a.hash() == b.hash(), "{name} {a} {b}");
                }
            }
        }
        assert!(
            comparator.compare(&[1, 2, 3], &[1, 2, 3]).is_err()
                || ["text", "varchar", "bpchar", "name", "bytea"].contains(&bare)
        );
    }
}

/// Sum, quotient and average digit for digit, in text and wire form.
#[test]
fn decimals_compute_as_the_server_does() {
    let Some(server) = Server::start("decimals") else {
        return;
    };
    let mut random = Random(0x00c0_ffee_1234_5678);
    let special: Vec<String> = [
        "NaN",
        "Infinity",
        "-Infinity",
        "0",
        "0.00",
        "-0.5",
        "1",
        "3",
        "7",
        "9999",
        "10000",
        "10001",
        "1e200",
        "1e-200",
        "0.3333333333333333",
        "99999999999999999999.99",
        "1e-16383",
        "1e131071",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut pairs: Vec<(String, String)> = (0..4000).map(|_| (random.numeric(), random.numeric())).collect();
    for a in &special {
        pairs.extend(special.iter().map(|b| (a.clone(), b.clone())));
        pairs.extend((0..10).map(|_| (a.clone(), random.numeric())));
        pairs.extend((0..10).map(|_| (random.numeric(), a.clone())));
    }
    let number = |text: &str| Numeric::parse_text(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let expression = |a: &str, operator: &str, b: &str| {
        format!(
            "(x::text || ' ' || encode(numeric_send(x), 'hex')) FROM (SELECT '{a}'::numeric {operator} '{b}'::numeric x) s"
        )
    };
    for operator in ["+", "/"] {
        let expressions: Vec<String> = pairs.iter().map(|(a, b)| expression(a, operator, b)).collect();
        for ((a, b), answer) in pairs.iter().zip(server.attempts(&expressions)) {
            let ours = if operator == "+" {
                number(a).add(&number(b))
            } else {
                number(a).divide(&number(b))
            };
            let answer = answer.unwrap();
            match ours {
                Ok(value) => {
                    let (text, wire) = answer.split_once(' ').unwrap();
                    assert_eq!(value.to_string(), text, "{a} {operator} {b}");
                    let mut encoded = Vec::new();
                    value.encode_binary(&mut encoded);
                    assert_eq!(encoded, unhex(wire), "{a} {operator} {b}");
                    let decoded = Numeric::decode_binary(&encoded).unwrap();
                    assert_eq!(decoded.to_string(), text, "{a} {operator} {b}");
                }
                Err(error) => {
                    let code =
                        if b.trim_start_matches(['0', '.', '+', '-']).is_empty() || number(b) == Numeric::from(0_i64) {
                            "22012"
                        } else {
                            "22003"
                        };
                    assert_eq!(answer, format!("error {code}"), "{a} {operator} {b}: {error}");
                }
            }
        }
    }
}

/// avg over shards: partial sums added up and divided by the count give the server's avg, whatever the split.
#[test]
fn averages_of_partial_sums_are_the_servers() {
    let Some(server) = Server::start("averages") else {
        return;
    };
    let mut random = Random(0x7777_3333_1111_9999);
    for (type_name, sum_type) in [
        ("int2", "numeric"),
        ("int4", "numeric"),
        ("int8", "numeric"),
        ("numeric", "numeric"),
    ] {
        server.run(&format!("CREATE TABLE s_{type_name} (g int, shard int, v {type_name})"));
        let rows: Vec<String> = (0..6000)
            .map(|_| {
                let value = match type_name {
                    "int2" => random.int(16).to_string(),
                    "int4" => random.int(32).to_string(),
                    "int8" => random.int(64).to_string(),
                    _ if random.below(400) == 0 => random.pick(&["NaN", "Infinity", "-Infinity"]).to_string(),
                    _ => random.numeric(),
                };
                format!("({}, {}, '{value}')", random.below(600), random.below(4))
            })
            .collect();
        server.run(&format!("INSERT INTO s_{type_name} VALUES {}", rows.join(",")));
        let averages = server.rows(&format!(
            "SELECT g, avg(v), sum(v)::{sum_type} FROM s_{type_name} GROUP BY g ORDER BY g"
        ));
        let parts = server.rows(&format!(
            "SELECT g, sum(v)::numeric, count(v) FROM s_{type_name} GROUP BY g, shard ORDER BY g"
        ));
        for row in &averages {
            let mut sum: Option<Numeric> = None;
            let mut count = 0_i64;
            for part in parts.iter().filter(|part| part[0] == row[0]) {
                let partial = Numeric::parse_text(part[1].as_ref().unwrap().as_bytes()).unwrap();
                sum = Some(match sum {
                    None => partial,
                    Some(sum) => sum.add(&partial).unwrap(),
                });
                count += part[2].as_ref().unwrap().parse::<i64>().unwrap();
            }
            let sum = sum.unwrap();
            assert_eq!(
                sum.to_string(),
                *row[2].as_ref().unwrap(),
                "{type_name}: sum of group {:?}",
                row[0]
            );
            let average = sum.divide(&Numeric::from(count)).unwrap();
            assert_eq!(
                average.to_string(),
                *row[1].as_ref().unwrap(),
                "{type_name}: avg of group {:?}",
                row[0]
            );
        }
        assert!(averages.len() > 500);
    }
}

/// Array literals and wire arrays, valid and nearly valid.
#[test]
fn arrays_read_as_the_server_reads_them() {
    let Some(server) = Server::start("arrays") else { return };
    server.run("SET DateStyle = 'ISO'; SET TimeZone = 'UTC'");
    let mut random = Random(0xabcd_ef01_2345_6789);
    for key_type in KeyType::ALL {
        let mut texts: Vec<String> = [
            "{}",
            " { } ",
            "{",
            "}",
            "",
            "{,}",
            "{1,}",
            "{1",
            "{\"\"}",
            "{NULL}",
            "{null,NULL}",
            "{\"NULL\"}",
            "[0:1]={1,2}",
            "{{1,2},{3,4}}",
            "{1}x",
            "{ 1 , 2 }",
            "{\\1}",
            "{a b , c\\ }",
            "{\"a\"b}",
            "{a\"b\"}",
            "{\\N\\U\\L\\L}",
            "{1,{2}}",
        ]
        .map(str::to_owned)
        .to_vec();
        for _ in 0..800 {
            let elements: Vec<String> = (0..random.below(5))
                .map(|_| match random.below(8) {
                    0 => "NULL".to_owned(),
                    1..4 => random.key(key_type),
                    _ => format!(
                        "\"{}\"",
                        random.key(key_type).replace('\\', "\\\\").replace('"', "\\\"")
                    ),
                })
                .collect();
            let text = format!("{{{}}}", elements.join(*random.pick(&[",", ", ", " ,"])));
            texts.push(if random.below(2) == 0 {
                random.mutated(&text)
            } else {
                text
            });
        }
        let name = sql_type(key_type);
        // Elements in order, each in wire form; a blank for NULL.
        let elements: Vec<String> = texts
            .iter()
            .map(|text| {
                format!(
                    "(SELECT coalesce(string_agg(coalesce({}, ''), ',' ORDER BY n), 'none') || ' ' || max(encode(array_send(a), 'hex')) \
                     FROM (SELECT {}::{name}[] a) s LEFT JOIN LATERAL unnest(a) WITH ORDINALITY u(e, n) ON true WHERE n IS NOT NULL OR a = '{{}}')",
                    send(name, "e"),
                    quoted(text)
                )
            })
            .collect();
        let (mut accepted, mut rejected) = (0, 0);
        for (text, answer) in texts.iter().zip(server.attempts(&elements)) {
            let answer = answer.unwrap();
            match (
                Key::parse_array_text(key_type, text.as_bytes()),
                answer.strip_prefix("error "),
            ) {
                (Ok(ours), None) => {
                    let (elements, wire) = answer.rsplit_once(' ').unwrap();
                    let from_wire = Key::parse_array_binary(key_type.array_oid(), &unhex(wire), key_type).unwrap();
                    assert_eq!(ours, from_wire, "{key_type:?} {text:?}");
                    let theirs: Vec<Option<Key>> = if ours.is_empty() {
                        Vec::new()
                    } else {
                        let read = |hex: &str| Key::parse_binary(key_type.oid(), &unhex(hex), key_type).unwrap();
                        // A NULL prints as nothing, and so does an empty string: the wire form above tells them apart.
                        let is_text = matches!(key_type, KeyType::Text | KeyType::Varchar | KeyType::Bpchar);
                        elements
                            .split(',')
                            .map(|hex| (is_text || !hex.is_empty()).then(|| read(hex)))
                            .collect()
                    };
                    let nulls_aside = |keys: &[Option<Key>]| keys.iter().flatten().cloned().collect::<Vec<_>>();
                    assert_eq!(nulls_aside(&ours), nulls_aside(&theirs), "{key_type:?} {text:?}");
                    accepted += 1;
                }
                (Err(KeyError::Invalid { .. } | KeyError::OutOfRange { .. }), Some(_)) => rejected += 1,
                (Err(KeyError::Ambiguous { .. }), _) => {}
                (ours, theirs) => panic!("{key_type:?} {text:?}: ours {ours:?}, theirs {theirs:?} {answer}"),
            }
        }
        assert!(accepted > 100 && rejected > 10, "{key_type:?}: {accepted} {rejected}");
    }
}

/// What lies outside the key's hash family is never read: all shards.
#[test]
fn other_families_are_ambiguous() {
    for (source, key_type) in [
        (Oid::NUMERIC, KeyType::Int8),
        (Oid::INT8, KeyType::Numeric),
        (Oid::FLOAT8, KeyType::Int8),
        (Oid::TEXT, KeyType::Bpchar),
        (Oid::BPCHAR, KeyType::Text),
        (Oid::NAME, KeyType::Text),
        (Oid::DATE, KeyType::Timestamp),
        (Oid::TIMESTAMP, KeyType::Timestamptz),
        (Oid::UNKNOWN, KeyType::Int8),
        (Oid(100_000), KeyType::Int8),
    ] {
        let read = Key::parse_binary(source, &[0; 8], key_type);
        assert!(
            matches!(read, Err(KeyError::Ambiguous { .. })),
            "{source:?} {key_type:?}: {read:?}"
        );
        let read = Key::parse_array(source, Format::Binary, &[0; 12], key_type);
        assert!(
            matches!(read, Err(KeyError::Ambiguous { .. })),
            "{source:?} {key_type:?}: {read:?}"
        );
    }
    assert_eq!(Key::Int(5).compare(&Key::Text(b"5".to_vec())), None::<Ordering>);
    assert_eq!(
        Key::parse(Oid::INT2, Format::Binary, &[0, 5], KeyType::Int8),
        Ok(Key::Int(5))
    );
    assert_eq!(
        Key::parse(Oid::UNKNOWN, Format::Text, b"5", KeyType::Int8),
        Ok(Key::Int(5))
    );
}
