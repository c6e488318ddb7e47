//! A text with slots for values of sequences, and its binding to values.

use std::collections::BTreeMap;

use crate::plan::sequences::{Draw, Privilege, Recall, RowAsk, SequenceAsk};
use crate::plan::{Ask, Facts, Refusal, Verdict};
use crate::sql::{Edits, Lexing, PositionMap, Span, Token, TokenKind, scan};
use crate::topology::QualifiedName;

/// Slots in the order in which Postgres would ask for their values.
#[derive(Debug, Default)]
pub(in crate::plan) struct Slots {
    slots: Vec<Slot>,
    draws: Vec<(QualifiedName, Privilege, usize)>,
    rows: Vec<RowAsk>,
    made: Vec<String>,
}

/// Expressions that are asked for by one statement: as many as a row of Postgres's can have.
const MADE_MAX: usize = 1_600;

/// What a slot is filled with.
#[derive(Debug)]
enum Slot {
    /// the value of this place among those drawn from a sequence
    Drawn(QualifiedName, usize),
    Recalled(Recall),
    /// this column of what this question finds
    Read(usize, usize),
    /// what this one of the expressions comes to
    Made(usize),
    /// this expression itself
    Written(String),
}

/// Where something is put, by positions of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Place {
    /// in the place of the tokens from the first up to before the second
    Over(usize, usize),
    /// before a token
    Before(usize),
    /// behind a token
    Behind(usize),
}

/// A piece of what is put there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Piece {
    /// this
    Text(String),
    /// the value of a slot, as a constant of its type
    Value(usize),
    /// the client's own text, from a token to before another
    Tokens(usize, usize),
}

/// A statement of a shape, and what is to be put into it.
#[derive(Debug)]
pub(in crate::plan) struct Template {
    /// kinds of the tokens: the places hold for a text that has the same
    kinds: Vec<TokenKind>,
    slots: Slots,
    edits: Vec<(Place, Vec<Piece>)>,
    /// the answer where no values can be had
    instead: Box<Refusal>,
    /// columns, if it is a SELECT
    columns: usize,
    /// whether a slot decides the shard
    keyed: Keyed,
}

/// Does a slot of a statement decide the shard?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Keyed {
    /// yes
    BySlot,
    /// no
    Otherwise,
}

// === impl Slots ===

impl Slots {
    /// A slot for a new value; its number.
    pub(in crate::plan) fn draw(&mut self, sequence: &QualifiedName, privilege: Privilege) -> usize {
        let known = self.draws.iter().position(|(name, ..)| name == sequence);
        // The last one drawn from stands last.
        let (name, before, count) = match known {
            Some(at) => self.draws.remove(at),
            None => (sequence.clone(), privilege, 0),
        };
        self.draws.push((name, before.max(privilege), count.saturating_add(1)));
        self.push(Slot::Drawn(sequence.clone(), count))
    }

    /// A slot for a value that the session has; its number.
    pub(in crate::plan) fn recall(&mut self, recall: Recall) -> usize {
        self.push(Slot::Recalled(recall))
    }

    /// A slot for a value that rows hold; its number.
    pub(in crate::plan) fn read(&mut self, ask: &RowAsk, column: usize) -> usize {
        let known = self.rows.iter().position(|row| row == ask);
        let row = known.unwrap_or_else(|| {
            self.rows.push(ask.clone());
            self.rows.len().saturating_sub(1)
        });
        self.push(Slot::Read(row, column))
    }

    /// A slot for what an expression comes to, each time anew; its number. `None`: they are too many.
    pub(in crate::plan) fn make(&mut self, expression: String) -> Option<usize> {
        let at = self.made.len();
        self.made.push(expression);
        (at < MADE_MAX).then(|| self.push(Slot::Made(at)))
    }

    /// A slot that holds an expression as it is; its number.
    pub(in crate::plan) fn write(&mut self, expression: String) -> usize {
        self.push(Slot::Written(expression))
    }

