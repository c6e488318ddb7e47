//! Minutes of transfers and sums through two proxies while proxies and shards die by kill -9, and come back.
//!
//! Nobody else is there to recover: the two proxies that die do it themselves, and for each other.
//! `SHARDGATE_CHAOS_SECONDS` says for how long; `make test` takes the time written here.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use super::storm::{Ledger, check, dice, transfer_next};
use super::{Attempt, Known, TOTAL, attempt, error_of, proxy_on, spec};
use crate::client::Client;
use crate::messages::query;
use crate::proxy::Proxy;
use crate::world::{CLIENT_ROLE, World, repeat};

const SECONDS: u64 = 60;
const PROXIES: usize = 2;

/// Of each proxy.
const WRITERS: usize = 4;
const READERS: usize = 2;

/// While the deciding shard and a proxy are dead, rows that were prepared by that proxy stay locked. The shard is only
/// restarted after some more attempts: every writer may wait for such a row, so none may wait for ever.
const LOCK_TIMEOUT: &str = "4s";

/// At most so many of each number are committed between two deaths.
const COMMITS_BETWEEN: u64 = 60;

/// What a reader may be told while servers die.
const LOSSES: [&str; 4] = ["08006", "57P01", "57P02", "57P03"];

/// What all threads see.
struct Chaos {
    database: String,
    /// `None`: it is dead
    proxies: [RwLock<Option<Proxy>>; PROXIES],
    over: AtomicBool,
    numbers: AtomicU64,
    committed: AtomicU64,
    sums: AtomicU64,
    ledger: Ledger,
    /// how often readers were told each SQLSTATE; with its message if that isn't a loss
    errors: Mutex<BTreeMap<String, u64>>,
}

/// What was done to whom.
#[derive(Clone, Copy, Debug, Default)]
struct Deaths {
    proxies: u64,
    shards: u64,
}

