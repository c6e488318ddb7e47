//! Compiled routes by shape, context and declared parameter types: plain data with a bound.
//!
//! Why the bytes and not a hash alone: two shapes may have one hash, and a wrong route is a wrong answer.
//! Holds: an entry lives as long as its snapshot, so it can't be of another topology or catalog.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::plan::{Compiled, Context};
use crate::sql::Shape;
use crate::value::Oid;

/// Parts of the cache, each behind a lock of its own.
const STRIPES: usize = 16;

/// The most entries of one stripe; a full one is emptied. 16 × 1024 routes are some tens of megabytes at most.
const STRIPE_ENTRIES_MAX: usize = 1024;

/// The most bytes of texts and rows in one stripe (INSERTs of many rows have long shapes); a full one is emptied.
const STRIPE_BYTES_MAX: usize = 8 << 20;

/// Scratch shapes that are kept.
const SCRATCH_MAX: usize = 64;

/// Compiled routes by shape, context and declared parameter types.
#[derive(Debug)]
pub(in crate::plan) struct Cache {
    /// guards a lookup or an insertion, never a compilation
    stripes: Vec<Mutex<Stripe>>,
    /// guards a push or a pop of buffers
    scratch: Mutex<Vec<Shape>>,
}

#[derive(Debug, Default)]
struct Stripe {
    entries: HashMap<u64, Vec<Entry>>,
    /// what all entries have taken since it was empty
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    normal: Box<[u8]>,
    /// set if the route holds for this text alone
    text: Option<Box<[u8]>>,
    context: Arc<Context>,
    parameter_types: Box<[Oid]>,
    compiled: Arc<Compiled>,
}

/// What a statement is looked up by.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct CacheKey<'a> {
    /// its shape
    pub(in crate::plan) shape: &'a Shape,
    /// its text
    pub(in crate::plan) text: &'a [u8],
    /// the session's settings
    pub(in crate::plan) context: &'a Arc<Context>,
    /// as declared, not as learnt
    pub(in crate::plan) parameter_types: &'a [Oid],
}

/// Does a route hold for every text of its shape?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Holds {
    /// yes
    ForShape,
    /// for this text alone
    ForText,
}

impl Default for Cache {
    fn default() -> Cache {
        let stripes = (0..STRIPES).map(|_| Mutex::new(Stripe::default())).collect();
        Cache {
            stripes,
            scratch: Mutex::new(Vec::new()),
        }
    }
}

// === impl Cache ===

impl Cache {
    /// The route of a statement, if it was compiled before.
    pub(in crate::plan) fn get(&self, key: CacheKey<'_>) -> Option<Arc<Compiled>> {
        let stripe = lock(self.stripe(key.shape.hash())?);
        let entry = stripe
            .entries
            .get(&key.shape.hash())?
            .iter()
            .find(|entry| entry.fits(key))?;
        Some(Arc::clone(&entry.compiled))
    }

    /// Keeps a route.
    pub(in crate::plan) fn put(&self, key: CacheKey<'_>, holds: Holds, compiled: &Arc<Compiled>) {
        let Some(stripe) = self.stripe(key.shape.hash()) else {
            return;
        };
        let text = match holds {
            Holds::ForShape => None,
            Holds::ForText => Some(key.text.into()),
        };
        let entry = Entry {
            normal: key.shape.normal().into(),
            text,
            context: Arc::clone(key.context),
            parameter_types: key.parameter_types.into(),
            compiled: Arc::clone(compiled),
        };
        let own = entry.weight();
        let mut stripe = lock(stripe);
        let count = stripe.entries.values().map(Vec::len).sum::<usize>();
        if count >= STRIPE_ENTRIES_MAX || stripe.bytes.saturating_add(own) > STRIPE_BYTES_MAX {
            *stripe = Stripe::default();
        }
        stripe.bytes = stripe.bytes.saturating_add(own);
        let entries = stripe.entries.entry(key.shape.hash()).or_default();
        entries.retain(|old| !old.fits(key));
        entries.push(entry);
    }

    /// Runs `with` on a shape whose buffers are warm.
    pub(in crate::plan) fn with_shape<T>(&self, with: impl FnOnce(&mut Shape) -> T) -> T {
        let mut shape = lock(&self.scratch).pop().unwrap_or_default();
        let result = with(&mut shape);
        let mut scratch = lock(&self.scratch);
        if scratch.len() < SCRATCH_MAX {
            scratch.push(shape);
        }
        result
    }

    fn stripe(&self, hash: u64) -> Option<&Mutex<Stripe>> {
        let index = usize::try_from(hash % 16).ok()?;
        self.stripes.get(index)
    }
}

impl Entry {
    fn weight(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| text.len());
        let own = self.normal.len().saturating_add(text);
        own.saturating_add(self.compiled.weight())
    }

    fn fits(&self, key: CacheKey<'_>) -> bool {
        *self.normal == *key.shape.normal()
            && self.text.as_ref().is_none_or(|text| **text == *key.text)
            && *self.parameter_types == *key.parameter_types
            && (Arc::ptr_eq(&self.context, key.context) || self.context == *key.context)
    }
}

/// A panic elsewhere can't leave these maps half-changed in a way that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
