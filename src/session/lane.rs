//! Getting a backend into a session's hands in the right state, and letting it go again.
//!
//! Holds: a backend serves a client only after its settings have been made the session's and that has succeeded
//! (`sessions.md` 17); inside a block it joins with BEGIN, the block's characteristics and its log in order (11); it
//! goes back only between transactions, unpinned, settled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::{Backend, Reuse};
use crate::plan::Access;
use crate::session::error::{Failure, Stop};
use crate::session::idle::{DEFAULTS, Timeouts};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::state::Session;
use crate::sql::SessionSettings;
use crate::telemetry::ClientState;
use crate::topology::{ShardId, ShardSet};
use crate::transaction::{
    self, Begun, EndError, EndHow, Examine, Follows, Heard, Life, Participant, SettingsKept, Sync, TripError, Worked,
};
use crate::wire::{self, ErrorFields};

/// Why a backend is pinned while a statement runs that may leave something behind, and after it has failed.
pub(super) const SENT: &str = "statement under way";

/// Reasons for a pin of which DISCARD ALL leaves nothing. Of others something stays: the schema of temporary tables, say.
const UNDONE: [&str; 4] = ["LISTEN", "advisory lock", "cursor WITH HOLD", "holdable cursor"];

/// What a session notes on a backend that it gives back.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// settings that the backend has
    pub(super) settings: SessionSettings,
    /// id of the statement that is its unnamed one; 0: none that anybody knows
    pub(super) unnamed: AtomicU64,
    /// the idle timeouts that it has where no session sets one
    pub(super) defaults: Timeouts,
}

impl Applied {
    /// The id of the unnamed statement is this now.
    pub(super) fn set_unnamed(&self, id: u64) {
        self.unnamed.store(id, Ordering::Relaxed);
    }
}

impl Participant {
    /// What was noted on the backend.
    pub(super) fn applied(&mut self) -> Arc<Applied> {
        match self.backend.applied_as::<Applied>() {
            Some(applied) => applied,
            None => {
                let applied = Arc::new(Applied::default());
                self.set_applied(Arc::clone(&applied));
                applied
            }
        }
    }

    fn set_applied(&mut self, applied: Arc<Applied>) {
        self.backend.applied = Some(applied);
    }

    /// Its settings have become these.
    pub(super) fn note_settings(&mut self, settings: &SessionSettings) {
        let applied = self.applied();
        if applied.settings != *settings {
            let unnamed = applied.unnamed.load(Ordering::Relaxed);
            self.set_applied(Arc::new(Applied {
                settings: settings.clone(),
                unnamed: AtomicU64::new(unnamed),
                defaults: applied.defaults,
            }));
        }
    }

    /// Asks a server that has just been connected to what its idle timeouts are.
    pub(super) async fn learn_defaults(&mut self) -> Result<(), Stop> {
        wire::put_query(&mut self.backend.link.out_buffer, DEFAULTS);
        let mut defaults = Timeouts::default();
        round_trip(self, |frame| {
            if frame.tag == b'D' {
                defaults = Timeouts::told(&text_cells(frame.body)?);
            }
            Ok(())
        })
        .await?;
        self.set_applied(Arc::new(Applied {
            defaults,
            ..Applied::default()
        }));
        Ok(())
    }

    /// The id of its unnamed statement.
    pub(super) fn unnamed(&mut self) -> u64 {
        self.applied().unnamed.load(Ordering::Relaxed)
    }

    /// Its unnamed statement is this now.
    pub(super) fn set_unnamed(&mut self, id: u64) {
        self.applied().set_unnamed(id);
    }
}

