//! What reads a transaction's moment out of sight, by tables themselves: refused on a shard that joins late, and no more.
//!
//! Why against one Postgres: what is answered, on the first shard or because nothing reads the moment, must be its answer.

use crate::client::Client;
use crate::messages::Message;
use crate::world::{Spec, World};

const GUARDED: Spec<'_> = Spec {
    name: "",
    shards: 3,
    layout: "functions: {public.gone: local, public.recent: local, public.claims: local, public.waits: keeps_key, \
        pg_catalog.suppress_redundant_updates_trigger: keeps_key}\n\
        keyspaces:\n  k: {strategy: hash, type: bigint, buckets: 32}\n\
        tables:\n  counts: {keyspace: k, key: k}\n  notes: {keyspace: k, key: k}\n  stints: {keyspace: k, key: k}\n  \
        spared: {keyspace: k, key: k}\n  mine: {keyspace: k, key: k}\n  past: {keyspace: k, key: k}\n  \
        calm: {keyspace: k, key: k}\n  dated: {keyspace: k, key: k}\n  lists: {keyspace: k, key: k}\n  \
        parents: {keyspace: k, key: k}\n  children: {keyspace: k, key: k}\n  grandchildren: {keyspace: k, key: k}\n  \
        by_call: {keyspace: k, key: k}\n  waits: {keyspace: k, key: k}\n  quiet: {keyspace: k, key: k}\n  \
        made: {keyspace: k, key: k}\n  sought: {keyspace: k, key: k}\n  parts: {keyspace: k, key: k}\n  \
        emptied: {unsharded: s2}\n  diary: {unsharded: s2}\n",
    settings: "",
    schema: "CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM now(); RETURN OLD; END'; \
        CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1; RETURN NEW; END'; \
        CREATE FUNCTION recent(timestamptz) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT $1 <= now()'; \
        CREATE FUNCTION claims(timestamptz) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 <= now(); END'; \
        CREATE DOMAIN since AS timestamptz CHECK (VALUE <= now()); \
        CREATE TABLE counts (k bigint PRIMARY KEY, n int); \
        CREATE TABLE emptied (k bigint PRIMARY KEY); \
        CREATE TABLE ruled (k bigint PRIMARY KEY); CREATE TABLE ruled_log (k bigint, at timestamptz DEFAULT now()); \
        CREATE RULE told AS ON INSERT TO ruled DO ALSO INSERT INTO ruled_log VALUES (NEW.k); \
        CREATE RULE kept AS ON DELETE TO ruled DO ALSO SELECT 1 FROM ruled_log; \
        CREATE TRIGGER emptied BEFORE TRUNCATE ON emptied FOR EACH STATEMENT EXECUTE FUNCTION gone(); \
        CREATE TABLE notes (k bigint PRIMARY KEY, expires timestamptz, note text); \
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY; ALTER TABLE notes FORCE ROW LEVEL SECURITY; \
        CREATE POLICY fresh ON notes FOR SELECT USING (expires > now()); \
        CREATE POLICY made ON notes FOR INSERT WITH CHECK (true); \
        CREATE POLICY changed ON notes FOR UPDATE USING (true); \
        CREATE TABLE stints (k bigint PRIMARY KEY, at timestamptz); \
        ALTER TABLE stints ENABLE ROW LEVEL SECURITY; ALTER TABLE stints FORCE ROW LEVEL SECURITY; \
        CREATE POLICY kept ON stints USING (true) WITH CHECK (at <= now()); \
        CREATE TABLE spared (k bigint PRIMARY KEY, expires timestamptz); ALTER TABLE spared ENABLE ROW LEVEL SECURITY; \
        CREATE POLICY fresh ON spared USING (expires > now()); \
        CREATE TABLE mine (k bigint PRIMARY KEY, owner text); \
        ALTER TABLE mine ENABLE ROW LEVEL SECURITY; ALTER TABLE mine FORCE ROW LEVEL SECURITY; \
        CREATE POLICY own ON mine USING (owner = current_user); \
        CREATE TABLE past (k bigint PRIMARY KEY, at timestamptz CHECK (at <= now()), note text); \
        CREATE TABLE calm (k bigint PRIMARY KEY, at timestamptz CHECK (at <= clock_timestamp()), \
            state text CHECK (state <> 'now'), born date CHECK (age(at, born) > '1 day')); \
        CREATE TABLE dated (k bigint PRIMARY KEY, at since, note text); \
        CREATE TABLE lists (k bigint PRIMARY KEY, days since[]); \
        CREATE TABLE parents (k bigint PRIMARY KEY, name text); \
        CREATE TABLE children (k bigint REFERENCES parents ON UPDATE NO ACTION ON DELETE CASCADE, id int, at timestamptz, \
            PRIMARY KEY (k, id)); \
        CREATE TABLE grandchildren (k bigint, id int, child int, PRIMARY KEY (k, id), \
            FOREIGN KEY (k, child) REFERENCES children ON DELETE CASCADE); \
        CREATE TRIGGER gone AFTER DELETE ON grandchildren FOR EACH ROW EXECUTE FUNCTION gone(); \
        CREATE TABLE by_call (k bigint PRIMARY KEY, at timestamptz CHECK (recent(at)), note text); \
        CREATE TABLE waits (k bigint PRIMARY KEY, at timestamptz, n int); \
        CREATE TRIGGER waits BEFORE UPDATE ON waits FOR EACH ROW WHEN (NEW.at <= now()) EXECUTE FUNCTION waits(); \
        CREATE TABLE quiet (k bigint PRIMARY KEY, note text); \
        CREATE TRIGGER quiet BEFORE UPDATE ON quiet FOR EACH ROW \
            EXECUTE FUNCTION suppress_redundant_updates_trigger(); \
        CREATE TABLE made (k bigint PRIMARY KEY, at timestamptz, \
            is_past boolean GENERATED ALWAYS AS (claims(at)) STORED, note text); \
        CREATE TABLE sought (k bigint PRIMARY KEY, at timestamptz, note text); \
        CREATE INDEX sought_past ON sought (claims(at)); \
        CREATE TABLE parts (k bigint, part int, at timestamptz, note text, PRIMARY KEY (k, part)) PARTITION BY LIST (part); \
        CREATE TABLE parts_1 PARTITION OF parts (CONSTRAINT past CHECK (at <= now())) FOR VALUES IN (1);",
    data: "INSERT INTO counts SELECT k, k FROM generate_series(0, 11) k; \
        INSERT INTO notes SELECT k, '2100-01-01', 'a' FROM generate_series(0, 11) k; \
        INSERT INTO stints SELECT k, '2020-01-01' FROM generate_series(0, 11) k; \
        INSERT INTO spared SELECT k, '2100-01-01' FROM generate_series(0, 11) k; \
        INSERT INTO mine SELECT k, current_user FROM generate_series(0, 11) k; \
        INSERT INTO past SELECT k, '2020-01-01', 'a' FROM generate_series(0, 11) k; \
        INSERT INTO calm SELECT k, '2020-01-01', 'then', '2000-01-01' FROM generate_series(0, 11) k; \
        INSERT INTO dated SELECT k, '2020-01-01', 'a' FROM generate_series(0, 11) k; \
        INSERT INTO parents SELECT k, 'a' FROM generate_series(0, 11) k; \
        INSERT INTO children SELECT k, 1, '2020-01-01' FROM generate_series(0, 11) k; \
        INSERT INTO grandchildren SELECT k, 1, 1 FROM generate_series(0, 11) k; \
        INSERT INTO by_call SELECT k, '2020-01-01', 'a' FROM generate_series(0, 11) k; \
        INSERT INTO waits SELECT k, '2020-01-01', 1 FROM generate_series(0, 11) k; \
        INSERT INTO quiet SELECT k, 'a' FROM generate_series(0, 11) k; \
        INSERT INTO made (k, at, note) SELECT k, '2020-01-01', 'a' FROM generate_series(0, 11) k; \
        INSERT INTO sought SELECT k, '2020-01-01', 'a' FROM generate_series(0, 11) k; \
        INSERT INTO parts SELECT k, 1, '2020-01-01', 'a' FROM generate_series(0, 11) k",
};

