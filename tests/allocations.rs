//! What a statement on its way through the proxy allocates (style H1): nothing, once its session knows its text.
//!
//! The proxy runs inside this process, so that an allocator that counts can be put under it; the client here writes
//! bytes that were made before and reads into a buffer that is there. Everything else that allocates is the proxy's, or
//! its background's, which looks at its shards about once a second: of several rounds the quietest counts.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "in a test's helper a failure is the test's"
)]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::PathBuf;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[path = "e2e/client.rs"]
pub mod client;
#[path = "../src/bin/shardctl/clusters.rs"]
pub mod clusters;
#[path = "e2e/layout.rs"]
pub mod layout;
#[path = "e2e/messages.rs"]
pub mod messages;
#[path = "e2e/pair.rs"]
pub mod pair;
#[path = "../src/bin/shardgate.rs"]
#[expect(dead_code, reason = "its main is not this program's")]
mod program;
#[path = "e2e/proxy.rs"]
pub mod proxy;
#[path = "e2e/servers.rs"]
pub mod servers;
#[path = "e2e/world.rs"]
pub mod world;

use messages::Format;
use world::{CLIENT_ROLE, Spec, World};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Statements by which a session gets to know their texts.
const WARM_UP: usize = 50;

/// Rounds, of which the quietest counts.
const ROUNDS: usize = 20;

/// Statements of a round.
const STATEMENTS: usize = 100;

/// What they may allocate together: far less than one each, and room for what runs beside them.
const ALLOCATIONS_MAX: usize = STATEMENTS / 5;

const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  h: {keyspace: whole, key: id}
";

/// A client that allocates nothing.
struct Frugal {
    stream: TcpStream,
    buffer: Box<[u8; 4096]>,
}

impl Frugal {
    fn log_in(address: SocketAddr, database: &str) -> Frugal {
        let stream = TcpStream::connect(address).expect("the proxy listens");
        stream.set_nodelay(true).expect("an option of every socket");
        let mut frugal = Frugal {
            stream,
            buffer: Box::new([0; 4096]),
        };
        frugal.ask(&messages::startup(&[("user", CLIENT_ROLE), ("database", database)]));
        frugal
    }

    /// Sends a batch and reads up to its ReadyForQuery; the answer.
    fn ask(&mut self, batch: &[u8]) -> &[u8] {
        self.stream.write_all(batch).expect("the proxy reads");
        let mut have = 0;
        while !self.buffer[..have].ends_with(b"Z\0\0\0\x05I") {
            let count = self.stream.read(&mut self.buffer[have..]).expect("the proxy answers");
            assert!(count > 0, "the proxy hung up: {:?}", &self.buffer[..have]);
            have += count;
        }
        &self.buffer[..have]
    }

    /// How much is allocated in a round of one batch again and again.
    fn count(&mut self, batch: &[u8], row: &[u8]) -> usize {
        for _ in 0..WARM_UP {
            self.ask(batch);
        }
        let mut right = 0;
        let mut round = || {
            let region = Region::new(COUNTED);
            for _ in 0..STATEMENTS {
                right += usize::from(self.ask(batch).windows(row.len()).any(|window| window == row));
            }
            region.change().allocations
        };
        let quietest = (0..ROUNDS).map(|_| round()).min().expect("some rounds");
        assert_eq!(right, ROUNDS * STATEMENTS, "every answer holds the row");
        quietest
    }
}

/// A proxy in this process; dropping it stops it as an operator would, and waits until it has closed everything.
struct Here {
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Here {
    fn drop(&mut self) {
        // The proxy hears signals of this process, which has no other use for them.
        let terminate = format!("kill -TERM {}", std::process::id());
        let told = std::process::Command::new("sh").args(["-c", &terminate]).status();
        assert!(told.expect("sh runs").success(), "a process may signal itself");
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the proxy in this process ends well");
        }
    }
}

/// Runs the proxy in this process, on a copy of a config that listens elsewhere.
fn start_here(name: &str, config: &str) -> Here {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let lines = config.lines().filter(|line| !line.starts_with("http:"));
    let lines = lines.map(|line| match line.starts_with("listen:") {
        true => format!("listen: {address}"),
        false => line.to_owned(),
    });
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}_here.yaml"));
    std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).expect("the config can be written");
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime.expect("a runtime").block_on(Box::pin(program::run_on(path)));
        assert_eq!(ended, Ok(()));
    });
    world::repeat("the proxy in this process to listen", || {
        match TcpStream::connect(address) {
            Ok(_early) => ControlFlow::Break(()),
            Err(_refused) => ControlFlow::Continue(()),
        }
    });
    Here {
        address,
        thread: Some(thread),
    }
}

#[test]
fn a_known_statement_allocates_nothing() {
    for shards in [1, 3] {
        let database = format!("allocations_{shards}");
        let world = World::start(Spec {
            name: &database,
            shards,
            layout: LAYOUT,
            settings: "",
            schema: "CREATE TABLE h (id int PRIMARY KEY, v text);",
            data: "INSERT INTO h SELECT i, 'row of ' || i FROM generate_series(1, 30) i;",
        });
        let config = std::fs::read_to_string(world.proxy().config()).expect("the world's config");
        let here = start_here(&database, &config);
        let mut frugal = Frugal::log_in(here.address, &database);
        let (row, text) = (b"row of 7", "SELECT v FROM h WHERE id = $1");
        let seven = [(Format::Text, Some(b"7".to_vec()))];
        let execute = [
            messages::bind("", "", &seven, Format::Text),
            messages::describe(b'P', ""),
            messages::execute("", 0),
            messages::sync(),
        ]
        .concat();
        let unnamed = [messages::parse("", text, &[]), execute].concat();
        let named = [
            messages::bind("", "known", &seven, Format::Text),
            messages::execute("", 0),
            messages::sync(),
        ]
        .concat();
        frugal.ask(&[messages::parse("known", text, &[]), messages::sync()].concat());
        for (how, batch) in [
            ("simple", messages::query("SELECT v FROM h WHERE id = 7")),
            ("extended", unnamed),
            ("prepared", named),
        ] {
            let allocations = frugal.count(&batch, row);
            assert!(
                allocations <= ALLOCATIONS_MAX,
                "{how}, {shards} shards: {allocations} allocations of {STATEMENTS} statements"
            );
        }
    }
}
