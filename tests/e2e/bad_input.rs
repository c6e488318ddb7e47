//! Clients that lie: whatever one sends, the others are served and the proxy's memory stays where it was.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use crate::client::Client;
use crate::messages::{Format, bind, describe, execute, frame, parse, query, ssl_request, startup, sync};
use crate::world::{CLIENT_ROLE, Spec, World, repeat};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);";
const LAYOUT: &str =
    "keyspaces:\n  whole: {strategy: hash, type: integer, buckets: 16}\ntables:\n  t: {keyspace: whole, key: id}\n";
const DATA: &str = "INSERT INTO t SELECT i, repeat('v', 100) || i FROM generate_series(1, 200) i;";

/// What a hundred rude clients may leave behind at most: allocators keep some of what they had.
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;

fn world(name: &str) -> World {
    World::start(Spec {
        name,
        shards: 2,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: DATA,
    })
}

/// What is done, and how.
type Rudeness<'a> = (&'a str, &'a dyn Fn(&World));

/// Does rude things, and looks at a well-behaved client and at the memory after each.
fn harmless(name: &str, rudenesses: &[Rudeness<'_>]) {
    let world = world(name);
    let mut witness = world.client();
    assert_eq!(witness.value("SELECT count(*) FROM t"), "200");
    // The first of everything takes memory that stays.
    rudenesses.iter().for_each(|(_, rude)| rude(&world));
    let before = world.proxy().resident_bytes();
    for (what, rude) in rudenesses {
        (0..20).for_each(|_| rude(&world));
        assert_eq!(
            witness.value("SELECT count(*) FROM t WHERE id = 7"),
            "1",
            "after {what}"
        );
        assert_eq!(
            world.client().value("SELECT count(*) FROM t"),
            "200",
            "a new client after {what}"
        );
        let after = world.proxy().resident_bytes();
        assert!(
            after < before + GROWTH_BYTES_MAX,
            "{what}: {before} bytes resident before, {after} after"
        );
    }
}

/// Sends bytes before any login and waits until the proxy hangs up.
fn stranger(world: &World, bytes: &[u8]) {
    let mut client = Client::dial(world.proxy().address());
    // The proxy may hang up before all is sent.
    client.try_send(bytes).ok();
    client.half_close();
    while client.read_byte().is_some() {}
}

/// Logs in, sends bytes, and waits until the proxy hangs up.
fn guest(world: &World, bytes: &[u8]) {
    let mut client = world.client();
    client.try_send(bytes).ok();
    client.half_close();
    while client.read_byte().is_some() {}
}

#[test]
fn before_login() {
    let garbage: Vec<u8> = (0..4_096_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let long = startup(&[("user", &"u".repeat(9_000)), ("database", "x")]);
    let many: Vec<(String, String)> = (0..2_000)
        .map(|number| (format!("name{number}"), "x".to_owned()))
        .collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let many = startup(&many);
    harmless(
        "bad_before_login",
        &[
            ("nothing", &|world| stranger(world, b"")),
            ("garbage", &|world| stranger(world, &garbage)),
            ("HTTP", &|world| stranger(world, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")),
            ("TLS ClientHello", &|world| {
                stranger(world, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            }),
            ("length 0", &|world| stranger(world, b"\0\0\0\0")),
            ("length 4", &|world| stranger(world, b"\0\0\0\x04")),
            ("length 7", &|world| stranger(world, b"\0\0\0\x07\0\x03\0")),
            ("length of 1 GiB", &|world| {
                stranger(world, b"\x40\0\0\0\0\x03\0\0user\0")
            }),
            ("negative length", &|world| {
                stranger(world, b"\xff\xff\xff\xff\0\x03\0\0")
            }),
            ("half a start-up packet", &|world| {
                stranger(world, &startup(&[("user", CLIENT_ROLE)])[..9])
            }),
            ("no terminator", &|world| stranger(world, b"\0\0\0\x0d\0\x03\0\0user\0")),
            ("a name without a value", &|world| {
                stranger(world, b"\0\0\0\x0e\0\x03\0\0user\0\0")
            }),
            ("a long user name", &|world| stranger(world, &long)),
            ("thousands of parameters", &|world| stranger(world, &many)),
            ("SSLRequest with bytes behind", &|world| {
                stranger(world, &[ssl_request(), startup(&[("user", CLIENT_ROLE)])].concat())
            }),
            ("SSLRequest twice", &|world| {
                stranger(world, &[ssl_request(), ssl_request()].concat())
            }),
            ("a cancel request cut short", &|world| {
                stranger(world, b"\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\x01")
            }),
            ("a cancel request for nobody", &|world| {
                stranger(world, &crate::messages::cancel(1, &[0, 0, 0, 0]))
            }),
            ("a cancel request with a long secret", &|world| {
                stranger(world, &crate::messages::cancel(1, &[7; 2_000]))
            }),
            ("Query before login", &|world| stranger(world, &query("SELECT 1"))),
        ],
    );
}

#[test]
fn after_login() {
    let garbage: Vec<u8> = (0..20_000_u32)
        .map(|number| (number.wrapping_mul(2_246_822_519) >> 23) as u8)
        .collect();
    let nested = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    let ands = format!("SELECT * FROM t WHERE {}", vec!["id = 1"; 20_000].join(" AND "));
    let list = format!("SELECT count(*) FROM t WHERE id IN ({})", vec!["1"; 100_000].join(","));
    let smuggled = [b"Q\0\0\0\x08SELE".to_vec(), query("SELECT 1")].concat();
    harmless(
        "bad_after_login",
        &[
            ("garbage", &|world| guest(world, &garbage)),
            ("a Query without NUL", &|world| guest(world, &smuggled)),
            ("bytes behind a Query's NUL", &|world| {
                guest(world, &frame(b'Q', b"SELECT 1\0Q\0\0\0\x0dSELECT 2\0"))
            }),
            ("a frame of length 3", &|world| guest(world, b"Q\0\0\0\x03")),
            ("a frame of 1 GiB", &|world| guest(world, b"Q\x40\0\0\0SELECT")),
            ("a frame of 4 GiB", &|world| guest(world, b"Q\xff\xff\xff\xffSELECT")),
            ("half a frame", &|world| guest(world, b"Q\0\0\0\x20SELECT")),
            ("an unknown type", &|world| guest(world, &frame(b'!', b"x"))),
            ("a Bind with lying lengths", &|world| {
                guest(world, &frame(b'B', b"\0\0\x7f\xff"))
            }),
            ("a Bind with a huge value", &|world| {
                guest(world, &frame(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff"))
            }),
            ("a Parse with lying counts", &|world| {
                guest(world, &frame(b'P', b"\0SELECT 1\0\x7f\xff"))
            }),
            ("an empty Parse", &|world| guest(world, &frame(b'P', b""))),
            ("an empty Describe", &|world| guest(world, &frame(b'D', b""))),
            ("an empty Execute", &|world| guest(world, &frame(b'E', b""))),
            ("an Execute without a count", &|world| {
                guest(world, &frame(b'E', b"\0\0\0"))
            }),
            ("a Close of nothing", &|world| guest(world, &frame(b'C', b"S"))),
            ("CopyData of length 0", &|world| guest(world, &frame(b'd', b""))),
            ("a password out of turn", &|world| {
                guest(world, &frame(b'p', b"secret\0"))
            }),
            ("a FunctionCall cut short", &|world| guest(world, &frame(b'F', b"\0\0"))),
            ("text that is no UTF-8", &|world| {
                guest(world, &frame(b'Q', b"SELECT '\xff\xfe'\0"))
            }),
            ("text that is no UTF-8, extended", &|world| {
                guest(world, &[frame(b'P', b"\0SELECT '\xff'\0\0\0"), sync()].concat())
            }),
            ("deep nesting", &|world| guest(world, &query(&nested))),
            ("twenty thousand conjuncts", &|world| guest(world, &query(&ands))),
            ("a long IN list", &|world| guest(world, &query(&list))),
            ("an unterminated string", &|world| guest(world, &query("SELECT 'x"))),
            ("an unterminated comment", &|world| {
                guest(world, &query("/* /* */ SELECT 1"))
            }),
            ("an unterminated dollar quote", &|world| {
                guest(world, &query("SELECT $a$ x"))
            }),
            ("many statements that stay open", &|world| {
                let parses: Vec<u8> = (0..300)
                    .flat_map(|number| parse(&format!("s{number}"), "SELECT v FROM t WHERE id = $1", &[]))
                    .collect();
                guest(world, &[parses, sync()].concat());
            }),
            ("a pipeline without Sync", &|world| {
                let step = [
                    parse("", "SELECT v FROM t WHERE id = 1", &[]),
                    bind("", "", &[], Format::Text),
                    describe(b'P', ""),
                    execute("", 0),
                ]
                .concat();
                guest(world, &step.repeat(200));
            }),
        ],
    );
}

/// What gets the proxy to close in mid-frame would reach a backend if bytes were passed on: the shard's own log must be
/// free of protocol violations.
#[test]
fn nothing_rude_reaches_a_shard() {
    let world = world("bad_smuggling");
    guest(
        &world,
        &frame(b'Q', b"SELECT 1\0Q\0\0\0\x2aINSERT INTO t VALUES (999, 'smuggled')\0"),
    );
    guest(
        &world,
        &[
            b"Q\0\0\0\x0cSELECT 1".to_vec(),
            query("INSERT INTO t VALUES (998, 'smuggled')"),
        ]
        .concat(),
    );
    guest(
        &world,
        &frame(b'P', b"\0SELECT 1\0\0\0INSERT INTO t VALUES (997, 'x')\0\0\0"),
    );
    assert_eq!(world.client().value("SELECT count(*) FROM t WHERE id > 900"), "0");
}

fn psql_login(address: SocketAddr, (user, password): (&str, &str), database: &str) -> std::process::Output {
    let mut command = std::process::Command::new("psql");
    command.args(["-X", "-w", "-At", "-h", "127.0.0.1"]);
    command.args([
        "-p",
        &address.port().to_string(),
        "-U",
        user,
        "-d",
        database,
        "-c",
        "SELECT 1",
    ]);
    command.env("PGPASSWORD", password).output().expect("psql runs")
}

/// A password that is valid no longer is refused in the server's words, though backends of its role are in the pool.
#[test]
fn rule_25_a_password_is_valid_until_it_is_not() {
    const USER: (&str, &str) = ("bad_until_user", "right");
    let name = "bad_until";
    let world = World::start_with_passwords(name, &[USER]);
    let told = |address: SocketAddr| {
        let output = psql_login(address, USER, name);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.split_once("FATAL:").map(|(_, words)| words.trim().to_owned())
    };
    let (proxy, server) = (world.proxy().address(), world.servers().shard(0));
    let mut admin = world.shard(0);
    for (until, may) in [("infinity", true), ("2020-01-01", false), ("infinity", true)] {
        admin.rows(&format!("ALTER ROLE {} VALID UNTIL '{until}'", USER.0));
        let expected = told(server);
        assert_eq!(expected.is_none(), may, "{expected:?}");
        repeat("the proxy to know", || match told(proxy) == expected {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
    }
}

#[test]
fn a_wrong_password_is_refused_and_others_go_on() {
    let name = "bad_password";
    let world = World::start_with_passwords(name, &[("bad_password_user", "right")]);
    let login = |password: &str| psql_login(world.proxy().address(), ("bad_password_user", password), name);
    for _ in 0..5 {
        let output = login("wrong");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("password authentication failed for user \"bad_password_user\""),
            "{said}"
        );
        let output = login("right");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // Nobody learns from the answer whether a user exists.
    let mut unknown = std::process::Command::new("psql");
    unknown.args([
        "-X",
        "-w",
        "-h",
        "127.0.0.1",
        "-p",
        &world.proxy().address().port().to_string(),
        "-U",
        "no_such_user",
        "-d",
        name,
        "-c",
        "SELECT 1",
    ]);
    let said =
        String::from_utf8_lossy(&unknown.env("PGPASSWORD", "x").output().expect("psql runs").stderr).into_owned();
    assert!(
        said.contains("password authentication failed for user \"no_such_user\""),
        "{said}"
    );
}

/// Strangers that never finish logging in are sent away, and don't keep others out.
#[test]
fn slow_logins_are_ended() {
    let spec = Spec {
        name: "bad_slow",
        shards: 1,
        layout: LAYOUT,
        settings: "limits: {login_timeout: 1s, clients: 40}",
        schema: SCHEMA,
        data: DATA,
    };
    let world = World::start(spec);
    let mut idle: Vec<Client> = (0..20).map(|_| Client::dial(world.proxy().address())).collect();
    for (number, client) in idle.iter_mut().enumerate() {
        client.send(&startup(&[("user", CLIENT_ROLE)])[..number.min(8)]);
    }
    assert_eq!(world.client().value("SELECT count(*) FROM t"), "200");
    for client in &mut idle {
        while client.read_byte().is_some() {}
    }
    assert_eq!(world.client().value("SELECT count(*) FROM t"), "200");
}

/// A client that doesn't read stops its shard, not the proxy's memory.
#[test]
fn a_slow_reader_costs_little_memory() {
    let world = world("bad_slow_reader");
    let mut witness = world.client();
    let sql = "SELECT repeat('x', 100000) FROM t a, generate_series(1, 10) g WHERE a.id = 5 UNION ALL SELECT repeat('y', 1000000) FROM generate_series(1, 200)";
    let plain = "SELECT repeat('x', 1000000) FROM t, generate_series(1, 300) WHERE t.id = 5";
    let fan_out = "SELECT repeat(v, 10000) FROM t";
    for sql in [plain, fan_out, sql] {
        let before = world.proxy().resident_bytes();
        let mut slow = world.client();
        slow.send(&query(sql));
        // The first row is there: the shard is sending.
        slow.read_until(b'T');
        // Until nothing moves any more: two looks at the memory agree, and a shard waits to write.
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'ClientWrite'";
        let (mut first, mut second) = (world.shard(0), world.shard(1));
        repeat("a shard that waits for the slow client", || {
            match first.value(waiting) != "0" || second.value(waiting) != "0" {
                true => std::ops::ControlFlow::Break(()),
                false => std::ops::ControlFlow::Continue(()),
            }
        });
        let during = world.proxy().resident_bytes();
        assert!(
            during < before + GROWTH_BYTES_MAX,
            "{sql}: {before} bytes before, {during} while a client doesn't read"
        );
        assert_eq!(witness.value("SELECT count(*) FROM t WHERE id = 9"), "1");
        // It reads in the end, and gets everything.
        let answer = slow.read_batch();
        assert!(
            answer.iter().any(|message| message.tag == b'C'),
            "it ends with {:?}",
            answer.last()
        );
    }
}
