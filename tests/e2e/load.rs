//! Load is seen where it is: by bucket, by shard, over all proxies; and what a proxy said goes with it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::ops::ControlFlow;

use crate::client::Client;
use crate::messages::{Format, Value, bind, copy_data, copy_done, execute, parse, query, sync};
use crate::proxy::Proxy;
use crate::world::{CLIENT_ROLE, Spec, World, repeat};

const SCHEMA: &str = "CREATE TABLE trades (instrument text COLLATE \"C\" NOT NULL, id int NOT NULL, v text, \
    PRIMARY KEY (instrument, id))";
const LAYOUT: &str = "keyspaces:
  market:
    strategy: category
    type: text
    categories: {fx_major: {{s0}}, fx_exotic: {{s0}}, equity: {{s1}}}
tables:
  trades: {keyspace: market, key: instrument}
";
const DATA: &str = "INSERT INTO trades VALUES ('fx_major', 1, ''), ('fx_exotic', 1, ''), ('equity', 1, '')";

fn spec(name: &str) -> Spec<'_> {
    Spec {
        name,
        shards: 2,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: DATA,
    }
}

/// Keeps the owner of an instrument busy for a while.
fn busy_with(client: &mut Client, instrument: &str) {
    client.rows(&format!(
        "SELECT pg_sleep(0.1) FROM trades WHERE instrument = '{instrument}'"
    ));
}

/// SHOW LOAD by scope and name: column name → value.
type Load = BTreeMap<(String, String), BTreeMap<String, String>>;

fn table(admin: &mut Client, command: &str) -> Vec<BTreeMap<String, String>> {
    let answer = admin.query(command);
    let columns = answer.iter().find(|message| message.tag == b'T').expect("a table");
    let names: Vec<String> = columns.columns().into_iter().map(|column| column.name).collect();
    let rows = answer.iter().filter(|message| message.tag == b'D');
    rows.map(|row| {
        let values = row.values().into_iter();
        let values = values.map(|value| value.map_or("∅".to_owned(), |v| String::from_utf8_lossy(&v).into_owned()));
        names.iter().cloned().zip(values).collect()
    })
    .collect()
}

fn load(admin: &mut Client) -> Load {
    let rows = table(admin, "SHOW LOAD").into_iter();
    rows.map(|row| ((row["scope"].clone(), row["name"].clone()), row))
        .collect()
}

fn number(load: &Load, (scope, name): (&str, &str), column: &str) -> f64 {
    let row = load.get(&(scope.to_owned(), name.to_owned()));
    row.map_or(0.0, |row| row[column].parse().unwrap_or(0.0))
}

/// Looks again and again until the load is as wanted.
fn until(admin: &mut Client, what: &str, mut is_so: impl FnMut(&Load) -> bool) -> Load {
    repeat(what, || {
        let load = load(admin);
        match is_so(&load) {
            true => ControlFlow::Break(load),
            false => ControlFlow::Continue(()),
        }
    })
}

fn metrics(proxy: &Proxy) -> String {
    let mut text = String::new();
    let mut stream = std::net::TcpStream::connect(proxy.http()).expect("the proxy serves HTTP");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
        .and_then(|()| stream.read_to_string(&mut text))
        .expect("the proxy answers");
    text
}

fn metric(text: &str, series: &str) -> f64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{series} is not in\n{text}"))
}