/// As many keys as are sure to lie on all shards.
const KEYS: std::ops::Range<u64> = 0..12;

/// An answer: rows and tag, or what failed.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done(Vec<Vec<Option<Vec<u8>>>>, String),
    Failed(String, String),
}

fn answer(client: &mut Client, sql: &str) -> Answer {
    let messages = client.query(sql);
    if let Some(failed) = messages.iter().find(|message| message.tag == b'E') {
        let message = failed.fields().get(&'M').cloned().unwrap_or_default();
        return Answer::Failed(failed.code(), message);
    }
    let rows = messages.iter().filter(|message| message.tag == b'D');
    let tag = messages.iter().find(|message| message.tag == b'C').map(Message::text);
    Answer::Done(rows.map(Message::values).collect(), tag.unwrap_or_default())
}

/// Late on some of the keys' shards: what is refused there, by its name; elsewhere the answers are one Postgres's.
fn late(client: &mut Client, oracle: &mut Client, sql: &str) -> Vec<String> {
    let mut refused = Vec::new();
    for k in KEYS {
        let sql = sql.replace("{k}", &k.to_string());
        let answers = [&mut *client, &mut *oracle].map(|client| {
            client.rows("BEGIN");
            client.rows("SELECT n FROM counts WHERE k = 1");
            let answer = answer(client, &sql);
            client.rows("ROLLBACK");
            answer
        });
        let [ours, theirs] = answers;
        assert!(matches!(theirs, Answer::Done(..)), "{sql}: {theirs:?}");
        match ours {
            Answer::Failed(code, message) => {
                assert_eq!(code, "0A000", "{sql}: {message}");
                refused.push(message);
            }
            done @ Answer::Done(..) => assert_eq!(done, theirs, "{sql}"),
        }
    }
    refused
}

