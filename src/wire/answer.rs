//! What a shard says: borrowing readers of each message's body. Exact, as the readers of requests are.

use super::error::FrameError;
use super::reader::{Codes, Format, Oids, Reader, Values};

use crate::value::Oid;

/// What ReadyForQuery tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// `I`: no transaction
    Idle,
    /// `T`: in a transaction block
    InTransaction,
    /// `E`: in a failed transaction block
    Failed,
}

impl TransactionStatus {
    /// Its byte on the wire.
    pub const fn byte(self) -> u8 {
        match self {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        }
    }

    /// The status of a byte on the wire.
    pub const fn of(byte: u8) -> Option<TransactionStatus> {
        match byte {
            b'I' => Some(TransactionStatus::Idle),
            b'T' => Some(TransactionStatus::InTransaction),
            b'E' => Some(TransactionStatus::Failed),
            _ => None,
        }
    }
}

/// ReadyForQuery: the end of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyForQuery {
    /// of the shard's own transaction
    pub status: TransactionStatus,
}

impl ReadyForQuery {
    /// Reads the body of a `Z`.
    pub fn parse(body: &[u8]) -> Result<ReadyForQuery, FrameError> {
        let mut reader = Reader::new(body);
        let byte = reader.byte()?;
        reader.end()?;
        let status = TransactionStatus::of(byte).ok_or(FrameError::Status { status: byte })?;
        Ok(ReadyForQuery { status })
    }
}

/// One column of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// its name
    pub name: &'a [u8],
    /// table it comes from, or 0
    pub table: Oid,
    /// number of the column in that table, or 0
    pub attribute: i16,
    /// its type
    pub type_oid: Oid,
    /// `pg_type.typlen`
    pub size: i16,
    /// type modifier, -1 if none
    pub type_modifier: i32,
    /// how its values will be written (text after Describe of a statement)
    pub format: Format,
}

/// RowDescription: the columns of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDescription<'a> {
    fields: Fields<'a>,
}

impl<'a> RowDescription<'a> {
    /// Reads the body of a `T`.
    pub fn parse(body: &'a [u8]) -> Result<RowDescription<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let count = reader.count()?;
        let bytes = reader.rest();
        for _ in 0..count {
            field(&mut reader)?;
        }
        reader.end()?;
        Ok(RowDescription {
            fields: Fields { bytes, left: count },
        })
    }

    /// How many columns there are.
    pub const fn len(&self) -> usize {
        self.fields.left
    }

    /// Whether the result has no columns.
    pub const fn is_empty(&self) -> bool {
        self.fields.left == 0
    }

    /// Its columns.
    pub const fn fields(&self) -> Fields<'a> {
        self.fields
    }
}

/// The columns of a RowDescription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.bytes);
        let next = field(&mut reader).ok()?;
        self.bytes = reader.rest();
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

fn field<'a>(reader: &mut Reader<'a>) -> Result<Field<'a>, FrameError> {
    Ok(Field {
        name: reader.string()?,
        table: reader.oid()?,
        attribute: reader.int16()?,
        type_oid: reader.oid()?,
        size: reader.int16()?,
        type_modifier: reader.int32()?,
        format: reader.int16().map(Format::of)?,
    })
}

/// ParameterDescription: the types of a statement's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterDescription<'a> {
    /// resolved types
    pub types: Oids<'a>,
}

impl<'a> ParameterDescription<'a> {
    /// Reads the body of a `t`.
    pub fn parse(body: &'a [u8]) -> Result<ParameterDescription<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let types = reader.oids()?;
        reader.end()?;
        Ok(ParameterDescription { types })
    }
}

/// DataRow: one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRow<'a> {
    /// its values
    pub values: Values<'a>,
}

impl<'a> DataRow<'a> {
    /// Reads the body of a `D`.
    pub fn parse(body: &'a [u8]) -> Result<DataRow<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let count = reader.count()?;
        let values = reader.values(count)?;
        reader.end()?;
        Ok(DataRow { values })
    }
}

/// CommandComplete: a statement is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// the command tag, like `INSERT 0 1`
    pub tag: &'a [u8],
}

impl<'a> CommandComplete<'a> {
    /// Reads the body of a `C`.
    pub fn parse(body: &'a [u8]) -> Result<CommandComplete<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let tag = reader.string()?;
        reader.end()?;
        Ok(CommandComplete { tag })
    }

    /// The row count at the tag's end, if it has one.
    pub fn rows(&self) -> Option<u64> {
        let count = self.tag.rsplit(|byte| *byte == b' ').next()?;
        if count.is_empty() {
            return None;
        }
        count.iter().try_fold(0_u64, |value, byte| match byte {
            b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(*byte - b'0')),
            _ => None,
        })
    }
}

/// ParameterStatus: a reported setting has this value now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// the setting
    pub name: &'a [u8],
    /// its value
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads the body of an `S`.
    pub fn parse(body: &'a [u8]) -> Result<ParameterStatus<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let name = reader.string()?;
        let value = reader.string()?;
        reader.end()?;
        Ok(ParameterStatus { name, value })
    }
}

