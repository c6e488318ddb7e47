//! A statement that each shard runs by itself, in a transaction of its own: CREATE INDEX CONCURRENTLY, VACUUM and their kin.
//!
//! Why shard by shard: Postgres runs these in no block, so they can't be taken back together. Holds: a failure says on
//! which shards the work is done; an index that it left half built is gone before the client hears of it; nothing is
//! begun on a shard behind the one that failed, so that the statement can be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::execute::{Describe, ExecuteError, Reading, WriteRequest, Written};
use crate::plan::{Access, Sameness, WriteAnswer, WritePart, Writes};
use crate::session::error::{Failure, Stop};
use crate::session::lane::round_trip;
use crate::session::state::Session;
use crate::sql::{Identifier, quote_identifier, quote_literal};
use crate::transaction::{Begun, Life, Worked};
use crate::wire::{self, ErrorFields};

impl Session {
    /// Runs each part on its shard, one after the other.
    pub(super) async fn run_each(&mut self, plan: &Arc<Writes>, describe: Describe) -> Result<(), Stop> {
        self.adopt_batch().await?; // whoever has only parsed is done with it
        let mut first: Option<Written> = None;
        for (index, part) in plan.parts.iter().enumerate() {
            match self.run_one_of(part, index).await {
                Ok(written) => {
                    first.get_or_insert(written);
                }
                Err(stop) => return Err(self.tell_progress(plan, index, stop)),
            }
        }
        match first {
            Some(written) => self.put_written(&written, describe),
            None => Err(Failure::Bug("a statement for no shard").into()),
        }
    }

    async fn run_one_of(&mut self, part: &WritePart, index: usize) -> Result<Written, Stop> {
        let at = self.lane(part.shard, Access::Write).await?;
        self.settle().await?;
        let index_made = concurrent_index(part, self.lexing);
        let known_before = match &index_made {
            Some(made) => self.index_validity(at, made).await?,
            None => None,
        };
        let only = Arc::new(Writes {
            parts: vec![part.clone()],
            answer: WriteAnswer::Same(Sameness::Tag),
        });
        if let Some(participant) = self.participants.get_mut(at) {
            participant.worked = Worked::Yes;
            participant.set_unnamed(0);
        }
        let lanes = BTreeMap::from([(part.shard, at)]);
        let request = WriteRequest {
            reading: &Reading::default(),
            plan: &only,
            lanes: &lanes,
            formats: &[],
            values: &[],
            result_formats: &[],
            types: &[],
        };
        let heard = self.client.out_buffer.len();
        let result = self.write(&request).await;
        if index > 0 {
            // The first shard has said the same.
            self.client.out_buffer.truncate(heard);
        }
        self.active = None;
        if let Some(participant) = self.participants.get_mut(at) {
            participant.worked = Worked::No;
            if participant.begun == Begun::Autocommit {
                participant.access = Access::Read;
            }
        }
        match result {
            Ok(written) => Ok(written),
            Err(error) => {
                if let (Some(made), None) = (&index_made, known_before) {
                    self.drop_invalid(at, made, &error).await;
                }
                Err(self.write_failed(&only, error))
            }
        }
    }

