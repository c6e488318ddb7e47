//! The HTTP port by raw requests: what is there, what isn't, and what a client may not do.

use std::sync::Arc;
use std::time::Duration;

use shardgate::admin::{HttpBounds, Sources, serve_http};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, Scene};

/// Longer than any of this takes; only a hang reaches it.
const GLOBAL: Duration = Duration::from_secs(60);

struct Server {
    address: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinSet<()>,
}

impl Server {
    async fn start(scene: Scene, bounds: HttpBounds) -> (Server, Arc<Fixture>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fixture = Arc::new(Fixture::new(scene));
        let sources: Arc<dyn Sources> = Arc::clone(&fixture) as Arc<dyn Sources>;
        let (stop, stopped) = oneshot::channel::<()>();
        let mut task = JoinSet::new();
        task.spawn(serve_http(listener, sources, bounds, async move {
            stopped.await.ok();
        }));
        (
            Server {
                address,
                stop: Some(stop),
                task,
            },
            fixture,
        )
    }

    /// Sends bytes, leaves the sending side open, and reads until the server hangs up.
    async fn converse(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.converse(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
            .await
    }

    async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(GLOBAL, self.task.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends a conversation too.
    tokio::time::timeout(GLOBAL, stream.read_to_end(&mut bytes))
        .await
        .unwrap()
        .ok();
    String::from_utf8(bytes).unwrap()
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("")
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[tokio::test]
async fn healthz_says_that_the_process_lives() {
    let (server, _) = Server::start(Scene::Starting, HttpBounds::DEFAULT).await;
    let response = server.get("/healthz").await;
    assert_eq!((status(&response), body(&response)), ("200", "ok\n"));
    server.stop().await;
}

#[tokio::test]
async fn metrics_are_read_when_they_are_scraped() {
    let (server, fixture) = Server::start(Scene::Running, HttpBounds::DEFAULT).await;
    let response = server.get("/metrics").await;
    assert_eq!(status(&response), "200");
    assert!(
        response
            .to_lowercase()
            .contains("content-type: text/plain; version=0.0.4"),
        "{response}"
    );
    for line in [
        "shardgate_uptime_seconds 3725",
        "shardgate_topology_epoch 1",
        "shardgate_paused 0",
        r#"shardgate_clients{state="active"} 1"#,
        r#"shardgate_shard_up{shard="s1"} 1"#,
        r#"shardgate_shard_up{shard="s2"} 0"#,
        r#"shardgate_pool_backends{shard="s1",state="busy"} 20"#,
        r#"shardgate_pool_waiters{shard="s1"} 7"#,
        r#"shardgate_statements_total{plan="one_shard",shard="s1",outcome="done"} 4"#,
        r#"shardgate_refusals_total{construct="window-across-shards"} 1"#,
    ] {
        assert!(
            body(&response).lines().any(|found| found == line),
            "{line} in {response}"
        );
    }
    fixture.registry().pause();
    assert!(server.get("/metrics").await.contains("\nshardgate_paused 1\n"));
    server.stop().await;
}

#[tokio::test]
async fn readyz_names_the_shard_that_is_silent() {
    let (server, _) = Server::start(Scene::Running, HttpBounds::DEFAULT).await;
    let response = server.get("/readyz").await;
    assert_eq!(status(&response), "503");
    let json: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
    assert_eq!(json["ready"], false);
    assert_eq!(json["reasons"], serde_json::json!(["shard s2: connection refused"]));
    assert_eq!(json["shards"][2]["name"], "s2");
    assert_eq!(json["shards"][0]["ready"], true);
    server.stop().await;
}

#[tokio::test]
async fn readyz_is_ready_with_every_shard_and_not_while_draining() {
    let (server, fixture) = Server::start(Scene::Healthy, HttpBounds::DEFAULT).await;
    let response = server.get("/readyz").await;
    assert_eq!(status(&response), "200", "{response}");
    let json: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
    assert_eq!((&json["ready"], &json["epoch"]), (&true.into(), &1.into()));
    fixture.registry().pause();
    assert_eq!(status(&server.get("/readyz").await), "200");
    fixture.registry().drain();
    let response = server.get("/readyz").await;
    assert_eq!(status(&response), "503");
    assert!(response.contains("draining"));
    server.stop().await;
}

#[tokio::test]
async fn readyz_waits_for_a_topology() {
    let (server, _) = Server::start(Scene::Starting, HttpBounds::DEFAULT).await;
    let response = server.get("/readyz").await;
    assert_eq!(status(&response), "503");
    assert!(
        response.contains("no topology yet") && response.contains("shard s0: not asked yet"),
        "{response}"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_would_write_405() {
    let (server, _) = Server::start(Scene::Starting, HttpBounds::DEFAULT).await;
    for path in ["/", "/metrics/", "/Metrics", "/../healthz", "/%6detrics"] {
        assert_eq!(status(&server.get(path).await), "404", "{path}");
    }
    assert_eq!(status(&server.get("/healthz?verbose=1").await), "200");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let request =
            format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let response = server.converse(&request).await;
        assert_eq!(status(&response), "405", "{method}");
        assert!(response.to_lowercase().contains("allow: get, head"), "{response}");
    }
    server.stop().await;
}

#[tokio::test]
async fn head_has_no_body() {
    let (server, _) = Server::start(Scene::Starting, HttpBounds::DEFAULT).await;
    let response = server
        .converse("HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((status(&response), body(&response)), ("200", ""));
    assert!(response.to_lowercase().contains("content-length: 3"), "{response}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let (server, _) = Server::start(Scene::Starting, HttpBounds::DEFAULT).await;
    let one = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let response = server.converse(&format!("{one}{one}{last}")).await;
    let lines: Vec<&str> = response.lines().filter(|line| line.starts_with("HTTP/1.1 ")).collect();
    assert_eq!(lines, ["HTTP/1.1 200 OK", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]);
    server.stop().await;
}

#[tokio::test]
async fn garbage_is_a_bad_request_and_others_are_served() {
    let (server, _) = Server::start(Scene::Starting, HttpBounds::DEFAULT).await;
    for garbage in [
        "\0\0\0\u{8}\u{4}\u{d2}\u{16}/",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /a b c HTTP/1.1\r\n\r\n",
    ] {
        let response = server.converse(garbage).await;
        assert!(
            response.is_empty() || status(&response) == "400",
            "{garbage:?}: {response}"
        );
    }
    assert_eq!(status(&server.get("/healthz").await), "200");
    server.stop().await;
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_431() {
    let (server, _) = Server::start(Scene::Starting, HttpBounds::DEFAULT).await;
    let long = "x".repeat(HttpBounds::DEFAULT.head_bytes_max);
    let response = server
        .converse(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"))
        .await;
    assert_eq!(status(&response), "431", "{response}");
    let many: String = (0..200).map(|index| format!("X-{index}: y\r\n")).collect();
    let response = server
        .converse(&format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n"))
        .await;
    assert_eq!(status(&response), "431", "{response}");
    assert_eq!(status(&server.get("/healthz").await), "200");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_hung_up_on() {
    let bounds = HttpBounds {
        head_timeout: Duration::from_millis(50),
        ..HttpBounds::DEFAULT
    };
    let (server, _) = Server::start(Scene::Starting, bounds).await;
    let response = server.converse("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    assert!(response.is_empty() || status(&response) == "408", "{response}");
    // Nor may one sit there without a word, or after its first request.
    assert_eq!(server.converse("").await, "");
    let response = server.converse("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status(&response), "200");
    server.stop().await;
}

#[tokio::test]
async fn an_old_connection_is_closed() {
    let bounds = HttpBounds {
        age_max: Duration::from_millis(50),
        ..HttpBounds::DEFAULT
    };
    let (server, _) = Server::start(Scene::Starting, bounds).await;
    let response = server.converse("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status(&response), "200");
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_are_turned_away() {
    let bounds = HttpBounds {
        connections_max: 1,
        ..HttpBounds::DEFAULT
    };
    let (server, _) = Server::start(Scene::Starting, bounds).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    assert_eq!(server.get("/healthz").await, "");
    drop(first);
    // The place is free once the server has seen the end of the first.
    let served = async {
        while status(&server.get("/healthz").await) != "200" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(GLOBAL, served).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_those_that_nobody_reads() {
    let bounds = HttpBounds {
        grace: Duration::from_millis(50),
        ..HttpBounds::DEFAULT
    };
    let (server, _) = Server::start(Scene::Running, bounds).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    // More answers than the sockets' buffers hold.
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    let (mut reads, mut writes) = deaf.split();
    let mut first = [0; 1];
    tokio::select! {
        _ = writes.write_all(request.as_bytes()) => {}
        read = reads.read_exact(&mut first) => { read.unwrap(); }
    }
    server.stop().await;
    assert_eq!(status(&read_to_end(&mut idle).await), "200");
}