#[test]
fn load_on_one_category_is_seen_at_its_bucket_and_its_shard() {
    let world = World::start(spec("load_category"));
    let (mut client, mut admin) = (world.client(), world.admin());
    let is_busy = |load: &Load| number(load, ("bucket", "market/fx_major"), "busy_10s") > 0.0;
    let load = repeat("the load to be seen", || {
        busy_with(&mut client, "fx_major");
        let load = self::load(&mut admin);
        match is_busy(&load) && number(&load, ("bucket", "market/fx_major"), "reads") > 0.0 {
            true => ControlFlow::Break(load),
            false => ControlFlow::Continue(()),
        }
    });
    let fx_major = number(&load, ("bucket", "market/fx_major"), "busy_1m");
    let (s0, s1) = (("shard", "s0"), ("shard", "s1"));
    // Rows were loaded through the proxy before: all buckets have some load, but this one has nearly all.
    for other in ["market/fx_exotic", "market/equity"] {
        assert!(number(&load, ("bucket", other), "busy_1m") < fx_major / 4.0, "{load:?}");
    }
    assert!(number(&load, s0, "busy_1m") >= fx_major, "{load:?}");
    assert!(number(&load, s1, "busy_1m") < fx_major / 4.0, "{load:?}");
    assert!(number(&load, s0, "unattributed") < fx_major / 4.0, "{load:?}");
    assert_eq!(
        load[&("bucket".to_owned(), "market/fx_major".to_owned())]["shard"],
        "s0"
    );

    let buckets = table(&mut admin, "SHOW BUCKETS");
    let ratio = |bounds: &str| {
        let row = buckets
            .iter()
            .find(|row| row["bounds"] == bounds)
            .expect("the bucket is listed");
        row["busy_ratio"].parse::<f64>().expect("it is measured")
    };
    assert!(
        ratio("category fx_major") > 4.0 * ratio("category equity"),
        "{buckets:?}"
    );
    let shards = table(&mut admin, "SHOW SHARDS");
    assert!(
        shards[0]["utilisation"].parse::<f64>().is_ok_and(|ratio| ratio > 0.0),
        "{shards:?}"
    );
    let keys = table(&mut admin, "SHOW KEYS");
    assert_eq!((keys[0]["key"].as_str(), keys[0]["shard"].as_str()), ("fx_major", "s0"));
    assert!(
        keys[0]["share"].parse::<f64>().is_ok_and(|share| share > 0.7),
        "{keys:?}"
    );

    let text = metrics(world.proxy());
    assert!(metric(&text, "shardgate_bucket_busy_ratio{bucket=\"market/fx_major\"}") > 0.0);
    assert!(metric(&text, "shardgate_shard_utilisation_ratio{shard=\"s0\",window=\"1m\"}") > 0.0);
    let phase = |phase: &str| {
        metric(
            &text,
            &format!("shardgate_statement_phase_seconds_sum{{plan=\"one_shard\",phase=\"{phase}\"}}"),
        )
    };
    assert!(
        phase("backend") > 0.1 && phase("proxy") > 0.0 && phase("backend") > phase("proxy"),
        "{text}"
    );
}

