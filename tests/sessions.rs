//! `sessions.md` as stories: the same frames to a proxy and to one plain Postgres, which must answer alike.
//!
//! The pool has one backend, and another client, the intruder, uses it between any two steps of a story: what a session
//! leaves on a backend, or forgets to bring along, shows. The stories' language is explained in `sessions/story.rs`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "in a test's helper a failure is the test's"
)]

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
#[path = "e2e/proxy.rs"]
pub mod proxy;
#[path = "e2e/servers.rs"]
pub mod servers;
#[path = "e2e/world.rs"]
pub mod world;

#[path = "sessions/crowd.rs"]
pub mod crowd;
#[path = "sessions/run.rs"]
pub mod run;
#[path = "sessions/story.rs"]
pub mod story;

/// One test per file of stories and number of shards.
macro_rules! stories {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            const TEXT: &str = include_str!(concat!("sessions/", stringify!($name), ".story"));

            #[test]
            fn before_one_shard() {
                crate::run::all(stringify!($name), TEXT, 1);
            }

            #[test]
            fn before_three_shards() {
                crate::run::all(stringify!($name), TEXT, 3);
            }
        }
    )* };
}

stories!(
    batches, copy, cursors, portals, statements, settings, opaque, logins, pipelines, repeats, two_phase
);
