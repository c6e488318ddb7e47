//! Discovery against real servers: every finding provoked, agreement of two openers, home down, categories, the watch.
//!
//! Shards are databases of two clusters; each case has its own pair. `tests/golden/discovery/findings.txt` holds cases
//! divided by `====`: lines with `#>` say what is pinned, `-- both`, `-- s0`, `-- s1` begin what runs on the shards, and
//! `-- config` what is declared; what `check` reports stands behind `----`. `UPDATE_GOLDEN=1` rewrites.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests aren't #[test] themselves"
)]

#[path = "../src/bin/shardctl/clusters.rs"]
pub mod clusters;
#[path = "tools/eventually.rs"]
mod eventually;
#[path = "discovery/init.rs"]
mod init;
#[path = "discovery/noticed.rs"]
mod noticed;
#[path = "discovery/reading.rs"]
mod reading;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clusters::{Clusters, Recipe};
use shardgate::catalog::{Body, Collation, Nullability};
use shardgate::clock::Clock;
use shardgate::config::{Settings, Users, parse, parse_users};
use shardgate::discovery::{Discovery, Error, Finding, Severity, State, check, open};
use shardgate::plan::{Category, Purpose};
use shardgate::telemetry::Metering;
use shardgate::topology::QualifiedName;
use tokio_postgres::{Client, NoTls};

/// Generous, and only ever waited out by a failing test.
const PATIENCE: Duration = Duration::from_secs(20);

/// Two shards of a case: one database on each cluster.
struct Pair<'c> {
    clusters: &'c Clusters,
    database: String,
}

impl Pair<'_> {
    async fn new<'c>(clusters: &'c Clusters, database: &str, options: [&str; 2]) -> Pair<'c> {
        for (cluster, options) in clusters.iter().zip(options) {
            let admin = client(&cluster.url("postgres", "postgres")).await;
            admin
                .batch_execute(&format!("CREATE DATABASE {database} {options}"))
                .await
                .expect("a new database");
        }
        Pair {
            clusters,
            database: database.to_owned(),
        }
    }

    fn url(&self, shard: usize) -> String {
        self.clusters
            .iter()
            .nth(shard)
            .expect("a cluster")
            .url("postgres", &self.database)
    }

    async fn run(&self, shard: usize, sql: &str) {
        let client = client(&self.url(shard)).await;
        client
            .batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }

    async fn run_on_both(&self, sql: &str) {
        self.run(0, sql).await;
        self.run(1, sql).await;
    }

    fn settings(&self, declared: &str) -> Arc<Settings> {
        let text = format!(
            "version: 1\nauth: {{method: trust}}\ndatabase: trading\nshards:\n  - {{name: s0, primary: \"{}\"}}\n  - \
             {{name: s1, primary: \"{}\"}}\n{declared}",
            self.url(0),
            self.url(1)
        );
        Arc::new(parse("shardgate.yaml", &text, &|_| None).unwrap_or_else(|error| panic!("{error}")))
    }

    async fn open(&self, declared: &str) -> (Discovery, Vec<Finding>) {
        match open(self.settings(declared), Arc::default(), Clock, Metering::On).await {
            Ok(opened) => opened,
            Err(error) => panic!("{}", told(&error)),
        }
    }
}

fn told(error: &Error) -> String {
    match error {
        Error::Findings(findings) => findings
            .iter()
            .fold(String::new(), |text, finding| text + &format!("{finding}\n")),
        error => error.to_string(),
    }
}

async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    // Ends by itself when the client is dropped.
    driver.detach_all();
    client
}

fn clusters() -> Clusters {
    Clusters::start(&Recipe::new(2)).expect("two clusters")
}

fn table(name: &str) -> QualifiedName {
    QualifiedName::public(name)
}

/// Waits for something that the watch brings.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually::eventually(what, PATIENCE, async || is_so()).await;
}

/// Runs the room's loops while `work` runs.
async fn watched<T>(discovery: &Discovery, work: impl Future<Output = T>) -> T {
    tokio::select! {
        () = discovery.run() => panic!("the watch ended"),
        done = work => done,
    }
}

