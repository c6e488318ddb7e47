//! SCRAM-SHA-256, the server's half, without TLS and so without channel binding.
//!
//! Why our own: the ClientKey that a client's proof reveals (`proof XOR HMAC(StoredKey, AuthMessage)`) is what lets the
//! proxy log in to a shard as that client; pgwire's server drops it. Follows Postgres 15 `libpq/auth-scram.c`.
//!
//! Holds: a nonce is used once; a refusal doesn't tell an unknown user from a wrong password.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::ScramError;
use super::verifier::{Key, ScramKeys, Standing, Verifier, decode_key, hash, is_equal, sign, xor};

/// The only mechanism spoken.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";

/// An exchange whose challenge has been sent.
pub struct ScramServer {
    verifier: Verifier,
    /// `gs2-cbind-flag`, `n` or `y`, as the client sent it
    binding: char,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

impl fmt::Debug for ScramServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScramServer(hidden)")
    }
}

/// A client that has proven itself.
#[derive(Debug)]
pub struct ScramSuccess {
    /// for AuthenticationSASLFinal
    pub server_final: Vec<u8>,
    /// lets the proxy log in elsewhere as this client
    pub keys: ScramKeys,
}

impl ScramServer {
    /// Takes the client's first message; returns the exchange and the challenge for AuthenticationSASLContinue.
    ///
    /// `nonce` is the server's part: at least 18 random bytes in base64. The user named in the message is ignored, as in
    /// Postgres: the startup packet's counts.
    pub fn begin(verifier: Verifier, client_first: &[u8], nonce: &str) -> Result<(ScramServer, Vec<u8>), ScramError> {
        let text = str::from_utf8(client_first).map_err(|_bytes| ScramError::Malformed("it isn't text"))?;
        let first = ClientFirst::parse(text)?;
        let nonce = format!("{}{nonce}", first.nonce);
        let server_first = format!(
            "r={nonce},s={},i={}",
            STANDARD.encode(&verifier.salt),
            verifier.iterations
        );
        let challenge = server_first.clone().into_bytes();
        let client_first_bare = first.bare.to_owned();
        Ok((
            ScramServer {
                verifier,
                binding: first.binding,
                client_first_bare,
                server_first,
                nonce,
            },
            challenge,
        ))
    }

    /// Takes the client's final message: the proof.
    pub fn finish(self, client_final: &[u8]) -> Result<ScramSuccess, ScramError> {
        let text = str::from_utf8(client_final).map_err(|_bytes| ScramError::Malformed("it isn't text"))?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed("no proof"))?;
        let proof = decode_key(proof.as_bytes()).ok_or(ScramError::Malformed("the proof isn't 32 bytes in base64"))?;
        let mut attributes = without_proof.split(',');
        let binding = attribute(attributes.next(), 'c')?;
        if binding != STANDARD.encode(format!("{},,", self.binding)) {
            return Err(ScramError::Malformed("unexpected channel-binding attribute"));
        }
        if attribute(attributes.next(), 'r')? != self.nonce {
            return Err(ScramError::Malformed("nonce does not match"));
        }
        let message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let client_key = self
            .recover_client_key(&proof, message.as_bytes())
            .ok_or(ScramError::Refused)?;
        let signature = sign(&self.verifier.server_key, &[message.as_bytes()]);
        Ok(ScramSuccess {
            server_final: format!("v={}", STANDARD.encode(signature)).into_bytes(),
            keys: ScramKeys {
                client_key,
                server_key: self.verifier.server_key,
            },
        })
    }

    /// The ClientKey, if its hash is the StoredKey.
    fn recover_client_key(&self, proof: &Key, message: &[u8]) -> Option<Key> {
        let client_key = xor(proof, &sign(&self.verifier.stored_key, &[message]));
        let is_right = is_equal(&hash(&[&client_key]), &self.verifier.stored_key);
        match self.verifier.standing {
            Standing::Real => is_right.then_some(client_key),
            Standing::Mock => None,
        }
    }
}

struct ClientFirst<'a> {
    binding: char,
    bare: &'a str,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    fn parse(text: &'a str) -> Result<ClientFirst<'a>, ScramError> {
        let (binding, rest) = text
            .split_once(',')
            .ok_or(ScramError::Malformed("no channel-binding flag"))?;
        let binding = match binding {
            "n" => 'n',
            "y" => 'y',
            _ if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed("unexpected channel-binding flag")),
        };
        let (identity, bare) = rest.split_once(',').ok_or(ScramError::Malformed("comma expected"))?;
        if !identity.is_empty() {
            return Err(ScramError::Unsupported("authorization identity"));
        }
        let mut attributes = bare.split(',');
        let user = attributes.next().unwrap_or_default();
        if user.starts_with("m=") {
            return Err(ScramError::Unsupported("a mandatory SCRAM extension"));
        }
        attribute(Some(user), 'n')?;
        let nonce = attribute(attributes.next(), 'r')?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte)) {
            return Err(ScramError::Malformed("non-printable characters in SCRAM nonce"));
        }
        Ok(ClientFirst { binding, bare, nonce })
    }
}

/// The value of attribute `name` in `name=value`.
pub(super) fn attribute(text: Option<&str>, name: char) -> Result<&str, ScramError> {
    text.and_then(|text| text.strip_prefix(name))
        .and_then(|rest| rest.strip_prefix('='))
        .ok_or(ScramError::Malformed("an expected attribute is missing"))
}
