//! A private Postgres for one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A cluster of this test alone, on a Unix socket in its own directory; stopped and removed on drop.
pub(crate) struct Server {
    directory: PathBuf,
    runtime: tokio::runtime::Runtime,
    client: Option<Client>,
}

pub(crate) const BIN: &str = "/usr/lib/postgresql/15/bin";

impl Server {
    /// `None`, loudly, where there is no Postgres.
    pub(crate) fn start(name: &str) -> Option<Server> {
        if !Path::new(BIN).exists() {
            assert!(std::env::var_os("CI").is_none(), "no Postgres at {BIN}");
            eprintln!("SKIPPED: no Postgres at {BIN}");
            return None;
        }
        let directory = std::env::temp_dir().join(format!("shardgate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&directory));
        }
        let data = directory.join("data");
        run(as_postgres("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "-D",
            ])
            .arg(&data));
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={} -c fsync=off",
            directory.display()
        );
        run(as_postgres("pg_ctl")
            .args(["start", "-w", "-D"])
            .arg(&data)
            .arg("-o")
            .arg(options)
            .arg("-l")
            .arg("/dev/null"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = format!("host={} user=postgres dbname=postgres", directory.display());
        let mut server = Server {
            directory,
            runtime,
            client: None,
        };
        let (client, connection) = server
            .runtime
            .block_on(tokio_postgres::connect(&config, NoTls))
            .unwrap();
        server.runtime.spawn(connection);
        server.client = Some(client);
        server.run(
            "CREATE FUNCTION attempt(expression text) RETURNS text LANGUAGE plpgsql AS $$
             DECLARE result text;
             BEGIN EXECUTE 'SELECT ' || expression INTO result; RETURN result;
             EXCEPTION WHEN OTHERS THEN RETURN 'error ' || SQLSTATE; END $$",
        );
        Some(server)
    }

    /// Rows of the last statement that has some, as text.
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let client = self.client.as_ref().unwrap();
        let messages = self.runtime.block_on(client.simple_query(sql));
        let messages = messages.unwrap_or_else(|error| panic!("{error:?}\n{}", &sql[..sql.len().min(400)]));
        let mut rows = Vec::new();
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_owned))
                        .collect(),
                );
            }
        }
        rows
    }

    /// The one value of a query with one binary parameter, or the SQLSTATE.
    pub(crate) fn sent(&self, sql: &str, parameter: impl ToSql + Sync) -> Result<String, String> {
        let client = self.client.as_ref().unwrap();
        let row = self.runtime.block_on(client.query_one(sql, &[&parameter]));
        row.map(|row| row.get(0))
            .map_err(|error| error.code().unwrap().code().to_owned())
    }

    pub(crate) fn run(&self, sql: &str) {
        self.rows(sql);
    }

    /// Each expression evaluated by itself: its text (NULL as `None`), or `error SQLSTATE`.
    pub(crate) fn attempts(&self, expressions: &[String]) -> Vec<Option<String>> {
        expressions
            .chunks(500)
            .flat_map(|chunk| {
                let values: Vec<String> = chunk
                    .iter()
                    .enumerate()
                    .map(|(index, text)| format!("({index}, {})", quoted(text)))
                    .collect();
                let sql = format!(
                    "SELECT attempt(e) FROM (VALUES {}) v(i, e) ORDER BY i",
                    values.join(",")
                );
                self.rows(&sql).into_iter().map(|row| row.into_iter().next().unwrap())
            })
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.client = None;
        run(as_postgres("pg_ctl")
            .args(["stop", "-w", "-m", "immediate", "-D"])
            .arg(self.directory.join("data")));
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

/// initdb and the server refuse to run as root.
pub(crate) fn as_postgres(program: &str) -> Command {
    let program = format!("{BIN}/{program}");
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", &program]);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/");
    command
}

pub(crate) fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
