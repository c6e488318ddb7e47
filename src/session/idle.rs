//! The client's idle timers: `idle_in_transaction_session_timeout` and `idle_session_timeout`, whatever set them.
//!
//! Why here: to a server a client that is busy on another shard looks idle, and a backend in the pool belongs to nobody.
//! The values stand on the backends, where everybody who may read them does; but before several shards no timer runs
//! there (`backend::Link::stop_timers`), and before one shard only while the session holds its backend: inside a block
//! Postgres's own timer is then the client's, also where a function has set it.
//! Holds: a timer runs from ReadyForQuery to the next whole message, as in Postgres; nothing is looked up for a session
//! whose timers were never anything but 0.

use std::time::{Duration, Instant};

use crate::backend::Link;
use crate::session::error::Gone;
use crate::session::state::Session;
use crate::sql::{SessionSettings, parse_milliseconds};
use crate::transaction::{Participant, State};
use crate::wire::{ErrorFields, Severity, SqlState};

const IN_BLOCK: &str = "idle_in_transaction_session_timeout";
const IN_SESSION: &str = "idle_session_timeout";

/// What a server that has just been connected to is asked; the second setting is unknown before Postgres 14.
pub(super) const DEFAULTS: &[u8] = b"SELECT pg_catalog.current_setting('idle_in_transaction_session_timeout', true), \
    pg_catalog.current_setting('idle_session_timeout', true)";

/// Both timeouts; 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Timeouts {
    /// inside a block
    block_ms: u32,
    /// outside
    session_ms: u32,
}

impl Timeouts {
    /// What a server answers to [`DEFAULTS`].
    pub(super) fn told(cells: &[Option<String>]) -> Timeouts {
        let cell = |at: usize| cells.get(at).and_then(Option::as_deref);
        Timeouts {
            block_ms: cell(0).and_then(parse_milliseconds).unwrap_or(0),
            session_ms: cell(1).and_then(parse_milliseconds).unwrap_or(0),
        }
    }

    /// Under these settings, where these are the defaults.
    fn under(self, settings: &SessionSettings) -> Timeouts {
        let value = |name: &str, default: u32| settings.get(name).map_or(Some(default), parse_milliseconds);
        Timeouts {
            block_ms: value(IN_BLOCK, self.block_ms).unwrap_or(0),
            session_ms: value(IN_SESSION, self.session_ms).unwrap_or(0),
        }
    }
}

/// A session's timers; most sessions never have any.
#[derive(Debug, Default)]
pub(super) struct Timers(Option<Box<Known>>);

/// What is known of a session's timers.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// the role's, in this database, or else the server's, when the session began
    defaults: Timeouts,
    watch: Watch,
    idle: Idle,
}

/// May a timer be anything but 0?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    No,
    Yes,
}

/// Since when is the client idle?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Idle {
    /// nobody has asked
    Unseen,
    Since(Instant),
    /// it has said something since ReadyForQuery, though nothing that is answered: Postgres's timers don't run
    Heard,
}

/// Which timer runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// inside a block
    Block,
    /// outside
    Session,
}

impl Timer {
    /// How a session ends by it.
    pub(super) fn gone(self) -> Gone {
        let (code, message) = match self {
            Timer::Block => (
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            ),
            Timer::Session => (
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
            ),
        };
        Gone::Fatal(Box::new(ErrorFields::new(Severity::Fatal, code, message)))
    }
}

/// Whether these are a server's last words to a client that was idle for too long.
pub(super) fn is_timer(fields: &ErrorFields) -> bool {
    let code = fields.code();
    code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT || code == SqlState::IDLE_SESSION_TIMEOUT
}

/// Whether settings say anything of the timers.
fn mentions(settings: &SessionSettings) -> bool {
    settings.get(IN_BLOCK).is_some() || settings.get(IN_SESSION).is_some()
}

/// Of a backend that is used before there is a session: the timers that these settings set on it are the session's.
pub(super) fn lend_at_start(link: &mut Link, defaults: Timeouts, settings: &SessionSettings) {
    if defaults != Timeouts::default() || mentions(settings) {
        link.lend_timers();
    }
}

impl Timers {
    /// Of a session that begins with these settings on a server with these defaults.
    pub(super) fn new(defaults: Timeouts, settings: &SessionSettings) -> Timers {
        if defaults == Timeouts::default() && !mentions(settings) {
            return Timers::default();
        }
        Timers(Some(Box::new(Known {
            defaults,
            watch: Watch::Yes,
            idle: Idle::Unseen,
        })))
    }

