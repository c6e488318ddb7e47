//! One pool under one or a few users.

use std::cell::RefCell;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::server::*;

use shardgate::backend::*;
use shardgate::clock::Clock;
use shardgate::telemetry::BackendState;
use shardgate::topology::ShardId;

#[tokio::test]
async fn idle_backends_are_used_again_the_fitting_ones_first() {
    let server = Server::start();
    let pools = server.pools(3);
    let login = trusted("postgres");
    assert!(pools.try_checkout(shard(), &login, 0).unwrap().is_none());
    let first = pools.checkout(shard(), &login, 1, soon()).await.unwrap();
    let second = pools.checkout(shard(), &login, 2, soon()).await.unwrap();
    let (one, two) = (first.process_id(), second.process_id());
    pools.give_back(first.into_clean(1).unwrap());
    pools.give_back(second.into_clean(2).unwrap());
    // equal digest before the most recently used
    let again = pools.try_checkout(shard(), &login, 1).unwrap().unwrap();
    assert_eq!((again.process_id(), again.digest()), (one, 1));
    // then any of the same user
    let mut other = pools.try_checkout(shard(), &login, 1).unwrap().unwrap();
    assert_eq!((other.process_id(), other.digest()), (two, 2));
    // but not one whose state can't be undone
    other.restrict_reuse();
    pools.give_back(other.into_clean(2).unwrap());
    assert!(pools.try_checkout(shard(), &login, 1).unwrap().is_none());
    let startup = [("application_name".to_owned(), "x".to_owned())];
    let elsewhere = Arc::new(Login::new("postgres", Secret::None).with_startup(startup));
    assert!(
        pools.try_checkout(shard(), &elsewhere, 2).unwrap().is_none(),
        "startup settings are part of the key"
    );
    assert_eq!(
        pools.try_checkout(shard(), &login, 2).unwrap().unwrap().process_id(),
        two
    );
    assert!(matches!(
        pools.try_checkout(ShardId::new(9).unwrap(), &login, 0),
        Err(Error::NoShard { .. })
    ));
}

#[tokio::test]
async fn a_full_pool_serves_in_order_and_times_out() {
    let server = Server::start();
    let pools = server.pools(1);
    let login = trusted("postgres");
    let held = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    let error = pools.checkout(shard(), &login, 0, Clock.now()).await.unwrap_err();
    assert!(matches!(error, Error::CheckoutTimeout { size: 1, .. }), "{error}");
    assert_eq!(
        (gauge(&pools).busy, gauge(&pools).waiting, gauge(&pools).idle),
        (1, 0, 0)
    );

    let order = RefCell::new(Vec::new());
    let wait = async |number: u8| {
        let backend = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
        order.borrow_mut().push(number);
        give(&pools, backend);
    };
    let pid = held.process_id();
    tokio::join!(wait(1), wait(2), wait(3), async {
        assert_eq!(gauge(&pools).waiting, 3);
        give(&pools, held);
    });
    assert_eq!(order.into_inner(), [1, 2, 3]);
    let last = pools.try_checkout(shard(), &login, 0).unwrap().unwrap();
    assert_eq!(last.process_id(), pid, "one connection served all");

    // a backend that is dropped frees its place, and a waiter connects anew
    let (fresh, ()) = tokio::join!(pools.checkout(shard(), &login, 0, soon()), async { drop(last) });
    assert_ne!(fresh.unwrap().process_id(), pid);
    assert_eq!((gauge(&pools).busy, gauge(&pools).idle), (0, 0));
}

#[tokio::test]
async fn a_wait_given_up_loses_no_backend() {
    let server = Server::start();
    let pools = server.pools(1);
    let login = trusted("postgres");
    let held = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    let pid = held.process_id();
    {
        let mut wait = Box::pin(pools.checkout(shard(), &login, 0, soon()));
        assert!(futures_poll_once(&mut wait).await, "it waits");
        give(&pools, held); // granted, but never looked at
    }
    assert_eq!(gauge(&pools).idle, 1);
    assert_eq!(
        pools.try_checkout(shard(), &login, 0).unwrap().unwrap().process_id(),
        pid
    );
}

/// Polls once; whether it is still pending.
async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
}

#[tokio::test]
async fn another_users_longest_idle_backend_makes_room() {
    let server = Server::start();
    server
        .superuser()
        .await
        .simple_query("create role a login; create role b login")
        .await
        .unwrap();
    let pools = server.pools(2);
    let (a, b) = (trusted("a"), trusted("b"));
    let first = pools.checkout(shard(), &a, 0, soon()).await.unwrap();
    let second = pools.checkout(shard(), &a, 0, soon()).await.unwrap();
    let kept = second.process_id();
    give(&pools, first);
    give(&pools, second);
    let of_b = pools.checkout(shard(), &b, 0, soon()).await.unwrap();
    assert_eq!((of_b.user(), gauge(&pools).idle, gauge(&pools).busy), ("b", 1, 1));
    let of_a = pools.try_checkout(shard(), &a, 0).unwrap().unwrap();
    assert_eq!(of_a.process_id(), kept, "the longest idle went");

    // full of busy ones: a waiter of b is served although a's backend comes back
    let (again, ()) = tokio::join!(pools.checkout(shard(), &b, 0, soon()), async { give(&pools, of_a) });
    assert_eq!(again.unwrap().user(), "b");
}

