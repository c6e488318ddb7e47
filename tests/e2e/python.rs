//! Scripts of `tests/tools`, run by a Python that has the drivers and ORMs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a script; `None` if there is no Python with its packages. `make python` makes its environment;
/// `SHARDGATE_PYTHON` names an interpreter that has them.
pub fn python(script: &str, arguments: &[&str]) -> Option<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = manifest.join("target/python/bin/python");
    let python = std::env::var_os("SHARDGATE_PYTHON").map_or(own, PathBuf::from);
    let spawned = Command::new(&python)
        .arg(manifest.join("tests/tools").join(script))
        .args(arguments)
        .output();
    let told = match spawned {
        Ok(told) => told,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}", python.display());
            println!("SKIPPED: {} isn't there (make python)", python.display());
            return None;
        }
    };
    let (out, errors) = (
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr),
    );
    assert!(told.status.success(), "{out}\n{errors}");
    Some(out.into_owned())
}
