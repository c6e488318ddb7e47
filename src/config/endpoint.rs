//! The address of one Postgres database, from a `postgres://` URL.
//!
//! Why parts are expanded after the URL is cut: a password from the environment may contain `@` or `/`. A URL that is
//! one `${NAME}` alone is expanded first. Holds: messages never repeat the URL, since it may hold a password.

use crate::config::node::Node;
use crate::config::reader::Reader;
use crate::config::{Position, Secret};

/// Where and as whom to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// name or address
    pub host: String,
    /// TCP port
    pub port: u16,
    /// the control role
    pub user: String,
    /// its password
    pub password: Option<Secret>,
    /// on that server
    pub database: String,
}

impl Endpoint {
    /// `host:port`, for people.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The whole URL, password included: for the login alone, never for a message.
    pub fn url(&self) -> String {
        let password = self
            .password
            .as_ref()
            .map(|secret| format!(":{}", encoded(secret.reveal())))
            .unwrap_or_default();
        format!(
            "postgres://{}{password}@{}/{}",
            encoded(&self.user),
            self.address(),
            encoded(&self.database)
        )
    }

    /// Do two endpoints name the same database, as far as their spelling tells?
    pub fn is_same_database(&self, other: &Endpoint) -> bool {
        let host = |endpoint: &Endpoint| match endpoint.host.to_ascii_lowercase().as_str() {
            "localhost" | "::1" => "127.0.0.1".to_owned(),
            host => host.to_owned(),
        };
        host(self) == host(other) && self.port == other.port && self.database == other.database
    }
}

/// Percent-encodes all that has a meaning in a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Reads a URL; `database` is meant where the URL names none.
pub(super) fn endpoint(reader: &mut Reader<'_>, node: &Node, shown: &str, database: &str) -> Option<Endpoint> {
    let written = reader.text(node, shown)?;
    let is_one_variable = written.starts_with("${") && written.find('}') == Some(written.len().saturating_sub(1));
    let url = if is_one_variable {
        reader.expanded(node.at, shown, &written)?
    } else {
        written
    };
    let parts = match cut(&url) {
        Ok(parts) => parts,
        Err(why) => {
            reader.wrong(
                node.at,
                format!("{shown} must be a URL like postgres://user@host:5432/database: {why}"),
            );
            return None;
        }
    };
    let mut part = |text: &str| decoded(reader, node.at, shown, text);
    let host = part(parts.host)?;
    let port = part(parts.port.unwrap_or("5432"))?;
    let user = part(parts.user)?;
    let password = match parts.password {
        Some(text) => Some(Secret::new(part(text)?)),
        None => None,
    };
    let database = match parts.database {
        Some(text) => part(text)?,
        None => database.to_owned(),
    };
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        Ok(_) | Err(_) => {
            reader.wrong(node.at, format!("{shown}: the port must be a number from 1 to 65535"));
            return None;
        }
    };
    if host.starts_with('/') {
        reader.wrong(
            node.at,
            format!("{shown}: a Unix socket is not in this version; use a host and port"),
        );
        return None;
    }
    Some(Endpoint {
        host,
        port,
        user,
        password,
        database,
    })
}

struct Parts<'u> {
    user: &'u str,
    password: Option<&'u str>,
    host: &'u str,
    port: Option<&'u str>,
    database: Option<&'u str>,
}

fn cut(url: &str) -> Result<Parts<'_>, String> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or("it begins with postgres:// or postgresql://")?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, query),
        None => (rest, ""),
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter {
            "sslmode=disable" => {}
            _ if parameter.starts_with("sslmode=") => {
                return Err("TLS towards shards is not in this version; write sslmode=disable or nothing".to_owned());
            }
            _ => {
                let name = parameter.split('=').next().unwrap_or(parameter);
                return Err(format!("the parameter \"{name}\" isn't known; only sslmode=disable is"));
            }
        }
    }
    let (login, place) = rest
        .rsplit_once('@')
        .ok_or("a user is needed, it is the control role")?;
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let (authority, database) = match place.split_once('/') {
        Some((authority, database)) => (authority, Some(database).filter(|name| !name.is_empty())),
        None => (place, None),
    };
    if authority.contains(',') {
        return Err("several hosts in one URL are not in this version".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or("\"[\" without its \"]\"")?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if user.is_empty() {
        return Err("a user is needed, it is the control role".to_owned());
    }
    if host.is_empty() {
        return Err("a host is needed".to_owned());
    }
    Ok(Parts {
        user,
        password,
        host,
        port,
        database,
    })
}

/// Percent-decoding, then `${NAME}`.
fn decoded(reader: &mut Reader<'_>, at: Position, shown: &str, text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| {
            byte.and_then(|b| char::from(b).to_digit(16))
                .and_then(|d| u8::try_from(d).ok())
        };
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) => bytes.push(high * 16 + low),
            _ => {
                reader.wrong(at, format!("{shown}: \"%\" must be followed by two hexadecimal digits"));
                return None;
            }
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => reader.expanded(at, shown, &text),
        Err(_) => {
            reader.wrong(at, format!("{shown}: it isn't UTF-8 after percent-decoding"));
            None
        }
    }
}
