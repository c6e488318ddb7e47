//! Many sessions at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::server::*;

#[test]
fn a_crowd_loses_nothing() {
    const CLIENTS: usize = 60;
    const ROUNDS: usize = 25;
    const SIZE: usize = 4;
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let control = server.superuser().await;
        control
            .simple_query("create role a login; create role b login; create role c login")
            .await
            .unwrap();
        let pools = Arc::new(server.pools(SIZE));
        let logins: Vec<_> = ["a", "b", "c"].map(trusted).into_iter().collect();
        let mut crowd = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let pools = pools.clone();
            let logins = logins.clone();
            crowd.spawn(async move {
                // a small generator of its own, so that a run repeats
                let mut seed = u64::try_from(client).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                let mut next = move |below: u64| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed % below
                };
                for _ in 0..ROUNDS {
                    let login = &logins[usize::try_from(next(3)).unwrap()];
                    let digest = next(2);
                    let wait = pools.checkout(shard(), login, digest, soon());
                    let checked_out = if next(5) == 0 {
                        // gives up somewhere on the way
                        match timeout(Duration::from_micros(next(3_000)), wait).await {
                            Ok(done) => done,
                            Err(_elapsed) => continue,
                        }
                    } else {
                        wait.await
                    };
                    let mut backend = checked_out.unwrap();
                    let user = ask(&mut backend, "select current_user").await.unwrap();
                    assert_eq!(user, [login.user.to_string()], "the wrong user's backend");
                    match next(12) {
                        0 => drop(backend),
                        1 => {
                            if backend.pin().is_ok() {
                                tokio::task::yield_now().await;
                                backend.unpin();
                            }
                            pools.give_back(backend.into_clean(digest).unwrap());
                        }
                        _ => pools.give_back(backend.into_clean(digest).unwrap()),
                    }
                }
            });
        }
        while let Some(done) = timeout(PATIENCE * 2, crowd.join_next()).await.unwrap() {
            done.unwrap();
        }
        let gauge = gauge(&pools);
        assert_eq!((gauge.busy, gauge.waiting, gauge.pinned), (0, 0, 0));
        assert!(gauge.idle <= SIZE);
        let sql = "select count(*)::int from pg_stat_activity where usename in ('a', 'b', 'c')";
        eventually("as many connections as the pool says", || async {
            let open: i32 = control.query_one(sql, &[]).await.unwrap().get(0);
            usize::try_from(open) == Ok(gauge.idle)
        })
        .await;
    });
}