// === findings ===

fn part<'t>(case: &'t str, name: &str) -> &'t str {
    let Some((_, rest)) = case.split_once(&format!("-- {name}\n")) else {
        return "";
    };
    rest.split("-- ").next().unwrap_or("")
}

#[tokio::test]
async fn every_finding_is_as_recorded() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/discovery/findings.txt");
    let text = std::fs::read_to_string(&path).expect("the golden file");
    let clusters = clusters();
    let mut fresh = String::new();
    for (number, case) in text.split("====\n").filter(|case| !case.trim().is_empty()).enumerate() {
        let given = case.split_once("----\n").map_or(case, |(given, _)| given);
        let options = [part(given, "database s0"), part(given, "database s1")].map(str::trim);
        let pair = Pair::new(&clusters, &format!("case{number}"), options).await;
        pair.run_on_both(part(given, "both")).await;
        pair.run(0, part(given, "s0")).await;
        pair.run(1, part(given, "s1")).await;
        let settings = pair.settings(part(given, "config"));
        let users = match part(given, "users") {
            "" => Users::default(),
            text => parse_users("users.yaml", text, &|_| None, &settings).unwrap_or_else(|error| panic!("{error}")),
        };
        let mut report = String::new();
        for finding in check(&settings, &users).await {
            writeln!(report, "{finding}").expect("a string takes everything");
        }
        if !fresh.is_empty() {
            fresh.push_str("====\n");
        }
        write!(fresh, "{given}----\n{report}").expect("a string takes everything");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &fresh).expect("a writable golden file");
    }
    for (number, (stored, fresh)) in text.lines().zip(fresh.lines()).enumerate() {
        assert!(
            std::env::var_os("UPDATE_GOLDEN").is_some() || stored == fresh,
            "line {}:\n{stored}\n{fresh}",
            number + 1
        );
    }
    assert!(
        std::env::var_os("UPDATE_GOLDEN").is_some() || text == fresh,
        "UPDATE_GOLDEN=1 rewrites"
    );
}

#[tokio::test]
async fn an_unreachable_shard_is_a_finding_and_stops_only_the_first_start() {
    let mut clusters = clusters();
    let declared =
        "keyspaces: {user: {strategy: hash, type: bigint, buckets: 8}}\ntables: {users: {keyspace: user, key: id}}\n";
    let database = "half";
    let settings = {
        let pair = Pair::new(&clusters, database, ["", ""]).await;
        pair.run_on_both("CREATE TABLE users (id bigint PRIMARY KEY)").await;
        pair.settings(declared)
    };
    clusters.get_mut(1).expect("a cluster").stop().expect("it stops");
    let findings = check(&settings, &Users::default()).await;
    assert!(
        findings
            .iter()
            .any(|found| found.severity == Severity::Error && found.message == "the shard can't be reached")
    );
    let first = open(Arc::clone(&settings), Arc::default(), Clock, Metering::On).await;
    assert!(matches!(first, Err(Error::Findings(_))), "{first:?}");
    clusters.get_mut(1).expect("a cluster").restart().expect("it starts");
    open(Arc::clone(&settings), Arc::default(), Clock, Metering::On)
        .await
        .expect("a first start");
    clusters.get_mut(1).expect("a cluster").stop().expect("it stops");
    let (discovery, findings) = open(settings, Arc::default(), Clock, Metering::On)
        .await
        .expect("a later start");
    assert!(
        findings
            .iter()
            .any(|found| found.severity == Severity::Warning && found.message == "the shard can't be reached")
    );
    watched(&discovery, async {
        eventually("s1 is down", || {
            matches!(
                discovery.health().get(1).map(|health| &health.state),
                Some(State::Down(_))
            )
        })
        .await;
        clusters.get_mut(1).expect("a cluster").restart().expect("it starts");
        eventually("s1 is up", || {
            discovery.health().iter().all(|health| health.state == State::Up)
        })
        .await;
        let home_alone = |seen: Arc<shardgate::discovery::Seen>| seen.presence.get(&table("users")).map(|on| on.len());
        eventually("s1's tables are seen", || {
            home_alone(discovery.picture().look()) == Some(2)
        })
        .await;
    })
    .await;
}

