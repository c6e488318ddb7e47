//! Which prepared statements a backend holds.
//!
//! Why ids: a statement (text and parameter types) has one name in the whole process, made of its id; this remembers
//! which are prepared here. Touching one allocates nothing; evicting looks at all of them, beside a round trip.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Statement ids prepared on one backend, the longest unused going first. Bounded.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// id → the use at which it was last needed
    last_use: HashMap<u64, u64, BuildHasherDefault<IdHasher>>,
    uses: u64,
    capacity: usize,
    marks: Marks,
}

/// Is the proxy's own statement, which reads marks of commits, prepared here?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marks {
    No,
    Yes,
}

/// Ids are counted by ourselves, so nobody can make them collide: one multiplication spreads them.
#[derive(Clone, Copy, Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        const K: u64 = 0x9e37_79b9_7f4a_7c15;
        let spread = (self.0 ^ id).wrapping_mul(K);
        self.0 = spread ^ spread >> 32; // the map takes both ends
    }
}

impl Prepared {
    /// How many statements a backend keeps unless said otherwise.
    pub const CAPACITY_DEFAULT: usize = 500;

    /// Room for `capacity` statements (at least one).
    pub fn new(capacity: usize) -> Prepared {
        Prepared {
            last_use: HashMap::default(),
            uses: 0,
            capacity: capacity.max(1),
            marks: Marks::No,
        }
    }

    /// Whether the statement that reads marks of commits is prepared here.
    pub fn has_marks(&self) -> bool {
        self.marks == Marks::Yes
    }

    /// It is now.
    pub fn note_marks(&mut self) {
        self.marks = Marks::Yes;
    }

    /// Whether a statement is prepared here, but not as a use of it.
    pub fn contains(&self, id: u64) -> bool {
        self.last_use.contains_key(&id)
    }

    /// Whether a statement is prepared here; if so it counts as used now.
    #[inline]
    pub fn touch(&mut self, id: u64) -> bool {
        match self.last_use.get_mut(&id) {
            Some(last) => {
                self.uses += 1;
                *last = self.uses;
                true
            }
            None => false,
        }
    }

    /// Notes that a statement is prepared now. Returns the one to Close in its stead, if there were too many.
    #[must_use]
    pub fn insert(&mut self, id: u64) -> Option<u64> {
        let evicted = if self.last_use.len() >= self.capacity && !self.last_use.contains_key(&id) {
            self.last_use.iter().min_by_key(|(_, last)| **last).map(|(old, _)| *old)
        } else {
            None
        };
        if let Some(old) = evicted {
            self.last_use.remove(&old);
        }
        self.uses += 1;
        self.last_use.insert(id, self.uses);
        evicted
    }

    /// Forgets one; whether it was there.
    pub fn remove(&mut self, id: u64) -> bool {
        self.last_use.remove(&id).is_some()
    }

    /// Forgets all (after DISCARD ALL, DEALLOCATE ALL).
    pub fn clear(&mut self) {
        self.last_use.clear();
        self.marks = Marks::No;
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.last_use.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.last_use.is_empty()
    }
}
