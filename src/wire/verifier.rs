//! SCRAM-SHA-256 keys and the verifier that Postgres stores in `pg_authid.rolpassword`.
//!
//! Sources: RFC 5802, RFC 7677; Postgres 15 `common/scram-common.c`, `libpq/auth-scram.c`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::error::ScramError;

/// A SHA-256 hash or HMAC.
pub(super) type Key = [u8; 32];

/// The iteration count that Postgres writes (`SCRAM_DEFAULT_ITERATIONS`), also that of mock verifiers.
pub(super) const ITERATIONS_DEFAULT: u32 = 4096;

/// The most iterations computed here: about two seconds of CPU, so that a hostile peer can't stop a worker for long.
pub(super) const ITERATIONS_MAX: u32 = 2_000_000;

const SALT_BYTES: usize = 16;

/// What lets one log in to a server that holds the verifier, without knowing the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// proves the client to the server; a secret
    pub client_key: Key,
    /// proves the server to the client; stored in the verifier
    pub server_key: Key,
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScramKeys(hidden)")
    }
}

/// Whether anybody can log in by a verifier.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// read from a store or made from a password
    Real,
    /// made up for a user that doesn't exist: every proof is refused
    Mock,
}

/// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
    pub(super) standing: Standing,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Verifier(hidden)")
    }
}

impl Verifier {
    /// Reads a verifier as `pg_authid` stores it.
    pub fn parse(text: &str) -> Result<Verifier, ScramError> {
        let rest = text
            .strip_prefix("SCRAM-SHA-256$")
            .ok_or(ScramError::Verifier("it isn't SCRAM-SHA-256"))?;
        let (head, keys) = rest.split_once('$').ok_or(ScramError::Verifier("no keys"))?;
        let (iterations, salt) = head.split_once(':').ok_or(ScramError::Verifier("no salt"))?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(ScramError::Verifier("no ServerKey"))?;
        let iterations = iterations
            .parse()
            .map_err(|_digits| ScramError::Verifier("iterations"))?;
        if iterations == 0 || iterations > ITERATIONS_MAX {
            return Err(ScramError::Iterations(iterations));
        }
        Ok(Verifier {
            iterations,
            salt: STANDARD.decode(salt).map_err(|_base64| ScramError::Verifier("salt"))?,
            stored_key: decode_key(stored_key.as_bytes()).ok_or(ScramError::Verifier("StoredKey"))?,
            server_key: decode_key(server_key.as_bytes()).ok_or(ScramError::Verifier("ServerKey"))?,
            standing: Standing::Real,
        })
    }

    /// The verifier of a password under a salt (16 random bytes), as Postgres would store it.
    pub fn from_password(password: &str, salt: &[u8]) -> Verifier {
        Verifier::from_password_with(password, salt, ITERATIONS_DEFAULT)
    }

    /// The same with another iteration count (clamped to what is computed here).
    pub fn from_password_with(password: &str, salt: &[u8], iterations: u32) -> Verifier {
        let iterations = iterations.clamp(1, ITERATIONS_MAX);
        let keys = derive_keys(password, salt, iterations);
        Verifier {
            iterations,
            salt: salt.to_vec(),
            stored_key: hash(&[&keys.client_key]),
            server_key: keys.server_key,
            standing: Standing::Real,
        }
    }

    /// A verifier for a user that doesn't exist: the same salt each time, so that users can't be told from
    /// non-users, and no proof fits (`mock_scram_secret` in Postgres). `secret` is drawn once per process or cluster.
    pub fn mock(user: &str, secret: &[u8]) -> Verifier {
        let salt = hash(&[user.as_bytes(), secret]);
        Verifier {
            iterations: ITERATIONS_DEFAULT,
            salt: salt.iter().take(SALT_BYTES).copied().collect(),
            stored_key: [0; 32],
            server_key: [0; 32],
            standing: Standing::Mock,
        }
    }

    /// As `pg_authid` stores it.
    pub fn to_text(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key)
        )
    }

    /// Whether a password is the one this verifier was made of.
    pub fn matches(&self, password: &str) -> bool {
        let keys = derive_keys(password, &self.salt, self.iterations);
        let stored = is_equal(&hash(&[&keys.client_key]), &self.stored_key);
        match self.standing {
            Standing::Real => stored && is_equal(&keys.server_key, &self.server_key),
            Standing::Mock => false,
        }
    }

    /// Whether keys belong to this verifier.
    pub fn owns(&self, keys: &ScramKeys) -> bool {
        match self.standing {
            Standing::Real => {
                is_equal(&hash(&[&keys.client_key]), &self.stored_key) && is_equal(&keys.server_key, &self.server_key)
            }
            Standing::Mock => false,
        }
    }
}

/// ClientKey and ServerKey of a password. SASLprep is pgwire's, and a password that it refuses is used as its raw bytes,
/// as in Postgres.
pub(super) fn derive_keys(password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
    let count = usize::try_from(iterations.max(1)).unwrap_or(1);
    let salted = pgwire::api::auth::sasl::scram::gen_salted_password(password, salt, count);
    ScramKeys {
        client_key: sign(&salted, &[b"Client Key"]),
        server_key: sign(&salted, &[b"Server Key"]),
    }
}

/// HMAC-SHA-256 over the parts, one after the other.
pub(super) fn sign(key: &[u8], parts: &[&[u8]]) -> Key {
    // HMAC takes keys of any length: the error type says "invalid length", which it never returns.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// SHA-256 over the parts, one after the other.
pub(super) fn hash(parts: &[&[u8]]) -> Key {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().into()
}

/// Byte-wise exclusive or.
pub(super) fn xor(left: &Key, right: &Key) -> Key {
    let mut out = *left;
    out.iter_mut().zip(right).for_each(|(byte, other)| *byte ^= other);
    out
}

/// Equality that takes the same time wherever the first difference is.
pub(super) fn is_equal(left: &Key, right: &Key) -> bool {
    left.iter().zip(right).fold(0_u8, |differs, (a, b)| differs | (a ^ b)) == 0
}

pub(super) fn decode_key(text: &[u8]) -> Option<Key> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
