//! A private cluster under an ICU collation, on a Unix socket in its own directory; stopped and removed on drop.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BIN: &str = "/usr/lib/postgresql/15/bin";

pub(crate) struct Server {
    pub(crate) directory: PathBuf,
}

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
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "-D"])
            .arg(&data));
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={} -c fsync=off -c max_connections=20",
            directory.display()
        );
        let server = Server { directory };
        run(as_postgres("pg_ctl")
            .args(["start", "-w", "-D"])
            .arg(&data)
            .arg("-o")
            .arg(options)
            .arg("-l")
            .arg("/dev/null"));
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.directory.join("data");
        let stopped = as_postgres("pg_ctl")
            .args(["stop", "-m", "immediate", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(stopped.is_ok_and(|status| status.success()) || std::thread::panicking());
        let removed = std::fs::remove_dir_all(&self.directory);
        assert!(removed.is_ok() || std::thread::panicking());
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

fn as_postgres(program: &str) -> Command {
    let path = format!("{BIN}/{program}");
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--", &path]);
    command.current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
