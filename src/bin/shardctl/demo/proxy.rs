//! The proxy of the demo: the program `shardgate` beside this one, under a shell that outlives us by a moment.
//!
//! The shell holds a pipe to us: when it closes (we stopped, crashed, or were killed with SIGKILL) the shell ends the proxy
//! and removes its files. The proxy holds the shell's only other pipe: that closes when the proxy ends.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longest wait for the line that says that it is ready.
const START_CHECKS: u32 = 1_200;
const START_CHECK_EVERY: Duration = Duration::from_millis(50);

/// A running proxy; dropping it ends it.
#[derive(Debug)]
pub(super) struct Proxy {
    shell: Child,
    /// taken by Drop
    orders: Option<ChildStdin>,
    log: PathBuf,
    ended: tokio::task::JoinHandle<()>,
    /// address of the Postgres protocol
    pub(super) address: String,
    /// address of the HTTP pages
    pub(super) http: String,
}

impl Proxy {
    /// Starts it on this configuration, which lies alone in a directory that goes away with it; waits until it is ready.
    pub(super) async fn start(config: &Path) -> Result<Proxy> {
        let program = std::env::current_exe()
            .context("finding this program")?
            .with_file_name("shardgate");
        if !program.is_file() {
            bail!(
                "the proxy isn't there: {} (cargo build --release --bins makes it)",
                program.display()
            );
        }
        let log = config.with_file_name("proxy.log");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(SHELL)
            .arg("guardian")
            .arg(&program)
            .arg(config)
            .arg(&log);
        // A group of its own: the terminal's Ctrl-C is for us, and we end the proxy in our own order.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.env_remove("RUST_LOG");
        let mut shell = command.spawn().context("starting the proxy's shell")?;
        let orders = shell.stdin.take();
        let mut words = shell.stdout.take().context("the proxy's shell has no pipe")?;
        let ended = tokio::task::spawn_blocking(move || {
            // Nothing is ever said: this returns when the proxy has ended.
            words.read_to_end(&mut Vec::new()).ok();
        });
        let mut proxy = Proxy {
            shell,
            orders,
            log,
            ended,
            address: String::new(),
            http: String::new(),
        };
        for _ in 0..START_CHECKS {
            let log = proxy.log();
            if let Some(addresses) = log.lines().find_map(|line| line.strip_prefix("shardgate ready on ")) {
                let (address, http) = addresses.split_once(" http ").unwrap_or((addresses, ""));
                proxy.address = address.trim().to_owned();
                proxy.http = http.trim().to_owned();
                return Ok(proxy);
            }
            if proxy.ended.is_finished() {
                bail!("the proxy didn't start:\n{}", proxy.log().trim_end());
            }
            tokio::time::sleep(START_CHECK_EVERY).await;
        }
        bail!("the proxy isn't ready after a minute:\n{}", proxy.log().trim_end())
    }

    /// Returns when the proxy has ended; the error says what it wrote last.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        // It only reads a pipe: nothing is lost if it was cancelled.
        (&mut self.ended).await.ok();
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default();
        anyhow::anyhow!("the proxy has ended; the end of its log:\n{}", last.join("\n"))
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders = None;
        // Nothing is left to do about a shell that can't be waited for.
        self.shell.wait().ok();
    }
}

/// SIGTERM drains, the second one ends the sessions that are still busy, SIGKILL is for a proxy that hangs.
const SHELL: &str = r#"
program=$1 config=$2 log=$3
exec 3>&1 1>/dev/null
"$program" --config "$config" </dev/null >>"$log" 2>&1 &
pid=$!
exec 3>&-
while read -r _; do :; done
for signal in TERM TERM KILL; do
  kill -$signal $pid 2>/dev/null
  tries=0
  # One that has ended and isn't waited for yet has no /proc/…/exe any more.
  while [ $tries -lt 30 ] && [ -e "/proc/$pid/exe" ]; do tries=$((tries + 1)); sleep 0.05; done
  [ -e "/proc/$pid/exe" ] || break
done
wait $pid
rm -f "$config" "$log"
rmdir "${config%/*}" 2>/dev/null
exit 0
"#;
