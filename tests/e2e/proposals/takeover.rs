//! Whoever proposes may die, hang, or lose home: another one goes on, and proposals stay as they are, none lost, none
//! twice.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use shardgate::rebalance::Proposal;
use shardgate::topology::WrittenChange;

use super::{PAUSE, ROUNDS_MAX, SYMBOLS, Table, limited, shardctl_fails, table, under_load, world, world_of};
use crate::client::Client;
use crate::messages::query;
use crate::proxy::Proxy;
use crate::world::{CLIENT_ROLE, World, repeat};

const PROPOSE: &str = "rebalancer: {policy: propose}";
/// Small, so that a few clients are too many.
const CAPACITY: f64 = 2.0;
const WORKERS: usize = 4;

/// Whose connection has the turn to propose: the process id of its backend, or nothing.
const SPEAKER: &str = "SELECT coalesce(string_agg(pid::text, ','), '') FROM pg_locks \
    JOIN pg_database ON pg_database.oid = database AND datname = current_database() \
    WHERE locktype = 'advisory' AND classid = 1936159079 AND objid = 2 AND granted";

/// Everything that home knows of proposals, and whether some have been renewed since a time.
fn stored(home: &mut Client, since: &str) -> Vec<Vec<String>> {
    home.rows(&format!(
        "SELECT id, state, identity, created_at, renewed_at > '{since}' FROM shardgate.proposal ORDER BY id"
    ))
}

fn speaker_after(home: &mut Client, before: &str) -> String {
    repeat("somebody to take the turn to propose", || match home.value(SPEAKER) {
        speaker if !speaker.is_empty() && speaker != before => ControlFlow::Break(speaker),
        _ => ControlFlow::Continue(()),
    })
}

/// When the open proposal was first made, and what it would change: its cut is drawn from a sample of keys.
fn first_made(admin: &mut Client) -> (u64, Vec<WrittenChange>) {
    let open = table(admin, "SHOW PROPOSALS").remove(0);
    let whole = table(admin, &format!("SHOW PROPOSAL {}", open["id"])).remove(0);
    let proposal = Proposal::from_json(&whole["document"]).expect("its document is read back");
    let changes = proposal.steps.into_iter().map(|step| step.change);
    (proposal.created_ms, changes.collect())
}

fn admin(proxy: &Proxy) -> Client {
    let parameters = [("user", CLIENT_ROLE), ("database", "shardgate")];
    Client::log_in(proxy.address(), &parameters).expect("the proxy lets in")
}

/// Asks until there is an answer, for as long as a proposal may take.
fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    for _ in 0..ROUNDS_MAX {
        if let Some(seen) = seen() {
            return seen;
        }
        std::thread::park_timeout(PAUSE);
    }
    panic!("waited too long for {what}");
}

/// Clients of whichever proxy stands here, until it is gone; then of the next.
struct Door {
    address: Mutex<SocketAddr>,
    ends: AtomicBool,
}

/// Its Drop ends the clients, also where the test fails.
struct Closed<'a>(&'a Door);

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }
}

impl Door {
    fn work(&self, database: &str, worker: usize) {
        let parameters = [("user", CLIENT_ROLE), ("database", database)];
        let mut number = worker * 7;
        while !self.ends.load(Ordering::Relaxed) {
            let address = *self.address.lock().expect("nobody panicked");
            let Some(mut client) = Client::try_log_in(address, &parameters) else {
                std::thread::park_timeout(PAUSE);
                continue;
            };
            while !self.ends.load(Ordering::Relaxed) {
                number = (number + 1) % SYMBOLS;
                let sql = format!("SELECT pg_sleep(0.05) FROM trades WHERE instrument = 'M{number:02}'");
                // The proxy may die at any moment.
                let is_sent = client.try_send(&query(&sql)).is_ok();
                if !is_sent || client.read_batch().last().is_none_or(|last| last.tag != b'Z') {
                    break;
                }
            }
        }
    }
}