#[test]
fn each_kind_of_statement_counts_where_it_belongs() {
    let world = World::start(spec("load_kinds"));
    let (mut client, mut admin) = (world.client(), world.admin());
    let at = |name| ("bucket", name);
    // Loading the rows was one write each; what is looked for goes beyond it.
    let before = until(&mut admin, "the rows' own load", |load| {
        number(load, at("market/equity"), "writes") > 0.0
    });
    let writes = number(&before, at("market/equity"), "writes");

    // A block: what its COMMIT takes belongs to what it has written.
    let write = |client: &mut Client| {
        client.rows("BEGIN");
        client.rows("UPDATE trades SET v = 'x' WHERE instrument = 'equity' AND id = 1");
        client.rows("COMMIT");
    };
    repeat("writes in blocks", || {
        (0..20).for_each(|_| write(&mut client));
        match number(&load(&mut admin), at("market/equity"), "writes") > 2.0 * writes {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });

    let value = |text: &str| -> Value { (Format::Text, Some(text.as_bytes().to_vec())) };
    // A batch of the extended protocol with statements of several buckets on two shards.
    let mut batch = parse("", "SELECT pg_sleep(0.02) FROM trades WHERE instrument = $1", &[]);
    for instrument in ["fx_major", "fx_exotic", "equity"] {
        batch.extend(bind("", "", &[value(instrument)], Format::Text));
        batch.extend(execute("", 0));
    }
    batch.extend(sync());
    repeat("reads in one batch", || {
        client.send(&batch);
        let answer = client.read_batch();
        assert_eq!(
            answer.iter().filter(|message| message.tag == b'C').count(),
            3,
            "{answer:?}"
        );
        let load = load(&mut admin);
        let names = ["market/fx_major", "market/fx_exotic", "market/equity"];
        match names
            .iter()
            .all(|name| number(&load, at(name), "reads") > 0.0 && number(&load, at(name), "busy_10s") > 0.0)
        {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });

    // Over all shards: nobody's in particular.
    let unattributed = |load: &Load, shard| number(load, ("shard", shard), "unattributed");
    let before = load(&mut admin);
    repeat("a fan-out on both shards", || {
        (0..50).for_each(|_| assert_eq!(client.rows("SELECT id FROM trades ORDER BY id").len(), 3));
        let now = load(&mut admin);
        let grown = |shard| unattributed(&now, shard) > 2.0 * unattributed(&before, shard) + 0.001;
        match grown("s0") && grown("s1") {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });

    // What fails is counted too.
    repeat("errors", || {
        assert_eq!(
            client.failure("SELECT 1 / (id - id) FROM trades WHERE instrument = 'fx_exotic'"),
            "22012"
        );
        match number(&load(&mut admin), at("market/fx_exotic"), "errors") > 0.0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
}

#[test]
fn two_proxies_add_up_and_one_that_is_gone_ages_out() {
    let world = World::start(spec("load_proxies"));
    let config = std::fs::read_to_string(world.proxy().config()).expect("the proxy's own config");
    // Rows that the survey of the second proxy finds at once.
    let mut client = world.client();
    client.rows("INSERT INTO trades SELECT 'equity', i, repeat('x', 500) FROM generate_series(2, 2000) i");
    let second = Proxy::start("load_proxies_second", &config);
    let parameters = [("user", CLIENT_ROLE), ("database", "shardgate")];
    let mut other = Client::log_in(second.address(), &parameters).expect("the second proxy's admin database");
    let mut admin = world.admin();
    until(&mut admin, "the first to hear the second", |load| {
        number(load, ("shard", "s0"), "proxies") == 2.0
    });
    until(&mut other, "the second to hear the first", |load| {
        number(load, ("shard", "s0"), "proxies") == 2.0
    });

    let size = |load: &Load, name| number(load, ("shard", name), "size_bytes");
    let sized = until(&mut other, "sizes", |load| size(load, "s1") > 0.0);
    assert!(
        size(&sized, "s1") > 1_000_000.0 && size(&sized, "s0") < size(&sized, "s1") / 4.0,
        "{sized:?}"
    );
    let buckets = table(&mut other, "SHOW BUCKETS");
    let bytes = |bounds: &str| {
        let row = buckets
            .iter()
            .find(|row| row["bounds"] == bounds)
            .expect("the bucket is listed");
        row["size_bytes"].parse::<f64>().expect("it is estimated")
    };
    assert_eq!(bytes("category equity"), size(&sized, "s1"));
    assert_eq!(bytes("category fx_major"), bytes("category fx_exotic"), "one row each");

    // What the second carries, the first shows, and the other way round.
    let parameters = [("user", CLIENT_ROLE), ("database", world.database())];
    let mut there = Client::log_in(second.address(), &parameters).expect("the second proxy's clients");
    let (exotic, major) = (("bucket", "market/fx_exotic"), ("bucket", "market/fx_major"));
    repeat("load of the second at the first", || {
        busy_with(&mut there, "fx_exotic");
        busy_with(&mut client, "fx_major");
        let (here, there) = (load(&mut admin), load(&mut other));
        let seen = [&here, &there]
            .iter()
            .all(|load| number(load, exotic, "reads") > 0.0 && number(load, major, "reads") > 0.0);
        match seen {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });

    // Killed, it renews its row no more; time is made to pass for the row alone.
    second.signal("KILL");
    let mut home = world.shard(0);
    let rows = "SELECT count(*) FROM shardgate.load";
    assert_eq!(home.value(rows), "2");
    let aged = "UPDATE shardgate.load SET written_at = now() - interval '13 seconds' \
        WHERE written_at = (SELECT min(written_at) FROM shardgate.load)";
    repeat("the second not to be counted", || {
        home.rows(aged);
        match number(&load(&mut admin), ("shard", "s0"), "proxies") == 1.0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    repeat("its row to be deleted", || {
        home.rows(&aged.replace("13 seconds", "2 minutes"));
        match home.value(rows) == "1" {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
}

#[test]
fn with_home_down_a_proxy_shows_its_own_load() {
    let world = World::start_private(spec("load_home"));
    let (mut client, mut admin) = (world.client(), world.admin());
    world.servers().disturb(0, |cluster| cluster.stop());
    repeat("load on the shard that is left", || {
        busy_with(&mut client, "equity");
        match number(&load(&mut admin), ("bucket", "market/equity"), "reads") > 0.0 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    world.servers().disturb(0, |cluster| cluster.restart());
}

/// Three rows of one bucket to each one of another, until that is what is seen of them.
fn divided(world: &World, mut write: impl FnMut(&mut Client, u32)) {
    let (mut client, mut admin, mut number_of) = (world.client(), world.admin(), 0);
    let load = repeat("a split write at the buckets of its rows", || {
        number_of += 1;
        write(&mut client, number_of);
        let load = load(&mut admin);
        let of = |bucket, column| number(&load, ("bucket", bucket), column);
        let (exotic, equity) = (of("market/fx_exotic", "rows"), of("market/equity", "rows"));
        let is_told = of("market/fx_exotic", "writes") > 0.0 && of("market/equity", "bytes") > 0.0;
        match is_told && (2.5..3.5).contains(&(exotic / equity.max(f64::MIN_POSITIVE))) {
            true => ControlFlow::Break(load),
            false => ControlFlow::Continue(()),
        }
    });
    for (shard, bucket) in [("s0", "market/fx_exotic"), ("s1", "market/equity")] {
        let busy = number(&load, ("bucket", bucket), "busy_1m");
        let unattributed = number(&load, ("shard", shard), "unattributed");
        assert!(busy > 0.0 && unattributed <= busy, "{shard}: {load:?}");
    }
}

const ROWS: u32 = 40;

/// Instrument and id of each row of the `turn`th write.
fn written(turn: u32) -> impl Iterator<Item = (&'static str, u32)> {
    (0..ROWS).map(move |row| {
        let instrument = if row % 4 == 0 { "equity" } else { "fx_exotic" };
        (instrument, turn * ROWS + row)
    })
}

#[test]
fn a_split_insert_is_seen_at_the_buckets_of_its_rows() {
    let world = World::start(spec("load_insert"));
    divided(&world, |client, turn| {
        let rows: Vec<String> = written(turn)
            .map(|(instrument, id)| format!("('{instrument}', {id}, '')"))
            .collect();
        client.rows(&format!("INSERT INTO trades VALUES {}", rows.join(", ")));
    });
}

#[test]
fn a_split_copy_is_seen_at_the_buckets_of_its_rows() {
    let world = World::start(spec("load_copy"));
    divided(&world, |client, turn| {
        let rows: Vec<String> = written(turn)
            .map(|(instrument, id)| format!("{instrument}\t{id}\tx\n"))
            .collect();
        client.send(&query("COPY trades FROM STDIN"));
        client.read_until(b'G');
        client.send(&[copy_data(rows.concat().as_bytes()), copy_done()].concat());
        let answer = client.read_batch();
        let tag = format!("COPY {ROWS}\0");
        assert!(
            answer
                .iter()
                .any(|message| message.tag == b'C' && message.body == tag.as_bytes()),
            "{answer:?}"
        );
    });
}

#[test]
fn the_load_of_a_single_shard_is_seen() {
    let world = World::start(Spec {
        shards: 1,
        ..spec("load_single")
    });
    let (mut client, mut admin) = (world.client(), world.admin());
    let s0 = ("shard", "s0");
    let load = repeat("load of the only shard", || {
        busy_with(&mut client, "fx_major");
        let load = load(&mut admin);
        match number(&load, s0, "busy_1m") > 0.0 {
            true => ControlFlow::Break(load),
            false => ControlFlow::Continue(()),
        }
    });
    // Nothing is planned there, so nothing is known of buckets.
    assert!(number(&load, s0, "unattributed") > 0.0, "{load:?}");
    assert_eq!(number(&load, ("bucket", "market/fx_major"), "busy_1m"), 0.0, "{load:?}");
    let shards = table(&mut admin, "SHOW SHARDS");
    assert!(
        shards[0]["utilisation"].parse::<f64>().is_ok_and(|ratio| ratio > 0.0),
        "{shards:?}"
    );
    let text = metrics(world.proxy());
    assert!(metric(&text, "shardgate_shard_utilisation_ratio{shard=\"s0\",window=\"1m\"}") > 0.0);
}

#[test]
fn a_proxy_that_measures_no_load_serves_all_the_same() {
    let mut world = World::start(spec("load_unmetered"));
    let mut first = world.take_proxy();
    let config = std::fs::read_to_string(first.config()).expect("the config is there");
    first.stop();
    // Its report is no longer what this is about.
    world.shard(0).rows("DELETE FROM shardgate.load");
    world.serve_by(Proxy::start_with(
        "load_unmetered_2",
        &config,
        &[("SHARDGATE_METERING", "off")],
    ));
    let (mut client, mut admin) = (world.client(), world.admin());
    busy_with(&mut client, "fx_major");
    assert_eq!(client.value("SELECT count(*) FROM trades"), "3");
    let text = metrics(world.proxy());
    let sum = |series: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(series));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    assert_eq!(sum("shardgate_statement_seconds_count{"), 2.0, "{text}");
    assert_eq!(sum("shardgate_statement_phase_seconds_count{"), 0.0, "{text}");
    let load = load(&mut admin);
    assert_eq!(number(&load, ("shard", "s0"), "measured_seconds"), 0.0, "{load:?}");
}
