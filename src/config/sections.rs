//! A whole file: section by section, then what only all of them together can tell.
//!
//! Holds: a problem in one section doesn't hide those in another; defaults stand here, each once.

use core::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::config::node::{self, Class, Node, Value};
use crate::config::reader::{Choice, Fields, Reader};
use crate::config::scalars::{Zero, address, duration, number_at, whole};
use crate::config::shards::{self, Shards};
use crate::config::{
    Auth, Directives, Error, Limits, Method, Pool, PoolMode, Rebalancer, Role, Secret, Settings, ShardSettings, spaces,
    tables,
};
use crate::topology::{Declaration, Shard, ShardState};

/// The port that PgBouncer's users know.
const LISTEN: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6432);
/// Above it a burst has little room left before statements wait.
const THRESHOLD: f64 = 0.7;
/// The admin database's name.
const ADMIN_DATABASE: &str = "shardgate";

/// Reads and checks a configuration; `environment` answers `${NAME}`. All problems come back, in order of place.
pub fn parse(file: &str, text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Error> {
    let root = node::read(text).map_err(|problem| Error {
        file: file.to_owned(),
        problems: vec![problem],
    })?;
    let mut reader = Reader::new(environment);
    let settings = settings(&mut reader, &root);
    let problems = reader.into_problems();
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        Some(_) | None => Err(Error {
            file: file.to_owned(),
            problems,
        }),
    }
}

fn settings(reader: &mut Reader<'_>, root: &Node) -> Option<Settings> {
    let fields = reader.fields(root, "", "");
    if !matches!(root.value, Value::Map(_)) {
        return None;
    }
    if let Some(node) = fields.get("version") {
        version(reader, node);
    }
    let listen = listen(reader, &fields);
    let http = http(reader, &fields);
    let auth = auth(reader, &fields, &listen);
    for section in ["tls", "topology", "lane", "gather"] {
        if let Some(node) = fields.get(section) {
            reader.fields(node, section, section);
        }
    }
    let database = database(reader, &fields);
    let pool = pool(reader, &fields);
    let limits = limits(reader, &fields);
    let directives = directives(reader, &fields);
    let rebalancer = rebalancer(reader, &fields);
    let shards = shards::shards(reader, &fields, database.as_deref().unwrap_or_default());
    control_role_is_nobodys(reader, &fields, &auth, &shards);
    let home = shards::one(reader, &fields, "home", &shards);
    let default_shard = shards::one(reader, &fields, "default_shard", &shards);
    let keyspaces = spaces::keyspaces(reader, &fields, &shards);
    let tables = tables::tables(reader, &fields, &shards, &keyspaces);
    let functions = tables::functions(reader, &fields);
    let declared = Declaration {
        shards: shards.settings().iter().map(declared_shard).collect(),
        home: home.or_else(|| shards.first_name()),
        default_shard,
        keyspaces: keyspaces.into_iter().map(|keyspace| keyspace.declared).collect(),
        tables,
        functions: functions.classes,
    };
    Some(Settings {
        listen: listen.into_iter().map(|(address, _)| address).collect(),
        http,
        auth,
        database: database?,
        pool,
        limits,
        directives,
        rebalancer,
        keeps_key: functions.keeps_key,
        declared,
        shards: shards.into_settings(),
    })
}

