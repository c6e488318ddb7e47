//! Values by the client's names for them: statements and portals.
//!
//! Why not a plain map: the empty name is by far the most used, and gets a place of its own; the others are hashed
//! without a secret, since a client that makes its own names collide slows down nobody but itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Values by name; the empty name among them.
#[derive(Debug)]
pub(super) struct Names<T> {
    empty: Option<T>,
    named: HashMap<Vec<u8>, T, BuildHasherDefault<NameHasher>>,
}

impl<T> Default for Names<T> {
    fn default() -> Names<T> {
        Names {
            empty: None,
            named: HashMap::default(),
        }
    }
}

impl<T> Names<T> {
    /// The value of that name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        match name {
            [] => self.empty.as_ref(),
            name => self.named.get(name),
        }
    }

    /// The value of that name, to change.
    pub(super) fn get_mut(&mut self, name: &[u8]) -> Option<&mut T> {
        match name {
            [] => self.empty.as_mut(),
            name => self.named.get_mut(name),
        }
    }

    /// Whether there is none at all.
    pub(super) fn is_empty(&self) -> bool {
        self.empty.is_none() && self.named.is_empty()
    }

    /// Whether there is one.
    pub(super) fn contains_key(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Gives a name to a value; the one that had it.
    pub(super) fn insert(&mut self, name: Vec<u8>, value: T) -> Option<T> {
        match name.is_empty() {
            true => self.empty.replace(value),
            false => self.named.insert(name, value),
        }
    }

    /// Takes the value of that name out.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        match name {
            [] => self.empty.take(),
            // Most sessions never name one.
            name if !self.named.is_empty() => self.named.remove(name),
            _ => None,
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.empty = None;
        if !self.named.is_empty() {
            self.named.clear();
        }
    }

    /// All but that of the empty name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Vec<u8>, &T)> {
        self.named.iter()
    }
}

/// Multiplies and rotates; names are short.
#[derive(Debug, Default)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        const K: u64 = 0x9e37_79b9_7f4a_7c15;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(K);
        }
        for byte in rest {
            self.0 = (self.0.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(K);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_name_is_a_name() {
        let mut names = Names::default();
        assert_eq!(names.insert(Vec::new(), 1), None);
        assert_eq!(names.insert(b"a".to_vec(), 2), None);
        assert_eq!(names.insert(Vec::new(), 3), Some(1));
        assert_eq!(
            (names.get(b""), names.get(b"a"), names.get(b"b")),
            (Some(&3), Some(&2), None)
        );
        assert_eq!(names.iter().count(), 1);
        assert_eq!((names.remove(b""), names.remove(b"")), (Some(3), None));
        names.clear();
        assert!(!names.contains_key(b"a"));
    }

    #[test]
    fn names_that_share_a_beginning_hash_apart() {
        let hash = |name: &[u8]| {
            let mut hasher = NameHasher::default();
            hasher.write(name);
            hasher.finish()
        };
        let hashes: std::collections::BTreeSet<u64> = (0..1000).map(|n| hash(format!("P_{n}").as_bytes())).collect();
        assert_eq!(hashes.len(), 1000);
    }
}