    /// The statement that makes the values of expressions.
    fn make_ask(&self) -> Option<RowAsk> {
        let columns = self.made.len();
        (columns > 0).then(|| RowAsk {
            text: format!("SELECT {}", self.made.join(", ")),
            columns,
        })
    }

    fn push(&mut self, slot: Slot) -> usize {
        self.slots.push(slot);
        self.slots.len().saturating_sub(1)
    }

    /// Whether there is none.
    pub(in crate::plan) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Would a value that the session has be another by the time that Postgres asks for it?
    pub(in crate::plan) fn is_entangled(&self) -> bool {
        self.slots.iter().any(|slot| match slot {
            Slot::Drawn(..) | Slot::Read(..) | Slot::Made(_) | Slot::Written(_) => false,
            Slot::Recalled(Recall::Last) => !self.draws.is_empty(),
            Slot::Recalled(Recall::Current(sequence)) => self.draws.iter().any(|(name, ..)| name == sequence),
        })
    }

    /// What is to be asked for.
    pub(in crate::plan) fn ask(&self) -> SequenceAsk {
        let draws = self.draws.iter().map(|(sequence, privilege, count)| Draw {
            sequence: sequence.clone(),
            count: *count,
            privilege: *privilege,
        });
        let mut recalls: Vec<Recall> = Vec::new();
        for slot in &self.slots {
            match slot {
                Slot::Recalled(recall) if !recalls.contains(recall) => recalls.push(recall.clone()),
                Slot::Recalled(_) | Slot::Drawn(..) | Slot::Read(..) | Slot::Made(_) | Slot::Written(_) => {}
            }
        }
        SequenceAsk {
            draws: draws.collect(),
            recalls,
        }
    }

    /// The rows that aren't known yet.
    fn rows_lacking(&self, facts: &Facts) -> Vec<RowAsk> {
        let rows = self.rows.iter().cloned().chain(self.make_ask());
        rows.filter(|row| !facts.found.contains_key(row)).collect()
    }

    /// Constants for all slots. As strings, so that texts with small and large values have one shape.
    fn values(&self, facts: &Facts) -> Option<Vec<String>> {
        let bigint = |value: &i64| format!("'{value}'::bigint");
        let make_ask = self.make_ask();
        let value = |slot: &Slot| match slot {
            Slot::Drawn(sequence, place) => facts.drawn.get(sequence)?.get(*place).map(bigint),
            Slot::Recalled(recall) => facts.recalled.get(recall).map(bigint),
            Slot::Read(row, column) => facts.found.get(self.rows.get(*row)?)?.get(*column)?.constant(),
            Slot::Made(column) => facts.found.get(make_ask.as_ref()?)?.get(*column)?.constant(),
            Slot::Written(expression) => Some(expression.clone()),
        };
        self.slots.iter().map(value).collect()
    }
}

// === impl Template ===

impl Template {
    /// A template of the text with these tokens.
    pub(in crate::plan) fn new(
        tokens: &[Token],
        slots: Slots,
        edits: Vec<(Place, Vec<Piece>)>,
        instead: Box<Refusal>,
        (columns, keyed): (usize, Keyed),
    ) -> Template {
        Template {
            kinds: tokens.iter().map(|token| token.kind).collect(),
            slots,
            edits,
            instead,
            columns,
            keyed,
        }
    }

    /// Is text of the client's moved about?
    pub(in crate::plan) fn is_batch(&self) -> bool {
        let moves = |piece: &Piece| matches!(piece, Piece::Tokens(..));
        self.edits.iter().any(|(_, pieces)| pieces.iter().any(moves))
    }

    /// The refusal where no value can be drawn.
    pub(in crate::plan) fn instead(&self) -> &Refusal {
        &self.instead
    }

    /// Columns of its answer, if it is a SELECT.
    pub(in crate::plan) fn columns(&self) -> usize {
        self.columns
    }

