//! A client of the wire protocol that sends what it is told, right or wrong, and shows what comes back.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::messages::{self, Message};

/// Nothing that a test waits for takes this long: one generous limit for all.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, logged in or not.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    /// what came before the first ReadyForQuery
    pub greeting: Vec<Message>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.stream.local_addr())
    }
}

impl Client {
    /// A connection that has said nothing yet.
    pub fn dial(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts a connection"))
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("nodelay can be set");
        Client {
            stream,
            unread: Vec::new(),
            greeting: Vec::new(),
        }
    }

    /// Logs in by trust; the error is the server's.
    pub fn log_in(address: SocketAddr, parameters: &[(&str, &str)]) -> Result<Client, Message> {
        let mut client = Client::dial(address);
        client.send(&messages::startup(parameters));
        let greeting = client.read_batch();
        match greeting.iter().find(|message| message.tag == b'E') {
            Some(error) => Err(error.clone()),
            None if greeting.last().is_some_and(|last| last.tag == b'Z') => {
                client.greeting = greeting;
                Ok(client)
            }
            None => panic!("the server closed the connection at login, having said {greeting:?}"),
        }
    }

    /// Logs in where nobody may be listening, or nobody serves; `None` then.
    pub fn try_log_in(address: SocketAddr, parameters: &[(&str, &str)]) -> Option<Client> {
        let mut client = Client::over(TcpStream::connect_timeout(&address, PATIENCE).ok()?);
        client.try_send(&messages::startup(parameters)).ok()?;
        client.greeting = client.read_batch();
        let is_ready = client.greeting.last().is_some_and(|last| last.tag == b'Z');
        is_ready.then_some(client)
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes what is sent");
    }

    /// Sends bytes to a server that may have hung up.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message; `None` at the end of the connection.
    pub fn read(&mut self) -> Option<Message> {
        loop {
            if let Some(length) = self.unread.get(1..5) {
                let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
                let end = usize::try_from(length).expect("a length") + 1;
                if self.unread.len() >= end {
                    let body = self.unread[5..end].to_vec();
                    let tag = self.unread[0];
                    self.unread.drain(..end);
                    return Some(Message { tag, body });
                }
            }
            if self.fill() == 0 {
                assert!(
                    self.unread.is_empty(),
                    "the connection ended inside a message: {:?}",
                    self.unread
                );
                return None;
            }
        }
    }

    /// One byte outside any message (the answer to SSLRequest); `None` at the end of the connection.
    pub fn read_byte(&mut self) -> Option<u8> {
        if self.unread.is_empty() && self.fill() == 0 {
            return None;
        }
        Some(self.unread.remove(0))
    }

    /// Messages up to ReadyForQuery, or to the end of the connection.
    pub fn read_batch(&mut self) -> Vec<Message> {
        self.read_until(b'Z')
    }

    /// Messages up to the first of a type, or to the end of the connection.
    pub fn read_until(&mut self, tag: u8) -> Vec<Message> {
        let mut batch = Vec::new();
        while let Some(message) = self.read() {
            let last = message.tag == tag;
            batch.push(message);
            if last {
                break;
            }
        }
        batch
    }

    /// Everything up to the end of the connection.
    pub fn read_to_end(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.read()).collect()
    }

    /// A simple query and its answer.
    pub fn query(&mut self, sql: &str) -> Vec<Message> {
        self.send(&messages::query(sql));
        self.read_batch()
    }

    /// A query that has to succeed: its rows, as text, NULL as `∅`.
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        let answer = self.query(sql);
        if let Some(error) = answer.iter().find(|message| message.tag == b'E') {
            panic!("{sql}\nfailed with {error:?}");
        }
        assert_eq!(
            answer.last().map(|last| last.tag),
            Some(b'Z'),
            "{sql}\nended with {answer:?}"
        );
        let shown = |value: Option<Vec<u8>>| {
            value.map_or("∅".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let rows = answer.iter().filter(|message| message.tag == b'D');
        rows.map(|row| row.values().into_iter().map(shown).collect()).collect()
    }

    /// A query that has to give one value.
    pub fn value(&mut self, sql: &str) -> String {
        let rows = self.rows(sql);
        match rows.as_slice() {
            [row] if row.len() == 1 => row[0].clone(),
            _ => panic!("{sql}\ngave {rows:?} instead of one value"),
        }
    }

    /// A query that has to fail: its SQLSTATE.
    pub fn failure(&mut self, sql: &str) -> String {
        let answer = self.query(sql);
        let error = answer.iter().find(|message| message.tag == b'E');
        error
            .unwrap_or_else(|| panic!("{sql}\nsucceeded with {answer:?}"))
            .code()
    }

    /// Says that nothing more will be sent.
    pub fn half_close(&mut self) {
        // A server that hung up first has nothing left to be told.
        self.stream.shutdown(Shutdown::Write).ok();
    }

    /// The process id and the secret for a cancel request.
    pub fn cancel_key(&self) -> (u32, Vec<u8>) {
        let data = self
            .greeting
            .iter()
            .find(|message| message.tag == b'K')
            .expect("the server sent BackendKeyData");
        let mut reader = data.reader();
        (reader.u32(), reader.rest())
    }

    fn fill(&mut self) -> usize {
        let mut chunk = [0; 16_384];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.unread.extend(&chunk[..count]);
                count
            }
            // A reset is an end too: the server closed with bytes of ours unread.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => 0,
            Err(error) => panic!("no answer from the server: {error}"),
        }
    }
}