fn rebalancer(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Rebalancer {
    let Some(node) = fields.get("rebalancer") else {
        return Rebalancer::Off;
    };
    let fields = reader.fields(node, "rebalancer", "rebalancer");
    let choices = vec![
        ("off", Choice::Here(false)),
        ("propose", Choice::Here(true)),
        (
            "auto",
            Choice::NotHere("use propose: what is proposed waits for an operator"),
        ),
    ];
    let proposes = fields
        .get("policy")
        .and_then(|node| reader.choice(node, "rebalancer.policy", choices))
        .unwrap_or(true);
    let threshold = fields
        .get("threshold")
        .and_then(|node| number_at(reader, node, "rebalancer.threshold", 0.1..=0.95))
        .unwrap_or(THRESHOLD);
    if proposes {
        Rebalancer::Propose { threshold }
    } else {
        Rebalancer::Off
    }
}

fn declared_shard(shard: &ShardSettings) -> Shard {
    let (name, weight, labels) = (shard.name.clone(), shard.weight, shard.labels.clone());
    Shard {
        name,
        weight,
        labels,
        state: ShardState::Serving,
    }
}

fn version(reader: &mut Reader<'_>, node: &Node) {
    if reader
        .scalar(node, "version", "1")
        .is_some_and(|scalar| scalar.text != "1")
    {
        reader.wrong(
            node.at,
            format!(
                "version must be 1, the only one that this program reads, not {}",
                node.described()
            ),
        );
    }
}

fn listen<'n>(reader: &mut Reader<'_>, fields: &Fields<'n>) -> Vec<(SocketAddr, Option<&'n Node>)> {
    let Some(node) = fields.get("listen") else {
        return vec![(LISTEN, None)];
    };
    let mut addresses: Vec<(SocketAddr, Option<&Node>)> = Vec::new();
    for item in reader.list(node, "listen") {
        let Some(address) = address(reader, item, "listen") else {
            continue;
        };
        if address.port() != 0 && addresses.iter().any(|(earlier, _)| *earlier == address) {
            reader.wrong(item.at, format!("listen: {address} occurs twice"));
        }
        addresses.push((address, Some(item)));
    }
    addresses
}