// === the store ===

#[tokio::test]
async fn proxies_that_start_at_the_same_moment_agree() {
    let clusters = clusters();
    for round in 0..3 {
        let pair = Pair::new(&clusters, &format!("race{round}"), ["", ""]).await;
        pair.run_on_both("CREATE TABLE users (id bigint PRIMARY KEY)").await;
        let settings = |buckets: u32| {
            pair.settings(&format!(
                "keyspaces: {{user: {{strategy: hash, type: bigint, buckets: {buckets}}}}}\ntables: {{users: {{keyspace: user, key: id}}}}\n"
            ))
        };
        let same = [(); 4].map(|()| open(settings(8), Arc::default(), Clock, Metering::On));
        let [a, b, c, d] = same;
        let (a, b, c, d) = tokio::join!(a, b, c, d);
        let pictures = [a, b, c, d].map(|opened| {
            opened
                .unwrap_or_else(|error| panic!("{}", told(&error)))
                .0
                .picture()
                .current()
        });
        for picture in &pictures {
            assert_eq!(picture.topology(), pictures[0].topology());
            assert_eq!(picture.topology().epoch().get(), 1);
        }
        let other = open(settings(16), Arc::default(), Clock, Metering::On).await;
        assert!(
            matches!(&other, Err(Error::Findings(found)) if found.len() == 1),
            "{other:?}"
        );
        let copies = client(&pair.url(1)).await;
        let rows = copies
            .query("SELECT epoch, document FROM shardgate.topology", &[])
            .await
            .expect("a copy");
        assert_eq!(rows.len(), 1);
    }
}

#[tokio::test]
async fn a_new_table_becomes_the_next_epoch_for_every_proxy() {
    let clusters = clusters();
    let pair = Pair::new(&clusters, "epochs", ["", ""]).await;
    pair.run_on_both("CREATE TABLE users (id bigint PRIMARY KEY); CREATE TABLE orders (user_id bigint NOT NULL)")
        .await;
    let keyspace = "keyspaces: {user: {strategy: hash, type: bigint, buckets: 8}}\n";
    let one = format!("{keyspace}tables: {{users: {{keyspace: user, key: id}}}}\n");
    let two =
        format!("{keyspace}tables: {{users: {{keyspace: user, key: id}}, orders: {{keyspace: user, key: user_id}}}}\n");
    let (first, _) = pair.open(&one).await;
    let (second, _) = pair.open(&one).await;
    watched(&second, async {
        first
            .reload(pair.settings(&two), Arc::default())
            .await
            .unwrap_or_else(|error| panic!("{}", told(&error)));
        assert_eq!(first.picture().current().topology().epoch().get(), 2);
        eventually("the other proxy adopts it", || {
            second.picture().current().topology().epoch().get() == 2
        })
        .await;
        assert!(second.picture().current().topology().table(&table("orders")).is_some());
    })
    .await;
    // What a config omits stays stored.
    let (third, _) = pair.open(&one).await;
    assert_eq!(third.picture().current().topology().epoch().get(), 2);
}

#[tokio::test]
async fn with_home_down_a_copy_is_served_and_nothing_reloads() {
    let mut clusters = clusters();
    let declared =
        "keyspaces: {user: {strategy: hash, type: bigint, buckets: 8}}\ntables: {users: {keyspace: user, key: id}}\n";
    let settings = {
        let pair = Pair::new(&clusters, "homeless", ["", ""]).await;
        pair.run_on_both("CREATE TABLE users (id bigint PRIMARY KEY)").await;
        pair.open(declared).await;
        pair.settings(declared)
    };
    clusters.get_mut(0).expect("a cluster").kill().expect("it dies");
    let (discovery, findings) = open(Arc::clone(&settings), Arc::default(), Clock, Metering::On)
        .await
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    assert!(
        findings
            .iter()
            .any(|found| found.message == "the home shard doesn't answer"),
        "{findings:?}"
    );
    assert_eq!(discovery.picture().current().topology().epoch().get(), 1);
    let reload = discovery.reload(settings, Arc::default()).await;
    assert!(matches!(reload, Err(Error::HomeDown { .. })), "{reload:?}");
}

