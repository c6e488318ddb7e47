//! What the server says of broken bytes, and what we say.

use crate::server::*;

use shardgate::backend::*;
use shardgate::wire::*;

/// What a server answers to raw bytes: nothing if it is ready for us, else SQLSTATE and message; `None` if it just hangs
/// up.
fn raw_answer(server: &Server, bytes: &[u8]) -> Option<Result<(), (String, String)>> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    // no more will come: a server that waits for the rest hangs up
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // A reset is an end like any other.
    if stream.read_to_end(&mut answer).is_err() && answer.is_empty() {
        return None;
    }
    // a client of protocol 2 gets a bare string
    if let Some(old) = answer.strip_prefix(b"EFATAL:  ") {
        let text = String::from_utf8_lossy(old);
        return Some(Err((String::new(), text.trim_end_matches(['\0', '\n']).to_owned())));
    }
    let mut rest = answer.as_slice();
    while let Some(frame) = next_frame(rest, LOOK_FRAME_LIMIT).unwrap() {
        match frame.tag {
            b'Z' => return Some(Ok(())),
            b'E' => {
                let fields = ErrorFields::parse(frame.body).unwrap();
                return Some(Err((fields.code().to_string(), fields.message().into_owned())));
            }
            _ => rest = &rest[frame.whole.len()..],
        }
    }
    None
}

#[test]
fn startup_packets_are_judged_as_the_server_judges_them() {
    let server = Server::start();
    let v3 = 3_u32 << 16;
    let cases: &[(u32, &[u8])] = &[
        (v3, b"user\0postgres\0\0"),
        (v3, b"user\0postgres\0database\0\0\0"),
        (v3 | 2, b"user\0postgres\0_pq_.x\0y\0\0"),
        (v3, b"user\0postgres\0replication\0off\0\0"),
        (v3, b"user\0postgres\0replication\0ye\0\0"),
        (v3, b"user\0postgres\0replication\0o\0\0"),
        (v3, b"user\0postgres\0replication\0database\0\0"),
        (v3, b"user\0postgres\0replication\0Database\0\0"),
        (v3, b"user\0\0\0"),
        (v3, b"\0"),
        (v3, b"database\0postgres\0\0"),
        (v3, b"user\0postgres\0"),
        (v3, b"user\0postgres\0\0more\0"),
        (v3, b"user\0postgres"),
        (2 << 16, b"user\0postgres\0\0"),
        (4 << 16, b"user\0postgres\0\0"),
        (v3, b"user\0postgres\0options\0-c a\0\0"),
        (v3, b"user\0postgres\0options\0--a\0\0"),
        (v3, b"user\0postgres\0options\0a=b\0\0"),
    ];
    for (code, body) in cases {
        let mut packet = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        packet.extend_from_slice(&code.to_be_bytes());
        packet.extend_from_slice(body);
        let theirs = raw_answer(&server, &packet);
        let ours = next_startup(&packet);
        let shown = String::from_utf8_lossy(body).into_owned();
        match (&ours, theirs) {
            (Ok(Some((StartupPacket::Startup(_), _))), Some(Ok(()))) => (),
            (Err(error), Some(Err((_, message)))) => assert_eq!(error.to_string(), message, "{shown}"),
            (ours, theirs) => panic!("{shown}: ours {ours:?}, the server's {theirs:?}"),
        }
    }
    for length in [0_u32, 4, 7, 10_001, u32::MAX] {
        assert_eq!(raw_answer(&server, &length.to_be_bytes()), None, "{length}");
        assert_eq!(next_startup(&length.to_be_bytes()), Err(StartupError::Length));
    }
}

#[tokio::test]
async fn broken_messages_get_the_servers_words() {
    let server = Server::start();
    let mut backend = connect(&server.connector(), &trusted("postgres")).await.unwrap();
    let cases: &[(u8, &[u8])] = &[
        (b'Q', b"select 1"),
        (b'Q', b"select 1\0Q\0\0\0\x0dselect 2\0"),
        (b'Q', b""),
        (b'P', b"s"),
        (b'P', b"\0select 1"),
        (b'P', b"\0select 1\0"),
        (b'P', b"\0select 1\0\0\x02\0\0\0\x17"),
        (b'P', b"\0select 1\0\0\0\0"),
        (b'B', b""),
        (b'B', b"\0one\0"),
        (b'B', b"\0one\0\0\0\0\x01\x7f\xff\xff\xffab\0\0"),
        (b'B', b"\0one\0\0\0\0\x01\xff\xff\xff\xfe\0\0"),
        (b'B', b"\0one\0\xff\xff"),
        (b'B', b"\0one\0\0\x02\0\0\0\0\0\x01\xff\xff\xff\xff\0\0"),
        (b'B', b"\0one\0\0\0\0\x01\0\0\0\x01a\0\0tail"),
        (b'B', b"\0one\0\0\0\0\x01\0\0\0\x01a\0\x03\0\0"),
        (b'E', b""),
        (b'E', b"p\0\0\0\0"),
        (b'E', b"p\0\0\0\0\0\0"),
        (b'D', b""),
        (b'D', b"S"),
        (b'D', b"Xname\0"),
        (b'D', b"Sname\0x"),
        (b'C', b"Xname\0"),
        (b'C', b"Sname\0x"),
        (b'C', b"S"),
        (b'S', b"x"),
    ];
    put_parse(&mut backend.link.out_buffer, b"one", b"select $1::text", &[]);
    put_sync(&mut backend.link.out_buffer);
    backend.link.drain().await.unwrap();
    answer(&mut backend).await.unwrap();
    for (tag, body) in cases {
        let mut frame = vec![*tag];
        frame.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        frame.extend_from_slice(body);
        let ours = match tag {
            b'Q' => Query::parse(body).map(|_| ()),
            b'P' => Parse::parse(body).map(|_| ()),
            b'B' => Bind::parse(body).map(|_| ()),
            b'E' => Execute::parse(body).map(|_| ()),
            b'D' => Describe::parse(body).map(|_| ()),
            b'C' => Close::parse(body).map(|_| ()),
            _ => {
                if body.is_empty() {
                    Ok(())
                } else {
                    Err(FrameError::Format)
                }
            }
        };
        backend.link.queue(&frame);
        if !matches!(tag, b'Q') {
            put_sync(&mut backend.link.out_buffer);
        }
        backend.link.drain().await.unwrap();
        let theirs = answer(&mut backend).await.unwrap_err();
        assert_eq!(theirs.code(), SqlState::PROTOCOL_VIOLATION);
        let shown = format!("{} {:?}", *tag as char, String::from_utf8_lossy(body));
        assert_eq!(ours.unwrap_err().to_string(), theirs.message(), "{shown}");
    }
}
