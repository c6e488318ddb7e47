//! SET, RESET and SHOW in all their spellings (`VariableSetStmt` and its kin of `gram.y`).

use super::command::{Command, Reset, Scope, Set, SetItem, SetTransaction, SetValue, Show};
use super::recognise::{AtLeast, Reader, characteristics};
use super::scan::TokenKind;

/// Behind `SET`.
pub(super) fn set(r: &mut Reader<'_>) -> Option<Command> {
    let mut scope = Scope::Session;
    if !is_variable(r) {
        if r.eat("local") {
            scope = Scope::Local;
        } else if r.word_here() == "session"
            && !matches!(
                r.word_at(r.position() + 1).as_str(),
                "authorization" | "characteristics"
            )
        {
            r.eat("session");
        }
    }
    set_rest(r, scope)
}

/// Whether a name stands here that is set by `=` or TO, whatever else the word means.
fn is_variable(r: &Reader<'_>) -> bool {
    let next = r.position() + 1;
    matches!(r.word_at(next).as_str(), "to") && r.word_here() != "time"
        || r.operator_at(next, b"=")
        || r.kind_at(next) == Some(TokenKind::Punctuation(b'.'))
        || r.word_at(next) == "from" && r.word_at(next + 1) == "current"
}

fn set_rest(r: &mut Reader<'_>, scope: Scope) -> Option<Command> {
    let one = |name: &str, value: SetValue| {
        Some(Command::Set(Set {
            scope,
            name: name.to_owned(),
            value,
        }))
    };
    let text = |value: String| SetValue::Values(vec![SetItem::Text(value)]);
    if is_variable(r) {
        return variable(r, scope);
    }
    match r.word_here().as_str() {
        "transaction" => {
            r.eat("transaction");
            if r.eat("snapshot") {
                return Some(Command::SetTransaction(SetTransaction::Snapshot(r.string()?)));
            }
            Some(Command::SetTransaction(SetTransaction::Characteristics(
                characteristics(r, AtLeast::One)?,
            )))
        }
        "session" => {
            r.eat("session");
            if r.eat("characteristics") {
                r.word("as")?;
                r.word("transaction")?;
                return Some(Command::SetCharacteristics(characteristics(r, AtLeast::One)?));
            }
            r.word("authorization")?;
            if r.eat("default") {
                return one("session_authorization", SetValue::Default);
            }
            one("session_authorization", text(word_or_string(r)?))
        }
        "constraints" if scope == Scope::Session => {
            r.eat("constraints");
            constraints(r)?;
            Some(Command::SetConstraints)
        }
        "time" => {
            r.eat("time");
            r.word("zone")?;
            one("timezone", time_zone(r)?)
        }
        "names" => {
            r.eat("names");
            if r.is_done() || r.eat("default") {
                return one("client_encoding", SetValue::Default);
            }
            one("client_encoding", text(r.string()?))
        }
        "schema" => {
            r.eat("schema");
            one("search_path", text(r.string()?))
        }
        "role" => {
            r.eat("role");
            one("role", text(word_or_string(r)?))
        }
        "xml" => {
            r.eat("xml");
            r.word("option")?;
            let option = r.next_word()?;
            matches!(option.as_str(), "document" | "content").then_some(())?;
            one("xmloption", text(option))
        }
        _ => None,
    }
}

/// `SET CONSTRAINTS { ALL | name [, …] } { DEFERRED | IMMEDIATE }`
fn constraints(r: &mut Reader<'_>) -> Option<()> {
    if !r.eat("all") {
        loop {
            r.name()?;
            while r.eat_punctuation(b'.') {
                r.label()?;
            }
            if !r.eat_punctuation(b',') {
                break;
            }
        }
    }
    r.any(&["deferred", "immediate"]).then_some(())
}

fn variable(r: &mut Reader<'_>, scope: Scope) -> Option<Command> {
    let name = variable_name(r)?;
    if r.eat("from") {
        r.word("current")?;
        return Some(Command::Set(Set {
            scope,
            name,
            value: SetValue::FromCurrent,
        }));
    }
    if !r.eat_operator(b"=") {
        r.word("to")?;
    }
    if r.eat("default") {
        return Some(Command::Set(Set {
            scope,
            name,
            value: SetValue::Default,
        }));
    }
    let mut items = vec![item(r)?];
    while r.eat_punctuation(b',') {
        items.push(item(r)?);
    }
    Some(Command::Set(Set {
        scope,
        name,
        value: SetValue::Values(items),
    }))
}

