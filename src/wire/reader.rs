//! A cursor over one message's body, and the arrays that messages carry.
//!
//! Holds: it never reads past the body; arrays are checked once, when the message is parsed, so that going through them
//! afterwards can't fail and allocates nothing.

use super::error::FrameError;

use crate::value::Oid;

/// Cursor over the body of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Reader<'a> {
        Reader { rest: body }
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(FrameError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(FrameError::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, FrameError> {
        let (byte, rest) = self.rest.split_first().ok_or(FrameError::NoByte)?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(super) fn count(&mut self) -> Result<usize, FrameError> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    pub(super) fn int16(&mut self) -> Result<i16, FrameError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self) -> Result<i32, FrameError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn oid(&mut self) -> Result<Oid, FrameError> {
        self.array().map(u32::from_be_bytes).map(Oid)
    }

    /// The bytes up to the next zero byte, which is taken too.
    pub(super) fn string(&mut self) -> Result<&'a [u8], FrameError> {
        let end = memchr::memchr(0, self.rest).ok_or(FrameError::Unterminated)?;
        let string = self.take(end)?;
        self.take(1)?;
        Ok(string)
    }

    /// A value with a length word before it; -1 is NULL.
    pub(super) fn value(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        match self.int32()? {
            -1 => Ok(None),
            length => self
                .take(usize::try_from(length).map_err(|_negative| FrameError::Short)?)
                .map(Some),
        }
    }

    pub(super) fn values(&mut self, count: usize) -> Result<Values<'a>, FrameError> {
        let start = self.rest;
        for _ in 0..count {
            self.value()?;
        }
        let used = start.len().saturating_sub(self.rest.len());
        Ok(Values {
            bytes: start.get(..used).unwrap_or_default(),
            left: count,
        })
    }

    pub(super) fn codes(&mut self) -> Result<Codes<'a>, FrameError> {
        let count = self.count()?;
        self.take(count.saturating_mul(2)).map(|bytes| Codes { bytes })
    }

    pub(super) fn oids(&mut self) -> Result<Oids<'a>, FrameError> {
        let count = self.count()?;
        self.take(count.saturating_mul(4)).map(|bytes| Oids { bytes })
    }

    /// The message must be used up.
    pub(super) fn end(self) -> Result<(), FrameError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Format)
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// code 0
    Text,
    /// code 1
    Binary,
    /// any other code (Postgres: 22023 when the value is used)
    Other(i16),
}

impl Format {
    /// The format of a code on the wire.
    pub const fn of(code: i16) -> Format {
        match code {
            0 => Format::Text,
            1 => Format::Binary,
            other => Format::Other(other),
        }
    }

    /// Its code on the wire.
    pub const fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
            Format::Other(code) => code,
        }
    }
}

/// Format codes, as a message carries them: none (all text), one (for all), or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Codes<'a> {
    bytes: &'a [u8],
}

impl<'a> Codes<'a> {
    /// How many codes are written down.
    pub const fn len(&self) -> usize {
        self.bytes.len() / 2
    }

    /// Whether no code is written down (all text).
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The format of value `index` under the rule none, one or each. Past the end: text.
    pub fn format_of(&self, index: usize) -> Format {
        let at = if self.len() == 1 { 0 } else { index };
        self.iter().nth(at).unwrap_or(Format::Text)
    }

    /// The codes as written.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Format> + use<'a> {
        let (pairs, _) = self.bytes.as_chunks::<2>();
        pairs.iter().map(|pair| Format::of(i16::from_be_bytes(*pair)))
    }
}

/// Type OIDs, as a message carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Oids<'a> {
    bytes: &'a [u8],
}

impl<'a> Oids<'a> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.bytes.len() / 4
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Each OID; 0 is "not said".
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Oid> + Clone + use<'a> {
        let (quads, _) = self.bytes.as_chunks::<4>();
        quads.iter().map(|quad| Oid(u32::from_be_bytes(*quad)))
    }
}

/// Values, each possibly NULL; an iterator over the checked bytes of a Bind, DataRow or FunctionCall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Values<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Values<'a> {
    /// How many are left.
    pub const fn len(&self) -> usize {
        self.left
    }

    /// Whether none is left.
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Value `index`, counted from 0: `None` past the end, `Some(None)` for NULL.
    pub fn get(&self, index: usize) -> Option<Option<&'a [u8]>> {
        let mut values = *self;
        values.nth(index)
    }

    /// The bytes of all values that are left, with their length words.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    #[inline]
    fn next(&mut self) -> Option<Option<&'a [u8]>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.bytes);
        let value = reader.value().ok()?;
        self.bytes = reader.rest();
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_> {}
