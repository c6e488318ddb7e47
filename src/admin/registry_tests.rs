//! The registry as sessions and operators use it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::*;
use crate::admin::{Call, CancelMark};
use crate::topology::{ShardId, ShardSet};

fn registry(clients_max: usize) -> Registry {
    Registry::new(ProxyId::new(3).unwrap(), clients_max)
}

fn info(user: &str, secret: u32) -> ClientInfo {
    ClientInfo {
        user: user.into(),
        database: "trading".into(),
        address: "127.0.0.1:50000".to_owned(),
        application_name: "psql".to_owned(),
        connected_at: tokio::time::Instant::now().into_std(),
        secret,
    }
}

/// Whether a future completes when it is polled once.
async fn is_ready(future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}

#[test]
fn process_ids_are_positive_and_unique_and_name_the_proxy() {
    let registry = registry(10);
    let first = registry.enrol(info("a", 1)).unwrap();
    let second = registry.enrol(info("b", 2)).unwrap();
    assert_ne!(first.key().process_id, second.key().process_id);
    for key in [first.key(), second.key()] {
        assert!(key.process_id > 0 && i32::try_from(key.process_id).is_ok());
        assert_eq!(key.process_id >> 20, 3);
    }
}

#[test]
fn process_ids_wrap_past_living_sessions() {
    let registry = registry(10);
    let first = registry.enrol(info("a", 1)).unwrap();
    registry.inner.lock().last = SESSION_MAX;
    let second = registry.enrol(info("b", 2)).unwrap();
    assert_eq!(second.key().process_id, first.key().process_id + 1);
}

#[test]
fn the_limit_counts_those_that_are_there() {
    let registry = registry(2);
    let first = registry.enrol(info("a", 1)).unwrap();
    let _second = registry.enrol(info("b", 2)).unwrap();
    assert_eq!(
        registry.enrol(info("c", 3)).unwrap_err(),
        RegistryFull { clients_max: 2 }
    );
    drop(first);
    let _third = registry.enrol(info("c", 3)).unwrap();
    registry.set_clients_max(5);
    let _fourth = registry.enrol(info("d", 4)).unwrap();
    assert_eq!(registry.len(), 3);
}

#[test]
fn a_cancel_key_opens_one_door_only() {
    let registry = registry(10);
    let session = registry.enrol(info("a", 77)).unwrap();
    let key = session.key();
    let mark = session.cancel_mark();
    assert_eq!(
        registry.cancel(CancelKey { secret: 78, ..key }),
        CancelOutcome::UnknownKey
    );
    assert_eq!(
        registry.cancel(CancelKey {
            process_id: key.process_id + 1,
            ..key
        }),
        CancelOutcome::UnknownKey
    );
    assert_eq!(
        registry.cancel(CancelKey {
            process_id: 4 << 20 | 1,
            ..key
        }),
        CancelOutcome::OtherProxy
    );
    assert!(!session.is_cancelled(mark));
    assert_eq!(registry.cancel(key), CancelOutcome::Delivered);
    assert!(session.is_cancelled(mark));
    drop(session);
    assert_eq!(registry.cancel(key), CancelOutcome::UnknownKey);
}

#[tokio::test]
async fn a_cancel_counts_for_the_statement_that_runs_and_not_for_the_next() {
    let registry = registry(10);
    let session = registry.enrol(info("a", 77)).unwrap();
    let during: CancelMark = session.cancel_mark();
    assert!(!is_ready(session.cancelled(during)).await);
    registry.cancel(session.key());
    // It came between two polls of the session: not lost.
    assert!(is_ready(session.cancelled(during)).await);
    let next = session.cancel_mark();
    assert!(!is_ready(session.cancelled(next)).await);
}

#[tokio::test]
async fn a_waiting_session_hears_a_cancel() {
    let registry = registry(10);
    let session = registry.enrol(info("a", 77)).unwrap();
    let mark = session.cancel_mark();
    tokio::join!(session.cancelled(mark), async {
        assert_eq!(registry.cancel(session.key()), CancelOutcome::Delivered);
    });
}

