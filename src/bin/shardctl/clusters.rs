//! Local Postgres clusters that start in a second and leave nothing behind: for `shardctl demo` and for every test.
//!
//! `initdb` runs once; each cluster is a copy of its directory with a system identifier and a first OID of its own, so
//! that the clusters differ as strangers' servers do. Each server stands under a small shell, its guardian, which holds
//! a pipe to us: when the pipe closes (we stopped, crashed, or were killed with SIGKILL) the guardian stops the server
//! and removes its directory. That needs no signal handler, no pid file and no thread that outlives a test.
//! Holds: no server outlives the process that started it; nothing is ever killed by name.
//! Absent: anything from the rest of `shardctl`; the tests include this file by path (`pub mod`, since not every
//! includer needs all of it).

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// Name of the superuser of every cluster; it may log in without a password from this machine.
pub const SUPERUSER: &str = "postgres";

/// A role that is a member of this one (created by whoever wants it) must log in by SCRAM, whatever [`Auth`] says.
pub const PASSWORD_ROLE: &str = "needs_password";

/// Ports are taken by asking the system and letting go; somebody else may be faster.
const PORT_ATTEMPTS: usize = 5;

/// Each cluster's first user OID lies this far above the one before it: OIDs agree between clusters by no accident.
const OID_STRIDE: u32 = 1_017;

/// What a role needs in order to log in over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// nothing
    Trust,
    /// a password (SCRAM-SHA-256), except for [`SUPERUSER`]
    Scram,
}

/// What clusters to start.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// how many
    pub count: usize,
    /// where their directory is made
    pub parent: PathBuf,
    /// an initialised data directory to copy (see [`Clusters`]); `None` runs `initdb`
    pub template: Option<PathBuf>,
    /// how roles log in
    pub auth: Auth,
    /// settings beyond the built-in ones, as `name=value`
    pub settings: Vec<String>,
}

impl Recipe {
    /// `count` clusters under the system's directory for temporary files, by trust.
    pub fn new(count: usize) -> Recipe {
        Recipe {
            count,
            parent: std::env::temp_dir(),
            template: None,
            auth: Auth::Trust,
            settings: Vec::new(),
        }
    }
}

/// Running clusters; dropping them stops them and removes their directories.
#[derive(Debug)]
pub struct Clusters {
    members: Vec<Cluster>,
    base: PathBuf,
    /// The initialised data directory that they are copies of; good as [`Recipe::template`] while they live.
    pub template: PathBuf,
}

impl Clusters {
    /// Initialises and starts all clusters of a recipe; on an error nothing is left.
    pub fn start(recipe: &Recipe) -> Result<Clusters> {
        let programs = Programs::find()?;
        let owner = Owner::find()?;
        let base = private_directory(&recipe.parent, &owner)?;
        // From here on the value's Drop cleans up, also on `?`.
        let template = recipe.template.clone().unwrap_or_else(|| base.join("template"));
        let mut clusters = Clusters {
            members: Vec::new(),
            base,
            template,
        };
        if recipe.template.is_none() {
            init(&programs, &owner, &clusters.base, &clusters.template)?;
        }
        for index in 0..recipe.count {
            let member = Cluster::create(&programs, &owner, &clusters, recipe, index)?;
            clusters.members.push(member);
        }
        // All are asked to start before the first is waited for.
        for member in &mut clusters.members {
            member.launch()?;
        }
        for member in &mut clusters.members {
            member.wait_ready()?;
        }
        Ok(clusters)
    }

    /// The clusters in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Cluster> {
        self.members.iter()
    }

    /// One cluster, to stop, kill or restart it.
    pub fn get_mut(&mut self, index: usize) -> Result<&mut Cluster> {
        let count = self.members.len();
        self.members
            .get_mut(index)
            .with_context(|| format!("there is no cluster {index}: {count} were started"))
    }
}

