//! Settings as (key, value), keys as the configuration file writes them.
//!
//! Holds: every field is taken apart by name, so that a new setting doesn't compile until it is shown or left out on
//! purpose; a password is never shown, only that there is one.

use std::time::Duration;

use crate::config::{
    Auth, Directives, Endpoint, Limits, Method, Pool, PoolMode, Rebalancer, Role, Settings, ShardSettings,
};
use crate::topology::{
    CategorySource, Declaration, DeclaredKeyspace, DeclaredStrategy, DeclaredTable, FunctionClass, HashStart,
    QualifiedName,
};

/// Settings in the order of `docs/configuration.md`.
pub(super) fn config_rows(settings: &Settings) -> Vec<(String, String)> {
    let Settings {
        listen,
        http,
        auth,
        database,
        pool,
        limits,
        directives,
        rebalancer,
        shards,
        declared,
        keeps_key,
    } = settings;
    let mut rows = Vec::new();
    put(
        &mut rows,
        "listen",
        listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    );
    put(
        &mut rows,
        "http",
        http.map_or_else(|| "off".to_owned(), |address| address.to_string()),
    );
    auth_rows(&mut rows, auth);
    put(&mut rows, "database", database);
    pool_rows(&mut rows, pool);
    limit_rows(&mut rows, limits);
    put(
        &mut rows,
        "directives",
        match directives {
            Directives::Off => "off",
            Directives::Comments => "comments",
        },
    );
    for shard in shards {
        shard_rows(&mut rows, shard);
    }
    match rebalancer {
        Rebalancer::Off => put(&mut rows, "rebalancer.policy", "off"),
        Rebalancer::Propose { threshold } => {
            put(&mut rows, "rebalancer.policy", "propose");
            put(&mut rows, "rebalancer.threshold", threshold.to_string());
        }
    }
    declared_rows(&mut rows, declared);
    for function in keeps_key {
        put(&mut rows, &format!("functions.{}", qualified(function)), "keeps_key");
    }
    rows
}

type Rows = Vec<(String, String)>;

fn put(rows: &mut Rows, key: &str, value: impl Into<String>) {
    rows.push((key.to_owned(), value.into()));
}

fn auth_rows(rows: &mut Rows, auth: &Auth) {
    let Auth {
        method,
        users_file,
        role,
    } = auth;
    put(
        rows,
        "auth.method",
        match method {
            Method::Trust => "trust",
            Method::Scram => "scram-sha-256",
        },
    );
    if let Some(file) = users_file {
        put(rows, "auth.users_file", file);
    }
    match role {
        Role::Own => put(rows, "auth.role", "own"),
        Role::Shared { name, password } => {
            put(rows, "auth.role", "shared");
            put(rows, "auth.name", name);
            if password.is_some() {
                put(rows, "auth.password", HIDDEN);
            }
        }
    }
}

fn pool_rows(rows: &mut Rows, pool: &Pool) {
    let Pool {
        size,
        mode,
        checkout_timeout,
        idle_timeout,
        pinned,
    } = pool;
    put(rows, "pool.size", size.to_string());
    put(
        rows,
        "pool.mode",
        match mode {
            PoolMode::Transaction => "transaction",
        },
    );
    put(rows, "pool.checkout_timeout", duration(*checkout_timeout));
    put(rows, "pool.idle_timeout", duration(*idle_timeout));
    put(rows, "pool.pinned", pinned.to_string());
}

fn limit_rows(rows: &mut Rows, limits: &Limits) {
    let Limits {
        clients,
        statement_timeout,
        idle_in_transaction_timeout,
        login_timeout,
    } = limits;
    put(rows, "limits.clients", clients.to_string());
    put(rows, "limits.statement_timeout", duration(*statement_timeout));
    put(
        rows,
        "limits.idle_in_transaction_timeout",
        duration(*idle_in_transaction_timeout),
    );
    put(rows, "limits.login_timeout", duration(*login_timeout));
}

