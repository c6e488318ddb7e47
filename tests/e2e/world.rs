//! One test's world: its own database on a plain Postgres and on some shards, and a proxy before the shards.
//!
//! The same schema and the same rows are on both sides: the plain Postgres makes the rows, and each goes to its shard
//! through the proxy, by an INSERT of one row. At the end nothing may be left: no open transaction, no prepared one,
//! no backend, and the proxy ends by itself when asked to.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use crate::client::{Client, PATIENCE};
use crate::clusters::PASSWORD_ROLE;
use crate::layout::{Layout, Placement};
use crate::messages;
use crate::proxy::Proxy;
use crate::servers::{Servers, superuser};

/// The role that a test's clients log in as; it owns the test's databases.
pub const CLIENT_ROLE: &str = "app";

/// The role in the shards' URLs.
pub const CONTROL_ROLE: &str = "shardgate";

/// What a test needs.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// Unique among all tests: names the databases. Letters, digits and `_`.
    pub name: &'a str,
    /// how many shards
    pub shards: usize,
    /// the config from `keyspaces:` on; see [`Layout`] for the marks in it
    pub layout: &'a str,
    /// further lines of the config
    pub settings: &'a str,
    /// DDL, run on the plain Postgres and on every shard
    pub schema: &'a str,
    /// statements that make the rows, run on the plain Postgres alone
    pub data: &'a str,
}

impl Spec<'_> {
    /// No tables, no rows.
    pub fn empty(name: &str, shards: usize) -> Spec<'_> {
        Spec {
            name,
            shards,
            layout: "",
            settings: "",
            schema: "",
            data: "",
        }
    }
}

/// The servers, the databases on them, and the proxy.
#[derive(Debug)]
pub struct World {
    servers: Servers,
    database: String,
    shards: usize,
    tables: Vec<(String, Placement)>,
    /// `None`: clients talk to the first shard itself
    proxy: Option<Proxy>,
}

impl World {
    /// A world on the servers that all tests share.
    pub fn start(spec: Spec<'_>) -> World {
        World::start_on(Servers::shared(), spec)
    }

    /// A world on servers of its own, which the test may stop and kill.
    pub fn start_private(spec: Spec<'_>) -> World {
        World::start_on(Servers::private(spec.shards), spec)
    }

    /// A world whose proxy asks for passwords (SCRAM): `users` are names and passwords, known to proxy and shards. No
    /// rows can be loaded through such a proxy, since its test's clients have to log in by another way.
    pub fn start_with_passwords(name: &str, users: &[(&str, &str)]) -> World {
        let servers = Servers::shared();
        let mut shard = superuser(servers.shard(0), "postgres");
        let mut lines = String::new();
        for (user, password) in users {
            shard.query(&format!("CREATE ROLE {PASSWORD_ROLE}"));
            shard.query(&format!("CREATE ROLE {user} LOGIN IN ROLE {PASSWORD_ROLE}"));
            shard.rows(&format!("ALTER ROLE {user} PASSWORD '{password}'"));
            let verifier = shard.value(&format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'"));
            lines.push_str(&format!("- {{name: {user}, verifier: \"{verifier}\"}}\n"));
        }
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}_users.yaml"));
        std::fs::write(&path, lines).expect("the users' file can be written");
        let settings = format!("auth: {{method: scram-sha-256, users_file: \"{}\"}}", path.display());
        World::start_on(
            servers,
            Spec {
                settings: &settings,
                ..Spec::empty(name, 1)
            },
        )
    }

    /// A plain Postgres in the proxy's place: what both sides answer then differs by accident only.
    pub fn start_direct(spec: Spec<'_>) -> World {
        let servers = Servers::shared();
        let layout = Layout::new(spec.layout, 1);
        let (oracle, subject) = (servers.oracle(), servers.shard(0));
        create(&spec, &[oracle, subject]);
        let mut rows = make_rows(&spec, oracle);
        for (table, _) in layout.tables() {
            pipeline(&mut log_in(subject, spec.name), &inserts(&mut rows, table));
        }
        World {
            servers,
            database: spec.name.to_owned(),
            shards: 1,
            tables: layout.tables().to_vec(),
            proxy: None,
        }
    }

    /// A world whose proxy works on the shards as this role, for which a superuser prepares each shard's database.
    pub fn start_as(spec: Spec<'_>, control: &str, prepare: impl Fn(&mut Client)) -> World {
        World::start_on_as(Servers::shared(), spec, control, prepare)
    }

    fn start_on(servers: Servers, spec: Spec<'_>) -> World {
        World::start_on_as(servers, spec, CONTROL_ROLE, |_| {})
    }

