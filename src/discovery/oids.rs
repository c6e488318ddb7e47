//! OIDs of user types and tables: home's are the client's, a shard's may differ.
//!
//! Holds: OIDs below 16384 belong to the server's version and are equal on all shards. What a shard has and home hasn't
//! has no OID for a client: `None`, never a number that means something else on home.

use std::collections::BTreeMap;

use crate::value::Oid;

/// The first OID that a user's object can have (`FirstNormalObjectId`).
const USER_FIRST: u32 = 16_384;

/// Both directions for one shard, types and tables apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OidMap {
    types: Pairs,
    tables: Pairs,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pairs {
    to_shard: BTreeMap<u32, u32>,
    to_home: BTreeMap<u32, u32>,
    /// pairs whose sides differ: asked at every statement, so it is counted, not searched for
    unequal: usize,
}

impl OidMap {
    /// Notes a type that both sides have.
    pub(super) fn pair_type(&mut self, home: Oid, shard: Oid) {
        self.types.pair(home, shard);
    }

    /// Notes a relation that both sides have.
    pub(super) fn pair_table(&mut self, home: Oid, shard: Oid) {
        self.tables.pair(home, shard);
    }

    /// True where what both sides have has the same OID on both: usual after DDL in step, and then frames pass as they are.
    pub fn is_identity(&self) -> bool {
        self.types.is_identity() && self.tables.is_identity()
    }

    /// The shard's OID of home's type; none if the shard has no such type.
    pub fn type_to_shard(&self, home: Oid) -> Option<Oid> {
        Pairs::look(&self.types.to_shard, home)
    }

    /// Home's OID of the shard's type; none if home has no such type.
    pub fn type_to_home(&self, shard: Oid) -> Option<Oid> {
        Pairs::look(&self.types.to_home, shard)
    }

    /// Home's OID of the shard's table; none if home has no such table.
    pub fn table_to_home(&self, shard: Oid) -> Option<Oid> {
        Pairs::look(&self.tables.to_home, shard)
    }
}

impl Pairs {
    fn pair(&mut self, home: Oid, shard: Oid) {
        if home.0 != 0 && shard.0 != 0 {
            let before = self.to_shard.insert(home.0, shard.0);
            self.unequal += usize::from(before.is_none() && home != shard);
            self.to_home.insert(shard.0, home.0);
        }
    }

    fn is_identity(&self) -> bool {
        self.unequal == 0
    }

    fn look(pairs: &BTreeMap<u32, u32>, oid: Oid) -> Option<Oid> {
        if oid.0 < USER_FIRST {
            Some(oid)
        } else {
            pairs.get(&oid.0).copied().map(Oid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_home_has_not_has_no_oid() {
        let mut map = OidMap::default();
        map.pair_type(Oid(20_000), Oid(30_000));
        map.pair_type(Oid(20_001), Oid(20_000));
        assert!(!map.is_identity());
        assert_eq!(map.type_to_home(Oid(20_000)), Some(Oid(20_001)));
        assert_eq!(map.type_to_shard(Oid(20_000)), Some(Oid(30_000)));
        assert_eq!(map.type_to_home(Oid(25_000)), None);
        assert_eq!(map.type_to_home(Oid(23)), Some(Oid(23)));
        assert_eq!(map.table_to_home(Oid(20_000)), None);
    }
}
