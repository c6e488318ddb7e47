//! EXPLAIN over several shards in the formats that tools read: Postgres itself must be able to read the document.

use crate::messages::{Format, bind, describe, execute, parse, sync};
use crate::servers::superuser;
use crate::world::{Spec, World};

const SCHEMA: &str = "CREATE TABLE h (id int PRIMARY KEY, v text);";

const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  h: {keyspace: whole, key: id}
";

const DATA: &str = "INSERT INTO h SELECT i, 'h' || i FROM generate_series(1, 30) i;";

/// A read whose plan has nodes below nodes, a literal with what the formats must escape, and a line break in it.
const READ: &str =
    "SELECT v, count(*) FROM h WHERE v <> E'a\"<b>&\\n    </Plan>' GROUP BY v ORDER BY 2 DESC, v LIMIT 3 OFFSET 1";

/// Options of EXPLAIN, each with what they must bring into the document.
const OPTIONS: [&str; 4] = [
    "COSTS off",
    "VERBOSE, SETTINGS",
    "ANALYZE, BUFFERS, TIMING off",
    "ANALYZE, COSTS off, SUMMARY off",
];

fn world(name: &str) -> World {
    World::start(Spec {
        name,
        shards: 3,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: DATA,
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn json_is_what_tools_draw() {
    let world = world("explain_json");
    let mut client = world.client();
    let mut server = superuser(world.servers().shard(0), world.database());
    for options in OPTIONS {
        let rows = client.rows(&format!("EXPLAIN (FORMAT json, {options}) {READ}"));
        let [row] = rows.as_slice() else {
            panic!("one row, not {}", rows.len())
        };
        let document = row.first().expect("a column");
        let read = |path: &str| format!("SELECT {}::json #>> '{{{path}}}'", quoted(document));
        assert_eq!(
            server.value(&format!("SELECT json_array_length({}::json)", quoted(document))),
            "1",
            "{document}"
        );
        assert_eq!(server.value(&read("0,Plan,Node Type")), "Custom Scan");
        let shards = format!(
            "SELECT string_agg(p ->> 'Shard', ' ') FROM json_array_elements({}::json #> '{{0,Plan,Plans}}') p",
            quoted(document)
        );
        assert_eq!(server.value(&shards), "s0 s1 s2");
        // Each member is a whole plan of Postgres's: its tree reaches down to the table.
        let scans = format!(
            "WITH RECURSIVE n(p) AS (SELECT {}::json #> '{{0,Plan}}' UNION ALL \
               SELECT json_array_elements(p -> 'Plans') FROM n WHERE p -> 'Plans' IS NOT NULL) \
             SELECT count(*) FROM n WHERE p ->> 'Relation Name' = 'h'",
            quoted(document)
        );
        assert_eq!(server.value(&scans), "3", "{document}");
        let sum = |what: &str| {
            format!(
                "SELECT (sum((p ->> '{what}')::numeric) = max(({document}::json #>> '{{0,Plan,{what}}}')::numeric))::text \
                 FROM json_array_elements({document}::json #> '{{0,Plan,Plans}}') p",
                document = quoted(document)
            )
        };
        if options.contains("ANALYZE") {
            assert_eq!(server.value(&sum("Actual Rows")), "true", "{document}");
        }
        if options.contains("VERBOSE") {
            assert_eq!(server.value(&sum("Plan Rows")), "true", "{document}");
        }
        if options.contains("BUFFERS") {
            let timed = server.value(&format!(
                "SELECT ({}) IS NOT NULL",
                read("0,Execution Time").replace("SELECT ", "")
            ));
            assert_eq!(timed, "t", "{document}");
        }
    }
}

/// What the proxy does with the rows stands in the outer node, and no number that it can't know.
#[test]
fn the_outer_node_says_what_the_proxy_does() {
    let world = world("explain_outer");
    let mut client = world.client();
    let mut server = superuser(world.servers().shard(0), world.database());
    let rows = client.rows("EXPLAIN (FORMAT json) SELECT id FROM h ORDER BY id LIMIT 3 OFFSET 1");
    let document = rows.first().and_then(|row| row.first()).expect("a row");
    let keys = "SELECT p ->> 'Merge' || '; ' || (p ->> 'Offset') || '; ' || (p ->> 'Limit') || '; ' || \
        (p ->> 'Actual Rows' IS NULL) FROM (SELECT json_extract_path(";
    let outer = server.value(&format!("{keys}{}::json, '0', 'Plan')) s(p)", quoted(document)));
    assert_eq!(outer, "Merge by 1 keys over 3 shards; 1; 3; true", "{document}");
}

#[test]
fn xml_and_yaml_hold_each_shard_s_plan() {
    let world = world("explain_xml");
    let mut client = world.client();
    let mut server = superuser(world.servers().shard(0), world.database());
    for options in OPTIONS {
        let rows = client.rows(&format!("EXPLAIN (FORMAT xml, {options}) {READ}"));
        let document = rows.first().and_then(|row| row.first()).expect("a row");
        let count = |path: &str| {
            format!(
                "SELECT cardinality(xpath({}, {}::xml, '{{{{e,http://www.postgresql.org/2009/explain}}}}'))",
                quoted(path),
                quoted(document)
            )
        };
        assert_eq!(
            server.value(&count("/e:explain/e:Query/e:Plan/e:Plans/e:Plan/e:Shard")),
            "3",
            "{document}"
        );
        assert_eq!(server.value(&count("//e:Relation-Name")), "3", "{document}");
        let rows = client.rows(&format!("EXPLAIN (FORMAT yaml, {options}) {READ}"));
        assert_eq!(rows.len(), 1);
        let document = rows.first().and_then(|row| row.first()).expect("a row");
        // A member's own properties stand one level below ours, so do those that Postgres puts beside its plan.
        let lines: Vec<&str> = document.lines().collect();
        assert_eq!(lines.first(), Some(&"- Plan: "));
        let members = lines.iter().filter(|line| line.starts_with("      - ")).count();
        let shards = lines.iter().filter(|line| line.starts_with("        Shard: ")).count();
        let types = lines
            .iter()
            .filter(|line| line.starts_with("        Node Type: "))
            .count();
        assert_eq!((members, shards, types), (3, 3, 3), "{document}");
        let planned = lines
            .iter()
            .filter(|line| line.trim_start().starts_with("Planning Time: "))
            .count();
        assert_eq!(planned, if options.contains("BUFFERS") { 4 } else { 0 }, "{document}");
    }
}

#[test]
fn the_extended_protocol_gets_the_document_too() {
    let world = world("explain_extended");
    let mut client = world.client();
    client.send(
        &[
            parse("", "EXPLAIN (FORMAT json) SELECT id FROM h WHERE id > $1", &[]),
            bind("", "", &[(Format::Text, Some(b"3".to_vec()))], Format::Text),
            describe(b'P', ""),
            execute("", 0),
            sync(),
        ]
        .concat(),
    );
    let answers = client.read_batch();
    let columns = answers.iter().find(|m| m.tag == b'T').expect("columns").columns();
    let [column] = columns.as_slice() else {
        panic!("one column")
    };
    assert_eq!(column.oid, 114);
    let rows: Vec<_> = answers.iter().filter(|m| m.tag == b'D').collect();
    assert_eq!(rows.len(), 1);
    let document = rows
        .first()
        .and_then(|row| row.values().into_iter().next().flatten())
        .expect("a document");
    let document = String::from_utf8(document).expect("text");
    let mut server = superuser(world.servers().shard(0), world.database());
    let plans = format!(
        "SELECT json_array_length({}::json #> '{{0,Plan,Plans}}')",
        quoted(&document)
    );
    assert_eq!(server.value(&plans), "3");
}

/// A value that a server would take unseen is refused before one shard as before several.
#[test]
fn one_shard_checks_the_settings_of_the_proxy() {
    let world = World::start(Spec {
        name: "explain_settings",
        shards: 1,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: DATA,
    });
    let mut client = world.client();
    for sql in [
        "SET shardgate.consistency = 'sometimes'",
        "SET shardgate.shard = 's9'",
        "SET shardgate.key = 'nowhere:1'",
        "SELECT 1; SET shardgate.shard = 's9'",
    ] {
        assert_eq!(client.failure(sql), "22023", "{sql}");
        client.send(
            &[
                parse("", sql, &[]),
                bind("", "", &[], Format::Text),
                execute("", 0),
                sync(),
            ]
            .concat(),
        );
        let failed = client.read_batch().into_iter().find(|m| m.tag == b'E');
        assert!(failed.is_some(), "{sql}");
    }
    client.rows("SET shardgate.shard = 's0'");
    client.rows("SET shardgate.consistency = 'statement'");
    assert_eq!(client.value("SELECT count(*) FROM h"), "30");
}