#[tokio::test]
async fn a_waiter_is_overtaken_a_bounded_number_of_times() {
    let server = Server::start();
    server
        .superuser()
        .await
        .simple_query("create role a login; create role b login")
        .await
        .unwrap();
    let pools = server.pools(1);
    let (a, b) = (trusted("a"), trusted("b"));
    let held = pools.checkout(shard(), &a, 0, soon()).await.unwrap();
    let served = RefCell::new(Vec::new());
    let wait = async |login: &Arc<Login>, rounds: usize| {
        for _ in 0..rounds {
            let backend = pools.checkout(shard(), login, 0, soon()).await.unwrap();
            served.borrow_mut().push(backend.user().to_owned());
            // let the others queue before it comes back
            tokio::task::yield_now().await;
            give(&pools, backend);
        }
    };
    tokio::join!(wait(&b, 1), wait(&a, 40), wait(&a, 40), async { give(&pools, held) });
    let served = served.into_inner();
    let turn = served.iter().position(|user| user == "b").unwrap();
    assert!((1..=17).contains(&turn), "served as number {turn}");
}

#[tokio::test]
async fn dead_idle_backends_are_noticed_before_they_are_used() {
    let server = Server::start();
    let control = server.superuser().await;
    let pools = server.pools(2);
    let login = trusted("postgres");
    let first = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    let second = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    let dead = first.process_id();
    give(&pools, second);
    give(&pools, first);
    control
        .query("select pg_terminate_backend($1)", &[&dead])
        .await
        .unwrap();
    eventually("the end of the idle backend", || async {
        pools.sweep();
        gauge(&pools).idle == 1
    })
    .await;
    let mut alive = pools.try_checkout(shard(), &login, 0).unwrap().unwrap();
    assert_ne!(alive.process_id(), dead);
    // one with something unread is no use either: not clean, not given back
    control
        .query("select pg_terminate_backend($1)", &[&alive.process_id()])
        .await
        .unwrap();
    timeout(PATIENCE, alive.link.fill()).await.unwrap().unwrap();
    let alive = alive.into_clean(0).unwrap_err();
    drop(alive);
    assert_eq!((gauge(&pools).busy, gauge(&pools).idle), (0, 0));
    assert!(pools.checkout(shard(), &login, 0, soon()).await.is_ok());
}

#[tokio::test]
async fn idle_backends_age_out_and_close_on_demand() {
    let server = Server::start();
    let pools = server.pools(2);
    let login = trusted("postgres");
    let endpoint = Endpoint::new("127.0.0.1", server.port, "postgres");
    let first = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    let second = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    give(&pools, first);
    pools.close_idle();
    assert_eq!((gauge(&pools).idle, gauge(&pools).busy), (0, 1));
    give(&pools, second); // older than the call: closed too
    assert_eq!((gauge(&pools).idle, gauge(&pools).busy), (0, 0));

    let third = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    give(&pools, third);
    pools.sweep();
    assert_eq!(gauge(&pools).idle, 1, "zero is never");
    let limits = PoolLimits {
        size: 2,
        pinned: 0,
        idle_timeout: Duration::from_nanos(1),
        connect_timeout: PATIENCE,
        prepared: 10,
    };
    pools.reload([(shard(), Arc::from("s0"), endpoint)], limits);
    assert_eq!(gauge(&pools).idle, 1, "a reload keeps what stays");
    pools.sweep();
    assert_eq!(gauge(&pools).idle, 0);

    // a shard that leaves takes its waiters and backends along
    let held = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    pools.reload([], limits);
    give(&pools, held);
    assert!(matches!(
        pools.checkout(shard(), &login, 0, soon()).await,
        Err(Error::NoShard { .. })
    ));
}

#[tokio::test]
async fn connect_errors_reach_the_waiter_as_they_are() {
    let server = Server::start();
    let sql = "create role shut login connection limit 0; create role one login connection limit 1";
    server.superuser().await.simple_query(sql).await.unwrap();
    let pools = server.pools(5);
    let error = pools.checkout(shard(), &trusted("shut"), 0, soon()).await.unwrap_err();
    assert_eq!(
        (code(&error), error.to_string().as_str()),
        ("53300", "too many connections for role \"shut\"")
    );
    let error = pools
        .checkout(shard(), &trusted("nobody"), 0, soon())
        .await
        .unwrap_err();
    assert_eq!(
        (code(&error), error.to_string().as_str()),
        ("28000", "role \"nobody\" does not exist")
    );
    assert_eq!(gauge(&pools).busy, 0);

    // the server is full, but this key has a backend: wait for that
    let one = trusted("one");
    let held = pools.checkout(shard(), &one, 0, soon()).await.unwrap();
    let pid = held.process_id();
    let mut wait = Box::pin(pools.checkout(shard(), &one, 0, soon()));
    eventually("a waiter", async || {
        assert!(futures_poll_once(&mut wait).await);
        gauge(&pools).waiting == 1
    })
    .await;
    give(&pools, held);
    assert_eq!(wait.await.unwrap().process_id(), pid);
}

