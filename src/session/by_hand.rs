//! `shardgate.shard`, `shardgate.key` and leading comments that say them: which shard the client names for a statement.
//!
//! Why looked at per statement: a key's place may change with the epoch. A session that says nothing pays one comparison.
//! Holds: comments mean something only where the config says `directives: comments`.

use std::sync::Arc;

use crate::config::Directives;
use crate::plan::{Category, Compiled, Plan, Purpose, Refusal, Routed, Snapshot};
use crate::session::error::{Failure, Stop};
use crate::session::route::Question;
use crate::session::state::Session;
use crate::sql::{self, Command, Directive, DirectiveError, SettingError};
use crate::topology::{Placed, ShardId};
use crate::value::Key;

const SHARD: &str = "shardgate.shard";
const KEY: &str = "shardgate.key";
const CONSISTENCY: &str = "shardgate.consistency";

impl Session {
    /// Heeds a statement's leading comments, until the next statement.
    pub(super) fn heed(&mut self, text: &[u8]) -> Result<(), Stop> {
        self.directives.clear();
        if !self.may_be_directed(text) {
            return Ok(());
        }
        self.directives = sql::leading_directives(text).map_err(|error| match error {
            DirectiveError::Setting(error) => Failure::Setting(error),
            DirectiveError::Malformed(value) => Failure::Setting(SettingError::InvalidValue {
                name: "shardgate".to_owned(),
                value,
                expected: "name=value",
            }),
        })?;
        Ok(())
    }

    /// Whether comments mean something, and there is one in front.
    pub(super) fn may_be_directed(&self, text: &[u8]) -> bool {
        let lead = text.trim_ascii_start();
        let commented = lead.starts_with(b"/*") || lead.starts_with(b"--");
        commented && self.world.live().settings.directives != Directives::Off
    }

    /// `shardgate.consistency`, of the statement or the session.
    pub(super) fn consistency(&self) -> Option<&str> {
        directive(&self.directives, CONSISTENCY).or_else(|| self.current().get(CONSISTENCY))
    }

    /// The shard that the client names for the statement at hand.
    pub(super) async fn named_shard(&mut self, snapshot: &Arc<Snapshot>) -> Result<Option<ShardId>, Stop> {
        if self.directives.is_empty() && self.current().says_nothing_of_ours() {
            return Ok(None);
        }
        Box::pin(self.shard_by_hand(snapshot)).await
    }

    async fn shard_by_hand(&mut self, snapshot: &Arc<Snapshot>) -> Result<Option<ShardId>, Stop> {
        let written = |name: &str| directive(&self.directives, name).filter(|value| !value.is_empty());
        let set = |name: &str| self.current().get(name).filter(|value| !value.is_empty());
        // what a comment says goes before the session's settings
        let (shard, key) = match (written(SHARD), written(KEY)) {
            (None, None) => (set(SHARD), set(KEY)),
            written => written,
        };
        let (shard, key) = (shard.map(str::to_owned), key.map(str::to_owned));
        let named = match &shard {
            Some(name) => Some(shard_of(snapshot, name)?),
            None => None,
        };
        let Some(key) = key else {
            return Ok(named);
        };
        let owner = self.owner_of(snapshot, &key).await?;
        match named {
            Some(named) if named != owner => Err(invalid(
                KEY,
                &key,
                "a key of the shard that shardgate.shard names, or shardgate.shard left out",
            )),
            Some(_) | None => Ok(Some(owner)),
        }
    }

    /// Checks a value of `shardgate.shard` or `shardgate.key` as it is set.
    pub(super) async fn check_hand(&mut self, name: &str, value: &str) -> Result<(), Stop> {
        let snapshot = self.snapshot();
        match name {
            _ if value.is_empty() => Ok(()),
            SHARD => shard_of(&snapshot, value).map(drop),
            KEY => self.owner_of(&snapshot, value).await.map(drop),
            _ => Ok(()),
        }
    }

    /// Checks SET of one of our settings on its way to a server, which would take any value.
    pub(super) async fn check_ours(&mut self, command: &Command) -> Result<(), Stop> {
        match command {
            Command::Set(set) if set.name.starts_with("shardgate.") => {
                let value = self.current().with_set(set)?.get(&set.name).map(str::to_owned);
                Box::pin(self.check_hand(&set.name, &value.unwrap_or_default())).await
            }
            _ => Ok(()),
        }
    }

    /// Whose row `keyspace:value` is.
    async fn owner_of(&mut self, snapshot: &Arc<Snapshot>, said: &str) -> Result<ShardId, Stop> {
        let wrong = |expected| invalid(KEY, said, expected);
        let (name, text) = said.split_once(':').ok_or_else(|| wrong("keyspace:value"))?;
        let topology = snapshot.topology();
        let (id, keyspace) = topology
            .keyspace_by_name(name)
            .ok_or_else(|| wrong("the name of a keyspace before the colon"))?;
        if !text.is_ascii() && !self.effective.context.client_encoding.eq_ignore_ascii_case("utf8") {
            return Err(wrong("letters beyond ASCII under client_encoding UTF8 only"));
        }
        let key = Key::parse_text(keyspace.key_type(), text.as_bytes())
            .map_err(|_| wrong("a value of the keyspace's type, dates in ISO form"))?;
        let placed = match keyspace.place(&key) {
            Placed::CategoryNeeded => {
                let keys = [text.to_owned()];
                let known = self.categories(snapshot, id, &keys, Purpose::Read).await?;
                match known.into_values().next() {
                    Some(Category::Fixed(category) | Category::Derived(category)) => {
                        keyspace.place_in_category(&key, &category)
                    }
                    Some(Category::Unknown) | None => Placed::CategoryUnknown,
                }
            }
            placed => placed,
        };
        match placed {
            Placed::At(place) => Ok(place.shard),
            Placed::CategoryNeeded | Placed::CategoryUnknown => Err(wrong("a key whose category is known")),
            Placed::BeyondRanges => Err(wrong("a key within the keyspace's ranges")),
            Placed::Mistyped => Err(wrong("a value of the keyspace's type")),
        }
    }

    /// The plan, once the client has named a shard.
    pub(super) fn lead_by_hand(
        &self,
        compiled: &Compiled,
        planned: Result<Plan, Box<Refusal>>,
        question: &Question<'_>,
        shard: ShardId,
    ) -> Result<Plan, Stop> {
        let routed = match sql::command(question.text, self.lexing) {
            Ok(Command::Query) => Routed::Query,
            Ok(_) | Err(_) => Routed::Other,
        };
        let name = self.world.shard_name(shard);
        let led = compiled.by_hand(planned, routed, (shard, &name));
        led.map_err(|refusal| Failure::Refused(refusal).into())
    }
}

fn directive<'d>(directives: &'d [Directive], name: &str) -> Option<&'d str> {
    let said = directives.iter().rev().find(|directive| directive.name == name);
    said.map(|directive| directive.value.as_str())
}

fn shard_of(snapshot: &Snapshot, name: &str) -> Result<ShardId, Stop> {
    let shard = snapshot.topology().shard_by_name(name);
    shard.ok_or_else(|| invalid(SHARD, name, "the name of a shard"))
}

fn invalid(name: &str, value: &str, expected: &'static str) -> Stop {
    Failure::Setting(SettingError::InvalidValue {
        name: name.to_owned(),
        value: value.to_owned(),
        expected,
    })
    .into()
}