impl Drop for Clusters {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.abandon();
        }
        for member in &mut self.members {
            member.bury();
        }
        // The guardians have removed what lay inside; an error here leaves an empty directory at worst.
        fs::remove_dir_all(&self.base).ok();
    }
}

/// One Postgres server of ours.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    owner: Owner,
    base: PathBuf,
    root: PathBuf,
    port: u16,
    settings: Vec<String>,
    guardian: Option<Guardian>,
}

impl Cluster {
    /// Its port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://user@127.0.0.1:port/database`
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        const TAIL_BYTES: u64 = 4_096;
        let read = || -> std::io::Result<String> {
            let mut file = fs::File::open(self.root.join("log"))?;
            let size = file.metadata()?.len();
            file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            Ok(String::from_utf8_lossy(&tail).into_owned())
        };
        read().unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Fast shutdown, waited for: sessions get 57P01, everything committed stays.
    pub fn stop(&mut self) -> Result<()> {
        self.order("stop")
    }

    /// `kill -9` of the postmaster, waited for; its children notice and leave without a word to their clients.
    pub fn kill(&mut self) -> Result<()> {
        self.order("kill")
    }

    /// A setting (`name=value`) from the next start on; the last one for a name counts.
    pub fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_owned());
    }

    /// Starts a stopped or killed server again on its port, and waits until it accepts connections.
    pub fn restart(&mut self) -> Result<()> {
        if self.guardian.is_some() {
            bail!("the cluster on port {} is running: stop it first", self.port);
        }
        self.launch()?;
        self.wait_ready()
    }

    fn create(
        programs: &Programs,
        owner: &Owner,
        clusters: &Clusters,
        recipe: &Recipe,
        index: usize,
    ) -> Result<Cluster> {
        let base = clusters.base.clone();
        let root = base.join(format!("c{index}"));
        owner.directory(&root)?;
        let data = root.join("data");
        run(owner.command("cp", &base).arg("-Rp").arg(&clusters.template).arg(&data))?;
        estrange(programs, owner, &base, &data, index)?;
        let hba = match recipe.auth {
            Auth::Trust => "trust",
            Auth::Scram => "scram-sha-256",
        };
        let hba = format!(
            "local all all trust\nhost all {SUPERUSER} 127.0.0.1/32 trust\n\
             host all +{PASSWORD_ROLE} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 {hba}\n\
             local replication all trust\nhost replication all 127.0.0.1/32 trust\n"
        );
        fs::write(data.join("pg_hba.conf"), hba).context("writing pg_hba.conf")?;
        let settings = recipe.settings.clone();
        Ok(Cluster {
            programs: programs.clone(),
            owner: owner.clone(),
            base,
            root,
            port: free_port()?,
            settings,
            guardian: None,
        })
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = self.owner.command("sh", &self.base);
        command
            .arg("-c")
            .arg(GUARDIAN)
            .arg("guardian")
            .arg(&self.programs.bin)
            .arg(&self.root)
            .arg(&self.base);
        command
            .arg("-p")
            .arg(self.port.to_string())
            .arg("-k")
            .arg(&self.root)
            .arg("-h")
            .arg("127.0.0.1");
        for setting in SETTINGS.iter().copied().chain(self.settings.iter().map(String::as_str)) {
            command.arg("-c").arg(setting);
        }
        // A group of its own: the terminal's Ctrl-C is for us, and we stop the server in our own order.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .context("starting the guardian shell of a Postgres server")?;
        let orders = child.stdin.take();
        let words = child.stdout.take().context("the guardian shell has no pipe")?;
        self.guardian = Some(Guardian {
            child,
            orders,
            words: BufReader::new(words),
        });
        Ok(())
    }

    fn wait_ready(&mut self) -> Result<()> {
        for _ in 0..PORT_ATTEMPTS {
            let guardian = self.guardian.as_mut().context("the server isn't starting")?;
            if guardian.hear()? == "ready" {
                return Ok(());
            }
            let log = self.log_tail();
            self.bury();
            if !log.contains("could not bind") {
                bail!(
                    "Postgres on port {} didn't start; the end of its log:\n{log}",
                    self.port
                );
            }
            self.port = free_port()?;
            self.launch()?;
        }
        bail!("no free port for Postgres in {PORT_ATTEMPTS} attempts")
    }

    fn order(&mut self, word: &str) -> Result<()> {
        let Some(mut guardian) = self.guardian.take() else {
            bail!("the cluster on port {} isn't running", self.port);
        };
        let orders = guardian.orders.as_mut().context("the guardian shell was abandoned")?;
        writeln!(orders, "{word}").context("telling the guardian shell")?;
        guardian.hear()?;
        guardian.child.wait().context("waiting for the guardian shell")?;
        Ok(())
    }

    /// Closes the pipe: the guardian stops the server and removes its directory.
    fn abandon(&mut self) {
        if let Some(guardian) = &mut self.guardian {
            guardian.orders = None;
        }
    }

    fn bury(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            // Nothing is left to do about a shell that can't be waited for.
            guardian.child.wait().ok();
        }
    }
}

