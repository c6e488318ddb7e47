//! What a session knows of sequences: the values that it was given, for `currval` and `lastval`.
//!
//! Why here: a pooled backend remembers what somebody else drew. Holds: what may have become old is not told, but refused;
//! values stay known after ROLLBACK and errors, as in Postgres.

use std::collections::BTreeMap;

use crate::plan::{Draw, Facts, Privilege, Recall, SequenceAsk};
use crate::session::error::{Failure, Stop};
use crate::session::state::Session;
use crate::topology::QualifiedName;

/// The most sequences that a session knows values of; beyond it the others are forgotten, and refused.
const KNOWN_MAX: usize = 1_000;

/// The values that a session was given.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: BTreeMap<QualifiedName, Value>,
    last: Last,
    others: Others,
}

/// The newest value of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Known(i64),
    Unseen,
}

/// The sequence that was drawn from last.
#[derive(Debug, Default)]
enum Last {
    #[default]
    None,
    Of(QualifiedName),
    Unseen,
}

/// Sequences that aren't listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Others {
    /// the session was given no value of them
    #[default]
    Undrawn,
    /// it may have been
    Unseen,
}

impl Memory {
    /// The session was given this value.
    pub(super) fn note(&mut self, sequence: &QualifiedName, value: i64) {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(sequence) {
            self.lose();
        }
        self.known.insert(sequence.clone(), Value::Known(value));
        self.last = Last::Of(sequence.clone());
    }

    /// Any sequence may have been drawn from, or set, where it isn't seen.
    pub(super) fn lose(&mut self) {
        self.known.clear();
        self.others = Others::Unseen;
        self.last = Last::Unseen;
    }

    /// These may have been drawn from, or set.
    pub(super) fn lose_those(&mut self, sequences: &[QualifiedName]) {
        if self.known.len().saturating_add(sequences.len()) > KNOWN_MAX {
            return self.lose();
        }
        for sequence in sequences {
            self.known.insert(sequence.clone(), Value::Unseen);
        }
        self.last = Last::Unseen;
    }

    /// The sequences that values are known of may be others now.
    pub(super) fn lose_known(&mut self) {
        self.known.values_mut().for_each(|value| *value = Value::Unseen);
    }

    fn recall(&self, recall: &Recall) -> Result<i64, Failure> {
        let (sequence, others) = match (recall, &self.last) {
            (Recall::Current(sequence), _) => (sequence, self.others),
            (Recall::Last, Last::Of(sequence)) => (sequence, Others::Unseen),
            (Recall::Last, Last::None) => return Err(Failure::NoCurrentValue(recall.clone())),
            (Recall::Last, Last::Unseen) => return Err(Failure::ValueUnseen(recall.clone())),
        };
        match (self.known.get(sequence), others) {
            (Some(Value::Known(value)), _) => Ok(*value),
            (Some(Value::Unseen), _) | (None, Others::Unseen) => Err(Failure::ValueUnseen(recall.clone())),
            (None, Others::Undrawn) => Err(Failure::NoCurrentValue(recall.clone())),
        }
    }
}

impl Session {
    /// Answers a plan's question for values.
    pub(super) async fn answer_sequences(&mut self, ask: &SequenceAsk, facts: &mut Facts) -> Result<(), Stop> {
        // Before anything is drawn: nothing that is told here has anything to do with it.
        for recall in &ask.recalls {
            facts.recalled.insert(recall.clone(), self.sequences.recall(recall)?);
        }
        for draw in &ask.draws {
            let values = self.draw(draw).await?;
            facts.drawn.insert(draw.sequence.clone(), values);
        }
        Ok(())
    }

    /// New values of a sequence, for this session to use.
    pub(super) async fn draw(&mut self, draw: &Draw) -> Result<Vec<i64>, Stop> {
        let values = self.draw_ahead(draw).await?;
        if let Some(value) = values.last() {
            self.sequences.note(&draw.sequence, *value);
        }
        Ok(values)
    }

    /// New values of a sequence, of which it is noted later which were used.
    pub(super) async fn draw_ahead(&mut self, draw: &Draw) -> Result<Vec<i64>, Stop> {
        let role = match draw.privilege {
            Privilege::Usage => Some(self.effective.context.role.clone()),
            Privilege::OfTable => None,
        };
        let drawn = self.world.discovery.draw(&draw.sequence, draw.count, role.as_deref());
        Ok(drawn.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(memory: &Memory, recall: &Recall) -> String {
        match memory.recall(recall) {
            Ok(value) => value.to_string(),
            Err(Failure::NoCurrentValue(_)) => "none".to_owned(),
            Err(Failure::ValueUnseen(_)) => "unseen".to_owned(),
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn what_may_be_old_is_not_told() {
        let (a, b) = (QualifiedName::public("a"), QualifiedName::public("b"));
        let current = |name: &QualifiedName| Recall::Current(name.clone());
        let mut memory = Memory::default();
        assert_eq!(
            [told(&memory, &current(&a)), told(&memory, &Recall::Last)],
            ["none", "none"]
        );
        memory.note(&a, 7);
        memory.note(&b, 9);
        memory.note(&a, 8);
        assert_eq!([told(&memory, &current(&b)), told(&memory, &Recall::Last)], ["9", "8"]);
        memory.lose_known();
        assert_eq!(
            [told(&memory, &current(&a)), told(&memory, &Recall::Last)],
            ["unseen", "unseen"]
        );
        memory.note(&b, 10);
        memory.lose_those(std::slice::from_ref(&b));
        assert_eq!(
            [told(&memory, &current(&b)), told(&memory, &Recall::Last)],
            ["unseen", "unseen"]
        );
        assert_eq!(told(&memory, &current(&QualifiedName::public("c"))), "none");
        memory.note(&b, 10);
        memory.lose();
        assert_eq!(
            [told(&memory, &current(&b)), told(&memory, &Recall::Last)],
            ["unseen", "unseen"]
        );
        assert_eq!(told(&memory, &current(&QualifiedName::public("c"))), "unseen");
        memory.note(&b, 11);
        assert_eq!(
            [told(&memory, &current(&b)), told(&memory, &Recall::Last)],
            ["11", "11"]
        );
    }
}
