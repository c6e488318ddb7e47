//! `shardctl` as a process, against an admin database over the fixture.

use std::process::Output;

use tokio::process::Command;

use crate::database::Database;
use crate::fixture::{CONFIG, Fixture, Scene};
use crate::golden::{read_cases, settle};

async fn shardctl(database: Option<&Database>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardctl"));
    command
        .args(arguments)
        .env_remove("SHARDGATE_URL")
        .env_remove("PGPASSWORD");
    if let Some(database) = database {
        command.env(
            "SHARDGATE_URL",
            format!("postgres://ann:secret@{}/shardgate", database.address),
        );
    }
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn check(file: &str, fixture: Fixture) {
    let database = Database::start(fixture).await;
    let cases = read_cases(file);
    let mut answers = Vec::new();
    for case in &cases {
        let arguments: Vec<&str> = case
            .input
            .strip_prefix("shardctl ")
            .unwrap()
            .split('|')
            .map(str::trim)
            .collect();
        let output = shardctl(Some(&database), &arguments).await;
        let mut answer = text(&output.stdout);
        if !output.stderr.is_empty() {
            answer.push_str(&format!("--- standard error\n{}", text(&output.stderr)));
        }
        answers.push(format!("{answer}--- exit code {}", output.status.code().unwrap()));
    }
    settle(file, &cases, &answers);
}

#[tokio::test]
async fn what_people_and_scripts_see() {
    check("tests/golden/admin/shardctl.txt", Fixture::new(Scene::Running)).await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_with_an_exit_code() {
    check(
        "tests/golden/admin/shardctl-failures.txt",
        Fixture::new(Scene::Starting).with_rejected_reload(),
    )
    .await;
}

#[tokio::test]
async fn json_is_an_array_of_objects_keyed_by_the_columns() {
    let database = Database::start(Fixture::new(Scene::Running)).await;
    for command in [
        "status",
        "shards",
        "keyspaces",
        "tables",
        "buckets",
        "load",
        "top",
        "proposals",
        "propose",
        "check",
        "reload",
    ] {
        let output = shardctl(Some(&database), &["-o", "json", command]).await;
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(
            json.as_array().unwrap().iter().all(serde_json::Value::is_object),
            "{command}"
        );
    }
    let output = shardctl(Some(&database), &["buckets", "-o", "json"]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            &json[8]["keyspace"],
            &json[8]["bucket"],
            &json[8]["busy_ratio"],
            &json[8]["size_bytes"]
        ),
        (&"time".into(), &0.into(), &0.into(), &(8 << 20).into())
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let output = shardctl(
        None,
        &["--url", &format!("postgres://ann:secret@{address}/shardgate"), "status"],
    )
    .await;
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains(&address.to_string()) && stderr.contains("HINT:") && !stderr.contains("secret"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_wrong_command_line_is_exit_code_2() {
    for arguments in [
        &["frobnicate"][..],
        &["route"],
        &["shards", "-o", "xml"],
        &[],
        &["apply"],
        &["demo2"],
    ] {
        assert_eq!(shardctl(None, arguments).await.status.code(), Some(2), "{arguments:?}");
    }
    let help = shardctl(None, &["--help"]).await;
    assert_eq!(help.status.code(), Some(0));
    for later in ["apply", "drain", "moves", "verify"] {
        assert!(
            !text(&help.stdout).contains(later),
            "{later} belongs to a later version"
        );
    }
}

#[tokio::test]
async fn a_configuration_is_checked_without_a_proxy_and_every_problem_is_told() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("shardctl-check.yaml");
    let broken = CONFIG
        .replace("buckets: 8", "bukets: 8")
        .replace("weight: 2", "weight: many");
    std::fs::write(&file, broken).unwrap();
    let output = shardctl(None, &["check", "--config", &file.to_string_lossy()]).await;
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr.contains("did you mean \"buckets\"") && stderr.contains("weight"),
        "{stderr}"
    );
}