    /// Does a slot decide the shard?
    pub(in crate::plan) fn keyed(&self) -> Keyed {
        self.keyed
    }

    /// Which values it needs.
    pub(in crate::plan) fn ask(&self) -> SequenceAsk {
        self.slots.ask()
    }

    /// The values of its slots, or the question for them.
    pub(in crate::plan) fn values(&self, facts: &Facts) -> Result<Vec<String>, Verdict> {
        let lacking = self.slots.rows_lacking(facts);
        if !lacking.is_empty() {
            return Err(Verdict::Ask(Ask::Rows(lacking)));
        }
        let asked = self.slots.ask();
        let known = asked.draws.iter().all(|draw| facts.drawn.contains_key(&draw.sequence))
            && asked.recalls.iter().all(|recall| facts.recalled.contains_key(recall));
        if !known {
            return Err(Verdict::Ask(Ask::Sequences(asked)));
        }
        // None of a type that no constant is written for.
        self.slots
            .values(facts)
            .ok_or_else(|| Verdict::Refused(self.instead.clone()))
    }

    /// Some values, to show where it would go.
    pub(in crate::plan) fn no_values(&self) -> Vec<String> {
        let shown = |slot: &Slot| match slot {
            Slot::Written(expression) => expression.clone(),
            Slot::Drawn(..) | Slot::Recalled(_) | Slot::Read(..) | Slot::Made(_) => "'0'::bigint".to_owned(),
        };
        self.slots.slots.iter().map(shown).collect()
    }

    /// A text of its shape with values in its slots, and the way back for positions; `None` if it has other tokens.
    pub(in crate::plan) fn fill(
        &self,
        text: &[u8],
        lexing: Lexing,
        values: &[String],
    ) -> Option<(Vec<u8>, PositionMap)> {
        let tokens = scan(text, lexing).ok()?;
        if !tokens.iter().map(|token| token.kind).eq(self.kinds.iter().copied()) {
            return None;
        }
        let mut edits = Edits::new();
        for (place, pieces) in &self.edits {
            let span = |at: usize| tokens.get(at).map(|token| token.span);
            let mut put: Vec<u8> = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => put.extend_from_slice(text.as_bytes()),
                    Piece::Value(slot) => put.extend_from_slice(values.get(*slot)?.as_bytes()),
                    Piece::Tokens(from, to) => {
                        let own = span(*from)?.start..span(to.checked_sub(1)?)?.end;
                        put.extend_from_slice(text.get(own)?);
                    }
                }
            }
            match place {
                Place::Over(from, to) => {
                    let end = span(to.checked_sub(1)?)?.end;
                    edits.replace(Span::new(span(*from)?.start, end), put);
                }
                Place::Before(at) => edits.insert(span(*at)?.start, put),
                Place::Behind(at) => edits.insert(span(*at)?.end, put),
            }
        }
        edits.apply(text)
    }

    /// Steps of `EXPLAIN (ROUTE)`: how many values of which sequence.
    pub(in crate::plan) fn steps(&self) -> Vec<String> {
        let SequenceAsk { draws, recalls } = self.ask();
        let drawn = draws.iter().map(|draw| match draw.count {
            1 => format!("1 value of {}", draw.sequence),
            count => format!("{count} values of {}", draw.sequence),
        });
        let recalled: BTreeMap<Recall, ()> = recalls.into_iter().map(|recall| (recall, ())).collect();
        let recalled = recalled.into_keys().map(|recall| match recall {
            Recall::Current(sequence) => format!("the session's value of {sequence}"),
            Recall::Last => "the session's last value".to_owned(),
        });
        drawn.chain(recalled).collect()
    }

    /// What it asks of rows.
    pub(in crate::plan) fn reads(&self) -> impl Iterator<Item = String> {
        let rows = self.slots.rows.iter().cloned().chain(self.slots.make_ask());
        rows.map(|row| row.text)
    }
}
