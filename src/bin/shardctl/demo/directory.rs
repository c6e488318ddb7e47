//! The one directory that the demo writes to.
//!
//! Holds: it goes away with the process, also by SIGKILL: then a shell that held a pipe to us removes it, once the
//! guardians of the servers and of the proxy in it have removed what is theirs.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// A new directory of ours; dropping it removes it.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// a directory named by the user that wasn't there before
    made_parent: Option<PathBuf>,
    janitor: Option<Child>,
}

impl Directory {
    /// Makes it in `parent` (made too if it isn't there), else in the directory for temporary files.
    pub(super) fn create(parent: Option<&Path>) -> Result<Directory> {
        const NAMES: u32 = 100;
        let process = std::process::id();
        let temporary = std::env::temp_dir();
        // Servers run in other directories, perhaps as another user: only an absolute path means the same to all.
        let parent = std::path::absolute(parent.unwrap_or(&temporary)).context("finding the working directory")?;
        let made_parent = make(&parent)?;
        for number in 0..NAMES {
            let path = parent.join(match number {
                0 => format!("shardgate-demo-{process}"),
                _ => format!("shardgate-demo-{process}-{number}"),
            });
            match fs::DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => {
                    let mut directory = Directory {
                        path,
                        made_parent,
                        janitor: None,
                    };
                    // Whatever the umask: started by root, the servers run as another user, who must get through.
                    fs::set_permissions(&directory.path, fs::Permissions::from_mode(0o755))
                        .with_context(|| format!("opening {} to the servers", directory.path.display()))?;
                    directory.hire()?;
                    return Ok(directory);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("creating {}", path.display())),
            }
        }
        bail!(
            "{} is full of old directories shardgate-demo-*: remove them",
            parent.display()
        )
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn hire(&mut self) -> Result<()> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(JANITOR).arg("janitor").arg(&self.path);
        command.args(&self.made_parent);
        // A group of its own: the terminal's Ctrl-C is for us.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.janitor = Some(command.spawn().context("starting the shell that cleans up")?);
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
        if let Some(parent) = &self.made_parent {
            // Only if it is empty: somebody may have put something beside our directory.
            fs::remove_dir(parent).ok();
        }
        if let Some(mut janitor) = self.janitor.take() {
            // It sees that nothing is left, and ends.
            drop(janitor.stdin.take());
            janitor.wait().ok();
        }
    }
}

/// Waits for our end, then for empty directories. What the guardians leave it doesn't touch: it removes no file.
const JANITOR: &str = r#"
directory=$1 parent=$2
while read -r _; do :; done
tries=0
while [ -d "$directory" ] && [ $tries -lt 1200 ]; do
  rmdir "$directory"/* "$directory"
  [ -d "$directory" ] && sleep 0.05
  tries=$((tries + 1))
done
[ -n "$parent" ] && rmdir "$parent"
exit 0
"#;

/// Makes a directory unless it is there; says whether it did.
fn make(path: &Path) -> Result<Option<PathBuf>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(None),
        Ok(_) => bail!("{} is not a directory", path.display()),
        Err(_) => {
            fs::create_dir(path).with_context(|| format!("creating {}", path.display()))?;
            Ok(Some(path.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_away_what_it_made_and_no_more() {
        let base = Directory::create(None).unwrap();
        let kept = base.path().join("kept");
        fs::create_dir(&kept).unwrap();
        drop(Directory::create(Some(&kept)).unwrap());
        assert!(kept.exists());
        let gone = base.path().join("gone");
        let inner = Directory::create(Some(&gone)).unwrap();
        assert!(inner.path().starts_with(&gone));
        drop(inner);
        assert!(!gone.exists());
        Directory::create(Some(Path::new("/proc/self/status"))).unwrap_err();
        let path = base.path().to_owned();
        drop(base);
        assert!(!path.exists());
    }
}
