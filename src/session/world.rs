//! What all sessions of one proxy share: handles, built once by the binary.
//!
//! Holds: no session owns any of it; settings are swapped whole at reload.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::admin::{Console, Registry};
use crate::backend::{Login, Pools, Secret};
use crate::clock::{Clock, Rng};
use crate::config::{Role, Settings, Users};
use crate::discovery::Discovery;
use crate::plan::{Context, Facts};
use crate::session::idle::Timeouts;
use crate::session::prepared::Statements;
use crate::session::state::Effective;
use crate::sql::SessionSettings;
use crate::telemetry::Telemetry;
use crate::topology::ShardId;
use crate::transaction::Coordinator;

/// Contexts kept to be shared; beyond, the map starts anew.
const CONTEXTS_MAX: usize = 1024;

/// Start-up parameter sets whose reports are kept.
const REPORTS_MAX: usize = 1024;

/// The handles of one proxy.
#[derive(Debug)]
pub struct World {
    /// time
    pub clock: Clock,
    /// entropy
    pub rng: Rng,
    /// settings and users in force
    live: RwLock<Arc<Live>>,
    /// `limits.statement_timeout` of it in nanoseconds, which every statement reads; 0: none
    statement_timeout: AtomicU64,
    /// backends
    pub pools: Pools,
    /// picture, categories, health
    pub discovery: Discovery,
    /// commits over several shards
    pub coordinator: Coordinator,
    /// sessions
    pub registry: Registry,
    /// counters
    pub telemetry: Arc<Telemetry>,
    /// the admin database; set once everything stands
    console: RwLock<Option<Console>>,
    /// prepared statements
    pub(super) statements: Statements,
    /// one value per distinct setting, so that equal ones are one pointer; guards the map
    effective: Mutex<HashMap<Context, Arc<Effective>>>,
    /// settings of logins, likewise; guards the set
    settings: Mutex<HashSet<SessionSettings>>,
    /// for questions that need none
    pub(super) no_facts: Facts,
    /// logins by user, the newest keys; guards the map
    logins: Mutex<HashMap<String, Arc<Login>>>,
    /// what servers reported to a start-up with these parameters; guards the map
    reports: Mutex<Reports>,
    /// makes verifiers for users that don't exist
    pub(super) mock_secret: [u8; 32],
}

/// Who started, and with what.
pub(super) type ReportKey = (String, Vec<(String, String)>);

/// Reports, and how often all of them were forgotten.
#[derive(Debug, Default)]
struct Reports {
    known: HashMap<ReportKey, Arc<Report>>,
    forgotten: u64,
}

impl Reports {
    fn forget(&mut self) {
        self.known.clear();
        self.forgotten = self.forgotten.wrapping_add(1);
    }
}

/// What a server says to a session at its start.
#[derive(Debug)]
pub(super) struct Report {
    /// ParameterStatus; shared by all sessions that haven't changed one
    pub(super) parameters: Arc<BTreeMap<String, String>>,
    /// what the settings amount to
    pub(super) effective: Arc<Effective>,
    /// the idle timeouts of the role, or else the server
    pub(super) idle: Timeouts,
    /// of which epoch; another one asks anew
    pub(super) epoch: u64,
}

/// Settings and users in force.
#[derive(Debug)]
pub struct Live {
    /// checked configuration
    pub settings: Arc<Settings>,
    /// users
    pub users: Arc<Users>,
}

/// What a world is made of.
#[derive(Debug)]
pub struct Parts {
    /// time
    pub clock: Clock,
    /// entropy
    pub rng: Rng,
    /// checked configuration
    pub settings: Arc<Settings>,
    /// users
    pub users: Arc<Users>,
    /// backends
    pub pools: Pools,
    /// picture
    pub discovery: Discovery,
    /// commits over several shards
    pub coordinator: Coordinator,
    /// sessions
    pub registry: Registry,
    /// counters
    pub telemetry: Arc<Telemetry>,
}

impl World {
    /// Puts the handles together.
    pub fn new(parts: Parts) -> Result<World, crate::clock::EntropyError> {
        let mock_secret = parts.rng.bytes()?;
        Ok(World {
            clock: parts.clock,
            rng: parts.rng,
            statement_timeout: AtomicU64::new(nanos(parts.settings.limits.statement_timeout)),
            live: RwLock::new(Arc::new(Live {
                settings: parts.settings,
                users: parts.users,
            })),
            pools: parts.pools,
            discovery: parts.discovery,
            coordinator: parts.coordinator,
            registry: parts.registry,
            telemetry: parts.telemetry,
            console: RwLock::new(None),
            statements: Statements::default(),
            effective: Mutex::default(),
            settings: Mutex::default(),
            no_facts: Facts::default(),
            logins: Mutex::default(),
            reports: Mutex::default(),
            mock_secret,
        })
    }