    /// Whether a timer may be running now.
    #[inline]
    pub(super) fn are_watched(&self) -> bool {
        self.0.as_ref().is_some_and(|known| known.watch == Watch::Yes)
    }

    fn known(&mut self) -> &mut Known {
        self.0.get_or_insert_with(|| {
            Box::new(Known {
                defaults: Timeouts::default(), // else it would be known
                watch: Watch::No,
                idle: Idle::Unseen,
            })
        })
    }
}

impl Session {
    /// ReadyForQuery has been given.
    #[inline]
    pub(super) fn begin_idle(&mut self) {
        if let Some(known) = &mut self.timers.0 {
            known.idle = match known.watch {
                Watch::No => Idle::Unseen,
                Watch::Yes => Idle::Since(self.world.clock.now()),
            };
        }
    }

    /// The client has sent a message that begins no batch.
    pub(super) fn heard(&mut self) {
        if let (false, Some(known)) = (self.in_batch, &mut self.timers.0) {
            known.idle = Idle::Heard;
        }
    }

    /// Settings have become these: they may set a timer.
    pub(super) fn watch_timers(&mut self, settings: &SessionSettings) {
        if !self.timers.are_watched() && mentions(settings) {
            self.watch_timers_from_now();
        }
    }

    fn watch_timers_from_now(&mut self) {
        self.timers.known().watch = Watch::Yes;
        self.mind_all_timers();
    }

    /// Whose timers run on the backends that are held may have changed.
    pub(super) fn mind_all_timers(&mut self) {
        if !self.timers.are_watched() {
            return;
        }
        let mind = self.minding();
        for participant in self.participants.iter_mut() {
            mind(&mut participant.backend.link);
        }
    }

    /// A backend comes into the session's hands: whose timers run there?
    pub(super) fn mind_timers(&mut self, participant: &mut Participant) {
        if participant.applied().defaults != Timeouts::default() && !self.timers.are_watched() {
            // It is younger than a change of the role's settings, and the session isn't.
            self.watch_timers_from_now();
        }
        match self.timers.are_watched() {
            true => self.minding()(&mut participant.backend.link),
            false => participant.backend.link.leave_timers(),
        }
    }

    /// What is done to the timers of a backend in the session's hands.
    fn minding(&self) -> fn(&mut Link) {
        match self.transparent {
            true => Link::lend_timers,
            false => Link::stop_timers,
        }
    }

    /// When the client will have been idle for too long, and by which timer; `None`: never.
    pub(super) fn idle_until(&mut self) -> Option<(Instant, Timer)> {
        if self.in_batch {
            return None;
        }
        let block = self.block.is_explicit();
        let own = match self.timers.0.as_deref().copied() {
            Some(Known {
                watch: Watch::Yes,
                idle: Idle::Since(since),
                defaults,
            }) => self
                .own_timer(if block { Timer::Block } else { Timer::Session }, defaults)
                .and_then(|(ms, timer)| {
                    let after = Duration::from_millis(u64::from(ms));
                    Some((since.checked_add(after)?, timer))
                }),
            Some(_) | None => None,
        };
        let limit = match block {
            true => self.world.live().settings.limits.idle_in_transaction_timeout,
            false => Duration::ZERO,
        };
        if limit.is_zero() {
            return own;
        }
        let now = self.world.clock.now();
        let known = self.timers.known();
        if known.idle == Idle::Unseen {
            known.idle = Idle::Since(now);
        }
        let since = match known.idle {
            Idle::Since(since) => since,
            Idle::Unseen | Idle::Heard => now,
        };
        let configured = since.checked_add(limit).map(|until| (until, Timer::Block));
        match (own, configured) {
            (Some(own), Some(configured)) => Some(if own.0 <= configured.0 { own } else { configured }),
            (own, configured) => own.or(configured),
        }
    }

    /// The client's own timer, and its time.
    fn own_timer(&self, timer: Timer, defaults: Timeouts) -> Option<(u32, Timer)> {
        if timer == Timer::Block && self.transparent {
            return None; // the server that holds the block runs it
        }
        // An error has put back what the transaction, or the part of it behind the last savepoint, had set.
        let settings = match (self.block.state(), self.block.behind_failure()) {
            (State::Failed, Some(saved)) => saved.local.as_ref().unwrap_or(&saved.settings),
            _ => self.current(),
        };
        let timeouts = defaults.under(settings);
        let ms = match timer {
            Timer::Block => timeouts.block_ms,
            Timer::Session => timeouts.session_ms,
        };
        (ms > 0).then_some((ms, timer))
    }
}