#[tokio::test]
async fn a_killed_server_fails_fast_and_comes_back_by_itself() {
    let server = Server::start();
    let pools = server.pools(3);
    let login = trusted("postgres");
    let mut held = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    for _ in 0..2 {
        let backend = pools.checkout(shard(), &login, 1, soon()).await.unwrap();
        give(&pools, backend);
    }
    server.kill();
    // the session that holds one sees the end of it
    let mut ended = false;
    while !ended {
        ended = matches!(timeout(PATIENCE, held.link.fill()).await.unwrap(), Ok(0) | Err(_));
    }
    drop(held);
    eventually("the idle ones' end", || async {
        pools.suspect(shard());
        gauge(&pools).idle == 0
    })
    .await;
    // nobody waits for a dead shard, and a thousand clients don't mean a thousand connects
    for _ in 0..1_000 {
        let error = pools.checkout(shard(), &login, 0, soon()).await.unwrap_err();
        assert!(error.is_shard_down(), "{error}");
    }
    assert_eq!((gauge(&pools).busy, gauge(&pools).waiting), (0, 0));
    // refused while children of the killed one still hold its shared memory
    eventually("a new server", || async { server.boot().status.success() }).await;
    eventually("recovery", || async {
        pools.checkout(shard(), &login, 0, soon()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn pins_are_counted_apart() {
    let server = Server::start();
    let pools = server.pools(1);
    let login = trusted("postgres");
    let mut pinned = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    pinned.pin().unwrap();
    pinned.pin().unwrap();
    assert_eq!((gauge(&pools).pinned, gauge(&pools).busy), (1, 0));
    // the pool goes on with its full size
    let mut other = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    assert!(matches!(other.pin(), Err(Error::PinnedFull { limit: 1, .. })));
    let mut pinned = pinned.into_clean(0).unwrap_err();
    pinned.unpin();
    assert_eq!((gauge(&pools).pinned, gauge(&pools).busy), (0, 2));
    give(&pools, pinned); // one too many: closed
    assert_eq!((gauge(&pools).idle, gauge(&pools).busy), (0, 1));
    give(&pools, other);
    assert_eq!((gauge(&pools).idle, gauge(&pools).busy), (1, 0));
}

#[tokio::test]
async fn connected_backends_are_listed_by_what_they_do() {
    let server = Server::start();
    let pools = server.pools(3);
    let login = trusted("postgres");
    let idle = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    let busy = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    let mut pinned = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    pinned.pin().unwrap();
    let mut expected = vec![
        (idle.process_id(), BackendState::Idle),
        (busy.process_id(), BackendState::Busy),
        (pinned.process_id(), BackendState::Pinned),
    ];
    expected.sort_by_key(|(process_id, _)| *process_id);
    give(&pools, idle);
    let listed = || {
        pools
            .backends()
            .into_iter()
            .map(|one| (one.process_id, one.state))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(), expected);
    drop(busy);
    drop(pinned);
    expected.retain(|(_, state)| *state == BackendState::Idle);
    assert_eq!(listed(), expected);
    pools.close_idle();
    assert_eq!(listed(), []);
}

#[tokio::test]
async fn pause_holds_checkouts_back() {
    let server = Server::start();
    let pools = server.pools(2);
    let login = trusted("postgres");
    let held = pools.checkout(shard(), &login, 0, soon()).await.unwrap();
    pools.pause();
    assert!(pools.try_checkout(shard(), &login, 0).unwrap().is_none());
    let mut wait = Box::pin(pools.checkout(shard(), &login, 0, soon()));
    assert!(futures_poll_once(&mut wait).await);
    let mut unused = Box::pin(pools.wait_unused());
    assert!(futures_poll_once(&mut unused).await);
    give(&pools, held);
    timeout(PATIENCE, unused).await.unwrap();
    assert!(futures_poll_once(&mut wait).await, "still paused");
    pools.resume();
    let backend = timeout(PATIENCE, wait).await.unwrap().unwrap();
    // draining ends waits and closes what comes back
    let mut full = Vec::new();
    full.push(pools.checkout(shard(), &login, 0, soon()).await.unwrap());
    let mut wait = Box::pin(pools.checkout(shard(), &login, 0, soon()));
    assert!(futures_poll_once(&mut wait).await);
    pools.drain();
    assert!(matches!(wait.await, Err(Error::ShuttingDown)));
    give(&pools, backend);
    full.into_iter().for_each(|backend| give(&pools, backend));
    assert_eq!((gauge(&pools).idle, gauge(&pools).busy), (0, 0));
    assert!(matches!(
        pools.checkout(shard(), &login, 0, soon()).await,
        Err(Error::ShuttingDown)
    ));
}