/// The shell above one server.
#[derive(Debug)]
struct Guardian {
    child: Child,
    /// `None` once abandoned
    orders: Option<ChildStdin>,
    words: BufReader<ChildStdout>,
}

impl Guardian {
    fn hear(&mut self) -> Result<String> {
        let mut word = String::new();
        self.words
            .read_line(&mut word)
            .context("listening to the guardian shell")?;
        Ok(word.trim_end().to_owned())
    }
}

/// What the guardian does. It talks in words: `ready` or `failed`, then one for each order. End of input: we are gone.
const GUARDIAN: &str = r#"
bin=$1 root=$2 base=$3; shift 3
data=$root/data
"$bin/postgres" -D "$data" "$@" </dev/null >>"$root/log" 2>&1 &
pid=$!
trap '' PIPE
tries=0
while :; do
  case "$(sed -n '1p;8p' "$data/postmaster.pid" 2>/dev/null | tr '\n ' '..')" in $pid.ready*) break ;; esac
  tries=$((tries + 1))
  if [ $tries -gt 3000 ] || ! kill -0 $pid 2>/dev/null; then kill -KILL $pid 2>/dev/null; echo failed; exit 1; fi
  sleep 0.02
done
echo ready
while read -r word; do
  case $word in
    stop) kill -INT $pid; wait $pid; echo stopped; exit 0 ;;
    kill)
      all="$pid $(cat /proc/$pid/task/$pid/children 2>/dev/null)"
      kill -KILL $all
      wait $pid
      # They are no children of ours, and hold the shared memory until they are gone.
      tries=0
      for child in $all; do
        while [ -e "/proc/$child/exe" ] && [ $tries -lt 250 ]; do tries=$((tries + 1)); sleep 0.02; done
      done
      echo killed
      exit 0 ;;
  esac
done
kill -QUIT $pid
wait $pid
rm -rf "$root" "$base/template"
rmdir "$base" 2>/dev/null
exit 0
"#;

/// Durability against a crash of the machine is for others. A commit must outlive `kill -9` though, so that
/// `synchronous_commit` stays on: it costs a write, no sync.
const SETTINGS: [&str; 12] = [
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=300",
    "max_prepared_transactions=100",
    "max_wal_size=512MB",
    "wal_level=logical",
    "autovacuum_naptime=10s",
    "jit=off",
    "log_min_messages=warning",
    "timezone=UTC",
    "logging_collector=off",
];

/// Where Postgres's programs are.
#[derive(Clone, Debug)]
struct Programs {
    bin: PathBuf,
}

