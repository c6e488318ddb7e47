//! The backend room against a real Postgres 15: logins, pools, cancel, control connections.
//!
//! Each test starts a private server, since it changes roles, breaks connections, or kills the server. The expected side
//! is the server itself wherever there is one.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;
use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;
use tokio::time::timeout;

use shardgate::backend::*;
use shardgate::clock::{Clock, Rng};
use shardgate::topology::ShardId;
use shardgate::wire::*;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Generous: nothing here should take a second.
const PATIENCE: Duration = Duration::from_secs(30);

// === the server ===

/// A private server; stopped and removed when dropped.
struct Server {
    directory: PathBuf,
    port: u16,
}

impl Server {
    fn start() -> Server {
        // The port is bound to find the number, then left to Postgres.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("shardgate-backends-{}-{port}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&directory));
        }
        let server = Server { directory, port };
        run(as_postgres("initdb").arg("-D").arg(server.data()).args([
            "-N",
            "-A",
            "trust",
            "-U",
            "postgres",
            "--locale=C",
            "-E",
            "UTF8",
        ]));
        server.boot();
        server
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn boot(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=30",
            self.port
        );
        run(as_postgres("pg_ctl")
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.directory.join("log"))
            .args(["-w", "-o", &options, "start"]));
    }

    /// kill -9 of the postmaster.
    fn kill(&self) {
        let pid = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        run(Command::new("kill").args(["-9", pid.lines().next().unwrap()]));
    }

    fn reload_with_hba(&self, lines: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), lines).unwrap();
        run(as_postgres("pg_ctl").arg("-D").arg(self.data()).arg("reload"));
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    async fn superuser(&self) -> ControlClient {
        Control::connect_url(&self.url(), PATIENCE).await.unwrap()
    }

    fn connector(&self) -> Connector {
        self.connector_to("postgres")
    }

    fn connector_to(&self, database: &str) -> Connector {
        Connector {
            shard: shard(),
            endpoint: Arc::new(Endpoint::new("127.0.0.1", self.port, database)),
            timeout: PATIENCE,
            prepared: Prepared::CAPACITY_DEFAULT,
            clock: Clock,
            rng: Rng,
        }
    }

    fn pools(&self, size: usize) -> Pools {
        let limits = PoolLimits {
            size,
            pinned: 1,
            idle_timeout: Duration::ZERO,
            connect_timeout: PATIENCE,
            prepared: 10,
        };
        let endpoint = Endpoint::new("127.0.0.1", self.port, "postgres");
        Pools::new([(shard(), Arc::from("s0"), endpoint)], limits, Clock, Rng)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by its test.
        drop(
            as_postgres("pg_ctl")
                .arg("-D")
                .arg(self.data())
                .args(["-m", "immediate", "-w", "stop"])
                .output(),
        );
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// A server program, run as user postgres where we are root: initdb and postgres refuse root.
fn as_postgres(program: &str) -> Command {
    let path = format!("{BIN}/{program}");
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", &path]);
        command.current_dir("/");
        command
    } else {
        Command::new(path)
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

// === talking ===

fn shard() -> ShardId {
    ShardId::new(0).unwrap()
}

fn trusted(user: &str) -> Arc<Login> {
    Arc::new(Login::new(user, Secret::None))
}

fn by_password(user: &str, password: &str) -> Arc<Login> {
    Arc::new(Login::new(user, Secret::Password(password.into())))
}

fn soon() -> Instant {
    Clock.now() + PATIENCE
}

/// The answer to a simple query: its rows' first values, or the server's error.
async fn ask(backend: &mut Backend, sql: &str) -> Result<Vec<String>, ErrorFields> {
    put_query(&mut backend.link.out_buffer, sql.as_bytes());
    backend.link.drain().await.unwrap();
    answer(backend).await
}

async fn answer(backend: &mut Backend) -> Result<Vec<String>, ErrorFields> {
    let mut rows = Vec::new();
    let mut error = None;
    loop {
        let Some(frame) = next_frame(&backend.link.in_buffer, LARGE_MESSAGE_LIMIT).unwrap() else {
            assert_ne!(
                timeout(PATIENCE, backend.link.fill()).await.unwrap().unwrap(),
                0,
                "closed"
            );
            continue;
        };
        let (tag, body, whole) = (frame.tag, frame.body.to_vec(), frame.whole.len());
        backend.link.in_buffer.advance(whole);
        match tag {
            b'D' => {
                let first = DataRow::parse(&body)
                    .unwrap()
                    .values
                    .get(0)
                    .unwrap()
                    .unwrap_or_default();
                rows.push(String::from_utf8(first.to_vec()).unwrap());
            }
            b'E' => {
                let fields = ErrorFields::parse(&body).unwrap();
                if fields.ends_connection() {
                    return Err(fields);
                }
                error = Some(fields);
            }
            b'Z' => return error.map_or(Ok(rows), Err),
            _ => (),
        }
    }
}

async fn log_in(connector: &Connector, login: &Arc<Login>) -> Result<String, Error> {
    let mut backend = connect(connector, login).await?;
    Ok(ask(&mut backend, "select current_user").await.unwrap().concat())
}

fn code(error: &Error) -> &str {
    match error {
        Error::Refused { fields } => std::str::from_utf8(fields.get(ErrorField::Code).unwrap()).unwrap(),
        other => panic!("not the server's: {other:?}"),
    }
}

/// Tries until it holds; the one place that waits for something no event tells.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = Clock.now() + PATIENCE;
    while !holds().await {
        assert!(Clock.now() < end, "{what} never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn give(pools: &Pools, backend: Backend) {
    pools.give_back(backend.into_clean(0).unwrap());
}

fn gauge(pools: &Pools) -> PoolGauge {
    pools.gauges().remove(0)
}

// === logging in ===

#[tokio::test]
async fn every_login_that_postgres_knows() {
    let server = Server::start();
    let control = server.superuser().await;
    let ours = Verifier::from_password("of ours", &Rng.bytes::<16>().unwrap());
    let sql = format!(
        "create role scram login password 'secret'; create role unicode login password 'pä\u{a0}\u{fb01}\u{2460}';
         create role ours login password '{}';
         set password_encryption = 'md5'; create role hashed login password 'pencil'; create role trusting login",
        ours.to_text()
    );
    control.simple_query(&sql).await.unwrap();
    server.reload_with_hba(
        "host all postgres,trusting 127.0.0.1/32 trust\nhost all hashed 127.0.0.1/32 md5\n\
         host postgres clear 127.0.0.1/32 password\nhost template1 all 127.0.0.1/32 password\n\
         host all all 127.0.0.1/32 scram-sha-256\n",
    );
    eventually("the reload", || async {
        log_in(&server.connector(), &trusted("scram")).await.is_err()
    })
    .await;
    let connector = server.connector();

    // by password, whoever made the verifier
    for (user, password) in [
        ("scram", "secret"),
        ("ours", "of ours"),
        ("unicode", "pä\u{a0}\u{fb01}\u{2460}"),
        ("hashed", "pencil"),
    ] {
        assert_eq!(log_in(&connector, &by_password(user, password)).await.unwrap(), user);
        let error = log_in(&connector, &by_password(user, "wrong")).await.unwrap_err();
        assert_eq!(code(&error), "28P01", "{error}");
    }
    assert_eq!(log_in(&connector, &trusted("trusting")).await.unwrap(), "trusting");
    // cleartext, since the server is on this machine
    let template = server.connector_to("template1");
    assert_eq!(
        log_in(&template, &by_password("scram", "secret")).await.unwrap(),
        "scram"
    );

    // by the keys that the client's own login at the proxy revealed
    let stored = control
        .query_one("select rolpassword from pg_authid where rolname = 'scram'", &[])
        .await
        .unwrap();
    let verifier = Verifier::parse(stored.get(0)).unwrap();
    assert!(verifier.matches("secret"));
    let (client, first) = ScramClient::begin(ScramSecret::Password("secret".into()), "client");
    let (proxy, challenge) = ScramServer::begin(verifier, &first, "proxy").unwrap();
    let (_, last) = client.respond(&challenge).unwrap();
    let keys = proxy.finish(&last).unwrap().keys;
    let through = Arc::new(Login::new("scram", Secret::ScramKeys(keys)));
    assert_eq!(log_in(&connector, &through).await.unwrap(), "scram");
    // a new password makes them worthless
    control
        .simple_query("alter role scram password 'secret'")
        .await
        .unwrap();
    assert_eq!(code(&log_in(&connector, &through).await.unwrap_err()), "28P01");
    // and a cleartext or MD5 request can't be met with them
    assert!(matches!(
        log_in(&template, &through).await,
        Err(Error::NeedsPassword { .. })
    ));
    assert!(matches!(
        log_in(&connector, &trusted("scram")).await,
        Err(Error::NeedsPassword { .. })
    ));

    // what the server says passes as it is
    let error = log_in(&server.connector_to("nowhere"), &trusted("trusting"))
        .await
        .unwrap_err();
    assert_eq!(
        (code(&error), error.to_string().as_str()),
        ("3D000", "database \"nowhere\" does not exist")
    );
    let error = log_in(&connector, &by_password("nobody", "x")).await.unwrap_err();
    assert_eq!(code(&error), "28P01");
}

#[tokio::test]
async fn login_tells_what_the_server_reports() {
    let server = Server::start();
    let startup = [
        ("TimeZone".to_owned(), "Asia/Tokyo".to_owned()),
        ("options".to_owned(), "-c work_mem=5MB".to_owned()),
    ];
    let login = Arc::new(Login::new("postgres", Secret::None).with_startup(startup));
    let mut backend = connect(&server.connector(), &login).await.unwrap();
    let reported: Vec<_> = backend
        .parameters()
        .iter()
        .filter(|(name, _)| name == "TimeZone")
        .cloned()
        .collect();
    assert_eq!(reported, [("TimeZone".to_owned(), "Asia/Tokyo".to_owned())]);
    assert_eq!(ask(&mut backend, "show work_mem").await.unwrap(), ["5MB"]);
    let pid = ask(&mut backend, "select pg_backend_pid()").await.unwrap();
    assert_eq!(pid, [backend.process_id().to_string()]);
    assert_eq!(
        (backend.shard(), backend.user(), backend.digest()),
        (shard(), "postgres", 0)
    );
}

/// Each `options` string: what our splitting makes of it, and what the server does with it.
#[tokio::test]
async fn startup_options_are_split_as_the_server_splits_them() {
    let server = Server::start();
    for options in [
        "-c a.b=1",
        "-ca.b=1",
        "--a.b=1",
        "  -c   a.b=one\\ two  ",
        "-c a.b=back\\\\slash --a.c=x\\=y",
        "--a.b=a=b",
        "--a.b=",
        "-c a.b='quoted'",
        "--a-b.c-d=1",
        "-c",
        "-c a.b",
        "--a.b",
        "a.b=1",
        "-c a.b=1 more",
        "-- -c a.b=1",
        "--",
        "-Z",
        "\t-c\ta.b=1\n",
        "-c a.b=end\\",
        "",
    ] {
        let packet = {
            let mut out = bytes::BytesMut::new();
            put_startup(&mut out, &[("user", "postgres"), ("options", options)]);
            out
        };
        let ours = match next_startup(&packet) {
            Ok(Some((StartupPacket::Startup(startup), _))) => Ok(startup.settings),
            Err(StartupError::Argument { .. } | StartupError::NoValue { .. }) => Err("42601"),
            other => panic!("{other:?}"),
        };
        let startup = [("options".to_owned(), options.to_owned())];
        let login = Arc::new(Login::new("postgres", Secret::None).with_startup(startup));
        match (ours, connect(&server.connector(), &login).await) {
            (Ok(settings), Ok(mut backend)) => {
                for setting in settings {
                    let sql = format!("select current_setting('{}')", setting.name);
                    assert_eq!(ask(&mut backend, &sql).await.unwrap(), [setting.value], "{options:?}");
                }
            }
            (Err(expected), Err(error)) => assert_eq!(code(&error), expected, "{options:?}"),
            (ours, theirs) => panic!("{options:?}: ours {ours:?}, the server's {theirs:?}"),
        }
    }
}

// === pools ===

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
    let sql = "create role none login connection limit 0; create role one login connection limit 1";
    server.superuser().await.simple_query(sql).await.unwrap();
    let pools = server.pools(5);
    let error = pools.checkout(shard(), &trusted("none"), 0, soon()).await.unwrap_err();
    assert_eq!(
        (code(&error), error.to_string().as_str()),
        ("53300", "too many connections for role \"none\"")
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
    let mut is_waiting = async || {
        let pending = futures_poll_once(&mut wait).await;
        assert!(pending);
        tokio::time::sleep(Duration::from_millis(1)).await;
        gauge(&pools).waiting == 1
    };
    let end = soon();
    while !is_waiting().await {
        assert!(Clock.now() < end);
    }
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
    server.boot();
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

#[tokio::test]
async fn a_cancelled_backend_is_not_clean_before_a_round_trip() {
    let server = Server::start();
    let mut backend = connect(&server.connector(), &trusted("postgres")).await.unwrap();
    let target = backend.cancel_target();
    put_query(&mut backend.link.out_buffer, b"select pg_sleep(1000)");
    backend.link.drain().await.unwrap();
    // A cancel that comes before the statement has begun is lost: send until one hits.
    let fields = loop {
        cancel(&target).await.unwrap();
        if let Ok(done) = timeout(Duration::from_millis(200), answer(&mut backend)).await {
            break done.unwrap_err();
        }
    };
    assert_eq!(fields.code(), SqlState::QUERY_CANCELED);
    assert!(backend.is_cancel_pending());
    let mut backend = backend.into_clean(0).unwrap_err();
    backend.settle().await.unwrap();
    assert!(!backend.is_cancel_pending());
    let mut backend = backend.into_clean(0).unwrap().into_backend();
    assert_eq!(ask(&mut backend, "select 1").await.unwrap(), ["1"]);
    // a key that isn't the backend's cancels nothing, and is no error either
    let mut other = connect(&server.connector(), &trusted("postgres")).await.unwrap();
    cancel(&target).await.unwrap();
    assert_eq!(ask(&mut other, "select 2").await.unwrap(), ["2"]);
}

// === links ===

#[tokio::test]
async fn bytes_are_relayed_past_a_full_socket() {
    let server = Server::start();
    let mut backend = connect(&server.connector(), &trusted("postgres")).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), tokio::net::TcpStream::connect(address));
    let (mut proxy, mut client) = (
        Link::new(accepted.unwrap().0).unwrap(),
        Link::new(connected.unwrap()).unwrap(),
    );

    put_query(&mut backend.link.out_buffer, b"select repeat('x', 30000000)");
    backend.link.drain().await.unwrap();
    proxy.queue(b"N\0\0\0\x04");
    let relay = async {
        let mut scanner = Scanner::default();
        let mut most = 0;
        loop {
            let interest = |tag| if tag == b'Z' { Interest::Look } else { Interest::Pass };
            let cut = scanner.cut(&backend.link.in_buffer, interest).unwrap();
            let mut pass = cut.pass;
            std::future::poll_fn(|cx| proxy.poll_relay(cx, &mut backend.link.in_buffer, &mut pass))
                .await
                .unwrap();
            if cut.next == Next::Frame {
                break most;
            }
            assert_ne!(backend.link.fill().await.unwrap(), 0);
            most = most.max(backend.link.in_buffer.capacity());
        }
    };
    let read = async {
        let mut scanner = Scanner::default();
        let mut tags = Vec::new();
        let mut total = 0;
        while !tags.contains(&b'C') {
            assert_ne!(client.fill().await.unwrap(), 0);
            scanner.feed(&client.in_buffer, |tag, _| tags.push(tag)).unwrap();
            total += client.in_buffer.len();
            client.in_buffer.clear();
        }
        (tags, total)
    };
    let (most, (tags, total)) = timeout(PATIENCE, async { tokio::join!(relay, read) }).await.unwrap();
    assert_eq!(tags, *b"NTDC");
    assert!(total > 30_000_000);
    assert!(most <= 256 * 1024, "a 30 MB value took a buffer of {most} bytes");
    // idle links hold no buffers
    backend.link.in_buffer.clear();
    backend.link.release_buffers();
    assert_eq!(
        (backend.link.in_buffer.capacity(), backend.link.out_buffer.capacity()),
        (0, 0)
    );
}

#[test]
fn prepared_statements_are_bounded_and_the_longest_unused_goes() {
    let mut prepared = Prepared::new(2);
    assert_eq!((prepared.insert(1), prepared.insert(2)), (None, None));
    assert!(prepared.touch(1) && !prepared.touch(3));
    assert_eq!(prepared.insert(3), Some(2));
    assert_eq!(prepared.insert(3), None);
    assert!(prepared.contains(1) && prepared.contains(3) && prepared.len() == 2);
    assert!(prepared.remove(1) && !prepared.remove(1));
    prepared.clear();
    assert!(prepared.is_empty());
}

// === control ===

#[tokio::test]
async fn control_connections_answer_and_tell_errors() {
    let server = Server::start();
    let control = Control::new(&server.url(), PATIENCE).unwrap();
    let rows = control.query("select $1::int + 1", &[&41]).await.unwrap();
    assert_eq!(rows.first().unwrap().get::<_, i32>(0), 42);
    assert_eq!(
        control.execute("create table t as select 1 as x", &[]).await.unwrap(),
        1
    );
    let error = control.query("select * from missing", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P01"));
    assert!(
        error.to_string().contains("relation \"missing\" does not exist"),
        "{error}"
    );
    // a connection that was left in a transaction is not used again
    control
        .with(async |client| Ok(client.simple_query("begin; select 1/0").await?))
        .await
        .unwrap_err();
    let status = control
        .query(
            "select pg_current_xact_id_if_assigned()::text, now() = statement_timestamp()",
            &[],
        )
        .await;
    assert!(status.unwrap().first().unwrap().get::<_, bool>(1));
    let gone = Control::new("postgres://postgres@127.0.0.1:1/postgres", PATIENCE).unwrap();
    let error = gone.query("select 1", &[]).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(matches!(
        Control::new("nonsense://", PATIENCE),
        Err(ControlError::Url(_))
    ));
    let slow = Control::new(&server.url(), Duration::from_millis(300)).unwrap();
    assert!(matches!(
        slow.query("select pg_sleep(1000)", &[]).await,
        Err(ControlError::Timeout(_))
    ));
}
