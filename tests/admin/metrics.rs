//! The metrics' document and their text, as Prometheus' own tool sees it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use shardgate::admin::Sources as _;
use shardgate::telemetry::metrics_document;

use crate::fixture::{Fixture, Scene};
use crate::golden::settle_text;

#[test]
fn the_document_is_the_table() {
    settle_text("docs/metrics.md", &metrics_document());
}

/// `promtool` comes with Debian's package `prometheus`; `PROMTOOL` names one elsewhere.
#[test]
fn promtool_finds_nothing_wrong() {
    let promtool = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let spawned = Command::new(promtool)
        .args(["check", "metrics", "--extended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            // Loud, and a failure where everything must be there.
            assert!(std::env::var_os("CI").is_none(), "promtool: {error}");
            std::io::stderr()
                .write_all(b"SKIPPED: promtool isn't installed (Debian package prometheus)\n")
                .unwrap();
            return;
        }
    };
    let text = Fixture::new(Scene::Starting).telemetry().render().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}
