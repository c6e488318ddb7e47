//! Control connections to all shards, and the statements of the commit protocol that run on them.
//!
//! Why not the clients' pools: a recoverer must get through when those are full, and runs under the control role.
//! Holds: every statement names functions and operators in full; whatever decides or applies waits for the standby.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::ask::{Ask, Asked};
use super::clean::Holding;
use super::deadlock::Waits;
use super::gid::{GID_PREFIX, Gid, TxId};
use super::lock::LockKey;
use super::rules::{Durability, Verdict};
use super::snapshot::Mark;
use super::store;
use crate::backend::{Control, ControlError, SimpleQueryMessage};
use crate::plan::OWN_LOCK_CLASSES;
use crate::topology::ShardId;

/// Longest wait for one statement of ours; an insert that waits for a commit in flight may take this long.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the shards are, by their ids.
#[derive(Clone, Debug)]
pub struct ShardAddress {
    /// which
    pub shard: ShardId,
    /// for messages
    pub name: String,
    /// of the control role
    pub url: String,
}

/// Control connections to all shards.
#[derive(Debug, Default)]
pub struct Shards {
    /// guards one pointer: held for a clone or a swap, never over an await
    list: RwLock<Arc<List>>,
}

#[derive(Debug, Default)]
struct List {
    home: Option<ShardId>,
    shards: BTreeMap<ShardId, Arc<ShardControl>>,
}

/// Control connections to one shard.
#[derive(Debug)]
pub(super) struct ShardControl {
    shard: ShardId,
    name: String,
    url: String,
    control: Control,
    /// for waits of reads, so that those of commits and recovery get through
    waits: Control,
}

/// One decision row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecisionRow {
    pub(super) tx_id: TxId,
    pub(super) verdict: Verdict,
    pub(super) x: u64,
    /// beside the decision shard; empty in an abort row
    pub(super) participants: Vec<Option<ShardId>>,
    /// by its shard's clock
    pub(super) age: Duration,
}

/// One prepared part, as a shard lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PreparedPart {
    pub(super) gid: Gid,
    /// by its shard's clock
    pub(super) age: Duration,
}

/// What a shard lists of its prepared transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// those of ours in this database
    Parts(Vec<PreparedPart>),
    /// it is in recovery, and lists none
    Standby,
}

/// What became of COMMIT or ROLLBACK PREPARED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// done here
    Done,
    /// no such gid: done by another, or not there yet
    Absent,
    /// somebody is at it this moment
    Busy,
}

impl Shards {
    /// Takes over another list. A shard whose address stays keeps its connections.
    pub fn reload(&self, home: ShardId, addresses: impl IntoIterator<Item = ShardAddress>) -> Result<(), ControlError> {
        let old = self.list();
        let mut new = BTreeMap::new();
        for ShardAddress { shard, name, url } in addresses {
            let known = old
                .shards
                .get(&shard)
                .filter(|known| known.url == url && known.name == name);
            let control = match known {
                Some(known) => Arc::clone(known),
                None => Arc::new(ShardControl {
                    shard,
                    name,
                    control: Control::new(&url, CONTROL_TIMEOUT)?,
                    waits: Control::new(&url, CONTROL_TIMEOUT)?,
                    url,
                }),
            };
            new.insert(shard, control);
        }
        let list = List {
            home: Some(home),
            shards: new,
        };
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
        Ok(())
    }

    fn list(&self) -> Arc<List> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> Vec<Arc<ShardControl>> {
        self.list().shards.values().cloned().collect()
    }

    pub(super) fn get(&self, shard: ShardId) -> Option<Arc<ShardControl>> {
        self.list().shards.get(&shard).cloned()
    }

    /// The home shard.
    pub(super) fn home(&self) -> Option<ShardId> {
        self.list().home
    }

    /// A shard's name, for messages.
    pub(super) fn name(&self, shard: ShardId) -> String {
        self.get(shard)
            .map_or_else(|| format!("number {}", shard.index()), |known| known.name.clone())
    }
}

