//! OIDs of user types and tables: home's are the client's, a shard's may differ.

use std::collections::BTreeMap;

use crate::value::Oid;

/// Both directions for one shard; what isn't in it is equal on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OidMap {
    to_shard: BTreeMap<u32, u32>,
    to_home: BTreeMap<u32, u32>,
}

impl OidMap {
    /// True where every OID is the same on both sides: usual after DDL in step, and then nothing needs rewriting.
    pub fn is_identity(&self) -> bool {
        self.to_shard.is_empty()
    }

    /// The shard's OID of what home calls `home`.
    pub fn to_shard(&self, home: Oid) -> Oid {
        Oid(self.to_shard.get(&home.0).copied().unwrap_or(home.0))
    }

    /// Home's OID of what the shard calls `shard`.
    pub fn to_home(&self, shard: Oid) -> Oid {
        Oid(self.to_home.get(&shard.0).copied().unwrap_or(shard.0))
    }
}
