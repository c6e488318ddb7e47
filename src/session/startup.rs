//! From an accepted socket to a session: TLS asked for and declined, start-up packet, authentication, first settings.
//!
//! Holds: whoever hasn't authenticated learns nothing but whether it may come in; nothing buffered behind an SSLRequest
//! is ever read as anything else; a cancel request is answered by closing, whatever its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Buf;

use crate::admin::{CancelKey, ClientInfo};
use crate::backend::Link;
use crate::config::Method;
use crate::session::admin_session::AdminSession;
use crate::session::error::{Failure, Gone, Stop};
use crate::session::idle::lend_at_start;
use crate::session::lane::{round_trip, text_cells};
use crate::session::state::Session;
use crate::session::world::{Report, World};
use crate::sql::SessionSettings;
use crate::telemetry::LoginOutcome;
use crate::topology::ShardId;
use crate::transaction::Participant;
use crate::wire::{
    self, ErrorFields, Replication, SaslInitialResponse, ScramKeys, ScramServer, Severity, SqlState, Startup,
    StartupPacket, Verifier,
};

/// The database that answers admin commands.
pub(super) const ADMIN_DATABASE: &str = "shardgate";

const NONCE_BYTES: usize = 18;

fn fatal(code: SqlState, message: impl Into<String>) -> Gone {
    Gone::Fatal(Box::new(ErrorFields::new(Severity::Fatal, code, message)))
}

/// Reads up to the start-up packet; `None` where the connection was for something else and is done.
pub(super) async fn read_startup(world: &World, link: &mut Link) -> Result<Option<Startup>, Gone> {
    loop {
        let next = match wire::next_startup(&link.in_buffer) {
            Err(error @ wire::StartupError::Version { major: 0..=2, .. }) => {
                // Such a client knows the old form of errors only (Postgres 15, `send_message_to_frontend`).
                link.queue(format!("EFATAL:  {error}\n\0").as_bytes());
                return Err(Gone::Closed);
            }
            Err(error) => return Err(fatal(startup_code(&error), error.to_string())),
            Ok(next) => next,
        };
        let Some((packet, length)) = next else {
            fill(link).await?;
            continue;
        };
        link.in_buffer.advance(length);
        match packet {
            StartupPacket::Ssl | StartupPacket::Gss => {
                if !link.in_buffer.is_empty() {
                    return Err(fatal(SqlState::PROTOCOL_VIOLATION, "received unencrypted data after SSL request")
                        .with_detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack."));
                }
                link.queue(b"N");
                link.drain().await.map_err(Gone::Vanished)?;
            }
            StartupPacket::Cancel { process_id, key } => {
                cancel(world, process_id, &key);
                return Ok(None);
            }
            StartupPacket::Startup(startup) => return Ok(Some(startup)),
        }
    }
}

fn cancel(world: &World, process_id: i32, key: &[u8]) {
    let Ok(secret) = <[u8; 4]>::try_from(key) else { return };
    let Ok(process_id) = u32::try_from(process_id) else {
        return;
    };
    let outcome = world.registry.cancel(CancelKey {
        process_id,
        secret: u32::from_be_bytes(secret),
    });
    world.telemetry.cancel(outcome);
}

/// SQLSTATEs of a start-up packet that can't be read, as the errors' own docs name them.
fn startup_code(error: &wire::StartupError) -> SqlState {
    use wire::StartupError;
    match error {
        StartupError::Length | StartupError::CancelLength | StartupError::Layout => SqlState::PROTOCOL_VIOLATION,
        StartupError::Version { .. } | StartupError::Switch { .. } => SqlState::FEATURE_NOT_SUPPORTED,
        StartupError::NoUser => SqlState::INVALID_AUTHORIZATION,
        StartupError::Encoding { .. } => SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        StartupError::Replication { .. } => SqlState::INVALID_PARAMETER_VALUE,
        StartupError::Argument { .. } | StartupError::NoValue { .. } => SqlState::SYNTAX_ERROR,
    }
}

async fn fill(link: &mut Link) -> Result<(), Gone> {
    match link.fill().await {
        Ok(0) => Err(Gone::Closed),
        Ok(_) => Ok(()),
        Err(error) => Err(Gone::Vanished(error)),
    }
}

/// Serves one accepted connection to its end.
pub(super) async fn serve_connection(world: Arc<World>, mut link: Link) {
    let timeout = world.live().settings.limits.login_timeout;
    let opening = Box::pin(open(&world, &mut link));
    let opened = if timeout.is_zero() {
        opening.await
    } else {
        match tokio::time::timeout(timeout, opening).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err(fatal(
                SqlState::PROTOCOL_VIOLATION,
                "canceling authentication due to timeout",
            )),
        }
    };
    match opened {
        Ok(None) => {}
        Ok(Some(Opened::Session(parts))) => {
            world.telemetry.login(LoginOutcome::Accepted);
            Box::pin(Box::new(Session::begin(world, link, *parts)).run()).await;
        }
        Ok(Some(Opened::Admin(enrolment))) => {
            world.telemetry.login(LoginOutcome::Accepted);
            Box::pin(AdminSession::new(world, link, enrolment).run()).await;
        }
        Err(gone) => {
            world.telemetry.login(match &gone {
                Gone::Fatal(fields) if fields.code() == SqlState::TOO_MANY_CONNECTIONS => LoginOutcome::Limit,
                Gone::Fatal(fields) if fields.code() != SqlState::PROTOCOL_VIOLATION => LoginOutcome::Rejected,
                Gone::Fatal(_) | Gone::Closed | Gone::Vanished(_) | Gone::Frame(_) | Gone::Draining => {
                    LoginOutcome::Broken
                }
            });
            say_goodbye(&mut link, &gone).await;
        }
    }
}

