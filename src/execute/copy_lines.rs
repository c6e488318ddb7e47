//! Which line of the client's data is a shard's line.
//!
//! Why: a shard counts the lines that it got, and its errors name them; the client looks for them in its own file.
//! Sketch: a byte or two per row, in blocks. A block is dropped once so much was sent behind it that no shard can still be
//! at work on it: sockets hold a few MB each way, and Postgres keeps 1,000 rows back.

use std::collections::VecDeque;

use crate::plan;
use crate::wire::{ErrorField, ErrorFields};

/// Rows of one block.
const BLOCK_ROWS: usize = 4096;

/// What no pair of sockets holds.
const FLIGHT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Rows in a row, from behind one line on each side.
#[derive(Debug)]
struct Block {
    /// last lines before it
    shard_line: u64,
    client_line: u64,
    /// bytes sent before it
    sent: u64,
    rows: usize,
    /// per row: how far both lines went on, see [`put`]
    steps: Vec<u8>,
}

/// The lines that one shard was given.
#[derive(Debug, Default)]
pub(super) struct ShardLines {
    blocks: VecDeque<Block>,
    /// last lines so far
    shard_line: u64,
    client_line: u64,
    sent: u64,
}

impl ShardLines {
    /// Has it been given none?
    pub(super) fn is_empty(&self) -> bool {
        self.shard_line == 0
    }

    /// The shard gets what ends on this line of the client's: so many lines to it, so many bytes.
    pub(super) fn note(&mut self, client_line: u64, lines: u64, bytes: usize) {
        if self.blocks.back().is_none_or(|block| block.rows >= BLOCK_ROWS) {
            while self
                .blocks
                .get(1)
                .is_some_and(|second| self.sent.saturating_sub(second.sent) > FLIGHT_BYTES_MAX)
            {
                self.blocks.pop_front();
            }
            self.blocks.push_back(Block {
                shard_line: self.shard_line,
                client_line: self.client_line,
                sent: self.sent,
                rows: 0,
                steps: Vec::new(),
            });
        }
        if let Some(block) = self.blocks.back_mut() {
            let step = client_line.saturating_sub(self.client_line);
            put(&mut block.steps, step << 1 | u64::from(lines != 1));
            if lines != 1 {
                put(&mut block.steps, lines);
            }
            block.rows = block.rows.saturating_add(1);
        }
        self.shard_line = self.shard_line.saturating_add(lines);
        self.client_line = client_line;
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// The client's line that is the shard's; `next` is the one that the client's stream goes on with.
    pub(super) fn client_line(&self, shard_line: u64, next: u64) -> Option<u64> {
        if shard_line > self.shard_line {
            return Some(next.saturating_add(shard_line.saturating_sub(self.shard_line).saturating_sub(1)));
        }
        let block = self.blocks.iter().rev().find(|block| block.shard_line < shard_line)?;
        let (mut at_shard, mut at_client) = (block.shard_line, block.client_line);
        let mut steps = block.steps.as_slice();
        while let Some(step) = take(&mut steps) {
            let lines = if step & 1 == 1 { take(&mut steps)? } else { 1 };
            at_shard = at_shard.saturating_add(lines);
            at_client = at_client.saturating_add(step >> 1);
            if at_shard >= shard_line {
                return Some(at_client.saturating_sub(at_shard.saturating_sub(shard_line)));
            }
        }
        None
    }
}

/// Seven bits a byte, the lowest first; the high bit says that more follow.
fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        match value {
            0 => return out.push(low & 0x7f),
            _ => out.push(low | 0x80),
        }
    }
}