#[tokio::test]
async fn who_rests_for_two_looks_is_called_once_to_give_its_buffers_back() {
    let registry = registry(10);
    let session = registry.enrol(info("a", 1)).unwrap();
    let called = || async {
        let _call = session.called(Leave::WhenIdle).await;
    };
    registry.tidy();
    registry.tidy();
    assert!(!is_ready(called()).await, "it has no buffers");
    session.rest();
    registry.tidy();
    session.rest(); // it has worked in between
    registry.tidy();
    assert!(!is_ready(called()).await);
    let (call, ()) = tokio::join!(session.called(Leave::WhenIdle), async { registry.tidy() });
    assert_eq!(call, Call::Tidy);
    registry.tidy();
    assert!(!is_ready(called()).await, "it has given them back");
    session.rest();
    registry.drain();
    assert_eq!(session.called(Leave::WhenIdle).await, Call::Leave);
}

#[tokio::test]
async fn a_drain_reaches_idle_sessions_and_those_to_come_and_ends_when_they_left() {
    let registry = registry(10);
    let session = registry.enrol(info("a", 1)).unwrap();
    assert_eq!(session.leave(), Leave::Stay);
    assert!(!is_ready(session.told_to_leave(Leave::WhenIdle)).await);
    tokio::join!(session.told_to_leave(Leave::WhenIdle), async { registry.drain() });
    assert!(!is_ready(session.told_to_leave(Leave::Now)).await);
    let late = registry.enrol(info("b", 2)).unwrap();
    assert_eq!(late.leave(), Leave::WhenIdle);
    registry.terminate();
    assert!(is_ready(session.told_to_leave(Leave::Now)).await);
    // A drain that comes after a termination doesn't soften it.
    registry.drain();
    assert_eq!(session.leave(), Leave::Now);
    assert!(!is_ready(registry.emptied()).await);
    tokio::join!(registry.emptied(), async {
        drop(session);
        drop(late);
    });
}

#[tokio::test]
async fn the_gate_holds_new_statements_back_and_shows_them() {
    let registry = registry(10);
    let session = registry.enrol(info("a", 1)).unwrap();
    session.set_state(ClientState::Idle);
    assert!(is_ready(session.pass_gate()).await);
    assert_eq!(registry.clients()[0].state, ClientState::Idle);
    registry.pause();
    assert!(!is_ready(session.pass_gate()).await);
    assert_eq!(registry.clients()[0].state, ClientState::Paused);
    tokio::join!(session.pass_gate(), async { registry.resume() });
    registry.pause();
    registry.drain();
    assert!(is_ready(session.pass_gate()).await);
}

#[test]
fn a_row_shows_what_the_session_said_last() {
    let registry = registry(10);
    let session = registry.enrol(info("app", 1)).unwrap();
    let shards: ShardSet = [0, 63, 64, 127].into_iter().filter_map(ShardId::new).collect();
    session.set_state(ClientState::Active);
    session.set_shards(shards);
    session.set_pinned(Some("temporary table"));
    session.set_application_name("billing");
    session.count_statement();
    session.count_statement();
    let row = registry.clients().pop().unwrap();
    assert_eq!(
        (row.state, row.shards, row.pinned),
        (ClientState::Active, shards, Some("temporary table"))
    );
    assert_eq!(
        (row.application_name.as_str(), row.statements, &*row.user),
        ("billing", 2, "app")
    );
    session.set_shards(ShardSet::EMPTY);
    session.set_pinned(None);
    let row = registry.clients().pop().unwrap();
    assert_eq!((row.shards, row.pinned), (ShardSet::EMPTY, None));
    let active = registry
        .count_by_state()
        .into_iter()
        .find(|(state, _)| *state == ClientState::Active);
    assert_eq!(active, Some((ClientState::Active, 1)));
}
