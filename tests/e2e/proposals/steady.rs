//! Load that calls for nothing: ten minutes of balanced noise, and a spike of fifteen seconds. Nothing may be proposed.
//!
//! Why this can't fail because the machine is busy with other tests: a worker's backend sleeps (`pg_sleep`), then the
//! worker does, for about as long, so both take nearly no CPU, and whoever has to wait for one lengthens both halves of
//! the cycle alike: the part of the time for which backends are occupied stays what it is. What is left hits both
//! shards alike, and of two shards that are as full nothing is moved. A burst can't occupy more backends than it has
//! workers.
//!
//! Why it can fail: each burst drives its shard's 10 s window over the threshold (that it has is asserted), and its 1 m
//! window to 15 points above the other shard's, so a judge that listens to the 10 s window alone would have something
//! to propose.
//! `SHARDGATE_STEADY_SECONDS` says for how long the noise lasts, 180 at least; `make test` takes what is written here.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{SYMBOLS, Table, limited, table, world};
use crate::client::Client;
use crate::world::World;

const SECONDS: u64 = 600;
/// Backends that a shard can keep busy, and clients that keep 40 % of them so.
const CAPACITY: usize = 8;
/// Clients of a shard; the second half comes in bursts only.
const WORKERS: usize = 2 * CAPACITY;
/// One of the shards by turns is asked for twice what it can do, for so long, once in each turn. Over the ten minutes
/// it is 51 % of the capacity; at the end of a burst it is 63 % over the last minute.
const BURST: Duration = Duration::from_secs(8);
const TURN: Duration = Duration::from_secs(60);
/// Who waits for a burst looks for it so often.
const BEAT: Duration = Duration::from_millis(100);
/// The windows look back so far: before that, measured load says too little.
const WARM_SECONDS: f64 = 65.0;
const SPIKE: Duration = Duration::from_secs(15);
const AFTER_SPIKE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    /// Evenly between two numbers (splitmix64).
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        low + (mixed ^ (mixed >> 31)) % (high - low)
    }

    /// Low numbers oftener than high ones, as some instruments are traded more than others.
    fn symbol(&mut self) -> u64 {
        let symbols = SYMBOLS as u64;
        self.between(0, symbols).min(self.between(0, symbols))
    }
}

/// Ends the workers, also where the test fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Occupies a backend of the owner of an instrument of this kind.
fn occupy(client: &mut Client, kind: &str, number: u64, milliseconds: u64) {
    let seconds = Duration::from_millis(milliseconds).as_secs_f64();
    client.rows(&format!(
        "SELECT pg_sleep({seconds}) FROM trades WHERE instrument = '{kind}{number:02}'"
    ));
}

/// Is it a shard's turn to be overrun?
fn is_burst(shard: usize, since: Duration) -> bool {
    let turn = since.as_secs() / TURN.as_secs();
    turn % 2 == shard as u64 && since.as_secs() % TURN.as_secs() < BURST.as_secs()
}

/// One worker of a shard: a statement, a pause, both of random length; in its shard's bursts without the pause.
fn work(world: &World, (shard, worker): (usize, usize), begin: Instant, ends: &AtomicBool) {
    let mut client = world.client();
    let mut dice = Dice((shard * WORKERS + worker) as u64);
    while !ends.load(Ordering::Relaxed) {
        let in_burst = is_burst(shard, begin.elapsed());
        if !in_burst && worker >= CAPACITY {
            std::thread::park_timeout(BEAT);
            continue;
        }
        // s0 owns two categories, one of which could move.
        let kind = match (shard, dice.between(0, 8)) {
            (0, 0..5) => "M",
            (0, _) => "X",
            (_, _) => "E",
        };
        let number = dice.symbol();
        occupy(&mut client, kind, number, dice.between(200, 600));
        if !in_burst {
            std::thread::park_timeout(Duration::from_millis(dice.between(350, 850)));
        }
    }
}

/// What was seen of a time in which nothing may be proposed.
#[derive(Default)]
struct Watch {
    /// shards that were said to have a spike
    spikes: BTreeSet<String>,
    looks: usize,
}

