//! `shardctl demo` as a stranger meets it: what it suggests runs, what it says is so, and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "tools/eventually.rs"]
mod eventually;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use eventually::eventually;

/// How long the shells behind a killed demo may take to clean up.
const CLEANUP: Duration = Duration::from_secs(60);

struct Demo {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    directory: PathBuf,
}

impl Demo {
    /// Starts one in a directory of its own that isn't there yet.
    fn start(name: &str, arguments: &[&str]) -> Demo {
        let directory = std::env::temp_dir().join(format!("sg-{name}-{}", std::process::id()));
        assert!(!directory.exists(), "{} is there already", directory.display());
        let mut child = Command::new(env!("CARGO_BIN_EXE_shardctl"))
            .args(["demo", "--port", "0", "--http", "0", "--dir"])
            .arg(&directory)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Demo {
            child,
            output,
            said: Vec::new(),
            directory,
        }
    }

    /// Reads up to a line that begins so; false at the end of the output.
    async fn hear(&mut self, beginning: &str) -> bool {
        while let Some(line) = self.output.next_line().await.unwrap() {
            let found = line.starts_with(beginning);
            self.said.push(line);
            if found {
                return true;
            }
        }
        false
    }

    fn text(&self) -> String {
        self.said.join("\n")
    }

    /// The URL of the psql line.
    fn url(&self) -> String {
        let line = self
            .said
            .iter()
            .find_map(|line| line.strip_prefix("  psql \""))
            .unwrap();
        line.trim_end_matches('"').to_owned()
    }

    /// The statements under each comment, up to the empty line behind the last.
    fn suggestions(&self) -> Vec<String> {
        let lines = self.said.iter().skip_while(|line| !line.starts_with("  -- "));
        let mut found: Vec<String> = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            match (line.strip_prefix("  -- "), found.last_mut()) {
                (Some(_), _) => found.push(String::new()),
                (None, Some(sql)) => sql.push_str(&format!("{}\n", line.trim())),
                (None, None) => unreachable!("the first line is a comment"),
            }
        }
        found
    }

    /// Asks it to stop; it must end well and say so.
    async fn stop(mut self) {
        // The shell's own `kill`: not every machine has the program.
        let kill = format!("kill -TERM {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
        self.ends_well().await;
    }

    async fn ends_well(&mut self) {
        assert!(self.hear("stopped: nothing is left").await, "{}", self.text());
        assert!(self.child.wait().await.unwrap().success());
        assert!(!self.directory.exists(), "{} is left", self.directory.display());
        assert!(servers_in(&self.directory).is_empty(), "servers are left");
    }
}

/// Processes whose command line names this directory.
fn servers_in(directory: &Path) -> Vec<String> {
    let wanted = directory.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines
        .filter(|line| line.contains(&wanted) && !line.contains("shardctl demo"))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "it ends with the client, and nobody needs its result"
)]
async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::task::spawn(connection);
    client
}

async fn rows(client: &Client, sql: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned()).collect()),
        _ => None,
    });
    Ok(rows.collect())
}