/// The last message to a client, if it is owed one.
pub(super) async fn say_goodbye(link: &mut Link, gone: &Gone) {
    let fields = match gone {
        Gone::Closed | Gone::Vanished(_) => None,
        Gone::Frame(error) => Some(ErrorFields::new(
            Severity::Fatal,
            SqlState::PROTOCOL_VIOLATION,
            error.to_string(),
        )),
        Gone::Fatal(fields) => Some((**fields).clone()),
        Gone::Draining => Some(ErrorFields::new(
            Severity::Fatal,
            SqlState::ADMIN_SHUTDOWN,
            "terminating connection due to administrator command",
        )),
    };
    if let Some(fields) = fields {
        wire::put_error(&mut link.out_buffer, &fields);
    }
    // A client that does not read must not hold the task: what the socket takes within this time is all it gets.
    let _took = tokio::time::timeout(std::time::Duration::from_secs(5), link.shutdown()).await;
}

/// What a start-up came to.
enum Opened {
    Session(Box<Parts>),
    Admin(crate::admin::Enrolment),
}

/// What a session starts from.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) user: Arc<str>,
    pub(super) login: Arc<crate::backend::Login>,
    pub(super) enrolment: crate::admin::Enrolment,
    pub(super) settings: SessionSettings,
    pub(super) report: Arc<Report>,
    pub(super) first: Option<Participant>,
}

