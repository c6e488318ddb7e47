//! The same bytes to the proxy and to one plain Postgres: a client mustn't be able to tell which is which.

use std::io::Write;

use crate::client::Client;
use crate::messages::{self, Message};
use crate::world::{CLIENT_ROLE, World};

/// Two sessions that are given the same bytes and have to answer with the same messages, but for process ids, secrets
/// and places in Postgres's source.
#[derive(Debug)]
pub struct Pair {
    ours: Client,
    theirs: Client,
    /// what was done, for the message of a failure
    story: Vec<String>,
    /// where they disagreed so far; all of it is told at the end, since one fault seldom hides another
    differences: Vec<String>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.differences.is_empty() {
            panic!(
                "{} differences:\n{}",
                self.differences.len(),
                self.differences.join("\n")
            );
        }
    }
}

impl Pair {
    /// Logs in on both sides.
    pub fn new(world: &World) -> Pair {
        Pair::with_parameters(world, &[])
    }

    /// Logs in on both sides with start-up parameters; both have to greet alike.
    pub fn with_parameters(world: &World, parameters: &[(&str, &str)]) -> Pair {
        let all = [&[("user", CLIENT_ROLE), ("database", world.database())], parameters].concat();
        let mut pair = Pair::dial(world);
        pair.send(&messages::startup(&all));
        pair.greeted();
        pair
    }

    /// Both have to greet alike; the order of ParameterStatus is nobody's promise.
    pub fn greeted(&mut self) {
        let (ours, theirs) = (self.ours.read_batch(), self.theirs.read_batch());
        let (mut shown, mut expected) = (comparable(&ours), comparable(&theirs));
        shown.sort();
        expected.sort();
        assert_eq!(shown, expected, "after {:#?}: the proxy's first", self.story);
    }

    /// Connects on both sides, saying nothing yet.
    pub fn dial(world: &World) -> Pair {
        let (ours, theirs) = (world.proxy().address(), world.servers().oracle());
        Pair {
            ours: Client::dial(ours),
            theirs: Client::dial(theirs),
            story: Vec::new(),
            differences: Vec::new(),
        }
    }

    /// Runs a statement on the plain Postgres alone, to keep both sides' objects in step.
    pub fn theirs_alone(&mut self, sql: &str) {
        let answer = self.theirs.query(sql);
        assert!(answer.iter().all(|message| message.tag != b'E'), "{sql}: {answer:?}");
    }

    /// Sends bytes to both.
    pub fn send(&mut self, bytes: &[u8]) {
        self.story.push(format!("sent {}", bytes.escape_ascii()));
        self.ours.send(bytes);
        self.theirs.send(bytes);
    }

    /// Both have to answer alike up to ReadyForQuery.
    pub fn ready(&mut self) -> Vec<Message> {
        self.until(b'Z')
    }

    /// Both have to answer alike up to a message of this type (or the end).
    pub fn until(&mut self, tag: u8) -> Vec<Message> {
        let (ours, theirs) = (self.ours.read_until(tag), self.theirs.read_until(tag));
        self.compare(&ours, &theirs);
        ours
    }

    /// Both have to answer alike and then hang up.
    pub fn end(&mut self) -> Vec<Message> {
        let (ours, theirs) = (self.ours.read_to_end(), self.theirs.read_to_end());
        self.compare(&ours, &theirs);
        ours
    }

    /// Both have to refuse the login with the same error; what came before it, and hints, are each one's own.
    pub fn refused(&mut self) {
        let told = |messages: Vec<Message>| {
            let mut fields = messages
                .iter()
                .find(|message| message.tag == b'E')
                .map(Message::fields)
                .unwrap_or_default();
            fields.retain(|letter, _| "SVCM".contains(*letter));
            fields
        };
        let (ours, theirs) = (told(self.ours.read_to_end()), told(self.theirs.read_to_end()));
        assert_eq!(ours, theirs, "after {:#?}: the proxy's first", self.story);
    }

    /// One byte, as SSLRequest is answered.
    pub fn byte(&mut self) {
        let (ours, theirs) = (self.ours.read_byte(), self.theirs.read_byte());
        assert_eq!(ours, theirs, "after {:#?}: the proxy's first", self.story);
    }

    /// A simple query, compared.
    pub fn ask(&mut self, sql: &str) -> Vec<Message> {
        self.send(&messages::query(sql));
        self.ready()
    }

    /// Several statements, each a message of its own.
    pub fn ask_all(&mut self, statements: &[&str]) {
        statements.iter().for_each(|sql| drop(self.ask(sql)));
    }

    /// Nothing more will be sent.
    pub fn half_close(&mut self) {
        self.story.push("closed for writing".to_owned());
        self.ours.half_close();
        self.theirs.half_close();
    }

    fn compare(&mut self, ours: &[Message], theirs: &[Message]) {
        const STORY: usize = 3;
        let (shown, expected) = (comparable(ours), comparable(theirs));
        if shown != expected {
            let last: Vec<&str> = self.story.iter().rev().take(STORY).rev().map(String::as_str).collect();
            let same = shown
                .iter()
                .zip(&expected)
                .take_while(|(ours, theirs)| ours == theirs)
                .count();
            let difference = format!(
                "    {}\n  after {same} messages alike\n  proxy:    {:?}\n  Postgres: {:?}",
                last.join("\n    "),
                &shown[same..],
                &expected[same..]
            );
            // At once: a later panic of something else mustn't hide it.
            writeln!(std::io::stderr(), "{difference}").ok();
            self.differences.push(difference);
        }
        self.story.push(format!("got {expected:?}"));
    }
}

/// Messages as text, without what differs between any two servers.
pub fn comparable(messages: &[Message]) -> Vec<String> {
    let shown = |message: &Message| match message.tag {
        b'K' => None,
        b'E' | b'N' => {
            let mut fields = message.fields();
            fields.retain(|letter, _| !"FLR".contains(*letter));
            // Before several shards the proxy adds which one it was.
            let context = fields.remove(&'W').unwrap_or_default();
            let context: Vec<&str> = context.lines().filter(|line| !line.starts_with("shard s")).collect();
            fields.insert('W', context.join("\n"));
            Some(format!("{} {fields:?}", char::from(message.tag)))
        }
        b'T' => {
            let mut columns = message.columns();
            // OIDs of user types are compared by the differential scripts, which know names.
            columns
                .iter_mut()
                .for_each(|column| column.table = u32::from(column.table != 0));
            Some(format!("T {columns:?}"))
        }
        _ => Some(format!("{message:?}")),
    };
    messages.iter().filter_map(shown).collect()
}
