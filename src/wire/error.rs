//! What can be wrong with bytes. Each variant's text is Postgres's own where Postgres has one; the SQLSTATE that a
//! client sees is chosen at the error door of `session`, and noted here only as what Postgres answers.

use thiserror::Error;

/// A frame, or the body of a message, that breaks the protocol (Postgres: 08P01 unless noted).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length word is below 4, or above what this kind of message may have. Postgres drops the connection.
    #[error("invalid message length: {length} in a message of type {tag:#04x}, at most {limit} allowed")]
    Length {
        /// type byte
        tag: u8,
        /// value of the length word
        length: u32,
        /// the most that is allowed
        limit: usize,
    },
    /// A type byte that nobody may send here (Postgres: FATAL).
    #[error("invalid frontend message type {tag}")]
    UnknownTag {
        /// type byte
        tag: u8,
    },
    /// The body ends where a single byte should be.
    #[error("no data left in message")]
    NoByte,
    /// The body ends before the message does.
    #[error("insufficient data left in message")]
    Short,
    /// A string has no terminating zero byte within the body.
    #[error("invalid string in message")]
    Unterminated,
    /// Bytes are left behind the message's end, or a count is negative.
    #[error("invalid message format")]
    Format,
    /// Bind carries neither 0, 1 nor as many parameter formats as parameters.
    #[error("bind message has {formats} parameter formats but {parameters} parameters")]
    FormatCount {
        /// parameter formats in the message
        formats: usize,
        /// parameters in the message
        parameters: usize,
    },
    /// Describe of something that is neither a statement nor a portal.
    #[error("invalid DESCRIBE message subtype {kind}")]
    DescribeKind {
        /// the byte found
        kind: u8,
    },
    /// Close of something that is neither a statement nor a portal.
    #[error("invalid CLOSE message subtype {kind}")]
    CloseKind {
        /// the byte found
        kind: u8,
    },
    /// A status byte other than I, T or E in ReadyForQuery.
    #[error("invalid transaction status {status:#04x} in ReadyForQuery")]
    Status {
        /// the byte found
        status: u8,
    },
    /// An authentication request that isn't known here.
    #[error("authentication method {code} is not supported")]
    Authentication {
        /// code of the request
        code: i32,
    },
}

/// A startup packet that can't be served (all FATAL in Postgres).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartupError {
    /// Length word out of range; Postgres drops the connection without an answer.
    #[error("invalid length of startup packet")]
    Length,
    /// A cancel request that is too short or whose key is longer than 256 bytes; dropped without an answer.
    #[error("invalid length of cancel request packet")]
    CancelLength,
    /// Parameters don't end with the terminator at the packet's end (08P01).
    #[error("invalid startup packet layout: expected terminator as last byte")]
    Layout,
    /// A major version other than 3 (0A000).
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0")]
    Version {
        /// major version asked for
        major: u16,
        /// minor version asked for
        minor: u16,
    },
    /// No user name (28000).
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    /// A name or value that isn't UTF-8 (22021).
    #[error("startup packet parameter \"{name}\" is not valid UTF-8")]
    Encoding {
        /// parameter, as far as it can be shown
        name: String,
    },
    /// `replication` is neither a boolean nor `database` (22023).
    #[error("invalid value for parameter \"replication\": \"{value}\"")]
    Replication {
        /// value found
        value: String,
    },
    /// `options` holds something that isn't a switch Postgres knows (42601).
    #[error("invalid command-line argument for server process: {argument}")]
    Argument {
        /// the argument
        argument: String,
    },
    /// `-c name` or `--name` without `=value` (42601).
    #[error("{switch} requires a value")]
    NoValue {
        /// the switch as written
        switch: String,
    },
    /// A switch that Postgres has and the proxy doesn't take (0A000).
    #[error("command-line switch -{switch} in startup options is not supported; use -c name=value")]
    Switch {
        /// its letter
        switch: char,
    },
}

/// A SCRAM exchange that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScramError {
    /// A message that isn't SCRAM (08P01: "malformed SCRAM message").
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// The client asks for channel binding, which needs TLS (08P01).
    #[error("malformed SCRAM message: channel binding is not supported on this connection")]
    ChannelBinding,
    /// An authorization identity or a mandatory extension (0A000).
    #[error("client uses {0}, but it is not supported")]
    Unsupported(&'static str),
    /// The proof doesn't match, or there is no such user (28P01; which of both is not told).
    #[error("password authentication failed")]
    Refused,
    /// The server could not prove that it knows the verifier.
    #[error("the server's signature is wrong: it does not hold this user's verifier")]
    ServerSignature,
    /// A stored verifier that can't be read.
    #[error("invalid SCRAM verifier: {0}")]
    Verifier(&'static str),
    /// The server's iteration count is zero or above what is computed here.
    #[error("invalid SCRAM iteration count {0}")]
    Iterations(u32),
}