async fn open(world: &Arc<World>, link: &mut Link) -> Result<Option<Opened>, Gone> {
    let Some(startup) = read_startup(world, link).await? else {
        return Ok(None);
    };
    if startup.replication != Replication::No {
        return Err(fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            "replication connections are not supported",
        )
        .with_hint("Connect to the shard itself for replication."));
    }
    if startup.needs_negotiation() {
        wire::put_negotiate_version(&mut link.out_buffer, 0, &startup.unknown_options);
    }
    let live = world.live();
    let application_name = startup
        .settings
        .iter()
        .rev()
        .find(|s| s.name == "application_name")
        .map_or_else(String::new, |s| s.value.clone());
    let secret: [u8; 4] = world
        .rng
        .bytes()
        .map_err(|error| fatal(SqlState::SYSTEM_ERROR, error.to_string()))?;
    let enrolment = world
        .registry
        .enrol(ClientInfo {
            user: startup.user.as_str().into(),
            database: startup.database.as_str().into(),
            address: link.peer().to_string(),
            application_name,
            connected_at: world.clock.now(),
            secret: u32::from_be_bytes(secret),
        })
        .map_err(|full| {
            fatal(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already").with_detail_text(&full.to_string())
        })?;
    let keys = match live.settings.auth.method {
        Method::Trust => None,
        Method::Scram => Some(authenticate(world, link, &startup.user).await?),
    };
    if startup.database == ADMIN_DATABASE {
        let is_admin = match live.settings.auth.method {
            Method::Trust => true,
            Method::Scram => live.users.get(&startup.user).is_some_and(|user| user.admin),
        };
        if !is_admin {
            return Err(fatal(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied for database \"{ADMIN_DATABASE}\""),
            )
            .with_detail(&format!(
                "User \"{}\" has no admin: true in the users file.",
                startup.user
            )));
        }
        wire::put_authentication_ok(&mut link.out_buffer);
        return Ok(Some(Opened::Admin(enrolment)));
    }
    if startup.database != live.settings.database {
        return Err(fatal(
            SqlState::INVALID_CATALOG_NAME,
            format!("database \"{}\" does not exist", startup.database),
        )
        .with_hint(&format!(
            "This proxy serves \"{}\", and \"{ADMIN_DATABASE}\" for administration.",
            live.settings.database
        )));
    }
    let login = world.login(&startup.user, keys);
    let settings = world.intern_settings(startup_settings(&startup)?);
    let (report, first) = first_report(world, &login, &startup, &settings).await?;
    wire::put_authentication_ok(&mut link.out_buffer);
    for (name, value) in report.parameters.iter() {
        wire::put_parameter_status(&mut link.out_buffer, name.as_bytes(), value.as_bytes());
    }
    put_key(link, enrolment.key());
    wire::put_ready(&mut link.out_buffer, wire::TransactionStatus::Idle);
    Ok(Some(Opened::Session(Box::new(Parts {
        user: startup.user.as_str().into(),
        login,
        enrolment,
        settings,
        report,
        first,
    }))))
}

/// BackendKeyData.
pub(super) fn put_key(link: &mut Link, key: CancelKey) {
    let process_id = i32::try_from(key.process_id).unwrap_or(0);
    wire::put_backend_key(&mut link.out_buffer, process_id, &key.secret.to_be_bytes());
}

fn startup_settings(startup: &Startup) -> Result<SessionSettings, Gone> {
    let mut layer = BTreeMap::new();
    for setting in &startup.settings {
        layer.insert(setting.name.to_ascii_lowercase(), setting.value.clone());
    }
    let settings = SessionSettings::from_startup(&layer)
        .map_err(|error| fatal(SqlState::INVALID_PARAMETER_VALUE, error.to_string()))?;
    if let Some((name, _)) = settings.startup_only().next() {
        // A pooled backend was started for somebody else.
        return Err(fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("parameter \"{name}\" can be set only when a server's connection starts"),
        )
        .with_hint("Leave it out of the start-up parameters, or connect to the shard itself."));
    }
    Ok(settings)
}

/// SCRAM-SHA-256 against the users file; the keys that the client's proof reveals.
async fn authenticate(world: &World, link: &mut Link, user: &str) -> Result<ScramKeys, Gone> {
    let failed = || {
        fatal(
            SqlState::INVALID_PASSWORD,
            format!("password authentication failed for user \"{user}\""),
        )
    };
    let known = world.live().users.get(user).and_then(|u| u.verifier.clone());
    let verifier = match known.as_ref().map(|text| Verifier::parse(text.reveal())) {
        Some(Ok(verifier)) => verifier,
        Some(Err(_)) | None => Verifier::mock(user, &world.mock_secret),
    };
    wire::put_sasl(&mut link.out_buffer, &[wire::SCRAM_SHA_256]);
    let body = read_password(link).await?;
    let initial = SaslInitialResponse::parse(&body).map_err(Gone::Frame)?;
    if initial.mechanism != wire::SCRAM_SHA_256.as_bytes() {
        return Err(fatal(
            SqlState::PROTOCOL_VIOLATION,
            "client selected an invalid SASL authentication mechanism",
        ));
    }
    let nonce: [u8; NONCE_BYTES] = world
        .rng
        .bytes()
        .map_err(|error| fatal(SqlState::SYSTEM_ERROR, error.to_string()))?;
    let first = initial.data.unwrap_or_default().to_vec();
    let (server, challenge) = ScramServer::begin(verifier, &first, &STANDARD.encode(nonce))
        .map_err(|error| fatal(SqlState::PROTOCOL_VIOLATION, error.to_string()))?;
    wire::put_sasl_continue(&mut link.out_buffer, &challenge);
    let body = read_password(link).await?;
    let success = server.finish(&body).map_err(|_refused| failed())?;
    if known.is_none() {
        return Err(failed());
    }
    wire::put_sasl_final(&mut link.out_buffer, &success.server_final);
    Ok(success.keys)
}