fn http(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<SocketAddr> {
    let node = fields.get("http")?;
    let address = address(reader, node, "http")?;
    if !address.ip().is_loopback() {
        let why = "HTTP has no authentication in this version, so it must stay on loopback";
        reader.wrong(
            node.at,
            format!(
                "http: {address} is not a loopback address: {why}; use 127.0.0.1:{}",
                address.port()
            ),
        );
    }
    Some(address)
}

fn auth(reader: &mut Reader<'_>, fields: &Fields<'_>, listen: &[(SocketAddr, Option<&Node>)]) -> Auth {
    let Some(node) = fields.get("auth") else {
        let why =
            "the default method, scram-sha-256, needs auth.users_file; on loopback auth: {method: trust} needs none";
        reader.wrong(fields.at, format!("auth is missing: {why}"));
        return Auth {
            method: Method::Scram,
            users_file: None,
            role: Role::Own,
        };
    };
    let auth = reader.fields(node, "auth", "auth");
    let method = match auth.get("method") {
        None => Method::Scram,
        Some(node) => {
            let choices = vec![
                ("scram-sha-256", Choice::Here(Method::Scram)),
                ("trust", Choice::Here(Method::Trust)),
                ("cert", Choice::NotHere("use scram-sha-256")),
            ];
            reader.choice(node, "auth.method", choices).unwrap_or(Method::Scram)
        }
    };
    let users_file = auth
        .get("users_file")
        .and_then(|node| reader.text(node, "auth.users_file"));
    if method == Method::Scram && auth.get("users_file").is_none() {
        reader.wrong(
            node.at,
            "auth.users_file is missing: scram-sha-256 needs the users' verifiers",
        );
    }
    if method == Method::Trust {
        for (address, node) in listen.iter().filter(|(address, _)| !address.ip().is_loopback()) {
            let at = node.map_or(fields.at, |node| node.at);
            let way = "use auth.method: scram-sha-256, or listen on 127.0.0.1";
            reader.wrong(
                at,
                format!("listen: {address} is not a loopback address, and auth.method is trust; {way}"),
            );
        }
    }
    Auth {
        method,
        users_file,
        role: role(reader, &auth),
    }
}

fn role(reader: &mut Reader<'_>, auth: &Fields<'_>) -> Role {
    enum Word {
        Own,
        Shared,
    }
    let choices = vec![("own", Choice::Here(Word::Own)), ("shared", Choice::Here(Word::Shared))];
    let word = auth
        .get("role")
        .and_then(|node| reader.choice(node, "auth.role", choices))
        .unwrap_or(Word::Own);
    let name = auth.get("name").and_then(|node| reader.text(node, "auth.name"));
    let password = auth.get("password").and_then(|node| {
        let text = reader.text(node, "auth.password")?;
        reader.expanded(node.at, "auth.password", &text).map(Secret::new)
    });
    match word {
        Word::Shared => {
            if auth.get("name").is_none() {
                reader.wrong(
                    auth.place("role"),
                    "auth.name is missing: role: shared needs the role's name",
                );
            }
            Role::Shared {
                name: name.unwrap_or_default(),
                password,
            }
        }
        Word::Own => {
            for key in ["name", "password"] {
                if auth.get(key).is_some() {
                    reader.wrong(
                        auth.place(key),
                        format!("auth.{key} belongs to role: shared; here every client has its own"),
                    );
                }
            }
            Role::Own
        }
    }
}

fn control_role_is_nobodys(reader: &mut Reader<'_>, fields: &Fields<'_>, auth: &Auth, shards: &Shards) {
    let Role::Shared { name, .. } = &auth.role else { return };
    let at = fields.get("auth").map_or(fields.at, |node| {
        let auth = reader.fields(node, "auth", "auth");
        auth.get("name").map_or(node.at, |name| name.at)
    });
    if let Some(shard) = shards.with_control_role(name) {
        let why = format!(
            "\"{name}\" is the control role of shard {shard} (the user in its URL), which owns the proxy's own state"
        );
        reader.wrong(at, format!("auth.name: {why}; use another role"));
    }
}

fn database(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get("database")?;
    let name = reader.text(node, "database")?;
    if name == ADMIN_DATABASE {
        reader.wrong(
            node.at,
            format!("database: {ADMIN_DATABASE} is the name of the admin database; choose another"),
        );
    }
    if name.len() > 63 {
        reader.wrong(node.at, "database: a name has at most 63 bytes");
    }
    Some(name)
}

fn pool(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Pool {
    let default = Pool {
        size: 20,
        mode: PoolMode::Transaction,
        checkout_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(300),
        pinned: 20,
    };
    let Some(node) = fields.get("pool") else { return default };
    let pool = reader.fields(node, "pool", "pool");
    let size = whole(reader, &pool, "size", 1..=10_000, default.size);
    if let Some(node) = pool.get("mode") {
        let choices = vec![
            ("transaction", Choice::Here(PoolMode::Transaction)),
            (
                "session",
                Choice::NotHere("use transaction: what can't be replayed pins its backend to the session by itself"),
            ),
            (
                "statement",
                Choice::NotHere("use transaction, which keeps transactions whole"),
            ),
        ];
        reader.choice(node, "pool.mode", choices);
    }
    Pool {
        size,
        mode: PoolMode::Transaction,
        checkout_timeout: duration(
            reader,
            &pool,
            "checkout_timeout",
            Zero::Refused,
            default.checkout_timeout,
        ),
        idle_timeout: duration(reader, &pool, "idle_timeout", Zero::Allowed, default.idle_timeout),
        pinned: whole(reader, &pool, "pinned", 0..=10_000, size),
    }
}

fn limits(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Limits {
    let default = Limits {
        clients: 10_000,
        statement_timeout: Duration::ZERO,
        idle_in_transaction_timeout: Duration::ZERO,
        login_timeout: Duration::from_secs(10),
    };
    let Some(node) = fields.get("limits") else {
        return default;
    };
    let limits = reader.fields(node, "limits", "limits");
    let zero = Zero::Allowed;
    Limits {
        clients: whole(reader, &limits, "clients", 1..=1_000_000, default.clients),
        statement_timeout: duration(reader, &limits, "statement_timeout", zero, default.statement_timeout),
        idle_in_transaction_timeout: duration(
            reader,
            &limits,
            "idle_in_transaction_timeout",
            zero,
            default.idle_in_transaction_timeout,
        ),
        login_timeout: duration(reader, &limits, "login_timeout", Zero::Refused, default.login_timeout),
    }
}

fn directives(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Directives {
    let choices = vec![
        ("off", Choice::Here(Directives::Off)),
        ("comments", Choice::Here(Directives::Comments)),
    ];
    let node = fields.get("directives");
    node.and_then(|node| reader.choice(node, "directives", choices))
        .unwrap_or(Directives::Off)
}

/// `true` and nothing else.
pub(super) fn is_true(reader: &mut Reader<'_>, node: &Node, shown: &str) -> bool {
    match reader.scalar(node, shown, "true") {
        Some(scalar) if scalar.class == Class::Boolean && scalar.text.eq_ignore_ascii_case("true") => true,
        Some(_) => {
            reader.wrong(
                node.at,
                format!("{shown} must be true, or be left out; not {}", node.described()),
            );
            false
        }
        None => false,
    }
}
