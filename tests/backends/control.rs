//! Control connections.

use std::time::Duration;

use crate::server::*;

use shardgate::backend::*;

#[tokio::test]
async fn control_connections_answer_and_tell_errors() {
    let server = Server::start();
    let control = Control::new(&server.url(), PATIENCE).unwrap();
    let rows = control.query("select $1::int + 1", &[&41]).await.unwrap();
    assert_eq!(rows.first().unwrap().get::<_, i32>(0), 42);
    assert_eq!(
        control.execute("create table t as select 1 as x", &[]).await.unwrap(),
        1
    );
    let error = control.query("select * from missing", &[]).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P01"));
    assert!(
        error.to_string().contains("relation \"missing\" does not exist"),
        "{error}"
    );
    // a connection that was left in a transaction is not used again
    let pid = async || {
        let rows = control.query("select pg_backend_pid()", &[]).await.unwrap();
        rows.first().unwrap().get::<_, i32>(0)
    };
    let before = pid().await;
    assert_eq!(pid().await, before);
    control
        .with(async |client| Ok(client.simple_query("begin; select 1/0").await?))
        .await
        .unwrap_err();
    assert_ne!(pid().await, before);
    let gone = Control::new("postgres://postgres@127.0.0.1:1/postgres", PATIENCE).unwrap();
    let error = gone.query("select 1", &[]).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(matches!(
        Control::new("nonsense://", PATIENCE),
        Err(ControlError::Url(_))
    ));
    let slow = Control::new(&server.url(), Duration::from_millis(300)).unwrap();
    assert!(matches!(
        slow.query("select pg_sleep(1000)", &[]).await,
        Err(ControlError::Timeout(_))
    ));
}
