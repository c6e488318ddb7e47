//! A Parse whose literals are read under other settings than those of the statement's run.
//!
//! Why a name: the commands that take the settings back would replace the unnamed statement.

use bytes::BytesMut;

use crate::value::Oid;
use crate::wire;

/// Settings for a Parse alone: commands that make them, and that take them back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// one command each
    pub before: Vec<Vec<u8>>,
    /// one command each
    pub behind: Vec<Vec<u8>>,
}

/// The statement that was parsed so.
const READ: &[u8] = b"sg_read";

impl Reading {
    /// How many commands it is: each answers with a tag.
    pub fn commands(&self) -> usize {
        self.before.len().saturating_add(self.behind.len())
    }

    /// Queues the Parse of a text with the commands around it; gives the statement's name.
    pub fn put_parse(&self, out: &mut BytesMut, text: &[u8], types: &[Oid]) -> &'static [u8] {
        for command in &self.before {
            put_command(out, command);
        }
        if self.behind.is_empty() {
            wire::put_parse(out, b"", text, types);
            return b"";
        }
        wire::put_close(out, wire::Target::Statement, READ);
        wire::put_parse(out, READ, text, types);
        for command in &self.behind {
            put_command(out, command);
        }
        READ
    }
}

/// A utility command by the unnamed portal.
pub(super) fn put_command(out: &mut BytesMut, text: &[u8]) {
    wire::put_parse(out, b"", text, &[]);
    wire::put_bind(out, b"", b"", &[], std::iter::empty(), &[]);
    wire::put_execute(out, b"", 0);
}
