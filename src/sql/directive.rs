//! Leading comments that speak to the proxy; obeyed only where the config says so.
//!
//! Only what stands before the first token counts: text behind it may hold what a user typed into an application.

use super::error::{DirectiveError, SettingError};
use super::settings::checked_own;

/// One `name=value` of a leading `/* shardgate: … */`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// full name of the setting: `shardgate.consistency`
    pub name: String,
    /// checked value
    pub value: String,
}

/// Directives of the comments that stand before the first token; several in one comment are separated by commas.
pub fn leading_directives(text: &[u8]) -> Result<Vec<Directive>, DirectiveError> {
    let mut found = Vec::new();
    for comment in leading_comments(text) {
        let Ok(comment) = std::str::from_utf8(comment) else {
            continue;
        };
        let Some(list) = comment.trim().strip_prefix("shardgate:") else {
            continue;
        };
        for part in list.split(',') {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| DirectiveError::Malformed(part.trim().to_owned()))?;
            let name = format!("shardgate.{}", name.trim().to_ascii_lowercase());
            let value = value.trim().trim_matches('\'').to_owned();
            checked_own(&name, &value)?;
            found.push(Directive { name, value });
        }
    }
    Ok(found)
}

/// Bodies of the `/* … */` comments before the first token, without nested ones' bodies cut out.
fn leading_comments(text: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        if let Some(line) = rest.strip_prefix(b"--") {
            let end = line
                .iter()
                .position(|b| matches!(b, b'\n' | b'\r'))
                .unwrap_or(line.len());
            rest = line.get(end..).unwrap_or_default();
            continue;
        }
        let Some(body) = rest.strip_prefix(b"/*") else {
            return found;
        };
        let mut depth = 1usize;
        let mut at = 0;
        while depth > 0 {
            match body.get(at..at + 2) {
                Some(b"*/") => {
                    depth -= 1;
                    at += 2;
                }
                Some(b"/*") => {
                    depth += 1;
                    at += 2;
                }
                Some(_) => at += 1,
                None => return found, // unterminated: a syntax error for the server to tell
            }
        }
        found.push(body.get(..at.saturating_sub(2)).unwrap_or_default());
        rest = body.get(at..).unwrap_or_default();
    }
}

/// The `traceparent` of a sqlcommenter comment (`/*traceparent='00-…-…-01'*/`), before or behind the statement. For
/// telemetry only: it never decides anything.
pub fn traceparent(text: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"traceparent='";
    /// `00-` 32 digits `-` 16 digits `-` 2 digits (W3C Trace Context)
    const LENGTH: usize = 55;
    let in_comment = text.windows(2).any(|pair| pair == b"/*");
    let at = if in_comment {
        text.windows(NAME.len()).rposition(|window| window == NAME)?
    } else {
        return None;
    };
    let start = at + NAME.len();
    let value = std::str::from_utf8(text.get(start..start + LENGTH)?).ok()?;
    let parts: Vec<&str> = value.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|p| p.len()).collect();
    let hexadecimal = parts
        .iter()
        .all(|p| p.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f')));
    (lengths == [2, 32, 16, 2] && hexadecimal && text.get(start + LENGTH) == Some(&b'\'')).then_some(value)
}

impl DirectiveError {
    /// The setting's error, if it is one.
    pub fn setting(&self) -> Option<&SettingError> {
        match self {
            DirectiveError::Setting(error) => Some(error),
            DirectiveError::Malformed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let found = leading_directives(text.as_bytes());
        let found: Result<Vec<(String, String)>, String> = found
            .map(|list| list.into_iter().map(|d| (d.name, d.value)).collect())
            .map_err(|e| e.to_string());
        let expected: Result<Vec<(String, String)>, String> = expected
            .map(|list| list.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
            .map_err(str::to_owned);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn only_leading_comments_speak() {
        check(
            "/* shardgate: consistency=statement */ select 1",
            Ok(&[("shardgate.consistency", "statement")]),
        );
        check(
            "-- x\n/* y *//*shardgate: shard='s0', replica=ok*/ select 1",
            Ok(&[("shardgate.shard", "s0"), ("shardgate.replica", "ok")]),
        );
        check("select 1 /* shardgate: shard=s0 */", Ok(&[]));
        check("/* x /* shardgate: shard=s0 */ */ select 1", Ok(&[]));
        check("/* shardgate: shard=s0", Ok(&[]));
        check(
            "/* shardgate: sharrd=s0 */ select 1",
            Err("unrecognized configuration parameter \"shardgate.sharrd\""),
        );
        check(
            "/* shardgate: shard */",
            Err("directive \"shard\" is not of the form name=value"),
        );
        check(
            "/* shardgate: consistency=maybe */",
            Err("invalid value for parameter \"shardgate.consistency\": \"maybe\""),
        );
    }

    #[test]
    fn traceparent_is_checked() {
        let id = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let behind = format!("select 1 /*action='x',traceparent='{id}'*/");
        assert_eq!(traceparent(behind.as_bytes()), Some(id));
        assert_eq!(traceparent(format!("select 'traceparent=''{id}'''").as_bytes()), None);
        assert_eq!(traceparent(b"/*traceparent='00-xyz-1-01'*/ select 1"), None);
    }
}
