//! The users file: who may log in, with which verifier, and as whom on the shards.
//!
//! Holds: names are unique; no control role is among them; a verifier has the form that pg_authid stores.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::node::{self, Node, Value};
use crate::config::reader::Reader;
use crate::config::sections::is_true;
use crate::config::{Error, Method, Position, Role, Secret, Settings};

/// Users by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    users: BTreeMap<String, User>,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// the role's name
    pub name: String,
    /// `SCRAM-SHA-256$…` as pg_authid stores it
    pub verifier: Option<Secret>,
    /// may use the admin database
    pub admin: bool,
    /// for the shards, where the verifier there differs
    pub password: Option<Secret>,
}

impl Users {
    /// The user of that name.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }
}

/// Reads a users file, a list of mappings, and checks it against the settings that it belongs to.
pub fn parse_users(
    file: &str,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    settings: &Settings,
) -> Result<Users, Error> {
    let root = node::read(text).map_err(|problem| Error {
        file: file.to_owned(),
        problems: vec![problem],
    })?;
    let mut reader = Reader::new(environment);
    let mut users = BTreeMap::new();
    match &root.value {
        Value::List(items) => {
            let mut places = BTreeMap::new();
            for item in items {
                if let Some(user) = user(&mut reader, item, settings, &mut places) {
                    users.insert(user.name.clone(), user);
                }
            }
        }
        Value::Null | Value::Scalar(_) | Value::Map(_) => {
            reader.wrong(
                root.at,
                format!(
                    "the users file must be a list (`- name: …` lines), not {}",
                    root.described()
                ),
            );
        }
    }
    let problems = reader.into_problems();
    if problems.is_empty() {
        Ok(Users { users })
    } else {
        Err(Error {
            file: file.to_owned(),
            problems,
        })
    }
}

fn user(
    reader: &mut Reader<'_>,
    item: &Node,
    settings: &Settings,
    places: &mut BTreeMap<String, Position>,
) -> Option<User> {
    let fields = reader.fields(item, "users[]", "users");
    let name = fields.get("name").and_then(|node| reader.text(node, "users.name"));
    if let (Some(node), Some(name)) = (fields.get("name"), &name) {
        the_name(reader, node, name, settings, places);
    }
    let shown = name
        .as_deref()
        .map_or_else(|| "users".to_owned(), |name| format!("users.{name}"));
    let mut secret = |key: &str| {
        let node = fields.get(key)?;
        let text = reader.text(node, &format!("{shown}.{key}"))?;
        reader
            .expanded(node.at, &format!("{shown}.{key}"), &text)
            .map(|text| (text, node.at))
    };
    let verifier = secret("verifier");
    let password = secret("password").map(|(text, _)| Secret::new(text));
    if let Some((text, at)) = &verifier
        && !is_verifier(text)
    {
        let way = "copy it from the shard: SELECT rolpassword FROM pg_authid WHERE rolname = …";
        reader.wrong(
            *at,
            format!("{shown}.verifier is no SCRAM-SHA-256 verifier as pg_authid stores it; {way}"),
        );
    }
    if settings.auth.method == Method::Scram && fields.get("verifier").is_none() {
        reader.wrong(
            item.at,
            format!("{shown}.verifier is missing: auth.method is scram-sha-256"),
        );
    }
    if password.is_some() && settings.auth.role != Role::Own {
        let why = "is for the client's own role, and auth.role is shared";
        reader.wrong(
            fields.place("password"),
            format!("{shown}.password {why}; leave it out"),
        );
    }
    let admin = match fields.get("admin") {
        Some(node) => admin(reader, node, &format!("{shown}.admin")),
        None => false,
    };
    Some(User {
        name: name?,
        verifier: verifier.map(|(text, _)| Secret::new(text)),
        admin,
        password,
    })
}

fn the_name(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &str,
    settings: &Settings,
    places: &mut BTreeMap<String, Position>,
) {
    if let Some(first) = places.insert(name.to_owned(), node.at) {
        reader.wrong(
            node.at,
            format!("users: \"{name}\" occurs twice; first in line {}", first.line),
        );
    }
    if let Some(shard) = settings.shards.iter().find(|shard| shard.primary.user == name) {
        let why = format!(
            "\"{name}\" is the control role of shard {} (the user in its URL), which owns the proxy's own state",
            shard.name
        );
        reader.wrong(node.at, format!("users.name: {why}; clients need another role"));
    }
}

fn admin(reader: &mut Reader<'_>, node: &Node, shown: &str) -> bool {
    match &node.value {
        Value::Scalar(scalar) if scalar.text == "false" => false,
        Value::Scalar(_) | Value::Null | Value::List(_) | Value::Map(_) => is_true(reader, node, shown),
    }
}

/// `SCRAM-SHA-256$iterations:salt$stored:server`, keys of 32 bytes in base64.
fn is_verifier(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("SCRAM-SHA-256$") else {
        return false;
    };
    let Some((head, keys)) = rest.split_once('$') else {
        return false;
    };
    let Some((iterations, salt)) = head.split_once(':') else {
        return false;
    };
    let Some((stored, server)) = keys.split_once(':') else {
        return false;
    };
    let bytes = |text: &str| STANDARD.decode(text).map_or(0, |bytes| bytes.len());
    iterations.parse::<u32>().is_ok_and(|n| n > 0) && bytes(salt) > 0 && bytes(stored) == 32 && bytes(server) == 32
}