// === categories ===

const INSTRUMENTS: &str = "CREATE TABLE instruments (symbol text PRIMARY KEY, category text NOT NULL); \
    INSERT INTO instruments VALUES ('EURUSD', 'fx'), ('AAPL', 'equity'), ('OIL', 'energy'); \
    CREATE TABLE trades (id bigint, instrument text NOT NULL, PRIMARY KEY (instrument, id));";

const BY_CATEGORY: &str = "keyspaces: {instrument: {strategy: category, type: text, lookup: {table: instruments, key: symbol, \
    category: category}, categories: {fx: s0, equity: s1}, default: s1}}\ntables: {trades: {keyspace: instrument, key: \
    instrument}, instruments: {reference: true}}\n";

#[tokio::test]
async fn a_category_is_fixed_once_whoever_comes_first() {
    let clusters = clusters();
    let pair = Pair::new(&clusters, "categories", ["", ""]).await;
    pair.run_on_both(INSTRUMENTS).await;
    pair.run(0, "INSERT INTO trades VALUES (1, 'EURUSD')").await;
    let (first, _) = pair.open(BY_CATEGORY).await;
    let (second, _) = pair.open(BY_CATEGORY).await;
    let (id, _) = first
        .picture()
        .current()
        .topology()
        .keyspace_by_name("instrument")
        .map(|(id, _)| (id, ()))
        .expect("it");
    let entry = |key: &str| (id, key.to_owned());
    // keys that lay in rows are fixed at first start
    assert_eq!(
        first.fixed().get(&entry("EURUSD")),
        Some(&Category::Fixed("fx".to_owned()))
    );
    let keys = ["AAPL".to_owned(), "NOPE".to_owned()];
    let read = first.categories(id, &keys, Purpose::Read).await.expect("an answer");
    assert_eq!(read.get(&entry("AAPL")), Some(&Category::Derived("equity".to_owned())));
    assert_eq!(read.get(&entry("NOPE")), Some(&Category::Unknown));
    // two proxies derive differently at the same moment: one wins, and both say so
    let (a, b) = tokio::join!(
        first.fix_category(id, "AAPL", "equity"),
        second.fix_category(id, "AAPL", "fx")
    );
    let (a, b) = (a.expect("a winner"), b.expect("a winner"));
    assert_eq!(a, b);
    // metadata that says something else later changes nothing, and is reported
    pair.run_on_both("UPDATE instruments SET category = 'energy' WHERE symbol = 'EURUSD'")
        .await;
    let written = second
        .categories(id, &["EURUSD".to_owned()], Purpose::Write)
        .await
        .expect("an answer");
    assert_eq!(written.get(&entry("EURUSD")), Some(&Category::Fixed("fx".to_owned())));
    let findings = second.check().await;
    assert!(
        findings
            .iter()
            .any(|found| found.message == "key \"EURUSD\" is fixed as fx, but instruments says energy"),
        "{findings:?}"
    );
}

// === the catalog ===

