//! The proxy as a process: started on free ports, stopped as an operator stops it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use crate::client::PATIENCE;
use crate::world::repeat;

/// A running `shardgate`; killed on drop, since a test that failed can't wait for grace.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    config: PathBuf,
    address: SocketAddr,
    http: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Proxy {
    /// Starts the proxy on a config and waits until it says that it is ready.
    pub fn start(name: &str, config: &str) -> Proxy {
        Proxy::start_with(name, config, &[])
    }

    /// The same with further environment variables.
    pub fn start_with(name: &str, config: &str, environment: &[(&str, &str)]) -> Proxy {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
        std::fs::write(&path, config).expect("the config can be written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardgate"));
        command
            .envs(environment.iter().copied())
            .arg("--config")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("shardgate runs");
        let stderr = child.stderr.take().expect("it is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, waits) = mpsc::sync_channel(1);
        let written = Arc::clone(&log);
        // Ends with the proxy, when the pipe does.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some(addresses) = line.strip_prefix("shardgate ready on ") {
                    // Nobody may be waiting any more.
                    ready.try_send(addresses.to_owned()).ok();
                }
                let mut log = written.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        // The sender goes when the log ends: a proxy that gives up is noticed at once.
        let Ok(addresses) = waits.recv_timeout(PATIENCE) else {
            // It may be alive and stuck.
            child.kill().ok();
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            panic!("the proxy didn't get ready on\n{config}\n--- it said\n{log}");
        };
        let (address, http) = addresses.split_once(" http ").expect("ready on ADDRESS http ADDRESS");
        let parse = |text: &str| text.trim().parse().expect("an address");
        Proxy {
            child,
            config: path,
            address: parse(address),
            http: parse(http),
            log,
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are scraped.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The file that it was started on.
    pub fn config(&self) -> &PathBuf {
        &self.config
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resident memory.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the proxy lives");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("VmRSS is there");
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
        kilobytes * 1_024
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status();
        assert!(
            status.expect("sh runs").success(),
            "the proxy is there to get SIG{name}"
        );
    }

    /// Asks it to end, as `systemctl stop` does; it has to obey, and to call that success.
    pub fn stop(&mut self) {
        self.signal("TERM");
        let status = repeat("the proxy to end after SIGTERM", || {
            match self.child.try_wait().expect("a child of ours") {
                Some(status) => std::ops::ControlFlow::Break(status),
                None => std::ops::ControlFlow::Continue(()),
            }
        });
        assert!(
            status.success(),
            "the proxy ended with {status}; it said\n{}",
            self.log()
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}