async fn read_password(link: &mut Link) -> Result<Vec<u8>, Gone> {
    link.drain().await.map_err(Gone::Vanished)?;
    loop {
        let taken = match wire::next_frame(&link.in_buffer, wire::PASSWORD_MESSAGE_LIMIT).map_err(Gone::Frame)? {
            Some(frame) if frame.tag == b'p' => Some((frame.body.to_vec(), frame.whole.len())),
            Some(_) => return Err(fatal(SqlState::PROTOCOL_VIOLATION, "expected SASL response")),
            None => None,
        };
        match taken {
            Some((body, length)) => {
                link.in_buffer.advance(length);
                return Ok(body);
            }
            None => fill(link).await?,
        }
    }
}

/// What servers report to this start-up: known from an earlier one, or asked of the first shard that answers.
async fn first_report(
    world: &Arc<World>,
    login: &Arc<crate::backend::Login>,
    startup: &Startup,
    settings: &SessionSettings,
) -> Result<(Arc<Report>, Option<Participant>), Gone> {
    let snapshot = world.discovery.picture().current();
    let epoch = snapshot.topology().epoch().get();
    let key = (
        login.user.to_string(),
        startup
            .settings
            .iter()
            .map(|s| (s.name.clone(), s.value.clone()))
            .collect::<Vec<_>>(),
    );
    if let Some(report) = world.report(&key, epoch) {
        return Ok((report, None));
    }
    let forgotten = world.reports_forgotten();
    let home = snapshot.topology().home();
    let all = snapshot.topology().all_shards();
    let order = std::iter::once(home).chain(all.iter().filter(|shard| *shard != home));
    let mut first_error = None;
    for shard in order {
        match ask_report(world, login, settings, shard, epoch).await {
            Ok((report, participant)) => {
                let report = Arc::new(report);
                world.keep_report(key, Arc::clone(&report), forgotten);
                return Ok((report, Some(participant)));
            }
            Err(failure) => {
                let is_down = matches!(&failure, Failure::Backend(error) if error.is_shard_down());
                first_error.get_or_insert(failure);
                if !is_down {
                    break;
                }
            }
        }
    }
    let mut fields = crate::session::answer::fields_of(&first_error.unwrap_or(Failure::Bug("no shard to ask")));
    fields.put(wire::ErrorField::Severity, "FATAL");
    fields.put(wire::ErrorField::SeverityText, "FATAL");
    Err(Gone::Fatal(Box::new(fields)))
}