#[test]
fn what_tables_hide_is_refused_on_late_shards_and_nothing_else() {
    let world = World::start(Spec {
        name: "m_unseen",
        ..GUARDED
    });
    let (mut client, mut oracle) = (world.client(), world.oracle());
    let hidden = [
        (
            "SELECT note FROM notes WHERE k = {k}",
            "policy \"fresh\" of table \"notes\"",
        ),
        (
            "UPDATE notes SET note = 'x' WHERE k = {k}",
            "policy \"fresh\" of table \"notes\"",
        ),
        (
            "INSERT INTO notes (k, expires) VALUES (1000 + {k}, '2100-01-01') RETURNING k",
            "policy \"fresh\" of table \"notes\"",
        ),
        (
            "INSERT INTO stints (k, at) VALUES (1000 + {k}, '2020-01-01')",
            "policy \"kept\" of table \"stints\"",
        ),
        (
            "UPDATE stints SET at = '2020-01-02' WHERE k = {k}",
            "policy \"kept\" of table \"stints\"",
        ),
        (
            "UPDATE past SET note = 'x' WHERE k = {k}",
            "check constraint \"past_at_check\" of table \"past\"",
        ),
        (
            "INSERT INTO past (k, at) VALUES (1000 + {k}, '2020-01-01')",
            "check constraint \"past_at_check\" of table \"past\"",
        ),
        (
            "INSERT INTO dated (k, at) VALUES (1000 + {k}, '2020-01-01')",
            "the domain of column \"at\" of table \"dated\"",
        ),
        (
            "UPDATE dated SET at = '2020-01-02' WHERE k = {k}",
            "the domain of column \"at\" of table \"dated\"",
        ),
        (
            "SELECT '2020-01-01'::timestamptz::since, note FROM dated WHERE k = {k}",
            "a cast to since",
        ),
        (
            "INSERT INTO lists (k, days) VALUES (1000 + {k}, '{2020-01-01}')",
            "the domain of column \"days\" of table \"lists\"",
        ),
        (
            "DELETE FROM parents WHERE k = {k}",
            "trigger \"gone\" of table \"grandchildren\"",
        ),
        (
            "DELETE FROM children WHERE k = {k} AND id = 1",
            "trigger \"gone\" of table \"grandchildren\"",
        ),
        (
            "UPDATE by_call SET note = 'x' WHERE k = {k}",
            "check constraint \"by_call_at_check\" of table \"by_call\"",
        ),
        (
            "UPDATE waits SET n = 1 WHERE k = {k}",
            "trigger \"waits\" of table \"waits\"",
        ),
        (
            "UPDATE made SET at = '2020-01-02' WHERE k = {k}",
            "generated column \"is_past\" of table \"made\"",
        ),
        (
            "INSERT INTO sought (k, at) VALUES (1000 + {k}, '2020-01-01')",
            "index \"sought_past\" of table \"sought\"",
        ),
        (
            "UPDATE parts SET note = 'x' WHERE k = {k}",
            "check constraint \"past\" of table \"parts_1\"",
        ),
    ];
    for (sql, what) in hidden {
        let refused = late(&mut client, &mut oracle, sql);
        assert!(!refused.is_empty(), "{sql}: answered on late shards");
        assert!(refused.len() < KEYS.count(), "{sql}: refused on the first shard");
        assert!(
            refused.iter().all(|message| message.starts_with(what)),
            "{sql}: {refused:?}"
        );
    }
    // Nothing of these reads the moment.
    let plain = [
        "INSERT INTO notes (k, expires) VALUES (1000 + {k}, '2100-01-01')",
        "SELECT k FROM stints WHERE k = {k}",
        "SELECT expires FROM spared WHERE k = {k}",
        "UPDATE spared SET expires = NULL WHERE k = {k}",
        "SELECT owner FROM mine WHERE k = {k}",
        "UPDATE mine SET owner = current_user WHERE k = {k}",
        "SELECT note FROM past WHERE k = {k}",
        "DELETE FROM past WHERE k = {k}",
        "UPDATE calm SET at = '2020-01-02' WHERE k = {k}",
        "UPDATE dated SET note = 'x' WHERE k = {k}",
        "UPDATE parents SET name = 'x' WHERE k = {k}",
        "INSERT INTO grandchildren (k, id) VALUES ({k}, 2)",
        "INSERT INTO waits (k, n) VALUES (1000 + {k}, 1)",
        "UPDATE quiet SET note = 'a' WHERE k = {k}",
        "UPDATE quiet SET note = 'x' WHERE k = {k}",
        "SELECT is_past FROM made WHERE k = {k}",
        "DELETE FROM parts WHERE k = {k}",
    ];
    for sql in plain {
        let refused = late(&mut client, &mut oracle, sql);
        assert_eq!(refused, Vec::<String>::new(), "{sql}");
    }
}

