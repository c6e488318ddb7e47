//! Admin commands over the fixture, as golden tables.

use std::fmt::Write as _;
use std::sync::Arc;

use shardgate::admin::{AdminError, Answer, Console, Table};

use crate::fixture::{Fixture, Scene};
use crate::golden::{read_cases, settle};

async fn check(file: &str, fixture: Fixture) {
    let console = Console::new(Arc::new(fixture));
    let cases = read_cases(file);
    let mut answers = Vec::new();
    for case in &cases {
        let described = console.describe(&case.input);
        let answer = console.run(&case.input).await;
        match (&described, &answer) {
            (Ok(Some(columns)), Ok(Answer::Table(table))) => assert_eq!(columns, &table.columns, "{}", case.input),
            (Ok(None), Ok(Answer::Done { .. } | Answer::Empty)) | (_, Err(_)) => {}
            other => panic!("{}: described and answered differently: {other:?}", case.input),
        }
        answers.push(print(&answer));
    }
    settle(file, &cases, &answers);
}

fn print(answer: &Result<Answer, AdminError>) -> String {
    match answer {
        Ok(Answer::Table(table)) => print_table(table),
        Ok(Answer::Done { tag }) => format!("({tag})"),
        Ok(Answer::Empty) => "(empty)".to_owned(),
        Err(error) => {
            let mut text = format!("ERROR:  {error}\n");
            if let Some(detail) = error.detail() {
                writeln!(text, "DETAIL:  {detail}").unwrap();
            }
            if let Some(hint) = error.hint() {
                writeln!(text, "HINT:  {hint}").unwrap();
            }
            text
        }
    }
}

fn print_table(table: &Table) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|c| format!("{} {:?}", c.name, c.kind).to_lowercase())
        .collect();
    let mut text = format!("{}\n", columns.join(" | "));
    for row in &table.rows {
        assert_eq!(row.len(), table.columns.len());
        let values: Vec<&str> = row.iter().map(|value| value.as_deref().unwrap_or("∅")).collect();
        writeln!(text, "{}", values.join(" | ")).unwrap();
    }
    writeln!(text, "({}, {} rows)", table.tag, table.rows.len()).unwrap();
    text
}

#[tokio::test]
async fn a_running_proxy_shows_itself() {
    check("tests/golden/admin/running.txt", Fixture::new(Scene::Running)).await;
}

#[tokio::test]
async fn a_starting_proxy_says_what_it_lacks() {
    check("tests/golden/admin/starting.txt", Fixture::new(Scene::Starting)).await;
}

#[tokio::test]
async fn what_clients_send_is_answered_or_refused_clearly() {
    check(
        "tests/golden/admin/texts.txt",
        Fixture::new(Scene::Starting).with_rejected_reload(),
    )
    .await;
}