async fn ask_report(
    world: &Arc<World>,
    login: &Arc<crate::backend::Login>,
    settings: &SessionSettings,
    shard: ShardId,
    epoch: u64,
) -> Result<(Report, Participant), Failure> {
    let now = world.clock.now();
    let deadline = now.checked_add(world.checkout_timeout()).unwrap_or(now);
    let backend = world.pools.checkout(shard, login, settings.digest(), deadline).await?;
    let mut participant = Participant::new(shard, backend);
    if participant.backend.applied.is_none() {
        stopped(participant.learn_defaults().await)?;
    }
    let idle = participant.applied().defaults;
    lend_at_start(&mut participant.backend.link, idle, settings);
    let mut parameters: BTreeMap<String, String> = participant.backend.parameters().iter().cloned().collect();
    let applied = participant.applied();
    // From the server's defaults, so that every reported value that differs from them is told.
    let back = SessionSettings::default().diff(&applied.settings);
    let there = settings.diff(&SessionSettings::default());
    for sql in [back, there] {
        if sql.is_empty() {
            continue;
        }
        wire::put_query(&mut participant.backend.link.out_buffer, &sql);
        let mut refused = None;
        let trip = round_trip(&mut participant, |frame| {
            match frame.tag {
                b'S' => {
                    let status = wire::ParameterStatus::parse(frame.body)?;
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    parameters.insert(text(status.name), text(status.value));
                }
                b'E' => refused = Some(Box::new(ErrorFields::parse(frame.body)?)),
                _ => {}
            }
            Ok(())
        })
        .await;
        stopped(trip)?;
        if let Some(mut fields) = refused {
            fields.remove(wire::ErrorField::Position);
            return Err(Failure::Shard(fields));
        }
    }
    let refused = may_log_in(&mut participant, world.live().settings.auth.method).await?;
    participant.note_settings(settings);
    if settings.custom_names().next().is_some() {
        participant.backend.restrict_reuse();
    }
    if let Some(fields) = refused {
        // Sessions that are in already may go on with it.
        if let Ok(clean) = participant.backend.into_clean(settings.digest()) {
            world.pools.give_back(clean);
        }
        return Err(Failure::Shard(Box::new(fields)));
    }
    let schemas = world.discovery.picture().current().catalog().schemas.clone();
    let effective = crate::session::route::ask_effective(&mut participant, schemas).await;
    let effective = world.intern_effective(stopped(effective)?);
    Ok((
        Report {
            parameters: Arc::new(parameters),
            effective,
            idle,
            epoch,
        },
        participant,
    ))
}

/// What a server looks at when a role logs in, which a backend of the pool did long ago.
const MAY_LOG_IN: &[u8] = b"SELECT session_user::pg_catalog.text, pg_catalog.current_database()::pg_catalog.text, \
    r.rolcanlogin, r.rolvaliduntil OPERATOR(pg_catalog.<=) pg_catalog.now(), d.datallowconn, \
    pg_catalog.has_database_privilege(session_user, d.oid, 'CONNECT') \
    FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE r.rolname OPERATOR(pg_catalog.=) session_user \
    AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";

/// As the server would refuse a login (sessions.md 25); `None`: it wouldn't.
async fn may_log_in(participant: &mut Participant, method: Method) -> Result<Option<ErrorFields>, Failure> {
    wire::put_query(&mut participant.backend.link.out_buffer, MAY_LOG_IN);
    let mut cells: Vec<Option<String>> = Vec::new();
    let trip = round_trip(participant, |frame| {
        if frame.tag == b'D' {
            cells = text_cells(frame.body)?;
        }
        Ok(())
    })
    .await;
    stopped(trip)?;
    let cell = |at: usize| cells.get(at).and_then(Option::as_deref).unwrap_or_default();
    let refused = |code, message: String| ErrorFields::new(Severity::Fatal, code, message);
    let (user, database) = (cell(0), cell(1));
    let fields = if cell(3) == "t" && method == Method::Scram {
        refused(
            SqlState::INVALID_PASSWORD,
            format!("password authentication failed for user \"{user}\""),
        )
    } else if cell(2) != "t" {
        refused(
            SqlState::INVALID_AUTHORIZATION,
            format!("role \"{user}\" is not permitted to log in"),
        )
    } else if cell(4) != "t" {
        refused(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("database \"{database}\" is not currently accepting connections"),
        )
    } else if cell(5) != "t" {
        refused(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied for database \"{database}\""),
        )
        .with_detail("User does not have CONNECT privilege.")
    } else {
        return Ok(None);
    };
    Ok(Some(fields))
}

fn stopped<T>(result: Result<T, Stop>) -> Result<T, Failure> {
    result.map_err(|stop| match stop {
        Stop::Failed(failure) => failure,
        Stop::Gone(_) => Failure::Bug("a client vanished that was not there"),
    })
}

impl Gone {
    fn with_detail(self, detail: &str) -> Gone {
        match self {
            Gone::Fatal(fields) => Gone::Fatal(Box::new(fields.with_detail(detail))),
            other => other,
        }
    }

    fn with_detail_text(self, detail: &str) -> Gone {
        self.with_detail(&format!("limits.clients: {detail}."))
    }

    fn with_hint(self, hint: &str) -> Gone {
        match self {
            Gone::Fatal(fields) => Gone::Fatal(Box::new(fields.with_hint(hint))),
            other => other,
        }
    }
}
