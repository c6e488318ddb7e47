//! Tells stories to a proxy and to a plain Postgres, and compares what they answer.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::client::Client;
use crate::messages::{self, Message};
use crate::pair::comparable;
use crate::servers::superuser;
use crate::story::{Step, Story, parse};
use crate::world::{CLIENT_ROLE, Spec, World, wait_for};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
    CREATE TABLE h (id int PRIMARY KEY, v text);
    CREATE TABLE late (id int, CONSTRAINT late_once UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE SEQUENCE numbers;
    CREATE FUNCTION sets(name text, value text) RETURNS text LANGUAGE plpgsql AS
      $$ BEGIN RETURN set_config(name, value, false); END $$;
    CREATE FUNCTION locks(number bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(number); END $$;
    CREATE FUNCTION makes(name text) RETURNS void LANGUAGE plpgsql AS
      $$ BEGIN EXECUTE 'CREATE TEMP TABLE ' || name || ' (id int)'; END $$;
    CREATE FUNCTION adds(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
    CREATE PROCEDURE commits(number int) LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO t VALUES (number, 'committed'); COMMIT; END $$;";

const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  t: {unsharded: {{s0}}}
  late: {unsharded: {{s0}}}
  h: {keyspace: whole, key: id}
";

const DATA: &str = "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 9) i;
    INSERT INTO h SELECT i, 'h' || i FROM generate_series(1, 30) i;";

/// One backend per shard for all clients; pinned ones are counted apart.
const SETTINGS: &str = "pool: {size: 1, pinned: 8, checkout_timeout: 10s}";

/// What the intruder does to the backend between two steps; in turn.
const INTRUSIONS: [&str; 12] = [
    "SET TimeZone = 'Pacific/Auckland'",
    "SET DateStyle = 'German'; SET IntervalStyle = 'sql_standard'",
    "SELECT 1/0",
    "SET application_name = 'intruder'; SET search_path = pg_catalog; SET work_mem = '7MB'",
    "PREPARE s1 AS SELECT 'of the intruder'",
    "SET app.tenant = 'intruder'",
    "SET extra_float_digits = 0; SET standard_conforming_strings = off",
    "BEGIN; SET LOCAL TimeZone = 'America/Lima'; SELECT 1; COMMIT",
    "DEALLOCATE ALL",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "RESET ALL",
    "DISCARD ALL",
];

/// A client on both sides.
struct Duo {
    ours: Client,
    theirs: Client,
    queued: Vec<u8>,
    /// neither inside a transaction nor inside a batch
    idle: bool,
}

impl Duo {
    fn log_in(world: &World, parameters: &[(String, String)]) -> Result<Duo, String> {
        let mut duo = Duo {
            ours: Client::dial(world.proxy().address()),
            theirs: Client::dial(world.servers().oracle()),
            queued: Vec::new(),
            idle: true,
        };
        let mut all = vec![("user", CLIENT_ROLE), ("database", world.database())];
        for (name, value) in parameters {
            all.retain(|(known, _)| known != name);
            all.push((name, value));
        }
        let (ours, theirs) = duo.exchange(&messages::startup(&all));
        let (mut shown, mut expected) = (greeting(&ours), greeting(&theirs));
        // The order of ParameterStatus is nobody's promise.
        shown.sort();
        expected.sort();
        same("at login", &shown, &expected)?;
        Ok(duo)
    }

    fn exchange(&mut self, bytes: &[u8]) -> (Vec<Message>, Vec<Message>) {
        self.ours.send(bytes);
        self.theirs.send(bytes);
        (self.ours.read_batch(), self.theirs.read_batch())
    }

    fn send(&mut self) {
        let bytes = std::mem::take(&mut self.queued);
        // A server that has hung up answers that by itself.
        self.ours.try_send(&bytes).ok();
        self.theirs.try_send(&bytes).ok();
    }

    fn expect(&mut self, until: Option<(u8, usize)>) -> Result<(), String> {
        self.send();
        let read = |client: &mut Client| match until {
            None => client.read_to_end(),
            Some((tag, count)) => (0..count).flat_map(|_| client.read_until(tag)).collect(),
        };
        let theirs = read(&mut self.theirs);
        let ours = catch_unwind(AssertUnwindSafe(|| read(&mut self.ours)))
            .map_err(|_| format!("the proxy is silent; Postgres said {:#?}", normal(&theirs)))?;
        self.idle = theirs.last().is_none_or(|last| last.tag == b'Z' && last.body == b"I");
        same("", &normal(&ours), &normal(&theirs))
    }
}

/// Runs all stories of a file that are for this many shards; then says where answers differed.
pub fn all(name: &str, text: &str, shards: usize) {
    let database = format!("sessions_{name}_{shards}");
    let world = World::start(Spec {
        name: &database,
        shards,
        layout: LAYOUT,
        settings: SETTINGS,
        schema: SCHEMA,
        data: DATA,
    });
    let chosen = std::env::var("STORY").ok();
    let mut differences = Vec::new();
    for story in parse(text) {
        if story.only.is_some_and(|only| only != shards) || chosen.as_ref().is_some_and(|c| !story.title.contains(c)) {
            continue;
        }
        let told = catch_unwind(AssertUnwindSafe(|| tell(&world, &story)));
        match told {
            Ok(Ok(())) => {}
            Ok(Err(difference)) => differences.push(format!("--- {}\n{difference}", story.title)),
            Err(_) => differences.push(format!("--- {}\npanicked or hung, see above", story.title)),
        }
    }
    assert!(
        differences.is_empty(),
        "{} stories differ before {shards} shards:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn tell(world: &World, story: &Story) -> Result<(), String> {
    let mut clients: HashMap<String, Duo> = HashMap::new();
    let mut speaker = "@A".to_owned();
    let mut intruder = Duo::log_in(world, &[])?;
    let (mut intrudes, mut turn) = (true, story.title.len());
    for (number, line, step) in &story.steps {
        let at = |difference: String| format!("line {number}: {line}\n{difference}");
        if let Step::Client(name, parameters) = step {
            speaker.clone_from(name);
            if !clients.contains_key(name) {
                clients.insert(name.clone(), Duo::log_in(world, parameters).map_err(at)?);
            }
            continue;
        }
        if !clients.contains_key(&speaker) {
            clients.insert(speaker.clone(), Duo::log_in(world, &[]).map_err(at)?);
        }
        let duo = clients.get_mut(&speaker).expect("just there");
        match step {
            Step::Client(..) => {}
            Step::Frame(bytes) => duo.queued.extend(bytes),
            Step::Expect(until) => {
                duo.expect(*until).map_err(at)?;
                if intrudes && clients.values().all(|duo| duo.idle) {
                    let intrusion = INTRUSIONS[turn % INTRUSIONS.len()];
                    turn += 1;
                    let (ours, theirs) = intruder.exchange(&messages::query(intrusion));
                    same(&format!("the intruder's {intrusion}"), &normal(&ours), &normal(&theirs)).map_err(at)?;
                }
            }
            Step::HalfClose => {
                duo.send();
                duo.ours.half_close();
                duo.theirs.half_close();
            }
            Step::Gone => {
                duo.send();
                clients.remove(&speaker);
            }
            Step::Super(sql) => {
                for address in (0..world.shards())
                    .map(|s| world.servers().shard(s))
                    .chain([world.servers().oracle()])
                {
                    superuser(address, world.database()).query(sql);
                }
            }
            Step::Wait(sql, value) => {
                for address in [world.servers().shard(0), world.servers().oracle()] {
                    wait_for(&mut superuser(address, world.database()), sql, value);
                }
            }
            Step::Intruder(does) => intrudes = *does,
        }
    }
    // Whoever is left says goodbye; the backend must be fit for the next.
    drop(clients);
    drop(intruder);
    let mut last = Duo::log_in(world, &[])?;
    for sql in [
        "SHOW ALL",
        "SELECT count(*) FROM t",
        "SELECT current_user, session_user",
    ] {
        let (ours, theirs) = last.exchange(&messages::query(sql));
        let keep = |batch: &[Message]| -> Vec<String> {
            normal(batch)
                .into_iter()
                .filter(|line| !HOST.iter().any(|word| line.contains(word)))
                .collect()
        };
        same(&format!("afterwards {sql}"), &keep(&ours), &keep(&theirs))?;
    }
    Ok(())
}

/// Settings that differ between two servers on one machine.
const HOST: [&str; 10] = [
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "\"port\"",
    "unix_socket",
    "external_pid",
    "cluster_name",
    "listen_addresses",
    "plpgsql.",
];

/// A greeting: where it is a refusal, without AuthenticationOk and without hints, which are each server's own.
fn greeting(messages: &[Message]) -> Vec<String> {
    let refused = messages.iter().any(|message| message.tag == b'E');
    let shown = normal(messages)
        .into_iter()
        .filter(|line| !refused || !line.starts_with('R'));
    shown
        .map(|line| match (line.find("'H': "), line.find("'M': ")) {
            (Some(from), Some(to)) if refused && from < to => format!("{}{}", &line[..from], &line[to..]),
            _ => line,
        })
        .collect()
}

/// Messages as text, without what differs between any two servers, and without a shard's name in CONTEXT.
fn normal(messages: &[Message]) -> Vec<String> {
    let cleaned: Vec<Message> = messages
        .iter()
        .map(|message| match message.tag {
            b'A' => Message {
                tag: b'A',
                body: message.body.get(4..).unwrap_or_default().to_vec(),
            },
            _ => message.clone(),
        })
        .collect();
    comparable(&cleaned)
        .into_iter()
        .map(|line| {
            let mut line = line;
            for shard in 0..3 {
                line = line.replace(&format!(", 'W': \"shard s{shard}\""), "");
                line = line.replace(&format!("\\nshard s{shard}"), "");
            }
            line
        })
        .collect()
}

fn same(when: &str, ours: &[String], theirs: &[String]) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let mut text = format!("{when}\n");
    let (mut i, mut j) = (0, 0);
    let (ours, theirs) = if ours.len() > 40 {
        let first = ours.iter().zip(theirs).position(|(a, b)| a != b).unwrap_or(0);
        let from = |lines: &[String]| {
            lines
                .iter()
                .skip(first.saturating_sub(2))
                .take(12)
                .cloned()
                .collect::<Vec<_>>()
        };
        (from(ours), from(theirs))
    } else {
        (ours.to_vec(), theirs.to_vec())
    };
    // Whatever stands on both sides at the same place is told once.
    while i < ours.len() || j < theirs.len() {
        match (ours.get(i), theirs.get(j)) {
            (Some(a), Some(b)) if a == b => text.push_str(&format!("    {}\n", cut(a))),
            (a, b) => {
                if let Some(a) = a {
                    text.push_str(&format!("  proxy    {}\n", cut(a)));
                }
                if let Some(b) = b {
                    text.push_str(&format!("  postgres {}\n", cut(b)));
                }
            }
        }
        i += 1;
        j += 1;
    }
    Err(text)
}

fn cut(line: &str) -> String {
    line.chars().take(600).collect()
}
