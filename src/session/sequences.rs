//! What a session knows of sequences: the values that it was given, for `currval` and `lastval`.
//!
//! Why here: a pooled backend remembers what somebody else drew. Holds: what may have become old is not told, but refused;
//! values stay known after ROLLBACK and errors, as in Postgres.

use std::collections::BTreeMap;

use crate::plan::{Access, Draw, Facts, Privilege, Recall, SequenceAsk};
use crate::session::error::{Failure, Stop};
use crate::session::state::{Schema, Session};
use crate::sql::{quote_identifier, quote_literal};
use crate::topology::{QualifiedName, ShardId};
use crate::transaction::{Begun, Participant};

/// The most sequences that a session knows values of; beyond it the others are forgotten, and refused.
const KNOWN_MAX: usize = 1_000;

/// The values that a session was given.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: BTreeMap<QualifiedName, Value>,
    last: Last,
    others: Others,
    held: Held,
}

/// Does the block under way keep sequences from all others?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Held {
    /// no
    #[default]
    No,
    /// it has restarted some
    Restarted,
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

    /// The block under way has restarted some, whose values the session knows all the same (checked on 15).
    pub(super) fn restarted(&mut self) {
        self.held = Held::Restarted;
    }

    /// It has ended.
    pub(super) fn block_ended(&mut self) {
        self.held = Held::No;
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
        let values = match self.holder().is_some() {
            true => self.draw_within(draw).await?,
            false => self.draw_ahead(draw).await?,
        };
        if let Some(value) = values.last() {
            self.sequences.note(&draw.sequence, *value);
        }
        Ok(values)
    }

    /// New values of a sequence, of which it is noted later which were used.
    pub(super) async fn draw_ahead(&mut self, draw: &Draw) -> Result<Vec<i64>, Stop> {
        if self.holder().is_some() {
            return Err(Failure::NotInThisVersion {
                construct: "COPY that draws from a sequence, in a transaction that has changed the schema or restarted sequences,",
            }
            .into());
        }
        let role = match draw.privilege {
            Privilege::Usage => Some(self.effective.context.role.clone()),
            Privilege::OfTable => None,
        };
        let drawn = self.world.discovery.draw(&draw.sequence, draw.count, role.as_deref());
        Ok(drawn.await?)
    }

    /// Home, if the block under way has made sequences there, or restarted some: nobody else can draw from these.
    fn holder(&self) -> Option<ShardId> {
        let changed = match self.schema {
            Schema::Common => self.sequences.held == Held::Restarted,
            Schema::Due | Schema::Own(_) => true,
        };
        let home = self.snapshot().topology().home();
        let wrote = |p: &Participant| p.begun == Begun::Block && p.access == Access::Write;
        let at = self.participants.find(home).filter(|_| changed)?;
        self.participants.get(at).is_some_and(wrote).then_some(home)
    }

    /// New values, drawn inside the client's own transaction.
    async fn draw_within(&mut self, draw: &Draw) -> Result<Vec<i64>, Stop> {
        const AT_ONCE: usize = 500;
        let home = self.snapshot().topology().home();
        let (schema, name) = (&draw.sequence.schema, &draw.sequence.name);
        let name = format!("{}.{}", quote_identifier(schema), quote_identifier(name));
        let name = quote_literal(&name);
        if draw.privilege == Privilege::OfTable {
            let may = format!("pg_catalog.has_sequence_privilege({name}, 'USAGE, UPDATE')");
            let may = self.ask_constants(home, &[may]).await?;
            if may != [Some("true".to_owned())] {
                return Err(Failure::NotInThisVersion {
                    construct: "drawing from an identity column's sequence without a privilege on it, in a transaction that \
                        has changed the schema or restarted sequences,",
                }
                .into());
            }
        }
        let next = format!("pg_catalog.nextval({name}::pg_catalog.regclass)");
        let mut values = Vec::with_capacity(draw.count);
        while values.len() < draw.count {
            let calls = vec![next.clone(); draw.count.saturating_sub(values.len()).min(AT_ONCE)];
            for value in self.ask_constants(home, &calls).await? {
                let value = value.and_then(|value| value.parse::<i64>().ok());
                values.push(value.ok_or(Failure::Bug("a sequence's value is no bigint"))?);
            }
        }
        Ok(values)
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