/// Its Drop ends the clients, also where the test fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Chaos {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A session through a proxy as soon as it serves; `None` at the end.
    fn client(&self, proxy: usize) -> Option<Client> {
        repeat("a proxy to serve", || {
            if self.is_over() {
                return ControlFlow::Break(None);
            }
            let address = self.proxies[proxy]
                .read()
                .expect("nobody panicked")
                .as_ref()
                .map(Proxy::address);
            let parameters = [
                ("user", CLIENT_ROLE),
                ("database", self.database.as_str()),
                ("lock_timeout", LOCK_TIMEOUT),
            ];
            match address.and_then(|address| Client::try_log_in(address, &parameters)) {
                Some(client) => ControlFlow::Break(Some(client)),
                None => ControlFlow::Continue(()),
            }
        })
    }

    fn write(&self, proxy: usize) {
        while let Some(mut client) = self.client(proxy) {
            // A connection that ended is noticed by the next statement.
            while !self.is_over() && !matches!(attempt(&mut client, "SELECT 1"), Attempt::Ended) {
                match transfer_next(&mut client, &self.numbers, &self.ledger) {
                    Known::Committed => drop(self.committed.fetch_add(1, Ordering::Relaxed)),
                    Known::NotCommitted => {}
                    Known::Nothing => break,
                }
            }
        }
    }

    /// Sums, by turns alone and in a block: each one that is answered has to be right.
    fn read(&self, proxy: usize) {
        for turn in 0_u64.. {
            let Some(mut client) = self.client(proxy) else {
                return;
            };
            for sum in 0.. {
                let block = (turn + sum) % 2 == 0;
                if self.is_over() || (block && matches!(attempt(&mut client, "BEGIN"), Attempt::Ended)) {
                    break;
                }
                if !self.sum(&mut client) || (block && matches!(attempt(&mut client, "ROLLBACK"), Attempt::Ended)) {
                    break;
                }
            }
        }
    }

    /// `false`: the connection ended.
    fn sum(&self, client: &mut Client) -> bool {
        if client
            .try_send(&query("SELECT sum(balance), count(*) FROM accounts"))
            .is_err()
        {
            return false;
        }
        let answer = client.read_batch();
        if answer.last().is_none_or(|last| last.tag != b'Z') {
            return false;
        }
        if let Some(error) = error_of(&answer) {
            let mut told = error.code();
            if !LOSSES.contains(&told.as_str()) {
                told = format!("{told}: {}", error.fields().remove(&'M').unwrap_or_default());
            }
            *self.errors.lock().expect("nobody panicked").entry(told).or_default() += 1;
            return true;
        }
        let row = answer
            .iter()
            .find(|message| message.tag == b'D')
            .expect("a sum without error has a row");
        let text = |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
        let row: Vec<String> = row.values().into_iter().map(text).collect();
        assert_eq!(row, [TOTAL, "60"], "half of a transfer was read");
        self.sums.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Waits until so many more are committed, and some sums are taken.
    fn go_on(&self, commits: u64) {
        let (committed, sums) = (&self.committed, &self.sums);
        let seen = (committed.load(Ordering::Relaxed), sums.load(Ordering::Relaxed));
        repeat("transfers and sums to go on", || {
            let more = committed.load(Ordering::Relaxed) >= seen.0 + commits
                && sums.load(Ordering::Relaxed) > seen.1 + commits / 10;
            match more || self.is_over() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
    }

    /// Some attempts while somebody is dead.
    fn go_on_in_vain(&self, attempts: u64) {
        let seen = self.numbers.load(Ordering::Relaxed);
        repeat("clients to go on", || {
            match self.numbers.load(Ordering::Relaxed) >= seen + attempts || self.is_over() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
    }

    fn kill_proxy(&self, proxy: usize) {
        // Its Drop is kill -9.
        drop(self.proxies[proxy].write().expect("nobody panicked").take());
    }

    fn start_proxy(&self, config: &str, proxy: usize) {
        let started = proxy_on(config, &format!("chaos_{proxy}"), "");
        *self.proxies[proxy].write().expect("nobody panicked") = Some(started);
    }

    /// One death, or two at a time, and what died is back.
    fn disturb(&self, world: &World, config: &str, turn: u64, deaths: &mut Deaths) {
        let one_of = |salt: u64, count: u64| usize::try_from(dice(turn * 10 + salt, count)).expect("a small number");
        let (proxy, shard) = (one_of(1, 2), one_of(2, 3));
        let kill = || world.servers().disturb(shard, crate::clusters::Cluster::kill);
        let restart = || world.servers().disturb(shard, crate::clusters::Cluster::restart);
        let wait = dice(turn * 10 + 3, 12);
        match one_of(4, 6) {
            0 | 1 => {
                self.kill_proxy(proxy);
                self.go_on_in_vain(wait);
                self.start_proxy(config, proxy);
                deaths.proxies += 1;
            }
            2 | 3 => {
                kill();
                self.go_on_in_vain(wait);
                restart();
                deaths.shards += 1;
            }
            4 => {
                // The shard comes back while nobody is there to recover.
                kill();
                self.kill_proxy(0);
                self.kill_proxy(1);
                restart();
                self.start_proxy(config, proxy);
                self.start_proxy(config, 1 - proxy);
                deaths.shards += 1;
                deaths.proxies += 2;
            }
            _ => {
                self.kill_proxy(proxy);
                kill();
                self.go_on_in_vain(wait);
                restart();
                self.start_proxy(config, proxy);
                deaths.shards += 1;
                deaths.proxies += 1;
            }
        }
    }
}

#[test]
fn every_sum_is_right_while_proxies_and_shards_die() {
    let seconds = std::env::var("SHARDGATE_CHAOS_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number"));
    let mut world = World::start_private(spec("chaos", "pool: {size: 20, checkout_timeout: 2s}"));
    let config = std::fs::read_to_string(world.proxy().config()).expect("the proxy's config is there");
    drop(world.take_proxy());
    let chaos = Chaos {
        database: world.database().to_owned(),
        proxies: [RwLock::new(None), RwLock::new(None)],
        over: AtomicBool::new(false),
        numbers: AtomicU64::new(1),
        committed: AtomicU64::new(0),
        sums: AtomicU64::new(0),
        ledger: Ledger::default(),
        errors: Mutex::default(),
    };
    (0..PROXIES).for_each(|proxy| chaos.start_proxy(&config, proxy));
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut deaths = Deaths::default();
    std::thread::scope(|scope| {
        let clients = (0..PROXIES).flat_map(|proxy| {
            let writers = (0..WRITERS).map(move |_| (proxy, true));
            writers.chain((0..READERS).map(move |_| (proxy, false)))
        });
        let clients: Vec<_> = clients
            .map(|(proxy, writes)| {
                let chaos = &chaos;
                scope.spawn(move || match writes {
                    true => chaos.write(proxy),
                    false => chaos.read(proxy),
                })
            })
            .collect();
        let ended = Ended(&chaos.over);
        for turn in 0.. {
            chaos.go_on(dice(turn, COMMITS_BETWEEN));
            if tokio::time::Instant::now() >= end || clients.iter().any(|client| client.is_finished()) {
                break;
            }
            chaos.disturb(&world, &config, turn, &mut deaths);
        }
        drop(ended);
        for client in clients {
            client.join().expect("every sum is right, and nobody waits for ever");
        }
    });
    for slot in &chaos.proxies {
        let proxy = slot
            .write()
            .expect("nobody panicked")
            .take()
            .expect("each was started again");
        world.serve_by(proxy);
    }
    let (committed, failed, unknown) = check(&world, &chaos.ledger);
    for shard in 0..world.shards() {
        world.wait_on_shard(shard, "SELECT count(*) FROM shardgate.mark", "0");
    }
    let errors = chaos.errors.lock().expect("nobody panicked");
    println!(
        "{seconds} s: {} deaths of proxies, {} of shards; {committed} transfers acknowledged, {failed} failed, {unknown} \
         unknown; {:?} sums, all right; readers were told {errors:?}",
        deaths.proxies, deaths.shards, chaos.sums
    );
    let told = |code: &str| errors.keys().any(|told| told.starts_with(code));
    assert!(!told("XX000") && !told("08P01"), "{errors:?}");
    assert!(
        deaths.proxies > 0 && deaths.shards > 0,
        "{deaths:?}: nothing was tested"
    );
    assert!(
        committed > 0 && failed > 0 && unknown > 0,
        "{committed} committed, {failed} failed, {unknown} unknown: nothing was tested"
    );
}