impl Programs {
    /// `SHARDGATE_PG_BIN`, else Debian's directory of the newest version, else what `pg_config` says.
    fn find() -> Result<Programs> {
        if let Some(bin) = std::env::var_os("SHARDGATE_PG_BIN") {
            let bin = PathBuf::from(bin);
            if bin.join("initdb").is_file() {
                return Ok(Programs { bin });
            }
            bail!("SHARDGATE_PG_BIN is {}, which has no initdb", bin.display());
        }
        let mut found: Vec<(u32, PathBuf)> = Vec::new();
        if let Ok(entries) = fs::read_dir("/usr/lib/postgresql") {
            for entry in entries.flatten() {
                let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
                let bin = entry.path().join("bin");
                if bin.join("initdb").is_file() {
                    found.push((version, bin));
                }
            }
        }
        found.sort();
        if let Some((_, bin)) = found.pop() {
            return Ok(Programs { bin });
        }
        let asked = Command::new("pg_config")
            .arg("--bindir")
            .output()
            .ok()
            .filter(|output| output.status.success());
        let bin = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
        match bin {
            Some(bin) if bin.join("initdb").is_file() => Ok(Programs { bin }),
            Some(_) | None => Err(anyhow!(
                "no Postgres server found under /usr/lib/postgresql nor by pg_config: install one \
                 (Debian: apt install postgresql), or set SHARDGATE_PG_BIN to the directory of initdb"
            )),
        }
    }

    fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }
}

/// Whom the servers run as: Postgres refuses root, so root hands them to the user `postgres`.
#[derive(Clone, Debug)]
struct Owner {
    ids: Option<(u32, u32)>,
}

impl Owner {
    fn find() -> Result<Owner> {
        let ours = fs::metadata("/proc/self")
            .context("reading our own user id from /proc")?
            .uid();
        if ours != 0 {
            return Ok(Owner { ids: None });
        }
        let passwd = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let fields = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.first() == Some(&SUPERUSER));
        let ids = fields.and_then(|fields| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)));
        let ids =
            ids.with_context(|| format!("we are root, and /etc/passwd has no user {SUPERUSER} to run servers as"))?;
        Ok(Owner { ids: Some(ids) })
    }

    fn command(&self, program: impl AsRef<Path>, directory: &Path) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .current_dir(directory)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        for name in [
            "PGDATA",
            "PGHOST",
            "PGPORT",
            "PGUSER",
            "PGDATABASE",
            "PGOPTIONS",
            "PGSERVICE",
        ] {
            command.env_remove(name);
        }
        if let Some((user, group)) = self.ids {
            command.uid(user).gid(group);
        }
        command
    }

    fn directory(&self, path: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(path)
            .with_context(|| format!("creating {}", path.display()))?;
        if let Some((user, group)) = self.ids {
            chown(path, Some(user), Some(group)).with_context(|| format!("giving {} to postgres", path.display()))?;
        }
        Ok(())
    }
}

/// A new directory with a short name: a socket's path has 107 bytes at most.
fn private_directory(parent: &Path, owner: &Owner) -> Result<PathBuf> {
    const NAMES: u32 = 1_000;
    let process = std::process::id();
    for number in 0..NAMES {
        let path = parent.join(format!("shardgate-{process}-{number}"));
        match owner.directory(&path) {
            Ok(()) => return Ok(path),
            // Another test of this process, or a directory left by a killed one.
            Err(_) if path.exists() => {}
            Err(error) => return Err(error),
        }
    }
    bail!(
        "{NAMES} directories shardgate-{process}-* in {}: remove old ones",
        parent.display()
    )
}

fn init(programs: &Programs, owner: &Owner, base: &Path, data: &Path) -> Result<()> {
    // ICU, so that a byte order taken for the collation's shows. Without ICU in the build: libc.
    let mut arguments = vec![
        "-U",
        SUPERUSER,
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--auth=trust",
        "--no-sync",
    ];
    arguments.extend(["--locale-provider=icu", "--icu-locale=en"]);
    run(owner
        .command(programs.path("initdb"), base)
        .args(arguments)
        .arg("-D")
        .arg(data))
}