    /// Whether an index of that name is there and can be used; `None`: there is none.
    async fn index_validity(&mut self, at: usize, made: &MadeIndex) -> Result<Option<Validity>, Stop> {
        let sql = format!(
            "SELECT i.indisvalid FROM pg_catalog.pg_index i \
             JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid \
             JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) x.relnamespace \
             WHERE x.relname OPERATOR(pg_catalog.=) {} AND c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({})",
            quote_literal(&made.name),
            quote_literal(&made.table),
        );
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("no backend to ask").into());
        };
        wire::put_query(&mut participant.backend.link.out_buffer, sql.as_bytes());
        participant.set_unnamed(0);
        let mut found = None;
        let mut refused = None;
        round_trip(participant, |frame| {
            match frame.tag {
                b'D' => {
                    let value = wire::DataRow::parse(frame.body)?.values.next().flatten();
                    found = Some(match value {
                        Some(b"t") => Validity::Valid,
                        Some(_) | None => Validity::Invalid,
                    });
                }
                b'E' => refused = Some(Box::new(ErrorFields::parse(frame.body)?)),
                _ => {}
            }
            Ok(())
        })
        .await?;
        match refused {
            Some(fields) => Err(Failure::Shard(fields).into()),
            None => Ok(found),
        }
    }

    /// Drops what a failed build left, which would else be maintained by every write and used by no read.
    async fn drop_invalid(&mut self, at: usize, made: &MadeIndex, error: &ExecuteError) {
        let lives = self.participants.get(at).is_some_and(|p| p.life == Life::Alive);
        let failed = matches!(error, ExecuteError::Shard { .. } | ExecuteError::Interrupted(_));
        if !lives || !failed {
            return;
        }
        if !matches!(self.index_validity(at, made).await, Ok(Some(Validity::Invalid))) {
            return;
        }
        let schema = match made.table.rsplit_once('.') {
            Some((schema, _)) => format!("{schema}."),
            None => String::new(),
        };
        let sql = format!(
            "DROP INDEX CONCURRENTLY IF EXISTS {schema}{}",
            quote_identifier(&made.name)
        );
        let Some(participant) = self.participants.get_mut(at) else {
            return;
        };
        wire::put_query(&mut participant.backend.link.out_buffer, sql.as_bytes());
        let mut refused = None;
        let trip = round_trip(participant, |frame| {
            if frame.tag == b'E' {
                refused = Some(ErrorFields::parse(frame.body)?.message().into_owned());
            }
            Ok(())
        });
        if trip.await.is_err() || refused.is_some() {
            let index = made.name.as_str();
            tracing::warn!(session = self.id, index, ?refused, "an invalid index is left behind");
        }
    }

    /// Says what was done on which shards.
    fn tell_progress(&self, plan: &Writes, failed: usize, stop: Stop) -> Stop {
        let names = |parts: &[WritePart]| {
            let names: Vec<String> = parts.iter().map(|part| self.world.shard_name(part.shard)).collect();
            match names.is_empty() {
                true => "none".to_owned(),
                false => names.join(", "),
            }
        };
        let done = names(plan.parts.get(..failed).unwrap_or_default());
        let behind = names(plan.parts.get(failed.saturating_add(1)..).unwrap_or_default());
        let shard = plan
            .parts
            .get(failed)
            .map(|part| self.world.shard_name(part.shard))
            .unwrap_or_default();
        match stop {
            Stop::Failed(Failure::AlreadyAnswered) => Failure::AlreadyAnswered.into(),
            Stop::Failed(failure) => {
                let mut fields = self.fields_of(&failure);
                let told = format!("shard by shard: done on {done}; failed on {shard}; not begun on {behind}");
                fields.add_where(&told);
                if fields.get(wire::ErrorField::Hint).is_none() {
                    fields = fields.with_hint(
                        "Repeat the statement, with IF NOT EXISTS or IF EXISTS where shards have done it already.",
                    );
                }
                Failure::Shard(Box::new(fields)).into()
            }
            gone => gone,
        }
    }
}

/// Is an index that is there usable?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validity {
    Valid,
    Invalid,
}

/// The index that CREATE INDEX CONCURRENTLY makes.
#[derive(Debug)]
struct MadeIndex {
    /// decoded
    name: String,
    /// as `to_regclass` reads it
    table: String,
}

/// The names in `CREATE [UNIQUE] INDEX CONCURRENTLY [IF NOT EXISTS] name ON [ONLY] table`.
fn concurrent_index(part: &WritePart, lexing: crate::sql::Lexing) -> Option<MadeIndex> {
    let tokens = crate::sql::scan(&part.text, lexing).ok()?;
    let names: Vec<(String, usize)> = crate::sql::identifiers(&part.text, lexing)
        .ok()?
        .into_iter()
        .map(|identifier| match identifier {
            Identifier::Name { name, span } => Some((name, span.start)),
            Identifier::Undecodable(_) => None,
        })
        .collect::<Option<_>>()?;
    let word = |at: usize| names.get(at).map_or("", |(name, _)| name.as_str());
    let mut at = match (word(0), word(1), word(2), word(3)) {
        ("create", "index", "concurrently", _) => 3,
        ("create", "unique", "index", "concurrently") => 4,
        _ => return None,
    };
    if (word(at), word(at + 1), word(at + 2)) == ("if", "not", "exists") {
        at += 3;
    }
    let name = names.get(at)?.0.clone();
    let mut table = at + 2; // behind ON
    if word(table) == "only" {
        table += 1;
    }
    let (first, start) = names.get(table)?;
    let place = tokens.iter().position(|token| token.span.start == *start)?;
    let dotted = tokens
        .get(place + 1)
        .is_some_and(|token| token.kind == crate::sql::TokenKind::Punctuation(b'.'));
    let table = match dotted {
        true => format!(
            "{}.{}",
            quote_identifier(first),
            quote_identifier(&names.get(table + 1)?.0)
        ),
        false => quote_identifier(first),
    };
    Some(MadeIndex { name, table })
}
