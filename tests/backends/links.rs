//! Links, prepared statements and cancel on single backends.

use std::time::Duration;

use tokio::time::timeout;

use crate::server::*;

use shardgate::backend::*;
use shardgate::wire::*;

#[tokio::test]
async fn a_cancelled_backend_is_not_clean_before_a_round_trip() {
    let server = Server::start();
    let mut backend = connect(&server.connector(), &trusted("postgres")).await.unwrap();
    let target = backend.cancel_target();
    put_query(&mut backend.link.out_buffer, b"select pg_sleep(1000)");
    backend.link.drain().await.unwrap();
    // A cancel that comes before the statement has begun is lost: send until one hits.
    let fields = loop {
        cancel(&target).await.unwrap();
        if let Ok(done) = timeout(Duration::from_millis(200), answer(&mut backend)).await {
            break done.unwrap_err();
        }
    };
    assert_eq!(fields.code(), SqlState::QUERY_CANCELED);
    assert!(backend.is_cancel_pending());
    let mut backend = backend.into_clean(0).unwrap_err();
    backend.settle().await.unwrap();
    assert!(!backend.is_cancel_pending());
    let mut backend = backend.into_clean(0).unwrap().into_backend();
    assert_eq!(ask(&mut backend, "select 1").await.unwrap(), ["1"]);
    // a key that isn't the backend's cancels nothing, and is no error either
    let mut other = connect(&server.connector(), &trusted("postgres")).await.unwrap();
    cancel(&target).await.unwrap();
    assert_eq!(ask(&mut other, "select 2").await.unwrap(), ["2"]);
}

#[tokio::test]
async fn bytes_are_relayed_past_a_full_socket() {
    let server = Server::start();
    let mut backend = connect(&server.connector(), &trusted("postgres")).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), tokio::net::TcpStream::connect(address));
    let (mut proxy, mut client) = (
        Link::new(accepted.unwrap().0).unwrap(),
        Link::new(connected.unwrap()).unwrap(),
    );

    put_query(&mut backend.link.out_buffer, b"select repeat('x', 30000000)");
    backend.link.drain().await.unwrap();
    proxy.queue(b"N\0\0\0\x04");
    let relay = async {
        let mut scanner = Scanner::default();
        let mut most = 0;
        loop {
            let interest = |tag| if tag == b'Z' { Interest::Look } else { Interest::Pass };
            let cut = scanner.cut(&backend.link.in_buffer, interest).unwrap();
            let mut pass = cut.pass;
            std::future::poll_fn(|cx| proxy.poll_relay(cx, &mut backend.link.in_buffer, &mut pass))
                .await
                .unwrap();
            if cut.next == Next::Frame {
                break most;
            }
            assert_ne!(backend.link.fill().await.unwrap(), 0);
            most = most.max(backend.link.in_buffer.capacity());
        }
    };
    let read = async {
        let mut scanner = Scanner::default();
        let mut tags = Vec::new();
        let mut total = 0;
        while !tags.contains(&b'C') {
            assert_ne!(client.fill().await.unwrap(), 0);
            scanner.feed(&client.in_buffer, |tag, _| tags.push(tag)).unwrap();
            total += client.in_buffer.len();
            client.in_buffer.clear();
        }
        (tags, total)
    };
    let (most, (tags, total)) = timeout(PATIENCE, async { tokio::join!(relay, read) }).await.unwrap();
    assert_eq!(tags, *b"NTDC");
    assert!(total > 30_000_000);
    assert!(most <= 256 * 1024, "a 30 MB value took a buffer of {most} bytes");
    // idle links hold no buffers
    backend.link.in_buffer.clear();
    backend.link.release_buffers();
    assert_eq!(
        (backend.link.in_buffer.capacity(), backend.link.out_buffer.capacity()),
        (0, 0)
    );
}

#[test]
fn prepared_statements_are_bounded_and_the_longest_unused_goes() {
    let mut prepared = Prepared::new(2);
    assert_eq!((prepared.insert(1), prepared.insert(2)), (None, None));
    assert!(prepared.touch(1) && !prepared.touch(3));
    assert_eq!(prepared.insert(3), Some(2));
    assert_eq!(prepared.insert(3), None);
    assert!(prepared.contains(1) && prepared.contains(3) && prepared.len() == 2);
    assert!(prepared.remove(1) && !prepared.remove(1));
    prepared.clear();
    assert!(prepared.is_empty());
}