    fn start_on_as(servers: Servers, spec: Spec<'_>, control: &str, prepare: impl Fn(&mut Client)) -> World {
        let layout = Layout::new(spec.layout, spec.shards);
        let shards: Vec<SocketAddr> = (0..spec.shards).map(|shard| servers.shard(shard)).collect();
        create(&spec, &[&shards[..], &[servers.oracle()]].concat());
        shards
            .iter()
            .for_each(|shard| prepare(&mut superuser(*shard, spec.name)));
        let mut rows = make_rows(&spec, servers.oracle());
        for (table, placement) in layout.tables() {
            let holders = match placement {
                Placement::Reference => shards.as_slice(),
                Placement::Unsharded(shard) => std::slice::from_ref(&shards[*shard]),
                Placement::Sharded => continue,
            };
            let inserts = inserts(&mut rows, table);
            holders
                .iter()
                .for_each(|address| pipeline(&mut log_in(*address, spec.name), &inserts));
        }
        let proxy = Proxy::start(spec.name, &config(&spec, &layout, &shards, control));
        let world = World {
            servers,
            database: spec.name.to_owned(),
            shards: spec.shards,
            tables: layout.tables().to_vec(),
            proxy: Some(proxy),
        };
        for (table, placement) in layout.tables() {
            if *placement == Placement::Sharded {
                pipeline(&mut world.client(), &inserts(&mut rows, table));
            }
        }
        world
    }

    /// The proxy process.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("there is a proxy")
    }

    /// Gives its proxy away, to be ended or started again; [`World::serve_by`] brings one back.
    pub fn take_proxy(&mut self) -> Proxy {
        self.proxy.take().expect("there is a proxy")
    }

    /// From now on clients come in by this proxy.
    pub fn serve_by(&mut self, proxy: Proxy) {
        self.proxy = Some(proxy);
    }

    /// The servers behind.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// The tables of its layout, and where each lies.
    pub fn tables(&self) -> &[(String, Placement)] {
        &self.tables
    }

    /// The name of the test's database, the same everywhere.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// A session through the proxy, as the role [`CLIENT_ROLE`].
    pub fn client(&self) -> Client {
        let address = self.proxy.as_ref().map_or(self.servers.shard(0), Proxy::address);
        log_in(address, &self.database)
    }

    /// A session on the plain Postgres, as the role [`CLIENT_ROLE`].
    pub fn oracle(&self) -> Client {
        log_in(self.servers.oracle(), &self.database)
    }

    /// A superuser's session on a shard, past the proxy.
    pub fn shard(&self, index: usize) -> Client {
        superuser(self.servers.shard(index), &self.database)
    }

    /// A session in the proxy's admin database.
    pub fn admin(&self) -> Client {
        log_in(self.proxy().address(), "shardgate")
    }

    /// Waits, asking a shard again and again, until a query gives the value.
    pub fn wait_on_shard(&self, index: usize, sql: &str, value: &str) {
        wait_for(&mut self.shard(index), sql, value);
    }

    fn check_nothing_left(&mut self) {
        let ours = "datname = current_database() AND pid <> pg_backend_pid()";
        for shard in 0..self.shards {
            let mut shard = self.shard(shard);
            let open =
                format!("SELECT count(*) FROM pg_stat_activity WHERE {ours} AND state LIKE 'idle in transaction%'");
            wait_for(&mut shard, &open, "0");
            let prepared = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()";
            wait_for(&mut shard, prepared, "0");
        }
        if let Some(proxy) = &mut self.proxy {
            proxy.stop();
        }
        for shard in 0..self.shards {
            let backends =
                format!("SELECT count(*) FROM pg_stat_activity WHERE {ours} AND backend_type = 'client backend'");
            wait_for(&mut self.shard(shard), &backends, "0");
        }
    }

    fn drop_databases(&self) {
        for address in (0..self.shards)
            .map(|shard| self.servers.shard(shard))
            .chain([self.servers.oracle()])
        {
            superuser(address, "postgres").rows(&format!("DROP DATABASE {} WITH (FORCE)", self.database));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The log of a proxy says more than the assertion that failed before it.
            let log = self.proxy.as_ref().map(Proxy::log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            // Into the test's captured output.
            use std::io::Write;
            writeln!(std::io::stderr(), "--- the proxy's log ends with\n{}", tail.join("\n")).ok();
        } else {
            self.check_nothing_left();
            self.drop_databases();
        }
    }
}

/// Asks until the answer is the one waited for; the server does the waiting in between.
pub fn wait_for(client: &mut Client, sql: &str, value: &str) {
    const PAUSE_MS: u128 = 20;
    let mut last = String::new();
    for _ in 0..PATIENCE.as_millis() / PAUSE_MS {
        last = client.value(sql);
        if last == value {
            return;
        }
        client.rows(&format!("SELECT pg_sleep({})", PAUSE_MS as f64 / 1_000.0));
    }
    panic!("waited for {value:?}, got {last:?} to the end from\n{sql}");
}

fn log_in(address: SocketAddr, database: &str) -> Client {
    let parameters = [("user", CLIENT_ROLE), ("database", database)];
    Client::log_in(address, &parameters)
        .unwrap_or_else(|error| panic!("logging in to {database} at {address}: {error:?}"))
}

