//! One-dimensional arrays of keys, for `= ANY($1)`.
//!
//! Absent: explicit bounds and more dimensions, which are ambiguous (all shards).

use super::key_parse::comparable_source;
use super::numeric_text::trim_space;
use super::{Format, Key, KeyError, KeyType, Oid};

impl Key {
    /// Reads the text form of a one-dimensional array (`{1,2,NULL}`) of `key_type`, as `array_in` does; `None` is NULL. For
    /// text types a bare NULL is ambiguous: under `array_nulls = off` it is a string.
    pub fn parse_array_text(key_type: KeyType, text: &[u8]) -> Result<Vec<Option<Key>>, KeyError> {
        let mut elements = Vec::new();
        for element in scan_elements(key_type, text)? {
            elements.push(match element {
                Element::Quoted(bytes) => Some(Key::parse_text(key_type, &bytes)?),
                Element::Bare(bytes) if bytes.eq_ignore_ascii_case(b"null") => match key_type {
                    KeyType::Text | KeyType::Varchar | KeyType::Bpchar => {
                        return Err(KeyError::Ambiguous {
                            expected: key_type.name(),
                            why: "whether NULL in an array is a string depends on array_nulls",
                        });
                    }
                    KeyType::Int2
                    | KeyType::Int4
                    | KeyType::Int8
                    | KeyType::Uuid
                    | KeyType::Date
                    | KeyType::Timestamp
                    | KeyType::Timestamptz
                    | KeyType::Numeric => None,
                },
                Element::Bare(bytes) => Some(Key::parse_text(key_type, &bytes)?),
            });
        }
        Ok(elements)
    }

    /// Reads the binary form of an array whose declared type is `source` (an array OID), for comparison with keys of
    /// `key_type`; `None` is NULL.
    pub fn parse_array_binary(source: Oid, bytes: &[u8], key_type: KeyType) -> Result<Vec<Option<Key>>, KeyError> {
        let element = element_type(source, key_type)?;
        let malformed = || KeyError::invalid(key_type.name(), b"a binary array");
        let mut reader = Reader { rest: bytes };
        let dimensions = reader.int4().ok_or_else(malformed)?;
        let _has_nulls = reader.int4().ok_or_else(malformed)?;
        let element_oid = reader.int4().ok_or_else(malformed)?.cast_unsigned();
        if element_oid != element.oid().0 {
            return Err(malformed());
        }
        let count = match dimensions {
            0 => 0,
            1 => {
                let count = reader.int4().ok_or_else(malformed)?;
                let _lower_bound = reader.int4().ok_or_else(malformed)?;
                count
            }
            _ => {
                return Err(KeyError::Ambiguous {
                    expected: key_type.name(),
                    why: "only one dimension is read",
                });
            }
        };
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(match reader.int4().ok_or_else(malformed)? {
                -1 => None,
                length => {
                    let value = usize::try_from(length).ok().and_then(|length| reader.take(length));
                    Some(Key::parse_binary(
                        element.oid(),
                        value.ok_or_else(malformed)?,
                        key_type,
                    )?)
                }
            });
        }
        if reader.rest.is_empty() {
            Ok(elements)
        } else {
            Err(malformed())
        }
    }

    /// Reads an array of declared type `source` (an array OID) in either format, for comparison with keys of `key_type`.
    /// Text of type `unknown` (a bare literal) is read as an array of `key_type`.
    pub fn parse_array(
        source: Oid,
        format: Format,
        bytes: &[u8],
        key_type: KeyType,
    ) -> Result<Vec<Option<Key>>, KeyError> {
        match format {
            Format::Text if source == Oid::UNKNOWN => Key::parse_array_text(key_type, bytes),
            Format::Text => Key::parse_array_text(element_type(source, key_type)?, bytes),
            Format::Binary => Key::parse_array_binary(source, bytes, key_type),
        }
    }
}

fn element_type(source: Oid, key_type: KeyType) -> Result<KeyType, KeyError> {
    let element = KeyType::of_array(source).map_or(Oid(0), KeyType::oid);
    comparable_source(element, key_type)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn int4(&mut self) -> Option<i32> {
        let (taken, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(i32::from_be_bytes(*taken))
    }
}

enum Element {
    /// within quotes, or with an escape: never NULL
    Quoted(Vec<u8>),
    Bare(Vec<u8>),
}

/// Cuts `{…}` into elements and takes quotes and backslashes off.
fn scan_elements(key_type: KeyType, text: &[u8]) -> Result<Vec<Element>, KeyError> {
    let invalid = || KeyError::invalid(key_type.name(), text);
    let trimmed = trim_space(text);
    if trimmed.first() == Some(&b'[') {
        return Err(KeyError::Ambiguous {
            expected: key_type.name(),
            why: "an array with explicit bounds",
        });
    }
    let Some(mut rest) = trimmed.strip_prefix(b"{") else {
        return Err(invalid());
    };
    let mut elements = Vec::new();
    if trim_space(rest) == b"}" {
        return Ok(elements);
    }
    loop {
        let (element, after) = scan_element(key_type, rest)?.ok_or_else(invalid)?;
        elements.push(element);
        rest = match after {
            [b',', after @ ..] => after,
            b"}" => return Ok(elements),
            _ => return Err(invalid()),
        };
    }
}

/// One element and what follows it, from the comma or brace on; `None` where Postgres finds it malformed.
fn scan_element(key_type: KeyType, text: &[u8]) -> Result<Option<(Element, &[u8])>, KeyError> {
    match trim_space(text) {
        [b'"', quoted @ ..] => Ok(scan_quoted(quoted)),
        [b'{', ..] => Err(KeyError::Ambiguous {
            expected: key_type.name(),
            why: "an array of several dimensions",
        }),
        bare => Ok(scan_bare(bare)),
    }
}

fn scan_quoted(text: &[u8]) -> Option<(Element, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [b'"', after @ ..] => return Some((Element::Quoted(value), trim_space(after))),
            [b'\\', escaped, after @ ..] => {
                value.push(*escaped);
                after
            }
            [b'\\'] | [] => return None,
            [byte, after @ ..] => {
                value.push(*byte);
                after
            }
        };
    }
}

fn scan_bare(text: &[u8]) -> Option<(Element, &[u8])> {
    let mut value = Vec::new();
    // Escaped bytes count as solid: blanks are trimmed only behind the last one.
    let mut solid = 0;
    let mut is_escaped = false;
    let mut rest = text;
    loop {
        rest = match rest {
            [b',' | b'}', ..] => break,
            [b'\\', escaped, after @ ..] => {
                value.push(*escaped);
                solid = value.len();
                is_escaped = true;
                after
            }
            [b'"' | b'{' | b'\\', ..] | [] => return None,
            [byte, after @ ..] => {
                value.push(*byte);
                if !trim_space(&[*byte]).is_empty() {
                    solid = value.len();
                }
                after
            }
        };
    }
    if solid == 0 {
        return None;
    }
    value.truncate(solid);
    Some((
        if is_escaped {
            Element::Quoted(value)
        } else {
            Element::Bare(value)
        },
        rest,
    ))
}