#[test]
fn what_is_proposed_outlives_the_proxy_that_proposes() {
    let mut world = world("proposals_takeover", PROPOSE);
    let config = limited(&mut world, "proposals_takeover_1", CAPACITY);
    let mut home = world.shard(0);
    let first_speaker = speaker_after(&mut home, "");
    let second = Proxy::start("proposals_takeover_2", &config);
    let door = Door {
        address: Mutex::new(second.address()),
        ends: AtomicBool::new(false),
    };
    let database = world.database().to_owned();
    std::thread::scope(|scope| {
        let closed = Closed(&door);
        for worker in 0..WORKERS {
            let (door, database) = (&door, &database);
            scope.spawn(move || door.work(database, worker));
        }
        until("the overload to be seen by the proxy that proposes", || {
            let rows = table(&mut world.admin(), "SHOW LOAD");
            let used: f64 = rows.first()?["busy_10s"].parse().ok()?;
            (used > 0.9).then_some(())
        });
        // Dead before it had anything to say: only what the second has watched can tell.
        assert_eq!(home.value(SPEAKER), first_speaker);
        assert_eq!(stored(&mut home, "now"), Vec::<Vec<String>>::new());
        drop(world.take_proxy());
        let second_speaker = speaker_after(&mut home, &first_speaker);
        let third = Proxy::start("proposals_takeover_3", &config);
        until("the second's proposal", || {
            (stored(&mut home, "now").len() == 1).then_some(())
        });

        // The third knows all there is to know by now, load that has ended with its proxy too.
        let mut there = admin(&third);
        until("the third to have watched for long enough", || {
            let rows = table(&mut there, "SHOW LOAD");
            let measured: f64 = rows.first()?["measured_seconds"].parse().ok()?;
            (measured > 200.0).then_some(())
        });
        assert_eq!(home.value(SPEAKER), second_speaker);
        let made = first_made(&mut there);
        // Asked on demand it says the same, though it hasn't the turn.
        assert_eq!(table(&mut there, "PROPOSE").len(), 1);
        assert_eq!(first_made(&mut there), made);
        let before = stored(&mut home, "now");
        assert_eq!((before.len(), before[0][1].as_str()), (1, "open"), "{before:?}");
        let shown = table(&mut there, "SHOW PROPOSALS");
        drop(second);
        // What the second has measured isn't counted as its own any more by then.
        let past = home.value("SELECT clock_timestamp() + interval '40 seconds'");
        *door.address.lock().expect("nobody panicked") = third.address();
        speaker_after(&mut home, &second_speaker);
        let after = until("the third to renew what stands", || {
            let after = stored(&mut home, &past);
            after.iter().any(|row| row[4] == "t").then_some(after)
        });
        assert_eq!(after.len(), 1, "{after:?}");
        assert_eq!(after[0][..4], before[0][..4]);
        assert_eq!(first_made(&mut there), made);
        let row = &table(&mut there, "SHOW PROPOSALS")[0];
        for column in ["id", "subject", "action", "from", "to", "state", "created_at"] {
            assert_eq!(row[column], shown[0][column], "{column}");
        }
        world.serve_by(third);
        drop(closed);
    });
}

#[test]
fn a_proxy_that_hangs_loses_its_turn() {
    let mut world = world("proposals_hang", PROPOSE);
    let config = limited(&mut world, "proposals_hang_1", CAPACITY);
    let mut home = world.shard(0);
    let speaker = speaker_after(&mut home, "");
    let mut second = Proxy::start("proposals_hang_2", &config);
    assert_eq!(home.value(SPEAKER), speaker);
    // Its connections stay open: only silence tells.
    world.proxy().signal("STOP");
    let next = speaker_after(&mut home, &speaker);
    world.proxy().signal("CONT");
    // It finds its place taken, and waits.
    let mut admin = world.admin();
    assert_eq!(table(&mut admin, "PROPOSE"), Table::new());
    assert_eq!(home.value(SPEAKER), next);
    second.stop();
}