/// All but one of a statement's shards are late.
#[test]
fn what_tables_hide_is_refused_over_several_shards_and_nothing_else() {
    let world = World::start(Spec {
        name: "m_unseen_several",
        ..GUARDED
    });
    let (mut client, mut oracle) = (world.client(), world.oracle());
    let rows = |table: &str| {
        let rows = (2000..2012).map(|k| format!("({k}, '2020-01-01')"));
        format!(
            "INSERT INTO {table} (k, at) VALUES {}",
            rows.collect::<Vec<_>>().join(", ")
        )
    };
    let hidden = [
        "SELECT note FROM notes ORDER BY k".to_owned(),
        "SELECT count(*) FROM notes WHERE k IN (0, 1, 2, 3, 4, 5, 6, 7)".to_owned(),
        "COPY notes TO STDOUT".to_owned(),
        "COPY past (k, at) FROM STDIN".to_owned(),
        rows("stints"),
        rows("past"),
        rows("dated"),
    ];
    for sql in hidden {
        match answer(&mut client, &sql) {
            Answer::Failed(code, message) => {
                assert_eq!(code, "0A000", "{sql}: {message}");
                assert!(message.contains("reads the transaction's now()"), "{sql}: {message}");
            }
            done @ Answer::Done(..) => panic!("{sql}: {done:?}"),
        }
    }
    let plain = [
        "SELECT expires FROM spared ORDER BY k".to_owned(),
        "SELECT count(*) FROM mine".to_owned(),
        "SELECT k, note FROM past ORDER BY k".to_owned(),
        rows("calm"),
        "COPY spared TO STDOUT".to_owned(),
    ];
    for sql in plain {
        let ours = answer(&mut client, &sql);
        assert!(matches!(ours, Answer::Done(..)), "{sql}: {ours:?}");
        assert_eq!(ours, answer(&mut oracle, &sql), "{sql}");
    }
}

