//! Names of transactions over several shards, and of their prepared parts.
//!
//! Why the transaction's name is a hash: `pg_prepared_xacts` shows gids to every role, and a decision row decides. Only
//! who knows the secret behind the name can have the shard's function insert its row; the committing proxy alone does,
//! and sends it only with the decision.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::topology::ShardId;

/// What every gid of ours begins with; clients may not use it.
pub const GID_PREFIX: &str = "sg:";

const BYTES: usize = 16;

/// The name of one transaction: unique forever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxId([u8; BYTES]);

/// What the committing proxy alone knows of a transaction.
#[derive(Clone, PartialEq, Eq)]
pub struct TxSecret([u8; BYTES]);

/// One prepared part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gid {
    /// whose part
    pub tx_id: TxId,
    /// where its decision stands
    pub decision: ShardId,
    /// the transaction there (`pg_current_xact_id()`)
    pub x: u64,
    /// the shard that holds this part: several may be in one cluster
    pub shard: ShardId,
}

impl TxSecret {
    /// From random bytes.
    pub const fn new(bytes: [u8; BYTES]) -> TxSecret {
        TxSecret(bytes)
    }

    /// The name that it proves: the first half of its SHA-256.
    pub fn tx_id(&self) -> TxId {
        let mut name = [0; BYTES];
        for (to, from) in name.iter_mut().zip(Sha256::digest(self.0)) {
            *to = from;
        }
        TxId(name)
    }

    /// As SQL's `\x…` form of bytea goes on.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for TxSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TxSecret")
    }
}

impl fmt::Display for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl TxId {
    /// Its first bytes, from which its lock is named.
    pub(super) fn head(&self) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.0;
        [a, b, c, d, e, f]
    }

    /// Reads the form that is printed: 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<TxId> {
        let digits = text.as_bytes();
        if digits.len() != 2 * BYTES {
            return None;
        }
        let mut name = [0; BYTES];
        for (to, pair) in name.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            if pair.bytes().any(|digit| digit.is_ascii_uppercase() || digit == b'+') {
                return None;
            }
            *to = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(TxId(name))
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (decision, shard) = (self.decision.index(), self.shard.index());
        write!(f, "{GID_PREFIX}{}:{decision}:{}:{shard}", self.tx_id, self.x)
    }
}

impl Gid {
    /// Reads what [`Gid`] prints; anything else is not ours.
    pub fn parse(text: &str) -> Option<Gid> {
        let mut parts = text.strip_prefix(GID_PREFIX)?.split(':');
        let gid = Gid {
            tx_id: TxId::parse(parts.next()?)?,
            decision: ShardId::new(parts.next()?.parse().ok()?)?,
            x: parts.next()?.parse().ok()?,
            shard: ShardId::new(parts.next()?.parse().ok()?)?,
        };
        (parts.next().is_none() && gid.to_string() == text).then_some(gid)
    }

    /// The part of the same transaction on another shard.
    #[must_use]
    pub const fn on(self, shard: ShardId) -> Gid {
        Gid { shard, ..self }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gid() -> Gid {
        Gid {
            tx_id: TxSecret::new([7; BYTES]).tx_id(),
            decision: ShardId::new(3).unwrap(),
            x: 4_294_967_297,
            shard: ShardId::new(12).unwrap(),
        }
    }

    #[test]
    fn a_gid_reads_back_what_it_prints() {
        let text = gid().to_string();
        assert_eq!(Gid::parse(&text), Some(gid()));
        assert!(text.len() < 200, "Postgres takes no longer gid: {text}");
    }

    #[test]
    fn nothing_else_is_a_gid() {
        let text = gid().to_string();
        let (upper, padded) = (text.to_uppercase(), text.replace(":3:", ":03:"));
        let longer = format!("{text}:1");
        for other in [
            "",
            "sg:",
            "sg:1:2:3:4",
            &upper,
            &padded,
            &longer,
            &text[1..],
            &text[..text.len() - 3],
        ] {
            assert_eq!(Gid::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_name_is_the_hash_that_the_servers_compute() {
        // SELECT left(encode(sha256('\x07070707070707070707070707070707'), 'hex'), 32)
        assert_eq!(TxSecret::new([7; BYTES]).hex(), "07".repeat(BYTES));
        assert_ne!(TxSecret::new([7; BYTES]).tx_id(), TxSecret::new([8; BYTES]).tx_id());
    }
}