#[tokio::test]
async fn the_catalog_is_read_as_it_is() {
    let clusters = clusters();
    let pair = Pair::new(&clusters, "catalog", ["", ""]).await;
    pair.run(1, "CREATE TYPE burned AS ENUM ('x')").await;
    pair.run_on_both(
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); CREATE DOMAIN cents AS bigint CHECK (VALUE >= 0); \
         CREATE COLLATION nd (provider = icu, locale = 'und', deterministic = false); \
         CREATE TABLE users (id bigint PRIMARY KEY, name text, code text COLLATE \"C\", loose text COLLATE nd, feeling mood, \
         paid cents DEFAULT 0, n serial, i int GENERATED ALWAYS AS IDENTITY, g bigint GENERATED ALWAYS AS (id * 2) STORED, \
         price numeric(10,2)); \
         CREATE UNIQUE INDEX users_lower ON users (id, lower(name)) INCLUDE (code); \
         CREATE VIEW names AS SELECT id, name FROM users; \
         CREATE FUNCTION twice(a int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a * 2'; \
         CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
         CREATE FUNCTION loud() RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE ''SELECT 1''; RETURN 1; END'; \
         CREATE FUNCTION loudly() RETURNS int LANGUAGE sql AS 'SELECT loud()'; \
         CREATE TABLE events (at timestamptz NOT NULL) PARTITION BY RANGE (at); \
         CREATE TABLE events_1 PARTITION OF events DEFAULT;",
    )
    .await;
    pair.run(1, "CREATE TABLE only_there (a int, feeling mood)").await;
    let declared = "functions: {quiet: local}\nkeyspaces: {user: {strategy: hash, type: bigint, buckets: 8}}\ntables: {users: {keyspace: user, key: id}, only_there: {unsharded: s1}}\n";
    let (discovery, _) = pair.open(declared).await;
    let seen = discovery.picture().look();
    let catalog = seen.snapshot.catalog();
    let users = catalog.relation(&table("users")).expect("users");
    let collations: Vec<Collation> = users.columns.iter().map(|column| column.collation).collect();
    assert_eq!(
        collations[1..4],
        [Collation::Deterministic, Collation::Bytes, Collation::Nondeterministic]
    );
    assert_eq!(users.columns[0].nullability, Nullability::NotNull);
    let shown = format!(
        "{:?}",
        users
            .columns
            .iter()
            .map(|column| (&column.name, &column.filling))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        shown,
        r#"[("id", Nothing), ("name", Nothing), ("code", Nothing), ("loose", Nothing), ("feeling", Nothing), ("paid", Default { expression: "0", sequence: No }), ("n", Default { expression: "nextval('public.users_n_seq'::regclass)", sequence: Next(QualifiedName { schema: "public", name: "users_n_seq" }) }), ("i", Identity { sequence: Some(QualifiedName { schema: "public", name: "users_i_seq" }), generated: Always }), ("g", Generated("(id * 2)")), ("price", Nothing)]"#
    );
    assert_eq!(
        users.unique_keys,
        [vec![Some("id".to_owned()), None], vec![Some("id".to_owned())]]
    );
    let view = catalog
        .relation(&table("names"))
        .and_then(|view| view.view_definition.clone())
        .expect("a view");
    assert!(view.contains("FROM public.users"), "{view}");
    assert_eq!(
        catalog
            .relation(&table("events_1"))
            .and_then(|part| part.partition_root.clone()),
        Some(table("events"))
    );
    assert!(catalog.resolve("users", &["nowhere", "public"]).is_some());
    let body = |name: &str| catalog.functions_named(name)[0].body;
    assert_eq!(
        [body("twice"), body("quiet"), body("loud"), body("loudly")],
        [Body::Plain, Body::Plain, Body::Opaque, Body::Opaque]
    );
    assert!(catalog.builtin.functions.contains_key("lower") && catalog.builtin.operators.contains_key("="));
    // OIDs are home's, of the table that only the other shard has too
    let home = client(&pair.url(0)).await;
    let mood: u32 = home
        .query_one("SELECT 'mood'::regtype::oid", &[])
        .await
        .expect("a type")
        .get(0);
    let there = catalog.relation(&table("only_there")).expect("it");
    assert_eq!(there.columns[1].type_oid.0, mood);
    let other = client(&pair.url(1)).await;
    let theirs: u32 = other
        .query_one("SELECT 'mood'::regtype::oid", &[])
        .await
        .expect("a type")
        .get(0);
    let burned: u32 = other
        .query_one("SELECT 'burned'::regtype::oid", &[])
        .await
        .expect("a type")
        .get(0);
    let oids = &seen.oids[1];
    assert_ne!(mood, theirs);
    assert!(!oids.is_identity() && seen.oids[0].is_identity());
    let oid = shardgate::value::Oid;
    assert_eq!(oids.type_to_home(oid(theirs)), Some(oid(mood)));
    assert_eq!(oids.type_to_shard(oid(mood)), Some(oid(theirs)));
    assert_eq!(oids.type_to_home(oid(burned)), None);
}