/// Gives a copied data directory a system identifier of its own, as a server of its own would have, and other OIDs.
///
/// `pg_control` begins with the identifier; `pg_resetwal -f` accepts it despite the checksum (checked on 15), writes a
/// right one, and a write-ahead log that fits.
fn estrange(programs: &Programs, owner: &Owner, base: &Path, data: &Path, index: usize) -> Result<()> {
    let control = data.join("global/pg_control");
    let mut bytes = fs::read(&control).context("reading pg_control")?;
    let index = u32::try_from(index)?;
    let identifier: [u8; 8] = bytes.get(..8).context("pg_control is short")?.try_into()?;
    let stranger =
        u64::from_le_bytes(identifier).wrapping_add((u64::from(std::process::id()) << 8) + u64::from(index) + 1);
    bytes.splice(..8, stranger.to_le_bytes());
    fs::write(&control, bytes).context("writing pg_control")?;
    let oid = 16_384 + (index + 1) * OID_STRIDE;
    run(owner
        .command(programs.path("pg_resetwal"), base)
        .arg("-f")
        .arg("-o")
        .arg(oid.to_string())
        .arg("-D")
        .arg(data))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("running {:?}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    bail!(
        "{:?} failed ({}):\n{}",
        command.get_program(),
        output.status,
        String::from_utf8_lossy(&said)
    )
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("asking for a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `psql` prints for a query on a cluster.
    fn ask(cluster: &Cluster, sql: &str) -> std::result::Result<String, String> {
        let psql = cluster.programs.path("psql");
        let output = Command::new(psql)
            .args(["-XAtq", "-c", sql, &cluster.url(SUPERUSER, "postgres")])
            .output()
            .expect("psql runs");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    #[test]
    fn clusters_differ_survive_kill_9_and_leave_nothing() {
        let mut clusters = Clusters::start(&Recipe::new(2)).expect("two clusters start");
        let base = clusters.base.clone();
        let identity = "SELECT system_identifier FROM pg_control_system()";
        let identities: Vec<String> = clusters
            .iter()
            .map(|cluster| ask(cluster, identity).expect("answers"))
            .collect();
        assert_ne!(identities[0], identities[1], "two servers have one system identifier");
        let order = "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('a'), ('B'), ('c')) v(x)";
        let victim = clusters.get_mut(0).expect("is there");
        assert_eq!(
            ask(victim, order).as_deref(),
            Ok("aBc"),
            "the collation is a language's, not the bytes'"
        );
        ask(victim, "CREATE TABLE kept AS SELECT 1 AS x").expect("creates");
        victim.kill().expect("is killed");
        ask(victim, "SELECT 1").expect_err("a killed server answers");
        victim.restart().expect("restarts");
        assert_eq!(ask(victim, "SELECT x FROM kept").as_deref(), Ok("1"));
        victim.stop().expect("stops");
        ask(victim, "SELECT 1").expect_err("a stopped server answers");
        drop(clusters);
        assert!(!base.exists(), "{} is left", base.display());
    }

    #[test]
    fn passwords_are_asked_under_scram_and_copies_need_no_initdb() {
        let first = Clusters::start(&Recipe::new(1)).expect("starts");
        let recipe = Recipe {
            auth: Auth::Scram,
            template: Some(first.template.clone()),
            ..Recipe::new(1)
        };
        let second = Clusters::start(&recipe).expect("a copy starts");
        let cluster = second.iter().next().expect("is there");
        ask(cluster, "CREATE ROLE app LOGIN PASSWORD 'secret'").expect("creates");
        let psql = cluster.programs.path("psql");
        let login = |password: &str| {
            let mut command = Command::new(&psql);
            command
                .args(["-XAtq", "-w", "-c", "SELECT 1", &cluster.url("app", "postgres")])
                .env("PGPASSWORD", password);
            command.output().expect("psql runs").status.success()
        };
        assert!(
            login("secret"),
            "the right password is taken; log:\n{}",
            cluster.log_tail()
        );
        assert!(!login("wrong"), "a wrong password is refused");
    }
}