fn shard_rows(rows: &mut Rows, shard: &ShardSettings) {
    let ShardSettings {
        name,
        primary,
        weight,
        capacity,
        labels,
    } = shard;
    let key = |what: &str| format!("shards.{name}.{what}");
    put(rows, &key("primary"), url(primary));
    put(rows, &key("weight"), weight.to_string());
    if let Some(capacity) = capacity {
        put(rows, &key("capacity"), capacity.to_string());
    }
    for (label, value) in labels {
        put(rows, &key(&format!("labels.{label}")), value);
    }
}

fn declared_rows(rows: &mut Rows, declared: &Declaration) {
    // Shards were shown with their addresses.
    let Declaration {
        shards: _,
        keyspaces,
        tables,
        functions,
        home,
        default_shard,
    } = declared;
    if let Some(shard) = home {
        put(rows, "home", shard);
    }
    if let Some(shard) = default_shard {
        put(rows, "default_shard", shard);
    }
    for keyspace in keyspaces {
        keyspace_rows(rows, keyspace);
    }
    for (name, table) in tables {
        put(
            rows,
            &format!("tables.{}", qualified(name)),
            match table {
                DeclaredTable::Sharded { keyspace, key } => format!("keyspace {keyspace}, key {key}"),
                DeclaredTable::Reference => "reference".to_owned(),
                DeclaredTable::Unsharded(shard) => format!("unsharded {shard}"),
            },
        );
    }
    for (name, class) in functions {
        put(
            rows,
            &format!("functions.{}", qualified(name)),
            match class {
                FunctionClass::Pure => "pure",
                FunctionClass::Local => "local",
            },
        );
    }
}

fn keyspace_rows(rows: &mut Rows, keyspace: &DeclaredKeyspace) {
    let DeclaredKeyspace {
        name,
        key_type,
        labels,
        strategy,
    } = keyspace;
    let key = |what: &str| format!("keyspaces.{name}.{what}");
    put(rows, &key("type"), key_type.name());
    for (label, value) in labels {
        put(rows, &key(&format!("labels.{label}")), value);
    }
    match strategy {
        DeclaredStrategy::Hash { buckets, start } => {
            put(rows, &key("strategy"), "hash");
            put(rows, &key("buckets"), buckets.to_string());
            if let HashStart::All(shard) = start {
                put(rows, &key("placement.all"), shard);
            }
        }
        DeclaredStrategy::Range { ranges } => {
            put(rows, &key("strategy"), "range");
            for (index, range) in ranges.iter().enumerate() {
                let until = range.until.as_deref().unwrap_or("the end");
                put(
                    rows,
                    &key(&format!("ranges.{index}")),
                    format!("until {until} on {}", range.shard),
                );
            }
        }
        DeclaredStrategy::Category {
            source,
            categories,
            default,
        } => {
            put(rows, &key("strategy"), "category");
            match source {
                CategorySource::Key => {}
                CategorySource::ByKey(by_key) => {
                    put(rows, &key("categories_by_key"), format!("{} keys", by_key.len()));
                }
                CategorySource::Lookup {
                    table,
                    key: column,
                    category,
                } => {
                    put(
                        rows,
                        &key("lookup"),
                        format!("{}: {column} to {category}", qualified(table)),
                    );
                }
            }
            for category in categories {
                put(
                    rows,
                    &key(&format!("categories.{}", category.name)),
                    category.shards.join(", "),
                );
                for (label, value) in &category.labels {
                    put(
                        rows,
                        &key(&format!("categories.{}.labels.{label}", category.name)),
                        value,
                    );
                }
            }
            if !default.is_empty() {
                put(rows, &key("default"), default.join(", "));
            }
        }
    }
}

const HIDDEN: &str = "(hidden)";

fn url(endpoint: &Endpoint) -> String {
    let Endpoint {
        host,
        port,
        user,
        password,
        database,
    } = endpoint;
    let password = if password.is_some() {
        format!(":{HIDDEN}")
    } else {
        String::new()
    };
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    format!("postgres://{user}{password}@{host}:{port}/{database}")
}

fn qualified(name: &QualifiedName) -> String {
    format!("{}.{}", name.schema, name.name)
}

/// As the configuration writes durations; zero is no bound.
fn duration(value: Duration) -> String {
    let ms = value.as_millis();
    match ms {
        0 => "0".to_owned(),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}