impl ShardControl {
    /// Which.
    pub(super) fn shard(&self) -> ShardId {
        self.shard
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Waits for a while until none of these is prepared here; whether that has come.
    pub(super) async fn have_ended(&self, tx_ids: &[TxId]) -> Result<bool, ControlError> {
        // In the order of the locks, so that readers never wait for each other in a circle.
        let keys: BTreeSet<LockKey> = tx_ids.iter().map(LockKey::of).collect();
        let locks: Vec<String> = keys
            .iter()
            .map(|key| format!("pg_catalog.pg_advisory_xact_lock({key})"))
            .collect();
        let sql = format!("SET LOCAL lock_timeout = '1s'; SELECT {}", locks.join(", "));
        match self.waits.simple_query(&sql).await {
            Ok(_) => Ok(true),
            Err(error) if error.sqlstate() == Some("55P03") => Ok(false),
            // Others wait too: it is this one's turn later.
            Err(ControlError::Timeout(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the tables and functions, unless they are there; the topology store makes the schema.
    pub(super) async fn make_store(&self) -> Result<(), ControlError> {
        let seen = self.control.simple_query(store::IS_THERE).await?;
        if cell(&seen, 0).as_deref() == Some("t") {
            return Ok(());
        }
        let sql = format!(
            "SET LOCAL client_min_messages = warning; SELECT pg_catalog.pg_advisory_xact_lock(1936159079, 1); \
             CREATE SCHEMA IF NOT EXISTS shardgate; {}",
            store::CREATE
        );
        self.control.simple_query(&sql).await.map(|_| ())
    }

    /// Inserts the abort row, in a transaction of its own. `Ok(false)`: the key is taken.
    pub(super) async fn insert_abort(&self, tx_id: TxId, x: u64) -> Result<bool, ControlError> {
        const WAIT: &str = "SET LOCAL lock_timeout = '2s'; SET LOCAL synchronous_commit = on;";
        let sql = format!(
            "{WAIT} INSERT INTO shardgate.decision (txid, verdict, x, participants) \
             VALUES ('{tx_id}', 'abort', '{x}', '{{}}')"
        );
        match self.control.simple_query(&sql).await {
            Ok(_) => Ok(true),
            Err(error) => match error.sqlstate() {
                Some("23505") => Ok(false),
                Some("55P03") => {
                    // Whoever holds the key hasn't ended in time. It may be frozen: what it holds up must go on.
                    self.terminate(x).await?;
                    Err(error)
                }
                Some(_) | None => Err(error),
            },
        }
    }

    /// Ends the backend whose transaction this is, if there is one.
    async fn terminate(&self, x: u64) -> Result<(), ControlError> {
        let sql = format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
             WHERE backend_xid OPERATOR(pg_catalog.=) '{x}'::pg_catalog.xid8::pg_catalog.xid"
        );
        self.control.simple_query(&sql).await.map(|_| ())
    }

    /// Asks for a verdict. A commit is read, and made sure of, on one connection: another might be to another server,
    /// which has taken over without it.
    pub(super) async fn ask(&self, gid: &Gid, ask: Ask, durability: Durability) -> Result<Asked, ControlError> {
        match ask {
            Ask::Insert => match self.insert_abort(gid.tx_id, gid.x).await? {
                true => Ok(Asked::Inserted),
                false => Ok(Asked::Taken),
            },
            Ask::Read => {
                let sql = format!("{DECISIONS} WHERE txid OPERATOR(pg_catalog.=) '{}'", gid.tx_id);
                let row = self
                    .control
                    .with(async |client| {
                        let row = cells(&client.simple_query(&sql).await?).find_map(decision);
                        let is_commit = row.as_ref().is_some_and(|row| row.verdict == Verdict::Commit);
                        if is_commit && durability == Durability::Synchronous {
                            client.simple_query(BARRIER).await?;
                        }
                        Ok(row)
                    })
                    .await?;
                Ok(Asked::Row(row.map(|row| row.verdict)))
            }
        }
    }

    /// Looks for a gid, and makes sure on the same connection that what was seen stays so.
    pub(super) async fn look(&self, gid: &Gid, durability: Durability) -> Holding {
        let sql = format!(
            "SELECT pg_catalog.pg_is_in_recovery(), EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts \
             WHERE gid OPERATOR(pg_catalog.=) '{gid}' AND database OPERATOR(pg_catalog.=) pg_catalog.current_database())"
        );
        let looked = self
            .control
            .with(async |client| {
                let seen = client.simple_query(&sql).await?;
                let holding = match (cell(&seen, 0).as_deref(), cell(&seen, 1).as_deref()) {
                    (Some("f"), Some("t")) => Holding::Held,
                    (Some("f"), Some("f")) => Holding::Gone,
                    (_, _) => Holding::Standby,
                };
                if holding == Holding::Gone && durability == Durability::Synchronous {
                    client.simple_query(BARRIER).await?;
                }
                Ok(holding)
            })
            .await;
        looked.unwrap_or(Holding::Silent)
    }

    /// Every decision row.
    pub(super) async fn decisions(&self) -> Result<Vec<DecisionRow>, ControlError> {
        let rows = self.control.simple_query(DECISIONS).await?;
        Ok(cells(&rows).filter_map(decision).collect())
    }

    /// The prepared parts of ours in this database.
    pub(super) async fn prepared(&self) -> Result<Listed, ControlError> {
        let sql = format!(
            "SELECT pg_catalog.pg_is_in_recovery(), NULL, NULL UNION ALL \
             SELECT NULL, gid, (EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) prepared) \
             OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8::pg_catalog.text \
             FROM pg_catalog.pg_prepared_xacts WHERE database OPERATOR(pg_catalog.=) pg_catalog.current_database() \
             AND pg_catalog.starts_with(gid, '{GID_PREFIX}')"
        );
        let rows = self.control.simple_query(&sql).await?;
        let mut parts = Vec::new();
        let mut is_primary = false;
        for row in cells(&rows) {
            match (row.first(), row.get(1), row.get(2)) {
                (Some(Some(recovery)), _, _) => is_primary = recovery == "f",
                (_, Some(Some(gid)), Some(Some(age))) => {
                    if let Some(gid) = Gid::parse(gid) {
                        let age = Duration::from_millis(age.parse().unwrap_or(0));
                        parts.push(PreparedPart { gid, age });
                    }
                }
                _ => {}
            }
        }
        Ok(if is_primary {
            Listed::Parts(parts)
        } else {
            Listed::Standby
        })
    }

    /// Who waits for whom in this database, and which of them belong to transactions over several shards.
    pub(super) async fn waits(&self) -> Result<Waits, ControlError> {
        let sql = format!(
            "SELECT l.pid, l.classid::pg_catalog.int8, l.objid::pg_catalog.int8, \
             (EXTRACT(epoch FROM a.xact_start) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, NULL \
             FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid \
             WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.granted AND l.objsubid OPERATOR(pg_catalog.=) 2 \
             AND l.mode OPERATOR(pg_catalog.=) 'ShareLock' AND a.datname OPERATOR(pg_catalog.=) \
             pg_catalog.current_database() AND l.classid::pg_catalog.int8 BETWEEN {} AND {} \
             UNION ALL SELECT a.pid, NULL, NULL, NULL, b.pid FROM pg_catalog.pg_stat_activity a \
             CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) b(pid) \
             WHERE a.wait_event_type OPERATOR(pg_catalog.=) 'Lock' \
             AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()",
            OWN_LOCK_CLASSES.start().saturating_add(1),
            OWN_LOCK_CLASSES.end()
        );
        let rows = self.control.simple_query(&sql).await?;
        let mut waits = Waits::default();
        for row in cells(&rows) {
            let number = |at: usize| row.get(at)?.as_deref()?.parse::<i64>().ok();
            let pid = |at: usize| number(at).and_then(|pid| i32::try_from(pid).ok());
            // objid is unsigned, the key's second integer is not
            let object = |bits: i64| u32::try_from(bits).ok().map(u32::cast_signed);
            match (pid(0), number(1), number(2).and_then(object), number(3), pid(4)) {
                (Some(pid), Some(class), Some(object), Some(begun), _) => {
                    if let Ok(class) = i32::try_from(class) {
                        waits.names.push((pid, LockKey { class, object }, begun));
                    }
                }
                (Some(pid), None, None, None, Some(blocker)) => waits.waits.push((pid, blocker)),
                _ => {}
            }
        }
        Ok(waits)
    }

    /// Every mark.
    pub(super) async fn marks(&self) -> Result<BTreeSet<Mark>, ControlError> {
        let sql = "SELECT txid, pg_catalog.array_to_string(participants, ',') FROM shardgate.mark";
        let rows = self.control.simple_query(sql).await?;
        let mark = |row: Cells| {
            let listed = row.get(1)?.as_deref()?.split(',');
            Some(Mark {
                tx_id: TxId::parse(row.first()?.as_deref()?)?,
                participants: listed
                    .filter_map(|one| one.parse().ok().and_then(ShardId::new))
                    .collect(),
            })
        };
        Ok(cells(&rows).filter_map(mark).collect())
    }

    /// Deletes marks.
    pub(super) async fn delete_marks(&self, tx_ids: &[TxId]) -> Result<(), ControlError> {
        let list: Vec<String> = tx_ids.iter().map(|tx_id| format!("'{tx_id}'")).collect();
        let sql = format!(
            "SET LOCAL synchronous_commit = off; DELETE FROM shardgate.mark WHERE txid OPERATOR(pg_catalog.=) \
             ANY (ARRAY[{}]::pg_catalog.text[])",
            list.join(", ")
        );
        self.control.simple_query(&sql).await.map(|_| ())
    }

    /// Makes the space of deleted marks free.
    pub(super) async fn vacuum_marks(&self) -> Result<(), ControlError> {
        self.control.simple_query("VACUUM shardgate.mark").await.map(|_| ())
    }

    /// COMMIT or ROLLBACK PREPARED, under the role that prepared.
    pub(super) async fn finish(&self, gid: &Gid, verdict: Verdict) -> Result<Finished, ControlError> {
        let find = format!(
            "SELECT pg_catalog.pg_is_in_recovery(), (SELECT owner FROM pg_catalog.pg_prepared_xacts \
             WHERE gid OPERATOR(pg_catalog.=) '{gid}' AND database OPERATOR(pg_catalog.=) pg_catalog.current_database())"
        );
        let rows = self.control.simple_query(&find).await?;
        let owner = match (cell(&rows, 0).as_deref(), cell(&rows, 1)) {
            (Some("f"), Some(owner)) => owner,
            (Some("f"), None) => return Ok(Finished::Absent),
            // A standby lists none: it can't tell.
            (_, _) => return Ok(Finished::Busy),
        };
        let role = owner.replace('"', "\"\"");
        let words = match verdict {
            Verdict::Commit => "COMMIT",
            Verdict::Abort => "ROLLBACK",
        };
        let done = self
            .control
            .with(async |client| {
                client
                    .simple_query(&format!("SET synchronous_commit = on; SET ROLE \"{role}\""))
                    .await?;
                client.simple_query(&format!("{words} PREPARED '{gid}'")).await?;
                client.simple_query("RESET ROLE").await?;
                Ok(())
            })
            .await;
        match done {
            Ok(()) => Ok(Finished::Done),
            Err(error) => match error.sqlstate() {
                Some("42704") => Ok(Finished::Absent),
                Some("55000") => Ok(Finished::Busy),
                Some(_) | None => Err(error),
            },
        }
    }

    /// Is this transaction still in progress here? One that a crash has taken, or that nobody remembers, is not.
    pub(super) async fn is_in_progress(&self, x: u64) -> Result<bool, ControlError> {
        match self
            .control
            .simple_query(&format!("SELECT pg_catalog.pg_xact_status('{x}')"))
            .await
        {
            Ok(rows) => Ok(cell(&rows, 0).as_deref() == Some("in progress")),
            Err(error) if error.sqlstate() == Some("22023") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes rows, where they still say this.
    pub(super) async fn forget(&self, tx_ids: &[TxId], verdict: Verdict) -> Result<(), ControlError> {
        let list: Vec<String> = tx_ids.iter().map(|tx_id| format!("'{tx_id}'")).collect();
        let said = match verdict {
            Verdict::Commit => "commit",
            Verdict::Abort => "abort",
        };
        let sql = format!(
            "DELETE FROM shardgate.decision WHERE txid OPERATOR(pg_catalog.=) \
             ANY (ARRAY[{}]::pg_catalog.text[]) AND verdict OPERATOR(pg_catalog.=) '{said}'",
            list.join(", ")
        );
        self.control.simple_query(&sql).await.map(|_| ())
    }
}

/// One small synchronous commit: whatever was visible here before is on the standby afterwards. A commit waits for the
/// standby only if its transaction has written something.
const BARRIER: &str = "SET LOCAL synchronous_commit = on; \
    SELECT pg_catalog.pg_logical_emit_message(true, 'shardgate', ''::pg_catalog.text)";

const DECISIONS: &str = "SELECT txid, verdict, x, pg_catalog.array_to_string(participants, ','), \
    (EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) made_at) \
    OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8 FROM shardgate.decision";

type Cells = Vec<Option<String>>;

fn cells(messages: &[SimpleQueryMessage]) -> impl Iterator<Item = Cells> {
    messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    })
}

fn cell(messages: &[SimpleQueryMessage], at: usize) -> Option<String> {
    cells(messages).next()?.get(at)?.clone()
}

/// A row of [`DECISIONS`]; one with a name that no committer makes is nobody's.
fn decision(row: Cells) -> Option<DecisionRow> {
    let text = |at: usize| row.get(at)?.as_deref();
    let listed = text(3).unwrap_or_default().split(',').filter(|one| !one.is_empty());
    Some(DecisionRow {
        tx_id: TxId::parse(text(0)?)?,
        verdict: match text(1)? {
            "commit" => Verdict::Commit,
            _ => Verdict::Abort,
        },
        x: text(2)?.parse().ok()?,
        participants: listed.map(|one| one.parse().ok().and_then(ShardId::new)).collect(),
        age: Duration::from_millis(text(4)?.parse().unwrap_or(0)),
    })
}