/// BackendKeyData: what a cancel request must present.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BackendKeyData<'a> {
    /// process id
    pub process_id: i32,
    /// secret: four bytes in protocol 3.0, up to 256 in 3.2
    pub key: &'a [u8],
}

impl<'a> BackendKeyData<'a> {
    /// Reads the body of a `K`.
    pub fn parse(body: &'a [u8]) -> Result<BackendKeyData<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let process_id = reader.int32()?;
        let key = reader.rest();
        match key.len() {
            4..=256 => Ok(BackendKeyData { process_id, key }),
            _ => Err(FrameError::Format),
        }
    }
}

/// NotificationResponse: somebody sent NOTIFY on a channel that is listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationResponse<'a> {
    /// process id of the notifier
    pub process_id: i32,
    /// channel
    pub channel: &'a [u8],
    /// payload, maybe empty
    pub payload: &'a [u8],
}

impl<'a> NotificationResponse<'a> {
    /// Reads the body of an `A`.
    pub fn parse(body: &'a [u8]) -> Result<NotificationResponse<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let process_id = reader.int32()?;
        let channel = reader.string()?;
        let payload = reader.string()?;
        reader.end()?;
        Ok(NotificationResponse {
            process_id,
            channel,
            payload,
        })
    }
}

/// CopyInResponse, CopyOutResponse or CopyBothResponse: COPY data may flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyResponse<'a> {
    /// of the whole COPY
    pub format: Format,
    /// of each column
    pub columns: Codes<'a>,
}

impl<'a> CopyResponse<'a> {
    /// Reads the body of a `G`, `H` or `W`.
    pub fn parse(body: &'a [u8]) -> Result<CopyResponse<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let format = Format::of(i16::from(reader.byte()?));
        let columns = reader.codes()?;
        reader.end()?;
        Ok(CopyResponse { format, columns })
    }
}

/// NegotiateProtocolVersion: the server speaks an older minor version, or doesn't know some options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegotiateProtocolVersion {
    /// newest minor version (3.2 servers send the whole version word; only its minor part is kept)
    pub minor: i32,
    /// how many `_pq_.` options it doesn't know
    pub options: usize,
}

impl NegotiateProtocolVersion {
    /// Reads the body of a `v`.
    pub fn parse(body: &[u8]) -> Result<NegotiateProtocolVersion, FrameError> {
        let mut reader = Reader::new(body);
        let minor = reader.int32()? & 0xffff;
        let options = usize::try_from(reader.int32()?).map_err(|_negative| FrameError::Format)?;
        for _ in 0..options {
            reader.string()?;
        }
        reader.end()?;
        Ok(NegotiateProtocolVersion { minor, options })
    }
}

/// What the server wants before it lets us in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// nothing (more)
    Ok,
    /// the password as it is
    Cleartext,
    /// the password hashed with the user's name and this salt
    Md5 {
        /// salt
        salt: [u8; 4],
    },
    /// a SASL exchange by one of these mechanisms, separated by zero bytes
    Sasl {
        /// names, each with its zero byte
        mechanisms: &'a [u8],
    },
    /// the mechanism's challenge
    SaslContinue {
        /// its bytes
        data: &'a [u8],
    },
    /// the mechanism's last word
    SaslFinal {
        /// its bytes
        data: &'a [u8],
    },
}

impl<'a> Authentication<'a> {
    /// Reads the body of an `R`; methods that aren't spoken here are an error.
    pub fn parse(body: &'a [u8]) -> Result<Authentication<'a>, FrameError> {
        let mut reader = Reader::new(body);
        let request = match reader.int32()? {
            0 => Authentication::Ok,
            3 => Authentication::Cleartext,
            5 => {
                let salt = reader.take(4)?.first_chunk::<4>().copied().ok_or(FrameError::Short)?;
                Authentication::Md5 { salt }
            }
            10 => {
                let mechanisms = reader.rest();
                while !reader.string()?.is_empty() {}
                Authentication::Sasl { mechanisms }
            }
            11 => return Ok(Authentication::SaslContinue { data: reader.rest() }),
            12 => return Ok(Authentication::SaslFinal { data: reader.rest() }),
            code => return Err(FrameError::Authentication { code }),
        };
        reader.end()?;
        Ok(request)
    }

    /// Whether a mechanism is in the list of [`Authentication::Sasl`].
    pub fn offers(&self, mechanism: &str) -> bool {
        match self {
            Authentication::Sasl { mechanisms } => mechanisms
                .split(|byte| *byte == 0)
                .any(|name| name == mechanism.as_bytes()),
            Authentication::Ok
            | Authentication::Cleartext
            | Authentication::Md5 { .. }
            | Authentication::SaslContinue { .. }
            | Authentication::SaslFinal { .. } => false,
        }
    }
}
