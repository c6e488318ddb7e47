//! What a client says: borrowing readers of each message's body.
//!
//! Strings are bytes in the client's encoding, without their zero byte. Every reader consumes its body exactly: bytes
//! left over are an error as in Postgres, never ignored and never taken for something else.

use super::error::FrameError;
use super::reader::{Codes, Oids, Reader, Values};

use crate::value::Oid;

/// Query: the simple protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// one statement or several
    pub text: &'a [u8],
}

impl<'a> Query<'a> {
    /// Reads the body of a `Q`.
    pub fn parse(body: &'a [u8]) -> Result<Query<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let text = reader.string()?;
        reader.end()?;
        Ok(Query { text })
    }
}

/// Parse: makes a prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// name; empty is the unnamed statement
    pub statement: &'a [u8],
    /// one statement
    pub text: &'a [u8],
    /// types of the first parameters; 0 is "not said"
    pub parameter_types: Oids<'a>,
    /// the body behind the statement's name, for forwarding under another name (`put_parse_tail`)
    pub tail: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads the body of a `P`.
    #[expect(
        clippy::self_named_constructors,
        reason = "every reader is called parse; this one reads Parse"
    )]
    pub fn parse(body: &'a [u8]) -> Result<Parse<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let statement = reader.string()?;
        let tail = reader.rest();
        let text = reader.string()?;
        let parameter_types = reader.oids()?;
        reader.end()?;
        Ok(Parse {
            statement,
            text,
            parameter_types,
            tail,
        })
    }
}

/// Bind: makes a portal of a statement and its parameters' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// name of the portal; empty is the unnamed one
    pub portal: &'a [u8],
    /// name of the statement
    pub statement: &'a [u8],
    /// formats of the values: none, one or as many as there are values
    pub formats: Codes<'a>,
    /// the parameters' values
    pub values: Values<'a>,
    /// formats asked for the columns of the result
    pub result_formats: Codes<'a>,
    /// the body behind both names, for forwarding under other names (`put_bind_tail`)
    pub tail: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads the body of a `B`.
    pub fn parse(body: &'a [u8]) -> Result<Bind<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let portal = reader.string()?;
        let statement = reader.string()?;
        let tail = reader.rest();
        let (formats, values) = formatted_values(&mut reader)?;
        let result_formats = reader.codes()?;
        reader.end()?;
        Ok(Bind {
            portal,
            statement,
            formats,
            values,
            result_formats,
            tail,
        })
    }
}

/// What Describe and Close are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// a prepared statement
    Statement,
    /// a portal
    Portal,
}

impl Target {
    /// Its byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            Target::Statement => b'S',
            Target::Portal => b'P',
        }
    }

    const fn of(byte: u8) -> Option<Target> {
        match byte {
            b'S' => Some(Target::Statement),
            b'P' => Some(Target::Portal),
            _ => None,
        }
    }
}

/// Describe: asks for parameter and result types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Describe<'a> {
    /// of what kind
    pub target: Target,
    /// its name
    pub name: &'a [u8],
}

impl<'a> Describe<'a> {
    /// Reads the body of a `D`.
    pub fn parse(body: &'a [u8]) -> Result<Describe<'a>, FrameError> {
        let (kind, name) = kind_and_name(body)?;
        let target = Target::of(kind).ok_or(FrameError::DescribeKind { kind })?;
        Ok(Describe { target, name })
    }
}

/// Close: forgets a statement or portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// of what kind
    pub target: Target,
    /// its name
    pub name: &'a [u8],
}

impl<'a> Close<'a> {
    /// Reads the body of a `C`.
    pub fn parse(body: &'a [u8]) -> Result<Close<'a>, FrameError> {
        let (kind, name) = kind_and_name(body)?;
        let target = Target::of(kind).ok_or(FrameError::CloseKind { kind })?;
        Ok(Close { target, name })
    }
}

fn kind_and_name(body: &[u8]) -> Result<(u8, &[u8]), FrameError> {
    let mut reader = Reader::new(body);
    let kind = reader.byte()?;
    let name = reader.string()?;
    reader.end()?;
    Ok((kind, name))
}

/// Execute: runs a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// its name
    pub portal: &'a [u8],
    /// most rows to return; 0 or less is all
    pub rows_max: i32,
}

impl<'a> Execute<'a> {
    /// Reads the body of an `E`.
    pub fn parse(body: &'a [u8]) -> Result<Execute<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let portal = reader.string()?;
        let rows_max = reader.int32()?;
        reader.end()?;
        Ok(Execute { portal, rows_max })
    }
}

/// FunctionCall: the old fast path (large objects use it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionCall<'a> {
    /// the function
    pub function: Oid,
    /// formats of the arguments: none, one or as many as there are arguments
    pub formats: Codes<'a>,
    /// its arguments
    pub arguments: Values<'a>,
    /// format asked for the result
    pub result_format: i16,
}

impl<'a> FunctionCall<'a> {
    /// Reads the body of an `F`.
    pub fn parse(body: &'a [u8]) -> Result<FunctionCall<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let function = reader.oid()?;
        let (formats, arguments) = formatted_values(&mut reader)?;
        let result_format = reader.int16()?;
        reader.end()?;
        Ok(FunctionCall {
            function,
            formats,
            arguments,
            result_format,
        })
    }
}

/// A cleartext or MD5 password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a> {
    /// as sent
    pub password: &'a [u8],
}

impl<'a> Password<'a> {
    /// Reads the body of a `p` that answers a password request.
    pub fn parse(body: &'a [u8]) -> Result<Password<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let password = reader.string()?;
        reader.end()?;
        Ok(Password { password })
    }
}

/// The first SASL message. (A later one has no structure: its body is the SCRAM message.)
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaslInitialResponse<'a> {
    /// name of the mechanism
    pub mechanism: &'a [u8],
    /// the mechanism's first message, if it comes along
    pub data: Option<&'a [u8]>,
}

impl<'a> SaslInitialResponse<'a> {
    /// Reads the body of a `p` that answers an AuthenticationSASL.
    pub fn parse(body: &'a [u8]) -> Result<SaslInitialResponse<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let mechanism = reader.string()?;
        let data = reader.value()?;
        reader.end()?;
        Ok(SaslInitialResponse { mechanism, data })
    }
}

/// CopyFail: the client gives a COPY FROM STDIN up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyFail<'a> {
    /// why
    pub reason: &'a [u8],
}

impl<'a> CopyFail<'a> {
    /// Reads the body of an `f`.
    pub fn parse(body: &'a [u8]) -> Result<CopyFail<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let reason = reader.string()?;
        reader.end()?;
        Ok(CopyFail { reason })
    }
}

/// Values behind their formats: none, one for all, or one for each.
fn formatted_values<'a>(reader: &mut Reader<'a>) -> Result<(Codes<'a>, Values<'a>), FrameError> {
    let formats = reader.codes()?;
    let count = reader.count()?;
    if formats.len() > 1 && formats.len() != count {
        return Err(FrameError::FormatCount {
            formats: formats.len(),
            parameters: count,
        });
    }
    Ok((formats, reader.values(count)?))
}