fn create(spec: &Spec<'_>, addresses: &[SocketAddr]) {
    for (index, address) in addresses.iter().enumerate() {
        create_database(*address, spec.name);
        // Servers with a history call one type by different numbers; here they always do.
        superuser(*address, spec.name).rows(&format!(
            "SELECT lo_unlink(lo_create(0)) FROM generate_series(1, {index})"
        ));
        run_script(&mut log_in(*address, spec.name), spec.schema);
    }
}

/// Runs the statements that make the rows; from this session they are read.
fn make_rows(spec: &Spec<'_>, oracle: SocketAddr) -> Client {
    let mut client = log_in(oracle, spec.name);
    run_script(&mut client, spec.data);
    client
}

fn create_database(address: SocketAddr, database: &str) {
    let mut client = superuser(address, "postgres");
    for role in [
        format!("{CLIENT_ROLE} LOGIN"),
        format!("{CONTROL_ROLE} LOGIN SUPERUSER"),
    ] {
        let answer = client.query(&format!("CREATE ROLE {role}"));
        // It exists, or another test creates it at this moment.
        let known = |code: &str| matches!(code, "42710" | "23505");
        let failed = answer
            .iter()
            .find(|message| message.tag == b'E' && !known(&message.code()));
        assert_eq!(failed, None, "creating role {role}");
    }
    client.query(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
    client.rows(&format!(
        "CREATE DATABASE {database} OWNER {CLIENT_ROLE} TEMPLATE template0"
    ));
    superuser(address, database).rows(&format!("ALTER SCHEMA public OWNER TO {CLIENT_ROLE}"));
}

fn run_script(client: &mut Client, script: &str) {
    if !script.trim().is_empty() {
        client.rows(script);
    }
}

/// One INSERT for each row of a table, in the order in which they lie there; none of a table that the test will create.
fn inserts(oracle: &mut Client, table: &str) -> Vec<String> {
    if oracle.value(&format!("SELECT to_regclass('{table}') IS NULL")) == "t" {
        return Vec::new();
    }
    let columns = "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum), \
        string_agg(format('quote_nullable(%I::text)', attname), ', ' ORDER BY attnum) \
        FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attrelid = ";
    let row = oracle.rows(&format!("{columns} '{table}'::regclass")).remove(0);
    let sql = format!(
        "SELECT 'INSERT INTO {table} ({}) VALUES (' || concat_ws(', ', {}) || ')' FROM {table} ORDER BY ctid",
        row[0].replace('\'', "''"),
        row[1]
    );
    oracle.rows(&sql).into_iter().map(|mut row| row.remove(0)).collect()
}

/// Sends statements without waiting for each answer; all have to succeed.
fn pipeline(client: &mut Client, statements: &[String]) {
    const AHEAD: usize = 64;
    for chunk in statements.chunks(AHEAD) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|sql| messages::query(sql)).collect();
        client.send(&bytes);
        for sql in chunk {
            let answer = client.read_batch();
            let failed = answer.iter().find(|message| message.tag == b'E');
            assert_eq!(failed, None, "{sql}");
            assert_eq!(
                answer.last().map(|last| last.tag),
                Some(b'Z'),
                "{sql}\nended with {answer:?}"
            );
        }
    }
}

/// The config that a spec's proxy would get, with made-up ports.
pub fn config_text(spec: &Spec<'_>) -> String {
    const PORT: u16 = 5_501;
    let shards: Vec<SocketAddr> = (PORT..).take(spec.shards).map(crate::servers::local).collect();
    config(spec, &Layout::new(spec.layout, spec.shards), &shards, CONTROL_ROLE)
}

fn config(spec: &Spec<'_>, layout: &Layout, shards: &[SocketAddr], control: &str) -> String {
    let auth = if spec.settings.starts_with("auth:") {
        ""
    } else {
        "auth: {method: trust}\n"
    };
    let mut text = format!(
        "version: 1\nlisten: 127.0.0.1:0\nhttp: 127.0.0.1:0\n{auth}database: {}\n{}\nshards:\n",
        spec.name, spec.settings
    );
    for (index, address) in shards.iter().enumerate() {
        let url = format!("postgres://{control}@{address}/{}", spec.name);
        text.push_str(&format!("  - {{name: s{index}, primary: \"{url}\"}}\n"));
    }
    text.push_str(layout.text());
    text
}

/// Runs `step` until it breaks or patience ends; for waits on something that no server can be asked about.
pub fn repeat<T>(what: &str, mut step: impl FnMut() -> ControlFlow<T>) -> T {
    const PAUSE_MS: u64 = 10;
    for _ in 0..PATIENCE.as_millis() / u128::from(PAUSE_MS) {
        if let ControlFlow::Break(value) = step() {
            return value;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(PAUSE_MS));
    }
    panic!("waited too long for {what}");
}