impl Session {
    /// The position of this shard's backend, taken from the pool if the session holds none, ready for a message of the
    /// client's: enlisted if there is a block.
    pub(super) async fn lane(&mut self, shard: ShardId, access: Access) -> Result<usize, Stop> {
        let at = match self.participants.find(shard) {
            Some(at) => {
                self.catch_up(at).await?;
                match self.participants.find(shard) {
                    Some(at) => at,
                    None => return Err(Failure::Bug("a held backend is missing").into()),
                }
            }
            None => self.check_out(shard).await?,
        };
        if self.joins_blocks() && self.begun(at) == Begun::Autocommit {
            self.enlist(at).await?;
        }
        let transparent = self.transparent;
        if let Some(participant) = self.participants.get_mut(at) {
            participant.touch(access);
            if transparent {
                participant.follows = Follows::Yes;
            }
        }
        Ok(at)
    }

    /// A held backend that took no part in what the session has set since (a pinned one, say) is given it now.
    async fn catch_up(&mut self, at: usize) -> Result<(), Stop> {
        let wanted = match self.block.at_begin() {
            Some(saved) => saved.settings.clone(),
            None => self.settings.clone(),
        };
        let transparent = self.transparent;
        let Some(participant) = self.participants.get_mut(at) else {
            return Ok(());
        };
        let stands = participant.begun == Begun::Autocommit
            && participant.sync == Sync::Settled
            && participant.status == b'I'
            && participant.follows == Follows::No;
        if transparent || !stands {
            return Ok(());
        }
        let applied = participant.applied();
        if applied.settings == wanted || !wanted.can_take_over(&applied.settings) {
            return Ok(());
        }
        let sql = wanted.diff(&applied.settings);
        if !sql.is_empty() {
            let Some(mut participant) = self.participants.remove(at) else {
                return Ok(());
            };
            // A backend that can't be given them is dropped, and with it whatever pinned it: the error says so.
            self.replay(&mut participant, &sql).await?;
            participant.note_settings(&wanted);
            let _at = self.participants.push(participant);
        } else if let Some(participant) = self.participants.get_mut(at) {
            participant.note_settings(&wanted);
        }
        Ok(())
    }

    fn begun(&self, at: usize) -> Begun {
        self.participants.get(at).map_or(Begun::Autocommit, |p| p.begun)
    }

    /// Takes a backend from the pool and gives it the session's settings, or those of the block's beginning.
    pub(super) async fn check_out(&mut self, shard: ShardId) -> Result<usize, Stop> {
        let wanted = match self.block.at_begin() {
            Some(saved) => saved.settings.clone(),
            None => self.settings.clone(),
        };
        let world = Arc::clone(&self.world);
        let backend = match world.pools.try_checkout(shard, &self.login, wanted.digest())? {
            Some(backend) => backend,
            None => Box::pin(self.wait_for_backend(shard, &wanted)).await?,
        };
        let mut participant = Participant::new(shard, backend);
        if participant.backend.applied.is_none() {
            Box::pin(participant.learn_defaults()).await?;
        }
        self.mind_timers(&mut participant);
        let applied = participant.applied();
        if applied.settings != wanted {
            let sql = wanted.diff(&applied.settings);
            if !sql.is_empty() {
                Box::pin(self.replay(&mut participant, &sql)).await?;
            }
            participant.note_settings(&wanted);
            if wanted.custom_names().next().is_some() {
                participant.backend.restrict_reuse();
            }
        }
        Ok(self.participants.push(participant))
    }