/// GUC names are compared without regard to ASCII case, quoted or not.
fn variable_name(r: &mut Reader<'_>) -> Option<String> {
    let mut name = r.name()?;
    while r.eat_punctuation(b'.') {
        name.push('.');
        name.push_str(&r.name()?);
    }
    Some(name.to_ascii_lowercase())
}

fn item(r: &mut Reader<'_>) -> Option<SetItem> {
    if let Some(number) = number(r) {
        return Some(SetItem::Number(number));
    }
    if r.string_at(r.position()) {
        return Some(SetItem::Text(r.string()?));
    }
    Some(SetItem::Text(r.non_reserved(&["true", "false", "on"])?))
}

/// `NumericOnly`
fn number(r: &mut Reader<'_>) -> Option<String> {
    let at = r.position();
    let signed = usize::from(r.operator_at(at, b"-") || r.operator_at(at, b"+"));
    match r.kind_at(at + signed)? {
        TokenKind::Integer | TokenKind::Decimal => {
            let minus = r.eat_operator(b"-");
            r.eat_operator(b"+");
            let digits = r.take_text()?;
            Some(if minus { format!("-{digits}") } else { digits })
        }
        _ => None,
    }
}

fn word_or_string(r: &mut Reader<'_>) -> Option<String> {
    match r.string_at(r.position()) {
        true => r.string(),
        false => r.non_reserved(&[]),
    }
}

/// `zone_value`
fn time_zone(r: &mut Reader<'_>) -> Option<SetValue> {
    if r.any(&["default", "local"]) {
        return Some(SetValue::Default);
    }
    if let Some(number) = number(r) {
        return Some(SetValue::Values(vec![SetItem::Number(number)]));
    }
    if r.string_at(r.position()) {
        return Some(SetValue::Values(vec![SetItem::Text(r.string()?)]));
    }
    if r.word_here() == "interval" && r.string_at(r.position() + 1) {
        r.eat("interval");
        let interval = r.string()?;
        if r.eat("hour") {
            r.word("to")?;
            r.word("minute")?;
        }
        // only a form whose meaning no field can change
        return is_offset(&interval).then_some(SetValue::Values(vec![SetItem::Interval(interval)]));
    }
    Some(SetValue::Values(vec![SetItem::Text(r.name()?)]))
}

/// `[+-]hh:mm`
fn is_offset(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |part: &str| matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_digit());
    matches!(unsigned.split_once(':'), Some((hours, minutes)) if digits(hours) && minutes.len() == 2 && digits(minutes))
}

/// Behind `RESET`.
pub(super) fn reset(r: &mut Reader<'_>) -> Option<Reset> {
    Some(match generic(r)? {
        None => Reset::All,
        Some(name) if name == "transaction_isolation level" => Reset::TransactionIsolation,
        Some(name) => Reset::Name(name),
    })
}

/// Behind `SHOW`.
pub(super) fn show(r: &mut Reader<'_>) -> Option<Show> {
    Some(match generic(r)? {
        None => Show::All,
        Some(name) if name == "transaction_isolation level" => Show::Name("transaction_isolation".to_owned()),
        Some(name) => Show::Name(name),
    })
}

/// ALL is `Some(None)`.
fn generic(r: &mut Reader<'_>) -> Option<Option<String>> {
    let next = r.word_at(r.position() + 1);
    Some(match (r.word_here().as_str(), next.as_str()) {
        ("all", _) => {
            r.eat("all");
            None
        }
        ("time", "zone") => {
            r.eat("time");
            r.eat("zone");
            Some("timezone".to_owned())
        }
        ("transaction", "isolation") => {
            r.eat("transaction");
            r.eat("isolation");
            r.word("level")?;
            Some("transaction_isolation level".to_owned())
        }
        ("session", "authorization") => {
            r.eat("session");
            r.eat("authorization");
            Some("session_authorization".to_owned())
        }
        _ => Some(variable_name(r)?),
    })
}
