//! COPY … FROM STDIN on a control connection.
//!
//! Holds: dropped before [`CopyIn::finish`], nothing of it is copied.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::CopyInSink;

use super::{ControlClient, ControlError};

/// A COPY that waits for rows.
pub struct CopyIn(Pin<Box<CopyInSink<Bytes>>>);

impl fmt::Debug for CopyIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CopyIn")
    }
}

impl CopyIn {
    /// Starts the statement, which is a COPY … FROM STDIN.
    pub async fn start(client: &ControlClient, sql: &str) -> Result<CopyIn, ControlError> {
        Ok(CopyIn(Box::pin(client.copy_in(sql).await?)))
    }

    /// Sends data in the form that the statement asks for; waits while the server is behind.
    pub async fn send(&mut self, data: Vec<u8>) -> Result<(), ControlError> {
        Ok(self.0.send(Bytes::from(data)).await?)
    }

    /// Ends it; how many rows were copied.
    pub async fn finish(mut self) -> Result<u64, ControlError> {
        Ok(self.0.as_mut().finish().await?)
    }
}
