//! Many transfers by many clients while proxies and shards die by kill -9 at random steps.
//!
//! Random, yet repeatable in kind: which step dies and how often it was reached before comes from a counter's hash, which
//! the message of a failure names.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Known, check_balances, client_of, proxy, spec, transfer, wait_until_nothing_is_prepared};
use crate::client::Client;
use crate::world::World;

const STEPS: [&str; 9] = [
    "begun",
    "prepares-sent",
    "first-prepared",
    "prepared",
    "decision-sent",
    "decided",
    "commits-sent",
    "first-committed",
    "committed",
];

/// Clients of each proxy.
const CLIENTS: u64 = 3;

/// A client whose proxy doesn't die ends after so many.
const TRANSFERS_MAX: usize = 40;

pub(super) fn dice(seed: u64, sides: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    hasher.finish() % sides
}

/// What every client knows of every transfer, by number: accounts and outcome.
pub(super) type Ledger = Mutex<BTreeMap<u64, (u64, u64, Known)>>;

/// Transfers of one client, until its connection ends or it has made enough of them.
fn work(world: &World, through: &crate::proxy::Proxy, numbers: &AtomicU64, ledger: &Ledger) {
    let Some(mut client) = client_of(world, through) else {
        return;
    };
    for _ in 0..TRANSFERS_MAX {
        if transfer_next(&mut client, numbers, ledger) == Known::Nothing {
            return;
        }
    }
}

/// The transfer of the next number, between two accounts that the number tells.
pub(super) fn transfer_next(client: &mut Client, numbers: &AtomicU64, ledger: &Ledger) -> Known {
    let number = numbers.fetch_add(1, Ordering::Relaxed);
    let (from, by) = (dice(number, 3), 1 + dice(number + 1, 2));
    let account = |shard: u64, at: u64| shard * 1_000 + 1 + dice(number + at, 20);
    let (from, to) = (account(from, 2), account((from + by) % 3, 3));
    let known = transfer(client, number, from, to);
    ledger
        .lock()
        .expect("no client panicked")
        .insert(number, (from, to, known));
    known
}

/// Nothing half applied, nothing acknowledged lost, nothing reported as failed there all the same.
/// Answers how many are committed, aren't, and may be.
pub(super) fn check(world: &World, ledger: &Ledger) -> (usize, usize, usize) {
    wait_until_nothing_is_prepared(world);
    let mut noted: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for shard in 0..world.shards() {
        for row in world.shard(shard).rows("SELECT transfer, id FROM moves") {
            let number = |at: usize| row[at].parse::<u64>().expect("a number");
            noted.entry(number(0)).or_default().push(number(1));
        }
    }
    let ledger = ledger.lock().expect("no client panicked");
    for (number, (from, to, known)) in ledger.iter() {
        let mut on = noted.remove(number).unwrap_or_default();
        on.sort_unstable();
        let mut both = vec![*from, *to];
        both.sort_unstable();
        let story = format!("transfer {number} from {from} to {to}: told {known:?}, noted on {on:?}");
        assert!(on.is_empty() || on == both, "half applied: {story}");
        match known {
            Known::Committed => assert_eq!(on, both, "acknowledged and lost: {story}"),
            Known::NotCommitted => assert!(on.is_empty(), "reported as failed, and there: {story}"),
            Known::Nothing => {}
        }
    }
    assert!(noted.is_empty(), "transfers that nobody made: {noted:?}");
    check_balances(world);
    let count = |wanted: Known| ledger.values().filter(|(_, _, known)| *known == wanted).count();
    (
        count(Known::Committed),
        count(Known::NotCommitted),
        count(Known::Nothing),
    )
}

/// Rounds of proxies that die at random steps; three at once.
fn proxies_die(name: &str, rounds: u64, salt: u64) {
    const PROXIES: u64 = 3;
    let world = World::start_private(spec(name, ""));
    let (numbers, ledger) = (AtomicU64::new(1), Ledger::default());
    for round in 0..rounds {
        std::thread::scope(|scope| {
            for one in 0..PROXIES {
                let (world, numbers, ledger) = (&world, &numbers, &ledger);
                scope.spawn(move || {
                    let seed = salt + round * PROXIES + one;
                    let step = STEPS[usize::try_from(dice(seed, 9)).expect("a small number")];
                    let turn = 1 + dice(seed + 1_000_000, 12);
                    let dying = proxy(world, &format!("{name}_{one}"), &format!("{step}*{turn}:exit"));
                    std::thread::scope(|clients| {
                        for _ in 0..CLIENTS {
                            clients.spawn(|| work(world, &dying, numbers, ledger));
                        }
                    });
                });
            }
        });
    }
    let (committed, _, unknown) = check(&world, &ledger);
    assert!(
        committed > 0 && unknown > 0,
        "{committed} committed, {unknown} unknown: nothing was tested"
    );
}

/// Two hundred and four deaths in all, in four tests that run side by side.
const ROUNDS: u64 = 17;

#[test]
fn proxies_die_at_random_steps_first_quarter() {
    proxies_die("storm_first", ROUNDS, 1);
}

#[test]
fn proxies_die_at_random_steps_second_quarter() {
    proxies_die("storm_second", ROUNDS, 1_000);
}

#[test]
fn proxies_die_at_random_steps_third_quarter() {
    proxies_die("storm_third", ROUNDS, 2_000);
}

#[test]
fn proxies_die_at_random_steps_last_quarter() {
    proxies_die("storm_last", ROUNDS, 3_000);
}

#[test]
fn shards_die_under_transfers() {
    const KILLS: u64 = 12;
    let world = World::start_private(spec("storm_shards", "pool: {size: 20, checkout_timeout: 2s}"));
    let (numbers, ledger) = (AtomicU64::new(1), Ledger::default());
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS * 2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    work(&world, world.proxy(), &numbers, &ledger);
                }
            });
        }
        for kill in 0..KILLS {
            let shard = usize::try_from(dice(kill, 3)).expect("a small number");
            // Some transfers between any two kills.
            let seen = numbers.load(Ordering::Relaxed);
            crate::world::repeat("transfers to go on", || {
                match numbers.load(Ordering::Relaxed) > seen + 30 {
                    true => std::ops::ControlFlow::Break(()),
                    false => std::ops::ControlFlow::Continue(()),
                }
            });
            world.servers().disturb(shard, |cluster| {
                cluster.kill()?;
                cluster.restart()
            });
        }
        over.store(true, Ordering::Relaxed);
    });
    let (committed, failed, _) = check(&world, &ledger);
    assert!(
        committed > 0 && failed > 0,
        "{committed} committed, {failed} failed: nothing was tested"
    );
}