    /// Settings and users in force.
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over new settings and users.
    pub fn set_live(&self, settings: Arc<Settings>, users: Arc<Users>) {
        let timeout = nanos(settings.limits.statement_timeout);
        self.statement_timeout.store(timeout, Ordering::Relaxed);
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Live { settings, users });
        self.forget_logins();
    }

    /// Gives the admin database to the sessions.
    pub fn set_console(&self, console: Console) {
        *self.console.write().unwrap_or_else(PoisonError::into_inner) = Some(console);
    }

    pub(super) fn console(&self) -> Option<Console> {
        self.console.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget_logins(&self) {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// A shard's name, for messages.
    pub fn shard_name(&self, shard: ShardId) -> String {
        let snapshot = self.discovery.picture().current();
        snapshot
            .topology()
            .shards()
            .get(shard.index())
            .map_or_else(|| format!("{shard:?}"), |s| s.name.clone())
    }

    pub(super) fn checkout_timeout(&self) -> Duration {
        self.live().settings.pool.checkout_timeout
    }

    /// When a statement that began then must be over; `None`: never.
    pub(super) fn statement_deadline(&self, since: Instant) -> Option<Instant> {
        match self.statement_timeout.load(Ordering::Relaxed) {
            0 => None,
            nanos => since.checked_add(Duration::from_nanos(nanos)),
        }
    }

    /// Statements that take longer are logged.
    pub(super) fn slow_after(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    /// One shared value per distinct effective settings.
    pub(super) fn intern_effective(&self, effective: Effective) -> Arc<Effective> {
        let mut map = self.effective.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = map.get(&*effective.context)
            && known.default_isolation == effective.default_isolation
            && known.schemas == effective.schemas
        {
            return Arc::clone(known);
        }
        if map.len() >= CONTEXTS_MAX {
            map.clear();
        }
        let shared = Arc::new(effective);
        map.insert((*shared.context).clone(), Arc::clone(&shared));
        shared
    }

    /// One shared value per distinct settings of a login: comparing those of a backend with those of a session is then
    /// comparing two pointers.
    pub(super) fn intern_settings(&self, settings: SessionSettings) -> SessionSettings {
        let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&settings) {
            return known.clone();
        }
        if known.len() >= CONTEXTS_MAX {
            known.clear();
        }
        known.insert(settings.clone());
        settings
    }

    /// The login for a user: its own role, or the shared one.
    pub(super) fn login(&self, user: &str, proven: Option<crate::wire::ScramKeys>) -> Arc<Login> {
        let live = self.live();
        if let Role::Shared { name, password } = &live.settings.auth.role {
            let secret = match password {
                Some(password) => Secret::Password(password.reveal().into()),
                None => Secret::None,
            };
            return self.keep_login(name, secret);
        }
        let password = live.users.get(user).and_then(|u| u.password.as_ref());
        let secret = match (proven, password) {
            (_, Some(password)) => Secret::Password(password.reveal().into()),
            (Some(keys), None) => Secret::ScramKeys(keys),
            (None, None) => Secret::None,
        };
        self.keep_login(user, secret)
    }

    fn keep_login(&self, user: &str, secret: Secret) -> Arc<Login> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        match (logins.get(user), &secret) {
            // Keys are kept, the newest; without a new proof the known login serves.
            (Some(known), Secret::None | Secret::Password(_)) => Arc::clone(known),
            (Some(_) | None, _) => {
                let login = Arc::new(Login::new(user, secret));
                logins.insert(user.to_owned(), Arc::clone(&login));
                login
            }
        }
    }

    pub(super) fn report(&self, key: &ReportKey, epoch: u64) -> Option<Arc<Report>> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let report = reports.known.get(key);
        report.filter(|report| report.epoch == epoch).map(Arc::clone)
    }

    /// How often reports were forgotten: for who asks for one.
    pub(super) fn reports_forgotten(&self) -> u64 {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).forgotten
    }

    /// Keeps a report, unless all were forgotten since it was asked for.
    pub(super) fn keep_report(&self, key: ReportKey, report: Arc<Report>, forgotten: u64) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.forgotten != forgotten {
            return;
        }
        if reports.known.len() >= REPORTS_MAX {
            reports.known.clear();
        }
        reports.known.insert(key, report);
    }

    /// Lets go of what is older than a change of roles, as often as there is one. Ends with discovery.
    pub async fn follow_roles(&self) {
        let mut changes = self.discovery.role_changes();
        let mut settings = changes.borrow_and_update().settings;
        while changes.changed().await.is_ok() {
            let now = *changes.borrow_and_update();
            if now.settings != settings {
                settings = now.settings;
                self.pools.close_idle();
            }
            self.forget_reports();
        }
    }

    /// Reports of servers may be out of date (a role's settings changed, or it may log in no longer): the next logins ask.
    pub fn forget_reports(&self) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
