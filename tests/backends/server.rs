//! A private server, and the ways to talk to it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;
use tokio::time::timeout;

use shardgate::backend::*;
use shardgate::clock::{Clock, Rng};
use shardgate::telemetry::Metering;
use shardgate::topology::ShardId;
use shardgate::wire::*;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// Generous: nothing here should take a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A private server; stopped and removed when dropped.
pub(crate) struct Server {
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start() -> Server {
        // The port is bound to find the number, then left to Postgres.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = std::env::temp_dir().join(format!("shardgate-backends-{}-{port}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&directory));
        }
        let server = Server { directory, port };
        run(as_postgres("initdb").arg("-D").arg(server.data()).args([
            "-N",
            "-A",
            "trust",
            "-U",
            "postgres",
            "--locale=C",
            "-E",
            "UTF8",
        ]));
        assert!(server.boot().status.success());
        server
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(crate) fn boot(&self) -> Output {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=30",
            self.port
        );
        as_postgres("pg_ctl")
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(self.directory.join("log"))
            .args(["-w", "-o", &options, "start"])
            .output()
            .unwrap()
    }

    /// kill -9 of the postmaster.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        run(Command::new("kill").args(["-9", pid.lines().next().unwrap()]));
    }

    pub(crate) fn reload_with_hba(&self, lines: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), lines).unwrap();
        run(as_postgres("pg_ctl").arg("-D").arg(self.data()).arg("reload"));
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) async fn superuser(&self) -> ControlClient {
        Control::connect_url(&self.url(), PATIENCE).await.unwrap()
    }

    pub(crate) fn connector(&self) -> Connector {
        self.connector_to("postgres")
    }

    pub(crate) fn connector_to(&self, database: &str) -> Connector {
        connector_at(self.port, database)
    }

    pub(crate) fn pools(&self, size: usize) -> Pools {
        let limits = PoolLimits {
            size,
            pinned: 1,
            idle_timeout: Duration::ZERO,
            connect_timeout: PATIENCE,
            prepared: 10,
        };
        let endpoint = Endpoint::new("127.0.0.1", self.port, "postgres");
        Pools::new(
            [(shard(), Arc::from("s0"), endpoint)],
            limits,
            (Clock, Rng),
            Metering::On,
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by its test.
        drop(
            as_postgres("pg_ctl")
                .arg("-D")
                .arg(self.data())
                .args(["-m", "immediate", "-w", "stop"])
                .output(),
        );
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// A server program, run as user postgres where we are root: initdb and postgres refuse root.
pub(crate) fn as_postgres(program: &str) -> Command {
    let path = format!("{BIN}/{program}");
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--", &path]);
        command.current_dir("/");
        command
    } else {
        Command::new(path)
    }
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub(crate) fn shard() -> ShardId {
    ShardId::new(0).unwrap()
}

/// To whatever listens on a port of this machine.
pub(crate) fn connector_at(port: u16, database: &str) -> Connector {
    Connector {
        shard: shard(),
        endpoint: Arc::new(Endpoint::new("127.0.0.1", port, database)),
        timeout: PATIENCE,
        prepared: Prepared::CAPACITY_DEFAULT,
        clock: Clock,
        metering: Metering::On,
        rng: Rng,
    }
}

pub(crate) fn trusted(user: &str) -> Arc<Login> {
    Arc::new(Login::new(user, Secret::None))
}

pub(crate) fn by_password(user: &str, password: &str) -> Arc<Login> {
    Arc::new(Login::new(user, Secret::Password(password.into())))
}

pub(crate) fn soon() -> Instant {
    Clock.now() + PATIENCE
}

/// The answer to a simple query: its rows' first values, or the server's error.
pub(crate) async fn ask(backend: &mut Backend, sql: &str) -> Result<Vec<String>, ErrorFields> {
    put_query(&mut backend.link.out_buffer, sql.as_bytes());
    backend.link.drain().await.unwrap();
    answer(backend).await
}

pub(crate) async fn answer(backend: &mut Backend) -> Result<Vec<String>, ErrorFields> {
    let mut rows = Vec::new();
    let mut error = None;
    loop {
        let Some(frame) = next_frame(&backend.link.in_buffer, LARGE_MESSAGE_LIMIT).unwrap() else {
            assert_ne!(
                timeout(PATIENCE, backend.link.fill()).await.unwrap().unwrap(),
                0,
                "closed"
            );
            continue;
        };
        let (tag, body, whole) = (frame.tag, frame.body.to_vec(), frame.whole.len());
        backend.link.in_buffer.advance(whole);
        match tag {
            b'D' => {
                let first = DataRow::parse(&body)
                    .unwrap()
                    .values
                    .get(0)
                    .unwrap()
                    .unwrap_or_default();
                rows.push(String::from_utf8(first.to_vec()).unwrap());
            }
            b'E' => {
                let fields = ErrorFields::parse(&body).unwrap();
                if fields.ends_connection() {
                    return Err(fields);
                }
                error = Some(fields);
            }
            b'Z' => return error.map_or(Ok(rows), Err),
            _ => (),
        }
    }
}

pub(crate) async fn log_in(connector: &Connector, login: &Arc<Login>) -> Result<String, Error> {
    let mut backend = connect(connector, login).await?;
    Ok(ask(&mut backend, "select current_user").await.unwrap().concat())
}

pub(crate) fn code(error: &Error) -> &str {
    match error {
        Error::Refused { fields } => std::str::from_utf8(fields.get(ErrorField::Code).unwrap()).unwrap(),
        other => panic!("not the server's: {other:?}"),
    }
}

/// Waits for something that no event tells.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    crate::eventually::eventually(what, PATIENCE, holds).await;
}

pub(crate) fn give(pools: &Pools, backend: Backend) {
    pools.give_back(backend.into_clean(0).unwrap());
}

pub(crate) fn gauge(pools: &Pools) -> PoolGauge {
    pools.gauges().remove(0)
}
