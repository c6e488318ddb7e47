//! The first packet of a connection, before there are type bytes.
//!
//! Follows Postgres 15 `ProcessStartupPacket` (`postmaster/postmaster.c`), but cancel keys of protocol 3.2 (4 to 256
//! bytes) are taken too. Names of users and databases are cut to 63 bytes as there.

use super::error::StartupError;
use super::options::split_options;
use super::reader::Reader;

/// The longest startup packet, length word included (`MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_PACKET_LIMIT: usize = 10_000;

/// The longest cancel key (protocol 3.2).
pub const CANCEL_KEY_BYTES_MAX: usize = 256;

const CANCEL_KEY_BYTES_MIN: usize = 4;
const NAME_BYTES_MAX: usize = 63;
const CANCEL_CODE: u32 = 80_877_102;
const SSL_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProtocolVersion {
    /// 3
    pub major: u16,
    /// 0, or 2 since Postgres 18
    pub minor: u16,
}

/// What the first packet can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartupPacket {
    /// The client wants TLS: answer one byte, `S` or `N`. Anything buffered behind the request must be refused.
    Ssl,
    /// The client wants GSSAPI encryption: answer `N`; an SSLRequest may follow.
    Gss,
    /// Cancel what another connection runs; no answer, close.
    Cancel {
        /// process id from BackendKeyData
        process_id: i32,
        /// key from BackendKeyData
        key: Vec<u8>,
    },
    /// Begin a session.
    Startup(Startup),
}

/// A setting asked for at startup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// as written (`-` read as `_` where it came from `options`)
    pub name: String,
    /// as written
    pub value: String,
}

/// The `replication` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// an ordinary session
    No,
    /// `true`: physical replication
    Physical,
    /// `database`: logical replication
    Logical,
}

/// A request to begin a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// version asked for; above 3.0 answer NegotiateProtocolVersion
    pub protocol: ProtocolVersion,
    /// who
    pub user: String,
    /// where; the user's name if not said
    pub database: String,
    /// settings in the order in which Postgres applies them: those in `options` first; a later one of the same name wins
    pub settings: Vec<Setting>,
    /// whether replication is asked for
    pub replication: Replication,
    /// `_pq_.` options, none of which is known: named in NegotiateProtocolVersion
    pub unknown_options: Vec<String>,
}

impl Startup {
    /// Whether the client must be told that we speak 3.0 and none of its protocol options.
    pub fn needs_negotiation(&self) -> bool {
        self.protocol.minor > 0 || !self.unknown_options.is_empty()
    }
}

/// The startup packet at the start of `buffer` and how many bytes it takes; `None` if more are needed.
pub fn next_startup(buffer: &[u8]) -> Result<Option<(StartupPacket, usize)>, StartupError> {
    let Some(word) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::try_from(u32::from_be_bytes(*word)).map_err(|_wide| StartupError::Length)?;
    if !(8..=STARTUP_PACKET_LIMIT).contains(&length) {
        return Err(StartupError::Length);
    }
    let Some(packet) = buffer.get(..length) else {
        return Ok(None);
    };
    let (Some(code), Some(body)) = (packet.get(4..).and_then(<[u8]>::first_chunk::<4>), packet.get(8..)) else {
        return Err(StartupError::Length);
    };
    let packet = match u32::from_be_bytes(*code) {
        SSL_CODE if body.is_empty() => StartupPacket::Ssl,
        GSS_CODE if body.is_empty() => StartupPacket::Gss,
        SSL_CODE | GSS_CODE => return Err(StartupError::Length),
        CANCEL_CODE => parse_cancel(body)?,
        version => {
            let [a, b, c, d] = version.to_be_bytes();
            let protocol = ProtocolVersion {
                major: u16::from_be_bytes([a, b]),
                minor: u16::from_be_bytes([c, d]),
            };
            StartupPacket::Startup(parse_startup(protocol, body)?)
        }
    };
    Ok(Some((packet, length)))
}

fn parse_cancel(body: &[u8]) -> Result<StartupPacket, StartupError> {
    let (id, key) = body.split_first_chunk::<4>().ok_or(StartupError::CancelLength)?;
    if !(CANCEL_KEY_BYTES_MIN..=CANCEL_KEY_BYTES_MAX).contains(&key.len()) {
        return Err(StartupError::CancelLength);
    }
    Ok(StartupPacket::Cancel {
        process_id: i32::from_be_bytes(*id),
        key: key.to_vec(),
    })
}

fn parse_startup(protocol: ProtocolVersion, body: &[u8]) -> Result<Startup, StartupError> {
    if protocol.major != 3 {
        return Err(StartupError::Version {
            major: protocol.major,
            minor: protocol.minor,
        });
    }
    let mut user = String::new();
    let mut database = String::new();
    let mut options = Vec::new();
    let mut parameters = Vec::new();
    let mut replication = Replication::No;
    let mut unknown_options = Vec::new();
    for (name, value) in read_parameters(body)? {
        match name.as_str() {
            "user" => user = value,
            "database" => database = value,
            "options" => options = split_options(&value)?,
            "replication" => replication = parse_replication(&value)?,
            _ if name.starts_with("_pq_.") => unknown_options.push(name),
            _ => parameters.push(Setting { name, value }),
        }
    }
    if user.is_empty() {
        return Err(StartupError::NoUser);
    }
    if database.is_empty() {
        database.clone_from(&user);
    }
    truncate_name(&mut user);
    truncate_name(&mut database);
    options.append(&mut parameters);
    Ok(Startup {
        protocol,
        user,
        database,
        settings: options,
        replication,
        unknown_options,
    })
}

fn read_parameters(body: &[u8]) -> Result<Vec<(String, String)>, StartupError> {
    let mut reader = Reader::new(body);
    let mut parameters = Vec::new();
    loop {
        let name = reader.string().map_err(|_short| StartupError::Layout)?;
        if name.is_empty() {
            break;
        }
        let value = reader.string().map_err(|_short| StartupError::Layout)?;
        parameters.push((to_text(name, name)?, to_text(name, value)?));
    }
    reader.end().map_err(|_trailing| StartupError::Layout)?;
    Ok(parameters)
}

fn to_text(name: &[u8], bytes: &[u8]) -> Result<String, StartupError> {
    let text = str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|_invalid| StartupError::Encoding {
        name: String::from_utf8_lossy(name).into(),
    })
}

fn truncate_name(name: &mut String) {
    let mut end = NAME_BYTES_MAX.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
}

/// `database`, or a boolean as Postgres's `parse_bool` reads it: any prefix of true, false, yes, no that is unambiguous,
/// on, off (two letters at least), 1, 0; case doesn't matter.
fn parse_replication(value: &str) -> Result<Replication, StartupError> {
    if value == "database" {
        return Ok(Replication::Logical);
    }
    let folded = value.to_ascii_lowercase();
    let is = |word: &str, least: usize| folded.len() >= least && word.starts_with(&folded);
    if is("true", 1) || is("yes", 1) || folded == "on" || folded == "1" {
        Ok(Replication::Physical)
    } else if is("false", 1) || is("no", 1) || is("off", 2) || folded == "0" {
        Ok(Replication::No)
    } else {
        Err(StartupError::Replication {
            value: value.to_owned(),
        })
    }
}
