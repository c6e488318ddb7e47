//! Categories of keys whose metadata this session's own transaction has written.
//!
//! Why: a symbol and its first trade may come in one transaction, and nobody else sees the symbol yet. Holds: what is
//! derived here is fixed, and committed, before the trade is planned, as everywhere; a key that is fixed already keeps
//! its category, whatever the transaction has made of its metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::{Access, Category, Purpose, Snapshot};
use crate::session::error::{Failure, Stop};
use crate::session::lane::round_trip;
use crate::session::state::Session;
use crate::sql::{quote_identifier, quote_literal};
use crate::topology::{CategorySource, KeyspaceId, QualifiedName, Strategy};
use crate::transaction::{Begun, Life, Participant};
use crate::wire::{self, ErrorFields};

/// Categories by keyspace and key.
type Known = BTreeMap<(KeyspaceId, String), Category>;

impl Session {
    /// Categories of keys, as this session's transaction sees them.
    pub(super) async fn categories(
        &mut self,
        snapshot: &Arc<Snapshot>,
        keyspace: KeyspaceId,
        keys: &[String],
        purpose: Purpose,
    ) -> Result<Known, Stop> {
        let mut own = Known::new();
        if let (Some(at), Some(lookup)) = (self.writer(snapshot), lookup(snapshot, keyspace)) {
            self.flush_and_settle().await?;
            if self.failed {
                return Err(Failure::AlreadyAnswered.into());
            }
            for (key, category) in self.look_up(at, &lookup, keys).await? {
                let category = match purpose {
                    Purpose::Read => Category::Derived(category),
                    Purpose::Write => self.world.discovery.fix_category(keyspace, &key, &category).await?,
                };
                own.insert((keyspace, key), category);
            }
        }
        let others: Vec<String> = keys
            .iter()
            .filter(|key| !own.contains_key(&(keyspace, (*key).clone())))
            .cloned()
            .collect();
        if !others.is_empty() {
            own.extend(self.world.discovery.categories(keyspace, &others, purpose).await?);
        }
        Ok(own)
    }

    /// A backend on which this transaction has written; home's if it is one, since a reference table is written there too.
    fn writer(&self, snapshot: &Snapshot) -> Option<usize> {
        let wrote = |p: &Participant| p.begun == Begun::Block && p.access == Access::Write && p.life == Life::Alive;
        let home = self.participants.find(snapshot.topology().home());
        home.filter(|at| self.participants.get(*at).is_some_and(wrote))
            .or_else(|| self.participants.iter().position(wrote))
    }

    async fn look_up(&mut self, at: usize, lookup: &Lookup, keys: &[String]) -> Result<Vec<(String, String)>, Stop> {
        let list: Vec<String> = keys.iter().map(|key| quote_literal(key)).collect();
        let (key, category) = (quote_identifier(&lookup.key), quote_identifier(&lookup.category));
        let sql = format!(
            "SELECT {key}::pg_catalog.text, {category}::pg_catalog.text FROM {}.{} \
             WHERE {category} IS NOT NULL AND {key}::pg_catalog.text OPERATOR(pg_catalog.=) ANY (ARRAY[{}])",
            quote_identifier(&lookup.table.schema),
            quote_identifier(&lookup.table.name),
            list.join(", "),
        );
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("no backend to ask").into());
        };
        wire::put_query(&mut participant.backend.link.out_buffer, sql.as_bytes());
        participant.set_unnamed(0);
        let mut found = Vec::new();
        let mut refused = None;
        round_trip(participant, |frame| {
            match frame.tag {
                b'D' => {
                    let mut values = wire::DataRow::parse(frame.body)?
                        .values
                        .map(|value| String::from_utf8_lossy(value.unwrap_or_default()).into_owned());
                    if let (Some(key), Some(category)) = (values.next(), values.next()) {
                        found.push((key, category));
                    }
                }
                b'E' => refused = Some(Box::new(ErrorFields::parse(frame.body)?)),
                _ => {}
            }
            Ok(())
        })
        .await?;
        match refused {
            Some(fields) => {
                self.follow_status(at);
                Err(Failure::Shard(fields).into())
            }
            None => Ok(found),
        }
    }
}

/// Where a keyspace's categories are looked up.
struct Lookup {
    table: QualifiedName,
    key: String,
    category: String,
}

fn lookup(snapshot: &Snapshot, keyspace: KeyspaceId) -> Option<Lookup> {
    match snapshot.topology().keyspace(keyspace)?.strategy() {
        Strategy::Category(placement) => match placement.source() {
            CategorySource::Lookup { table, key, category } => Some(Lookup {
                table: table.clone(),
                key: key.clone(),
                category: category.clone(),
            }),
            CategorySource::ByKey(_) | CategorySource::Key => None,
        },
        Strategy::Hash(_) | Strategy::Range(_) => None,
    }
}