/// On one shard's table each other shard is late, and may not even have the table.
#[test]
fn one_shards_table_is_asked_where_it_lies() {
    let world = World::start(Spec {
        name: "m_unseen_one",
        settings: "default_shard: s2",
        ..GUARDED
    });
    let (mut client, mut oracle) = (world.client(), world.oracle());
    for client in [&mut client, &mut oracle] {
        client.rows("CREATE TABLE diary (k bigint PRIMARY KEY, at timestamptz DEFAULT now(), what text)");
        client.rows("ALTER TABLE diary ENABLE ROW LEVEL SECURITY");
        client.rows("CREATE POLICY known_by_then ON diary USING (at <= now())");
    }
    let late = [
        ("TRUNCATE emptied", "trigger \"emptied\" of table \"emptied\""),
        ("INSERT INTO ruled VALUES (1)", "rule \"told\" of table \"ruled\""),
    ];
    let mut refused = [0, 0];
    for first in KEYS {
        for client in [&mut client, &mut oracle] {
            client.rows("BEGIN");
            client.rows(&format!("SELECT n FROM counts WHERE k = {first}"));
            client.rows("INSERT INTO diary (k, what) VALUES (1, 'a')"); // its owner is spared
            assert_eq!(client.value("SELECT what FROM diary WHERE at = now()"), "a");
        }
        for (refused, (sql, what)) in refused.iter_mut().zip(late) {
            for client in [&mut client, &mut oracle] {
                client.rows("SAVEPOINT before");
            }
            assert!(matches!(answer(&mut oracle, sql), Answer::Done(..)), "{sql}");
            if let Answer::Failed(code, message) = answer(&mut client, sql) {
                assert_eq!(code, "0A000", "{sql}: {message}");
                assert!(message.starts_with(what), "{sql}: {message}");
                *refused += 1;
            }
            for client in [&mut client, &mut oracle] {
                client.rows("ROLLBACK TO before");
                client.rows("DELETE FROM ruled");
            }
        }
        client.rows("ROLLBACK");
        oracle.rows("ROLLBACK");
    }
    let some = |refused: &usize| (1..KEYS.count()).contains(refused);
    assert!(refused.iter().all(some), "{refused:?}");
}

/// Whom a policy spares is asked as the role that the block has.
#[test]
fn a_blocks_own_role_decides_whether_policies_apply() {
    let world = World::start(Spec {
        name: "m_unseen_role",
        ..GUARDED
    });
    for mut server in (0..GUARDED.shards).map(|shard| world.shard(shard)) {
        server.rows("CREATE ROLE unseen_guest ROLE app");
    }
    let mut client = world.client();
    client.rows("GRANT SELECT ON spared, counts TO unseen_guest");
    let reads = [
        "SELECT count(*) FROM spared",
        "SELECT expires FROM spared WHERE k = {k}",
    ];
    for read in reads {
        let mut failed = [0, 0];
        for (at, role) in ["app", "unseen_guest"].into_iter().enumerate() {
            for k in KEYS {
                client.rows("BEGIN");
                client.rows(&format!("SET LOCAL ROLE {role}"));
                if read.contains("{k}") {
                    client.rows("SELECT n FROM counts WHERE k = 1");
                }
                if let Answer::Failed(code, message) = answer(&mut client, &read.replace("{k}", &k.to_string())) {
                    assert_eq!(code, "0A000", "{message}");
                    assert!(message.starts_with("policy \"fresh\" of table \"spared\""), "{message}");
                    failed[at] += 1;
                }
                client.rows("ROLLBACK");
            }
        }
        assert_eq!(failed[0], 0, "{read}: the owner is spared");
        assert!(failed[1] > 0, "{read}: a guest is not");
    }
    for mut server in (0..GUARDED.shards).map(|shard| world.shard(shard)) {
        server.rows("DROP OWNED BY unseen_guest; DROP ROLE unseen_guest");
    }
}
