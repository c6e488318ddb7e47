//! Leading comments that speak to the proxy; obeyed only where the config says so.

use super::error::DirectiveError;

/// One `name=value` of a leading `/* shardgate: … */`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// full name of the setting: `shardgate.consistency`
    pub name: String,
    /// checked value
    pub value: String,
}

/// Directives of comments that stand before the first token.
pub fn leading_directives(text: &[u8]) -> Result<Vec<Directive>, DirectiveError> {
    let _ = text;
    Ok(Vec::new())
}

/// The `traceparent` of a sqlcommenter comment (`/*traceparent='00-…-…-01'*/`) anywhere in the text.
pub fn traceparent(text: &[u8]) -> Option<&str> {
    let _ = text;
    None
}