fn take(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    let mut shift = 0_u32;
    while let [byte, rest @ ..] = *from {
        *from = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift = shift.saturating_add(7);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Puts the client's line where a shard's is named (`COPY t, line 3, column a: "x"`); returns it.
pub(super) fn rename(fields: &mut ErrorFields, plan: &plan::CopyIn, lines: &ShardLines, next: u64) -> Option<u64> {
    rename_in(fields, &plan.table, lines, next, &|line| match &plan.form {
        Some(form) => form.added_bytes(line.as_bytes(), plan.fills.len()),
        None => 0,
    })
}

/// `added`: bytes at the beginning of a line that aren't the client's.
fn rename_in(
    fields: &mut ErrorFields,
    table: &str,
    lines: &ShardLines,
    next: u64,
    added: &dyn Fn(&str) -> usize,
) -> Option<u64> {
    let context = fields.text(ErrorField::Where)?.into_owned();
    let prefix = format!("COPY {table},");
    let mut found = None;
    let renamed: Vec<String> = context
        .split('\n')
        .map(|entry| {
            let Some(behind) = entry.strip_prefix(&prefix) else {
                return entry.to_owned();
            };
            // In whatever language: the first number is the line's.
            let Some(start) = behind.find(|c: char| c.is_ascii_digit()) else {
                return entry.to_owned();
            };
            let (before, number) = behind.split_at_checked(start).unwrap_or((behind, ""));
            let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            let (number, after) = number.split_at_checked(digits).unwrap_or((number, ""));
            let line = number.parse().ok().and_then(|line| lines.client_line(line, next));
            match line {
                Some(line) => {
                    found = Some(line);
                    format!("{prefix}{before}{line}{}", of_client(after, added))
                }
                None => entry.to_owned(),
            }
        })
        .collect();
    if found.is_some() {
        fields.put(ErrorField::Where, renamed.join("\n"));
    }
    found
}

/// What stands behind the line's number; a whole line (`: "…"`) without what isn't the client's.
fn of_client(behind: &str, added: &dyn Fn(&str) -> usize) -> String {
    let quote = behind.strip_prefix(": ").and_then(|quoted| quoted.chars().next());
    let Some(quote) = quote else {
        return behind.to_owned();
    };
    let start = quote.len_utf8().saturating_add(2);
    let (before, line) = behind.split_at_checked(start).unwrap_or((behind, ""));
    // A server shows the beginning of a long line only: of the client's there may be nothing.
    match line.get(added(line)..) {
        Some(own) if !own.is_empty() => format!("{before}{own}"),
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against a plain list of rows.
    #[test]
    fn lines_are_found_again() {
        let mut lines = ShardLines::default();
        let mut rows = Vec::new();
        let (mut shard, mut client) = (0, 0);
        for row in 0..20_000_u64 {
            let own = 1 + u64::from(row % 7 == 3) * (row % 400);
            client += own + row % 5 * 100;
            shard += own;
            lines.note(client, own, 10);
            rows.push((shard, client));
        }
        for (shard, client) in rows.iter().step_by(37) {
            assert_eq!(lines.client_line(*shard, 0), Some(*client));
        }
        assert_eq!(lines.client_line(shard + 1, 777), Some(777));
    }

    #[test]
    fn what_is_long_gone_is_forgotten() {
        let mut lines = ShardLines::default();
        for row in 1..=100_000 {
            lines.note(row, 1, 10_000);
        }
        assert!(lines.blocks.len() < 5, "{} blocks", lines.blocks.len());
        assert_eq!(lines.client_line(1, 0), None);
        assert_eq!(lines.client_line(100_000, 0), Some(100_000));
    }

    #[test]
    fn a_context_names_the_clients_line() {
        let mut lines = ShardLines::default();
        lines.note(7, 1, 10);
        let mut fields =
            ErrorFields::parse(b"SERROR\0WPL/pgSQL function f()\nCOPY t9, line 1, column a: \"12\"\0\0").unwrap();
        assert_eq!(rename_in(&mut fields, "t9", &lines, 8, &|_| 0), Some(7));
        let shown = fields.text(ErrorField::Where).unwrap().into_owned();
        assert_eq!(shown, "PL/pgSQL function f()\nCOPY t9, line 7, column a: \"12\"");
        let mut fields = ErrorFields::parse(b"SERROR\0WCOPY t9, line 1: \"5,a\"\0\0").unwrap();
        assert_eq!(rename_in(&mut fields, "t9", &lines, 8, &|_| 2), Some(7));
        assert_eq!(fields.text(ErrorField::Where).unwrap(), "COPY t9, line 7: \"a\"");
    }
}
