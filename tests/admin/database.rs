//! Just enough of the protocol to put a console behind a socket, so that `shardctl` can be tested without a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use shardgate::admin::{AdminError, Answer, Column, Console};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::fixture::Fixture;

/// An admin database on a free port; it ends with its value.
pub(crate) struct Database {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

impl Database {
    pub(crate) async fn start(fixture: Fixture) -> Database {
        Database::start_at("127.0.0.1:0".parse().unwrap(), fixture).await
    }

    /// Where another one was before.
    pub(crate) async fn start_at(address: SocketAddr, fixture: Fixture) -> Database {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let console = Console::new(Arc::new(fixture));
        let mut task = JoinSet::new();
        task.spawn(async move {
            // One client after the other is enough.
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &console).await.ok();
            }
        });
        Database { address, _task: task }
    }
}

async fn serve(mut stream: TcpStream, console: &Console) -> std::io::Result<()> {
    let startup = stream.read_i32().await?;
    read(&mut stream, startup).await?;
    let mut out = Vec::new();
    put(&mut out, b'R', &0_i32.to_be_bytes());
    put(&mut out, b'Z', b"I");
    let mut parsed: Result<Option<Vec<Column>>, AdminError> = Ok(None);
    loop {
        stream.write_all(&out).await?;
        out.clear();
        let kind = stream.read_u8().await?;
        let length = stream.read_i32().await?;
        let body = read(&mut stream, length).await?;
        match kind {
            b'X' => return Ok(()),
            b'Q' => {
                let text = texts(&body)[0].clone();
                answer(&mut out, console.run(&text).await);
                put(&mut out, b'Z', b"I");
            }
            b'P' => {
                parsed = console.describe(&texts(&body)[1]);
                match &parsed {
                    Ok(_) => put(&mut out, b'1', &[]),
                    Err(error) => put_error(&mut out, error),
                }
            }
            // After an error everything up to Sync is skipped.
            b'D' => {
                if let Ok(columns) = &parsed {
                    put(&mut out, b't', &0_i16.to_be_bytes());
                    match columns {
                        Some(columns) => describe(&mut out, columns),
                        None => put(&mut out, b'n', &[]),
                    }
                }
            }
            b'C' => put(&mut out, b'3', &[]),
            b'S' => put(&mut out, b'Z', b"I"),
            other => panic!("unexpected message {}", char::from(other)),
        }
    }
}

async fn read(stream: &mut TcpStream, length: i32) -> std::io::Result<Vec<u8>> {
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

fn texts(body: &[u8]) -> Vec<String> {
    body.split(|byte| *byte == 0)
        .map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}

fn put(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend(body);
}

fn describe(out: &mut Vec<u8>, columns: &[Column]) {
    let mut body = i16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for column in columns {
        body.extend(column.name.as_bytes());
        body.push(0);
        body.extend([0; 6]);
        body.extend(column.kind.oid().0.to_be_bytes());
        body.extend(column.kind.size().to_be_bytes());
        body.extend((-1_i32).to_be_bytes());
        body.extend(0_i16.to_be_bytes());
    }
    put(out, b'T', &body);
}

fn answer(out: &mut Vec<u8>, answer: Result<Answer, AdminError>) {
    match answer {
        Ok(Answer::Table(table)) => {
            describe(out, &table.columns);
            for row in &table.rows {
                let mut body = i16::try_from(row.len()).unwrap().to_be_bytes().to_vec();
                for value in row {
                    let length = value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap());
                    body.extend(length.to_be_bytes());
                    body.extend(value.iter().flat_map(|value| value.bytes()));
                }
                put(out, b'D', &body);
            }
            put_text(out, b'C', &table.tag);
        }
        Ok(Answer::Done { tag }) => put_text(out, b'C', &tag),
        Ok(Answer::Empty) => put(out, b'I', &[]),
        Err(error) => put_error(out, &error),
    }
}

fn put_text(out: &mut Vec<u8>, kind: u8, text: &str) {
    put(out, kind, &[text.as_bytes(), &[0]].concat());
}

fn put_error(out: &mut Vec<u8>, error: &AdminError) {
    let mut body = Vec::new();
    let code = if let AdminError::Refused(refusal) = error {
        refusal.code
    } else {
        "42601"
    };
    let mut field = |kind: u8, text: &str| {
        body.push(kind);
        body.extend(text.as_bytes());
        body.push(0);
    };
    field(b'S', "ERROR");
    field(b'V', "ERROR");
    field(b'C', code);
    field(b'M', &error.to_string());
    if let Some(detail) = error.detail() {
        field(b'D', &detail);
    }
    if let Some(hint) = error.hint() {
        field(b'H', &hint);
    }
    body.push(0);
    put(out, b'E', &body);
}