#[test]
fn with_home_down_nothing_is_proposed_and_nothing_lost() {
    let mut world = world_of("proposals_home", PROPOSE, World::start_private);
    limited(&mut world, "proposals_home_2", CAPACITY);
    let mut admin = world.admin();
    // s1 is overloaded; home is where there is room.
    under_load(&world, &["E"; WORKERS], || {
        let mut home = world.shard(0);
        let before = until("a proposal", || {
            Some(stored(&mut home, "now")).filter(|rows| !rows.is_empty())
        });
        assert_eq!((before.len(), before[0][1].as_str()), (1, "open"), "{before:?}");
        drop(home);
        world.servers().disturb(0, |cluster| cluster.kill());
        repeat("the proxy to notice", || {
            match world.proxy().log().contains("nothing is proposed until home answers") {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        for command in ["SHOW PROPOSALS", "SHOW FINDINGS", "SHOW PROPOSAL 1", "PROPOSE"] {
            let answer = admin.query(command);
            let error = answer.iter().find(|message| message.tag == b'E').expect("an error");
            assert_eq!(error.code(), "55000", "{error:?}");
            let said = error.fields()[&'M'].clone();
            assert!(said.contains("shard \"s0\"") && said.contains("unreachable"), "{said}");
        }
        let said = shardctl_fails(world.proxy(), &["proposals"]);
        assert!(said.contains("no proposals: shard \"s0\""), "{said}");
        // What is measured here goes on; clients of s1 notice nothing, or they fail this test.
        let rows = table(&mut admin, "SHOW LOAD");
        let s1 = rows.iter().find(|row| row["name"] == "s1").expect("s1 is shown");
        assert!(s1["busy_10s"].parse::<f64>().expect("a number") > 0.7, "{s1:?}");

        world.servers().disturb(0, |cluster| cluster.restart());
        let mut home = world.shard(0);
        let back = home.value("SELECT clock_timestamp()");
        let after = until("it to be renewed", || {
            let after = stored(&mut home, &back);
            after.iter().any(|row| row[4] == "t").then_some(after)
        });
        assert_eq!(after.len(), 1, "{after:?}");
        assert_eq!(after[0][..4], before[0][..4]);
        Some(())
    });
    drop(admin);
}

/// What a judgement on demand finds is told to all, also where another proxy has the turn.
#[test]
fn findings_of_a_judgement_on_demand_are_kept_on_home() {
    let mut world = world("proposals_findings", PROPOSE);
    let config = limited(&mut world, "proposals_findings_1", CAPACITY);
    let mut home = world.shard(0);
    let speaker = speaker_after(&mut home, "");
    let first = world.take_proxy();
    world.serve_by(Proxy::start("proposals_findings_2", &config));
    let mut here = world.admin();
    let busy = under_load(&world, &["E"; WORKERS], || {
        let used: f64 = table(&mut here, "SHOW LOAD").get(1)?["busy_10s"].parse().ok()?;
        (used > 0.9).then_some(())
    });
    assert_eq!(busy, Some(()), "s1 is overloaded, if only for a moment");
    // It keeps its turn, and says nothing itself.
    first.signal("STOP");
    home.rows("DELETE FROM shardgate.finding");
    assert_eq!(table(&mut here, "PROPOSE"), Table::new());
    let findings = table(&mut here, "SHOW FINDINGS");
    assert_eq!(home.value(SPEAKER), speaker);
    first.signal("CONT");
    let told: Vec<[&str; 2]> = findings
        .iter()
        .map(|row| ["kind", "shard"].map(|name| row[name].as_str()))
        .collect();
    assert_eq!(told, [["warming", "s1"]]);
    let kept = home.value("SELECT document FROM shardgate.finding");
    assert!(kept.contains("\"warming\""), "{kept}");
    drop(first);
}