#[tokio::test]
async fn what_it_suggests_runs_and_what_it_loaded_is_there() {
    let mut demo = Demo::start("suggests", &["--no-load"]);
    assert!(demo.hear("no workload runs").await, "{}", demo.text());
    let client = connect(&demo.url()).await;
    let suggestions = demo.suggestions();
    assert_eq!(suggestions.len(), 6, "{}", demo.text());
    let balances = "SELECT sum(balance) FROM users";
    let before = rows(&client, balances).await.unwrap();
    for (at, sql) in suggestions.iter().enumerate() {
        let answer = rows(&client, sql).await;
        match at {
            0..3 => assert!(!answer.unwrap().is_empty(), "{sql}"),
            // Writes, which return no rows.
            3 | 4 => assert!(answer.unwrap().is_empty(), "{sql}"),
            // The last one shows a refusal.
            _ => assert_eq!(
                answer.unwrap_err().code().map(|code| code.code()),
                Some("0A000"),
                "{sql}"
            ),
        }
    }
    assert_eq!(
        rows(&client, balances).await.unwrap(),
        before,
        "a transfer makes no money"
    );
    for (told, of) in [
        ("several shards' users", "SELECT id FROM users WHERE id IN (7, 42)"),
        (
            "several shards' events",
            "SELECT id FROM events WHERE id = 0 AND at IN ('2026-02-01 08:00:00+00', '2026-08-01 08:00:00+00')",
        ),
    ] {
        let route = rows(&client, &format!("EXPLAIN (ROUTE) {of}")).await.unwrap();
        assert_eq!(route[0][1].split(", ").count(), 2, "{told}: {route:?}");
        assert_eq!(rows(&client, of).await.unwrap().len(), 2, "{told}");
    }
    // Each row once, and where the proxy looks for it.
    for (table, key, count) in [
        ("users", "id = 42", "20000"),
        ("orders", "user_id = 42", "100000"),
        ("trades", "instrument = 'EURUSD'", "150000"),
        ("trades", "instrument = 'XAUUSD'", "150000"),
        // with the two of a suggestion
        ("events", "at = '2026-05-01 00:00:00+00'", "60002"),
    ] {
        let all = rows(&client, &format!("SELECT count(*) FROM {table}")).await.unwrap();
        assert_eq!(all, [[count]], "{table}");
        let here = rows(&client, &format!("SELECT count(*) FROM {table} WHERE {key}"))
            .await
            .unwrap();
        // An expression that prunes nothing, so that every shard is searched.
        let anywhere = rows(&client, &format!("SELECT count(*) FROM {table} WHERE ({key}) IS TRUE"))
            .await
            .unwrap();
        assert_eq!(here, anywhere, "{table}, {key}");
    }
    let admin = demo.url().replace("/trading", "/shardgate");
    let check = Command::new(env!("CARGO_BIN_EXE_shardctl"))
        .args(["--url", &admin, "check"])
        .output()
        .await
        .unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    // A client that stays doesn't keep the demo from ending.
    demo.stop().await;
    drop(client);
}

#[tokio::test]
async fn a_script_gets_plain_lines_and_exit_code_0() {
    let mut demo = Demo::start("script", &["--shards", "2", "--duration", "2s"]);
    demo.ends_well().await;
    let text = demo.text();
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text}");
    assert!(text.contains("\nno errors\n"), "{text}");
    for row in ["trades: fx_major", "users and orders", "events", "s0", "s1"] {
        assert!(demo.said.iter().any(|line| line.starts_with(row)), "{row}\n{text}");
    }
}

/// Bounded by the demo's own time, so that a proposal that never comes is a failure and not a hang.
#[tokio::test]
async fn the_rebalancer_names_the_cause_of_the_overload() {
    let mut demo = Demo::start("advice", &["--duration", "3m"]);
    assert!(demo.hear("proposal ").await, "{}", demo.text());
    assert!(demo.hear("  rollback").await, "{}", demo.text());
    let said = demo.said.iter().skip_while(|line| !line.starts_with("proposal "));
    let told: Vec<&str> = said.map(String::as_str).collect();
    let reason = told.join(" ");
    // Alone, or with what has to go beside it where the machine is slow: it carries most, so it is named first.
    let alone = reason.contains("fx_major (keyspace instrument) is ");
    assert!(alone || reason.contains("    fx_major and "), "{reason}");
    assert!(told.iter().any(|line| line.contains("from s0 to")), "{reason}");
    demo.stop().await;
}

#[tokio::test]
async fn a_killed_demo_leaves_nothing_either() {
    let mut demo = Demo::start("killed", &["--shards", "1", "--no-load"]);
    assert!(demo.hear("no workload runs").await, "{}", demo.text());
    assert!(!servers_in(&demo.directory).is_empty(), "no server is seen");
    // One shard takes everything: nothing to refuse.
    assert_eq!(demo.suggestions().len(), 5, "{}", demo.text());
    demo.child.kill().await.unwrap();
    eventually("neither servers nor files are left", CLEANUP, async || {
        !demo.directory.exists() && servers_in(&demo.directory).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_taken_port_is_said_before_anything_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_shardctl"))
        .args(["demo", "--port", &port])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("port {port}")) && said.contains("HINT"),
        "{said}"
    );
}