    async fn wait_for_backend(&mut self, shard: ShardId, wanted: &SessionSettings) -> Result<Backend, Stop> {
        let world = Arc::clone(&self.world);
        let since = world.clock.now();
        self.enrolment.set_state(ClientState::Waiting);
        let holds = !self.participants.is_empty();
        let deadline = since.checked_add(world.checkout_timeout()).unwrap_or(since);
        let checkout = world.pools.checkout(shard, &self.login, wanted.digest(), deadline);
        let got = tokio::select! {
            got = checkout => got,
            () = self.enrolment.cancelled(self.running.mark) => return Err(Failure::Cancelled.into()),
        };
        let waited = world.clock.now().saturating_duration_since(since);
        world.telemetry.checkout(shard, waited);
        self.note_wait(shard, waited);
        self.enrolment.set_state(ClientState::Active);
        match got {
            Ok(backend) => Ok(backend),
            // Whoever waits for a pool while it holds another shard's backend may be part of a circle (design §4).
            Err(crate::backend::Error::CheckoutTimeout { shard, waited, size }) if holds => {
                Err(Failure::PoolDeadlock {
                    shard: shard.to_string(),
                    waited,
                    size,
                }
                .into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Runs SQL of ours on a backend and awaits its success; the backend is dropped if it fails.
    async fn replay(&mut self, participant: &mut Participant, sql: &[u8]) -> Result<(), Stop> {
        wire::put_query(&mut participant.backend.link.out_buffer, sql);
        let mut refused = None;
        round_trip(participant, |frame| {
            if frame.tag == b'E'
                && let Ok(fields) = ErrorFields::parse(frame.body)
            {
                refused = Some(Box::new(fields));
            }
            Ok(())
        })
        .await?;
        match refused {
            Some(fields) => Err(Failure::Shard(fields).into()),
            None => Ok(()),
        }
    }

    /// Brings a backend into the client's block.
    async fn enlist(&mut self, at: usize) -> Result<(), Stop> {
        // Whoever owes answers must be done before another backend can owe some.
        if self.active != Some(at) {
            self.flush_and_settle().await?;
            if self.failed {
                return Err(Stop::Failed(Failure::AlreadyAnswered));
            }
        }
        let lock = self.name_block(at).await?;
        let characteristics = self.block.characteristics().text.clone();
        let log: Vec<Vec<u8>> = self.block.log().iter().map(|entry| entry.text.clone()).collect();
        self.participants.enters(at);
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a participant is missing").into());
        };
        let out = &mut participant.backend.link.out_buffer;
        wire::put_query(out, b"BEGIN");
        let mut count = 1;
        let mut may_fail = false;
        if !characteristics.is_empty() {
            may_fail = true;
            wire::put_query(out, format!("SET TRANSACTION {characteristics}").as_bytes());
            count += 1;
        }
        // Before any savepoint, so that none takes it back.
        if let Some(lock) = &lock {
            wire::put_query(out, lock.as_bytes());
            count += 1;
        }
        for text in &log {
            may_fail = true;
            wire::put_query(out, text);
            count += 1;
        }
        participant.begun = Begun::Block;
        participant.follows = Follows::Yes;
        participant.status = b'T';
        participant.set_unnamed(0);
        self.note_names(at);
        self.active = Some(at);
        for _ in 0..count {
            self.queue.push_back(Owed::Backend {
                kind: Kind::Query(Vec::new()),
                shown: Shown::No,
                undo: Undo::Nothing,
            });
        }
        if may_fail {
            // A bare BEGIN can't fail, nor a lock that nobody holds alone; what follows it can, and then the client's message must not run.
            self.settle().await?;
            if self.failed {
                return Err(Stop::Failed(Failure::AlreadyAnswered));
            }
        }
        Ok(())
    }

    /// The backends of several shards, by shard: all of them before anything is sent to one, in shard order (design §4).
    pub(super) async fn enlist_all(
        &mut self,
        shards: ShardSet,
        access: Access,
    ) -> Result<BTreeMap<ShardId, usize>, Stop> {
        for shard in shards.iter() {
            self.lane(shard, access).await?;
        }
        self.settle().await?; // BEGIN on those that joined
        if self.failed {
            return Err(Failure::AlreadyAnswered.into());
        }
        // Positions only now: bringing one up to date may have moved another.
        let mut lanes = BTreeMap::new();
        for shard in shards.iter() {
            let at = self.participants.find(shard);
            let at = at.ok_or(Failure::Bug("a backend is missing"))?;
            if let Some(participant) = self.participants.get_mut(at) {
                participant.worked = Worked::Yes;
                participant.set_unnamed(0);
            }
            lanes.insert(shard, at);
        }
        Ok(lanes)
    }

    /// A block that enlists its second shard gets a name, by which all its participants can be told when it waits in a
    /// circle. Answers what the newest of them runs for it.
    async fn name_block(&mut self, newest: usize) -> Result<Option<String>, Stop> {
        let named = |session: &Session| session.participants.named().map(transaction::Named::lock_text);
        if let Some(lock) = named(self) {
            return Ok(Some(lock));
        }
        let others = (0..self.participants.len()).filter(|at| *at != newest && self.begun(*at) == Begun::Block);
        let others: Vec<usize> = others.collect();
        if others.is_empty() {
            return Ok(None);
        }
        let world = Arc::clone(&self.world);
        let secret = world.coordinator.draw_secret().map_err(EndError::from);
        let secret = secret.map_err(Failure::End)?;
        let (victim, cancel) = (Arc::clone(&self.victim), self.enrolment.canceller());
        let cancel = Box::new(move || {
            victim.store(true, Ordering::Release);
            cancel();
        });
        let entered = world.coordinator.deadlocks().enter(secret, self.running.since, cancel);
        self.participants.set_named(Some(entered));
        let lock = named(self);
        for at in others {
            if let Some(lock) = &lock {
                self.run_inside(at, lock.as_bytes()).await?;
            }
        }
        Ok(lock)
    }

    /// After ROLLBACK TO, which takes back a lock that came later than its savepoint.
    pub(super) async fn name_again(&mut self) -> Result<(), Stop> {
        match self.participants.named().map(transaction::Named::lock_text) {
            Some(lock) => self.everywhere(lock.as_bytes()).await,
            None => Ok(()),
        }
    }

    /// The work so far in this batch becomes a block on each of its backends, so that a second shard can join it.
    pub(super) async fn adopt_batch(&mut self) -> Result<(), Stop> {
        self.flush_and_settle().await?;
        if self.failed {
            return Err(Stop::Failed(Failure::AlreadyAnswered));
        }
        for at in 0..self.participants.len() {
            let Some(participant) = self.participants.get_mut(at) else {
                continue;
            };
            if participant.begun == Begun::Block || participant.sync == Sync::Settled {
                continue;
            }
            if participant.worked == Worked::No {
                // It has only parsed and described: nothing to adopt.
                wire::put_sync(&mut participant.backend.link.out_buffer);
                self.active = Some(at);
                self.queue.push_back(Owed::Backend {
                    kind: Kind::Sync,
                    shown: Shown::No,
                    undo: Undo::Nothing,
                });
                self.settle().await?;
                continue;
            }
            self.participants.enters(at);
            let Some(participant) = self.participants.get_mut(at) else {
                continue;
            };
            // BEGIN by the extended protocol adopts the implicit transaction (sessions.md 1).
            let out = &mut participant.backend.link.out_buffer;
            wire::put_parse(out, b"", b"BEGIN", &[]);
            wire::put_bind(out, b"", b"", &[], std::iter::empty(), &[]);
            wire::put_execute(out, b"", 0);
            wire::put_flush(out);
            participant.begun = Begun::Block;
            participant.follows = Follows::Yes;
            participant.set_unnamed(0);
            self.active = Some(at);
            for kind in [Kind::Parse, Kind::Bind, Kind::Execute(None)] {
                self.queue.push_back(Owed::Backend {
                    kind,
                    shown: Shown::No,
                    undo: Undo::Nothing,
                });
            }
            self.settle().await?;
            if self.failed {
                return Err(Stop::Failed(Failure::AlreadyAnswered));
            }
        }
        Ok(())
    }

    /// Ends a block on every participant; `transaction` says how. `Err` is why it could not commit.
    pub(super) async fn end_participants(&mut self, how: EndHow) -> Result<(), Stop> {
        let world = Arc::clone(&self.world);
        let mut heard = Heard::default();
        let listens = how == EndHow::Commit && self.has_listened();
        let ended = Box::pin(world.coordinator.end(&mut self.participants, how, &mut heard)).await;
        self.participants.set_named(None);
        self.client.out_buffer.extend_from_slice(&heard.notices);
        let failure = match ended {
            Ok(ended) if ended.behind.is_empty() => return Ok(()),
            Ok(ended) => {
                let fields = crate::session::answer::committed_in_part(&ended.behind);
                wire::put_notice(&mut self.client.out_buffer, &fields);
                return Ok(());
            }
            Err(EndError::RolledBack) => Failure::CommitRolledBack,
            Err(EndError::Shard { mut fields, shard }) => {
                if let Some(shard) = shard {
                    fields.add_where(&format!("shard {shard}"));
                }
                Failure::Shard(fields)
            }
            Err(error) => Failure::End(error),
        };
        match listens && heard.committed > 0 {
            true => Err(self.half_listening(&failure).into()),
            false => Err(failure.into()),
        }
    }

    /// Lets go of every backend that neither a block nor a pin holds.
    pub(super) async fn release(&mut self) {
        let in_block = self.block.is_explicit();
        match in_block {
            true => {
                if let Some(named) = self.participants.named() {
                    named.set_busy(None);
                }
            }
            false => self.participants.set_named(None),
        }
        let (mut kept, mut looked) = (Vec::new(), false);
        for mut participant in self.participants.take() {
            self.take_notified(&mut participant);
            if in_block && (self.transparent || participant.begun == Begun::Block) {
                kept.push(participant);
                continue;
            }
            if participant.life == Life::Gone {
                match ends_session(&participant) {
                    true => kept.push(participant), // whoever gives ReadyForQuery sees it
                    false => self.world.pools.suspect(participant.shard),
                }
                continue;
            }
            participant.begun = Begun::Autocommit;
            participant.access = Access::Read;
            participant.worked = Worked::No;
            if participant.cancels > 0 {
                participant.cancels = 0;
                if participant.backend.settle().await.is_err() {
                    continue;
                }
            }
            if participant.status != b'I' || participant.sync == Sync::Owed {
                continue; // dropping it closes it: the server rolls back
            }
            match (participant.settings_kept, participant.follows) {
                (SettingsKept::No, _) => participant.note_settings(&SessionSettings::default()),
                (SettingsKept::Yes, Follows::Yes) => participant.note_settings(&self.settings),
                // It never heard of what the session has set since: it keeps those that it was noted with.
                (SettingsKept::Yes, Follows::No) => {}
            }
            participant.settings_kept = SettingsKept::Yes;
            participant.follows = Follows::No;
            if participant.examine != Examine::No {
                looked = true;
                if Box::pin(self.look_at(&mut participant)).await.is_err() {
                    if ends_session(&participant) {
                        kept.push(participant);
                    }
                    continue;
                }
            }
            self.take_notified(&mut participant);
            if participant.pin.is_some() {
                kept.push(participant);
                continue;
            }
            let digest = participant.applied().settings.digest();
            match participant.backend.into_clean(digest) {
                Ok(clean) => self.world.pools.give_back(clean),
                Err(retired) if retired.reuse() == Reuse::Nobody => retired.terminate(),
                Err(dirty) => drop(dirty),
            }
        }
        for participant in kept {
            let _at = self.participants.push(participant);
        }
        if looked {
            self.enrolment.set_pinned(self.participants.iter().find_map(|p| p.pin));
        }
        self.active = None;
    }

    /// The backend at `at` stays with the session.
    pub(super) fn pin(&mut self, at: Option<usize>, why: &'static str) {
        let Some(participant) = at.and_then(|at| self.participants.get_mut(at)) else {
            return;
        };
        if participant.pin == Some(SENT) {
            participant.pin = Some(why);
            participant.examine = Examine::No;
            self.enrolment.set_pinned(Some(why));
        } else if participant.pin.is_none() {
            participant.pin = Some(why);
            // Over the limit it still stays: the statement has run. New pins are refused before they run.
            if let Err(error) = participant.backend.pin() {
                tracing::warn!(session = self.id, %error, "more pinned sessions than pool.pinned allows");
            }
            self.enrolment.set_pinned(Some(why));
        }
    }

    pub(super) fn pin_participant(&mut self, participant: &mut Participant, why: &'static str) -> Result<(), Stop> {
        participant.pin = Some(why);
        participant.backend.pin()?;
        self.enrolment.set_pinned(Some(why));
        Ok(())
    }

    /// Opaque code ran: the backend stays until it has been looked at.
    pub(super) fn pin_opaque(&mut self, at: Option<usize>) {
        self.pin(at, "opaque code");
        self.examine(at);
    }

    /// The backend's state is to be looked at before it is let go.
    pub(super) fn examine(&mut self, at: Option<usize>) {
        if let Some(participant) = at.and_then(|at| self.participants.get_mut(at)) {
            participant.examine = Examine::Due;
        }
    }

    /// Every held backend stays with the session.
    pub(super) fn pin_all(&mut self, why: &'static str) {
        for at in 0..self.participants.len() {
            self.pin(Some(at), why);
        }
    }

    /// DISCARD ALL has run on it.
    pub(super) fn forget_backend_state(&mut self, at: Option<usize>) {
        if let Some(participant) = at.and_then(|at| self.participants.get_mut(at)) {
            participant.backend.prepared.clear();
            participant.set_unnamed(0);
            // The server is at its own defaults: what the start-up packet asked for is replayed at the next checkout.
            participant.settings_kept = SettingsKept::No;
            if participant.pin.is_some_and(|why| !UNDONE.contains(&why)) {
                participant.backend.retire();
            }
            participant.pin = None;
            participant.examine = Examine::No;
            participant.backend.unpin();
        }
        self.enrolment.set_pinned(None);
    }

    /// Shows in SHOW CLIENTS which shards are held.
    pub(super) fn show_shards(&self) {
        let shards = self
            .participants
            .iter()
            .fold(ShardSet::default(), |set, p| set.with(p.shard));
        self.enrolment.set_shards(shards);
    }

    /// Sends cancel requests to every backend that works for this session; waits until they are delivered.
    pub(super) async fn cancel_backends(&mut self, why: Failure) {
        let mut requests = tokio::task::JoinSet::new();
        for participant in self.participants.iter_mut() {
            participant.cancels = participant.cancels.saturating_add(1);
            let target = participant.backend.cancel_target();
            requests.spawn(async move { crate::backend::cancel(&target).await });
        }
        self.cancelled_by = Some(why);
        while let Some(done) = requests.join_next().await {
            if let Ok(Err(error)) = done {
                tracing::warn!(session = self.id, %error, "a cancel request could not be delivered");
            }
        }
    }
}

/// Whether its end is the session's: what it was pinned for is gone.
pub(super) fn ends_session(participant: &Participant) -> bool {
    participant.life == Life::Gone && participant.pin.is_some_and(|why| why != SENT)
}

/// The values of a DataRow's body, which came as text.
pub(super) fn text_cells(body: &[u8]) -> Result<Vec<Option<String>>, wire::FrameError> {
    let text = |value: Option<&[u8]>| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Ok(wire::DataRow::parse(body)?.values.map(text).collect())
}

/// Writes what is queued and reads to the next ReadyForQuery; each whole message is shown to `look`.
pub(super) async fn round_trip(
    participant: &mut Participant,
    look: impl FnMut(&wire::Frame<'_>) -> Result<(), wire::FrameError>,
) -> Result<(), Stop> {
    transaction::round_trip(participant, look)
        .await
        .map_err(|error| match error {
            TripError::Lost { shard, said } => Stop::Failed(Failure::Lost {
                shard,
                name: String::new(),
                said,
            }),
            TripError::Bug(what) => Failure::Bug(what).into(),
        })
}
