//! Breadth-first search through all states of a small world; the first state that breaks a property is a nearest one.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// A world: where it begins, what can happen, what must hold.
pub(crate) trait World {
    /// everything of one moment
    type State: Clone + Hash + Eq + Debug;
    /// one step
    type Action: Copy + Debug;
    /// the beginning
    fn initial(&self) -> Self::State;
    /// what can happen now
    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>);
    /// the state after it
    fn after(&self, state: &Self::State, action: Self::Action) -> Self::State;
    /// the first property that this state breaks
    fn broken(&self, state: &Self::State) -> Option<&'static str>;
}

/// What a search found.
pub(crate) enum Found {
    /// all states hold
    Nothing {
        /// how many there are
        states: usize,
    },
    /// one doesn't
    Broken {
        /// what it breaks
        property: &'static str,
        /// the steps to it
        trace: Vec<String>,
    },
}

/// States are kept as fingerprints: two of some million collide with a probability of about one in a million.
#[derive(Default)]
struct Fingerprint(u64);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are u64")
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

type Seen = HashMap<u64, (u64, u8), BuildHasherDefault<Fingerprint>>;

/// A value's hash.
pub(crate) fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// Searches all of it.
pub(crate) fn search<W: World>(world: &W) -> Found {
    let first = world.initial();
    let mut seen = Seen::default();
    seen.insert(fingerprint(&first), (0, 0));
    let mut front = vec![first];
    let mut actions = Vec::new();
    while !front.is_empty() {
        let mut next = Vec::new();
        for state in &front {
            let from = fingerprint(state);
            if let Some(property) = world.broken(state) {
                let trace = trace(world, &seen, from);
                return Found::Broken { property, trace };
            }
            actions.clear();
            world.actions(state, &mut actions);
            for (place, action) in actions.iter().enumerate() {
                let after = world.after(state, *action);
                let entry = seen.entry(fingerprint(&after));
                if let std::collections::hash_map::Entry::Vacant(entry) = entry {
                    entry.insert((from, u8::try_from(place).expect("few actions")));
                    next.push(after);
                }
            }
        }
        front = next;
    }
    Found::Nothing { states: seen.len() }
}

fn trace<W: World>(world: &W, seen: &Seen, last: u64) -> Vec<String> {
    let mut places = Vec::new();
    let mut at = last;
    while let Some((from, place)) = seen.get(&at).filter(|(from, _)| *from != 0) {
        places.push(*place);
        at = *from;
    }
    let mut state = world.initial();
    let mut steps = Vec::new();
    for place in places.into_iter().rev() {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        let action = actions[usize::from(place)];
        steps.push(format!("{action:?}"));
        state = world.after(&state, action);
    }
    steps.push(format!("{state:#?}"));
    steps
}