#[tokio::test]
async fn ddl_behind_the_proxys_back_is_noticed_and_temporary_tables_are_not() {
    let clusters = clusters();
    let pair = Pair::new(&clusters, "watched", ["", ""]).await;
    pair.run_on_both("CREATE TABLE users (id bigint PRIMARY KEY)").await;
    let declared =
        "keyspaces: {user: {strategy: hash, type: bigint, buckets: 8}}\ntables: {users: {keyspace: user, key: id}}\n";
    let (discovery, _) = pair.open(declared).await;
    let before = discovery.picture().current();
    pair.run(0, "CREATE TEMP TABLE t (a serial PRIMARY KEY, b text DEFAULT 'x')")
        .await;
    pair.run(0, "ANALYZE users").await;
    discovery.refresh_now().await.expect("a look");
    assert!(
        Arc::ptr_eq(&before, &discovery.picture().current()),
        "nothing of the picture changed"
    );
    for (sql, column) in [
        ("ALTER TABLE users ADD COLUMN a int", "a"),
        ("ALTER TABLE users RENAME COLUMN a TO b", "b"),
    ] {
        pair.run_on_both(sql).await;
        discovery.refresh_now().await.expect("a look");
        let catalog = Arc::clone(discovery.picture().current().catalog());
        assert!(
            catalog
                .relation(&table("users"))
                .and_then(|users| users.column(column))
                .is_some(),
            "{sql}"
        );
    }
    watched(&discovery, async {
        for sql in [
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE TYPE e AS ENUM ('a')",
            "CREATE SCHEMA s",
        ] {
            let before = discovery.picture().current();
            pair.run_on_both(sql).await;
            eventually(sql, || !Arc::ptr_eq(&before, &discovery.picture().current())).await;
            discovery.refresh_now().await.expect("both shards");
        }
        let catalog = Arc::clone(discovery.picture().current().catalog());
        assert!(catalog.has_schema("s") && !catalog.functions_named("f").is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_control_role_that_could_not_recover_is_a_finding() {
    let clusters = clusters();
    let pair = Pair::new(&clusters, "membership", ["", ""]).await;
    pair.run_on_both(
        "CREATE ROLE control LOGIN; CREATE ROLE ours LOGIN; CREATE ROLE theirs LOGIN; GRANT ours TO control",
    )
    .await;
    let text = format!(
        "version: 1\nauth: {{method: trust, users_file: users.yaml}}\ndatabase: trading\nshards:\n  - {{name: s0, primary: \
         \"{}\"}}\n  - {{name: s1, primary: \"{}\"}}\n",
        pair.url(0).replace("postgres@", "control@"),
        pair.url(1).replace("postgres@", "control@"),
    );
    let settings = parse("shardgate.yaml", &text, &|_| None).unwrap_or_else(|error| panic!("{error}"));
    let users = "- {name: ours, password: a}\n- {name: theirs, password: b}\n";
    let users = parse_users("users.yaml", users, &|_| None, &settings).unwrap_or_else(|error| panic!("{error}"));
    let told: Vec<String> = check(&settings, &users)
        .await
        .iter()
        .filter(|finding| finding.message.contains("not a member"))
        .map(|finding| format!("{:?} {} {}", finding.shard, finding.object, finding.hint))
        .collect();
    let wanted = ["s0", "s1"].map(|shard| format!("{:?} role theirs GRANT theirs TO control", Some(shard)));
    assert_eq!(told, wanted);
}
