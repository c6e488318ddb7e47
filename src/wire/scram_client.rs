//! SCRAM-SHA-256, the client's half: by password, or by the keys that a client's own login revealed.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::ScramError;
use super::scram_server::attribute;
use super::verifier::{ITERATIONS_MAX, Key, ScramKeys, derive_keys, hash, is_equal, sign, xor};

/// What the client knows.
#[derive(Clone)]
pub enum ScramSecret {
    /// the password
    Password(String),
    /// what the password and the verifier's salt make; the server must hold that same verifier
    Keys(ScramKeys),
}

impl fmt::Debug for ScramSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScramSecret(hidden)")
    }
}

/// An exchange whose first message has been sent.
#[derive(Debug)]
pub struct ScramClient {
    secret: ScramSecret,
    nonce: String,
    first_bare: String,
}

/// An exchange whose proof has been sent; the server still has to prove itself.
pub struct ScramClientProof {
    signature: Key,
    keys: ScramKeys,
}

impl fmt::Debug for ScramClientProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScramClientProof(hidden)")
    }
}

impl ScramClient {
    /// Begins: returns the exchange and the first message. `nonce` is at least 18 random bytes in base64.
    pub fn begin(secret: ScramSecret, nonce: &str) -> (ScramClient, Vec<u8>) {
        let first_bare = format!("n=,r={nonce}");
        let first = format!("n,,{first_bare}").into_bytes();
        (
            ScramClient {
                secret,
                nonce: nonce.to_owned(),
                first_bare,
            },
            first,
        )
    }

    /// Answers the server's challenge: returns the exchange and the final message.
    pub fn respond(self, server_first: &[u8]) -> Result<(ScramClientProof, Vec<u8>), ScramError> {
        let text = str::from_utf8(server_first).map_err(|_bytes| ScramError::Malformed("it isn't text"))?;
        let mut attributes = text.split(',');
        let nonce = attribute(attributes.next(), 'r')?;
        let salt = attribute(attributes.next(), 's')?;
        let iterations = attribute(attributes.next(), 'i')?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Malformed("nonce does not match"));
        }
        let salt = STANDARD.decode(salt).map_err(|_base64| ScramError::Malformed("salt"))?;
        let iterations: u32 = iterations
            .parse()
            .map_err(|_digits| ScramError::Malformed("iteration count"))?;
        if iterations == 0 || iterations > ITERATIONS_MAX {
            return Err(ScramError::Iterations(iterations));
        }
        let keys = match self.secret {
            ScramSecret::Password(password) => derive_keys(&password, &salt, iterations),
            ScramSecret::Keys(keys) => keys,
        };
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{text},{without_proof}", self.first_bare);
        let stored_key = hash(&[&keys.client_key]);
        let proof = xor(&keys.client_key, &sign(&stored_key, &[message.as_bytes()]));
        let last = format!("{without_proof},p={}", STANDARD.encode(proof)).into_bytes();
        let signature = sign(&keys.server_key, &[message.as_bytes()]);
        Ok((ScramClientProof { signature, keys }, last))
    }
}

impl ScramClientProof {
    /// Checks the server's final message; returns the keys, which spare the key derivation at the next login.
    pub fn verify(self, server_final: &[u8]) -> Result<ScramKeys, ScramError> {
        let text = str::from_utf8(server_final).map_err(|_bytes| ScramError::Malformed("it isn't text"))?;
        if text.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let signature = attribute(text.split(',').next(), 'v')?;
        let signature = super::verifier::decode_key(signature.as_bytes()).ok_or(ScramError::ServerSignature)?;
        if is_equal(&signature, &self.signature) {
            Ok(self.keys)
        } else {
            Err(ScramError::ServerSignature)
        }
    }
}