impl Watch {
    /// Looks until a moment comes, every second.
    fn until(&mut self, admin: &mut Client, end: Instant) {
        while Instant::now() < end {
            self.look(admin);
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    fn look(&mut self, admin: &mut Client) {
        self.looks += 1;
        let proposals = table(admin, "SHOW PROPOSALS");
        assert_eq!(proposals, Table::new(), "look {}: {:?}", self.looks, shards(admin));
        for finding in table(admin, "SHOW FINDINGS") {
            if finding["kind"] == "spike" {
                self.spikes.insert(finding["shard"].clone());
            }
        }
    }
}

/// Each shard's share of its capacity that was used over this window.
fn utilisation(admin: &mut Client, window: &str) -> Vec<f64> {
    let rows = shards(admin).into_iter();
    rows.map(|row| row[window].parse().expect("it is measured")).collect()
}

fn shards(admin: &mut Client) -> Table {
    let mut rows = table(admin, "SHOW LOAD");
    rows.retain(|row| row["scope"] == "shard");
    rows
}

/// Home has never had a proposal, and to be asked for one changes nothing.
fn assert_none_was_made(world: &World, admin: &mut Client) {
    assert_eq!(table(admin, "PROPOSE"), Table::new());
    assert_eq!(world.shard(0).value("SELECT count(*) FROM shardgate.proposal"), "0");
}

#[test]
fn nothing_is_proposed_in_ten_minutes_of_balanced_noise() {
    let seconds = std::env::var("SHARDGATE_STEADY_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number"));
    let mut world = world("proposals_noise", "rebalancer: {policy: propose}");
    limited(&mut world, "proposals_noise_2", CAPACITY as f64);
    let mut admin = world.admin();
    let ends = AtomicBool::new(false);
    let begin = Instant::now();
    let mut watch = Watch::default();
    std::thread::scope(|scope| {
        let ended = Ended(&ends);
        for worker in (0..2).flat_map(|shard| (0..WORKERS).map(move |worker| (shard, worker))) {
            let (world, ends) = (&world, &ends);
            scope.spawn(move || work(world, worker, begin, ends));
        }
        watch.until(&mut admin, begin + Duration::from_secs(seconds));
        // Still under load: what was left alone was really there, and balanced.
        let used = utilisation(&mut admin, "busy_5m");
        println!(
            "used over 5 m {used:?}, {} looks, spikes of {:?}",
            watch.looks, watch.spikes
        );
        assert!(used.iter().all(|used| (0.35..0.65).contains(used)), "{used:?}");
        assert!((used[0] - used[1]).abs() < 0.1, "{used:?}");
        assert_none_was_made(&world, &mut admin);
        drop(ended);
    });
    let spikes: Vec<&str> = watch.spikes.iter().map(String::as_str).collect();
    assert_eq!(spikes, ["s0", "s1"], "each shard's bursts were seen, and waited out");
}

#[test]
fn nothing_is_proposed_for_a_spike_of_fifteen_seconds() {
    // So small that the spike is eight times what it can do.
    const SMALL: f64 = 2.0;
    let mut world = world("proposals_spike", "rebalancer: {policy: propose}");
    limited(&mut world, "proposals_spike_2", SMALL);
    let mut admin = world.admin();
    let mut watch = Watch::default();
    let mut client = world.client();
    loop {
        // Quiet, but not asleep.
        occupy(&mut client, "E", 1, 100);
        watch.look(&mut admin);
        let measured = shards(&mut admin).first().map(|row| row["measured_seconds"].parse());
        if measured.is_some_and(|seconds: Result<f64, _>| seconds.expect("a number") > WARM_SECONDS) {
            break;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    assert_eq!(watch.spikes, BTreeSet::new());
    let ends = AtomicBool::new(false);
    let end = Instant::now() + SPIKE;
    std::thread::scope(|scope| {
        let ended = Ended(&ends);
        for worker in 0..WORKERS {
            let (world, ends) = (&world, &ends);
            scope.spawn(move || {
                let mut client = world.client();
                let mut dice = Dice(worker as u64);
                while !ends.load(Ordering::Relaxed) {
                    occupy(&mut client, "M", dice.symbol(), 50);
                }
            });
        }
        watch.until(&mut admin, end);
        drop(ended);
    });
    let used = utilisation(&mut admin, "busy_1m");
    println!("used over 1 m {used:?} at the end of the spike");
    assert!(
        used[0] > 1.0 && used[1] < 0.3,
        "far past the threshold, on one shard: {used:?}"
    );
    watch.until(&mut admin, Instant::now() + AFTER_SPIKE);
    assert_eq!(watch.spikes, BTreeSet::from(["s0".to_owned()]));
    assert_none_was_made(&world, &mut admin);
}
