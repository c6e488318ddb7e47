//! Constants that a key may be compared with: literals, parameters, casts of them, integer arithmetic on them.
//!
//! Compiled once per shape; the values come at bind from the literals of that text and the parameters.
//!
//! Holds: a constant evaluates to what Postgres computes, or says that it can't tell. Folding is on integers alone, with
//! overflow left to Postgres.

use std::borrow::Cow;

use crate::plan::resolve::{Input, Origin, type_name};
use crate::plan::{Facts, Parameters};
use crate::sql::ast::{self, BinaryOperator, CastKind, Expr, UnaryOperator};
use crate::sql::{Encoding, Lexing, Literal, LiteralClass, byte_span, quote_literal};
use crate::value::{Format, Key, KeyError, KeyType, Oid};

/// A constant as a statement's shape has it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan) enum Constant {
    /// NULL
    Null,
    /// a literal that was lifted out of the shape
    Literal {
        /// index in the shape's literals
        index: usize,
        /// its class
        class: LiteralClass,
    },
    /// a literal that stayed in the shape, or stands in a view
    Fixed {
        /// its class
        class: LiteralClass,
        /// digits, or the decoded string
        value: Box<[u8]>,
    },
    /// `$n` of a known type
    Parameter {
        /// n, from 1
        number: u32,
        /// its type
        type_oid: Oid,
    },
    /// `- x` on integers
    Negate(Box<Constant>),
    /// `x op y` on integers
    Arithmetic(Arithmetic, Box<Constant>, Box<Constant>),
    /// `x::type`
    Cast {
        /// what is cast
        inner: Box<Constant>,
        /// to what
        to: KeyType,
        /// length, precision; -1: none
        typmod: i32,
    },
}

/// Operators that are folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
}

/// What is known of a constant's type before its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Static {
    /// this type
    Known(KeyType),
    /// a bare string literal, NULL: takes the type of what it is compared with
    Unknown,
    /// `$n` whose type wasn't declared and that occurs nowhere else: takes the type of what it is compared with
    Inferred(u32),
}

/// A constant's value.
#[derive(Clone, Debug)]
pub(in crate::plan) enum Value<'v> {
    /// NULL
    Null,
    /// a string without a type
    Unknown(Cow<'v, [u8]>),
    /// a value of a key type
    Key(Key),
}

/// Why a constant has no value here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Outcome {
    /// Postgres raises an error for it before it reads a row
    Rejected,
    /// Postgres may know
    Unclear,
    /// ask a server for this expression
    Ask(String),
}

/// What a constant is compiled from.
#[derive(Clone, Copy)]
pub(in crate::plan) struct ConstantScope<'a> {
    /// the statement
    pub(in crate::plan) input: &'a Input<'a>,
    /// every `$n` that occurs in it
    pub(in crate::plan) occurrences: &'a [u32],
    /// whose text the constant is written in
    pub(in crate::plan) origin: Origin,
}

/// What a constant is evaluated from.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Values<'v> {
    /// the text of this request
    pub(in crate::plan) text: &'v [u8],
    /// how it is lexed
    pub(in crate::plan) lexing: Lexing,
    /// its literals
    pub(in crate::plan) literals: &'v [Literal],
    /// its parameters
    pub(in crate::plan) parameters: &'v Parameters<'v>,
    /// what servers said
    pub(in crate::plan) facts: &'v Facts,
}

/// A parameter's type is needed, and only a server knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) struct TypesNeeded;

// === impl Constant ===

impl Constant {
    /// Compiles an expression; `Ok(None)`: it is no constant that is understood here.
    pub(in crate::plan) fn compile(
        expr: &Expr,
        scope: ConstantScope<'_>,
    ) -> Result<Option<(Constant, Static)>, TypesNeeded> {
        match expr {
            Expr::Nested(inner) => Constant::compile(inner, scope),
            Expr::Value(value) => Ok(compile_value(value, scope)?),
            Expr::TypedString(typed) if !typed.uses_odbc_syntax => {
                let Some((inner, _)) = compile_value(&typed.value, scope)? else {
                    return Ok(None);
                };
                Ok(cast(inner, Static::Unknown, &typed.data_type))
            }
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                format: None,
            } => match Constant::compile(expr, scope)? {
                Some((inner, from)) => Ok(cast(inner, from, data_type)),
                None => Ok(None),
            },
            Expr::UnaryOp { op, expr } => {
                let Some((inner, from)) = Constant::compile(expr, scope)? else {
                    return Ok(None);
                };
                match (op, integer_width(from)) {
                    (UnaryOperator::Minus, Some(width)) => {
                        Ok(Some((Constant::Negate(Box::new(inner)), Static::Known(width))))
                    }
                    (UnaryOperator::Plus, Some(width)) => Ok(Some((inner, Static::Known(width)))),
                    _ => Ok(None),
                }
            }
            Expr::BinaryOp { left, op, right } => {
                let op = match op {
                    BinaryOperator::Plus => Arithmetic::Add,
                    BinaryOperator::Minus => Arithmetic::Subtract,
                    BinaryOperator::Multiply => Arithmetic::Multiply,
                    _ => return Ok(None),
                };
                let (left, right) = (Constant::compile(left, scope)?, Constant::compile(right, scope)?);
                let (Some((left, from_left)), Some((right, from_right))) = (left, right) else {
                    return Ok(None);
                };
                if matches!(from_left, Static::Inferred(_)) || matches!(from_right, Static::Inferred(_)) {
                    return Err(TypesNeeded);
                }
                match (integer_width(from_left), integer_width(from_right)) {
                    (Some(a), Some(b)) => Ok(Some((
                        Constant::Arithmetic(op, Box::new(left), Box::new(right)),
                        Static::Known(wider(a, b)),
                    ))),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// Its value.
    pub(in crate::plan) fn evaluate<'v>(&self, values: &Values<'v>) -> Result<Value<'v>, Outcome> {
        match self {
            Constant::Null => Ok(Value::Null),
            Constant::Literal { index, class } => {
                let literal = values.literals.get(*index).ok_or(Outcome::Unclear)?;
                let value = literal
                    .decode(values.text, values.lexing)
                    .map_err(|_| Outcome::Rejected)?;
                from_literal(*class, value, values.lexing)
            }
            Constant::Fixed { class, value } => from_literal(*class, Cow::Owned(value.to_vec()), values.lexing),
            Constant::Parameter { number, type_oid } => parameter(*number, *type_oid, values),
            Constant::Negate(inner) => match inner.evaluate(values)? {
                Value::Null => Ok(Value::Null),
                Value::Key(Key::Int(value)) => fold(value.checked_neg(), inner.width()),
                Value::Key(_) | Value::Unknown(_) => Err(Outcome::Unclear),
            },
            Constant::Arithmetic(op, left, right) => {
                let width = wider(left.width(), right.width());
                match (left.evaluate(values)?, right.evaluate(values)?) {
                    (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
                    (Value::Key(Key::Int(left)), Value::Key(Key::Int(right))) => fold(
                        match op {
                            Arithmetic::Add => left.checked_add(right),
                            Arithmetic::Subtract => left.checked_sub(right),
                            Arithmetic::Multiply => left.checked_mul(right),
                        },
                        width,
                    ),
                    _ => Err(Outcome::Unclear),
                }
            }
            Constant::Cast { inner, to, typmod } => match inner.evaluate(values)? {
                Value::Null => Ok(Value::Null),
                Value::Unknown(text) => {
                    let key = read(*to, &text, values.facts)?;
                    match typmod {
                        -1 => Ok(Value::Key(key)),
                        typmod => key.assign(*to, *typmod).map(Value::Key).map_err(|_| Outcome::Unclear),
                    }
                }
                Value::Key(key) => key.assign(*to, *typmod).map(Value::Key).map_err(|_| Outcome::Unclear),
            },
        }
    }

    /// Integer type of a constant that is one; `Int8` otherwise.
    fn width(&self) -> KeyType {
        match self {
            Constant::Literal {
                class: LiteralClass::Int4,
                ..
            }
            | Constant::Fixed {
                class: LiteralClass::Int4,
                ..
            } => KeyType::Int4,
            Constant::Parameter { type_oid, .. } => KeyType::of(*type_oid).unwrap_or(KeyType::Int8),
            Constant::Negate(inner) => inner.width(),
            Constant::Arithmetic(_, left, right) => wider(left.width(), right.width()),
            Constant::Cast { to, .. } => *to,
            Constant::Null | Constant::Literal { .. } | Constant::Fixed { .. } => KeyType::Int8,
        }
    }
}

/// A string read as a key of the type; a date or an instant in a form of the session's own is asked for.
pub(in crate::plan) fn read(key_type: KeyType, text: &[u8], facts: &Facts) -> Result<Key, Outcome> {
    match Key::parse_text(key_type, text) {
        Ok(key) => Ok(key),
        Err(KeyError::Invalid { .. } | KeyError::OutOfRange { .. } | KeyError::TooLong { .. }) => {
            Err(Outcome::Rejected)
        }
        Err(KeyError::Ambiguous { .. }) => match key_type {
            KeyType::Date => {
                let days = ask_time(text, facts, "pg_catalog.date")?
                    .checked_div(DAY)
                    .ok_or(Outcome::Unclear)?;
                i32::try_from(days).map(Key::Date).map_err(|_| Outcome::Unclear)
            }
            KeyType::Timestamp => ask_time(text, facts, "pg_catalog.timestamp").map(Key::Timestamp),
            KeyType::Timestamptz => ask_time(text, facts, "pg_catalog.timestamptz").map(Key::Timestamptz),
            KeyType::Int2
            | KeyType::Int4
            | KeyType::Int8
            | KeyType::Text
            | KeyType::Varchar
            | KeyType::Bpchar
            | KeyType::Uuid
            | KeyType::Numeric => Err(Outcome::Unclear),
        },
    }
}

/// Microseconds between 1970 and 2000, the epochs of `extract` and of the types.
const EPOCHS_APART: i64 = 946_684_800_000_000;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// What the input routines read as the time of the statement: another when it runs.
const MOVING_WORDS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// Microseconds from 2000 to what the text means under the session's time zone and DateStyle.
fn ask_time(text: &[u8], facts: &Facts, type_name: &str) -> Result<i64, Outcome> {
    let text = std::str::from_utf8(text).map_err(|_| Outcome::Unclear)?;
    let lower = text.to_ascii_lowercase();
    let moves = MOVING_WORDS.iter().any(|word| lower.contains(word));
    if moves || !text.contains(|c: char| c.is_ascii_digit()) {
        return Err(Outcome::Unclear);
    }
    let expression = format!(
        "(extract(epoch from {}::{type_name}) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.text",
        quote_literal(text)
    );
    match facts.constants.get(&expression) {
        None => Err(Outcome::Ask(expression)),
        Some(None) => Err(Outcome::Unclear),
        Some(Some(answer)) => {
            let whole = answer.split('.').next().unwrap_or_default();
            let microseconds = whole.parse::<i64>().map_err(|_| Outcome::Unclear)?;
            microseconds.checked_sub(EPOCHS_APART).ok_or(Outcome::Unclear)
        }
    }
}

fn compile_value(
    value: &ast::ValueWithSpan,
    scope: ConstantScope<'_>,
) -> Result<Option<(Constant, Static)>, TypesNeeded> {
    match &value.value {
        ast::Value::Null => Ok(Some((Constant::Null, Static::Unknown))),
        ast::Value::Placeholder(placeholder) => {
            match placeholder
                .strip_prefix('$')
                .and_then(|number| number.parse::<u32>().ok())
            {
                Some(number) => compile_parameter(number, scope),
                None => Ok(None),
            }
        }
        _ => Ok(compile_literal(value, scope)),
    }
}

fn compile_parameter(number: u32, scope: ConstantScope<'_>) -> Result<Option<(Constant, Static)>, TypesNeeded> {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let declared = index.and_then(|index| scope.input.parameter_types.get(index)).copied();
    match declared.filter(|oid| *oid != Oid(0) && *oid != Oid::UNKNOWN) {
        Some(type_oid) => {
            Ok(KeyType::of(type_oid)
                .map(|key_type| (Constant::Parameter { number, type_oid }, Static::Known(key_type))))
        }
        None => match scope
            .occurrences
            .iter()
            .filter(|occurrence| **occurrence == number)
            .count()
        {
            1 => Ok(Some((
                Constant::Parameter {
                    number,
                    type_oid: Oid::UNKNOWN,
                },
                Static::Inferred(number),
            ))),
            // Which occurrence settles its type is Postgres's to say.
            _ => Err(TypesNeeded),
        },
    }
}

fn compile_literal(value: &ast::ValueWithSpan, scope: ConstantScope<'_>) -> Option<(Constant, Static)> {
    let lifted = match scope.origin {
        Origin::Statement => byte_span(value.span).and_then(|span| scope.input.shape.literal_at(span)),
        Origin::View => None,
    };
    let constant = match lifted.and_then(|index| Some((index, scope.input.shape.literals().get(index)?.class))) {
        Some((index, class)) => Constant::Literal { index, class },
        None => {
            let (class, value) = match &value.value {
                ast::Value::Number(digits, false) => (number_class(digits), digits),
                ast::Value::SingleQuotedString(string)
                | ast::Value::EscapedStringLiteral(string)
                | ast::Value::UnicodeStringLiteral(string) => (LiteralClass::String, string),
                ast::Value::DollarQuotedString(string) => (LiteralClass::String, &string.value),
                ast::Value::NationalStringLiteral(string) => (LiteralClass::National, string),
                _ => return None,
            };
            Constant::Fixed {
                class,
                value: value.as_bytes().into(),
            }
        }
    };
    let class = match &constant {
        Constant::Literal { class, .. } | Constant::Fixed { class, .. } => *class,
        _ => return None,
    };
    let known = match class {
        LiteralClass::Int4 => Static::Known(KeyType::Int4),
        LiteralClass::Int8 => Static::Known(KeyType::Int8),
        LiteralClass::Numeric => Static::Known(KeyType::Numeric),
        LiteralClass::String => Static::Unknown,
        LiteralClass::National => Static::Known(KeyType::Bpchar),
        LiteralClass::Bit | LiteralClass::Hex => return None,
    };
    Some((constant, known))
}

fn number_class(digits: &str) -> LiteralClass {
    match (digits.parse::<i32>(), digits.parse::<i64>()) {
        (Ok(_), _) => LiteralClass::Int4,
        (Err(_), Ok(_)) => LiteralClass::Int8,
        (Err(_), Err(_)) => LiteralClass::Numeric,
    }
}

fn cast(inner: Constant, from: Static, data_type: &ast::DataType) -> Option<(Constant, Static)> {
    let name = type_name(data_type)?;
    let plain = name.dimensions == 0 && matches!(name.schema.as_deref(), None | Some("pg_catalog"));
    if !plain {
        return None;
    }
    let to = KeyType::ALL
        .into_iter()
        .find(|key_type| builtin_name(*key_type) == name.name)?;
    let typmod = typmod(to, &name.modifiers)?;
    let inner = match (from, inner) {
        // `$1::bigint` makes $1 a bigint.
        (Static::Inferred(number), Constant::Parameter { .. }) => Constant::Parameter {
            number,
            type_oid: to.oid(),
        },
        (_, inner) => inner,
    };
    Some((
        Constant::Cast {
            inner: Box::new(inner),
            to,
            typmod,
        },
        Static::Known(to),
    ))
}

fn builtin_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::Int2 => "int2",
        KeyType::Int4 => "int4",
        KeyType::Int8 => "int8",
        KeyType::Text => "text",
        KeyType::Varchar => "varchar",
        KeyType::Bpchar => "bpchar",
        KeyType::Uuid => "uuid",
        KeyType::Date => "date",
        KeyType::Timestamp => "timestamp",
        KeyType::Timestamptz => "timestamptz",
        KeyType::Numeric => "numeric",
    }
}

/// `atttypmod` of a type with these modifiers.
fn typmod(key_type: KeyType, modifiers: &[String]) -> Option<i32> {
    let numbers: Vec<i32> = modifiers
        .iter()
        .map(|modifier| modifier.parse().ok())
        .collect::<Option<_>>()?;
    match (key_type, numbers.as_slice()) {
        (_, []) => Some(-1),
        (KeyType::Varchar | KeyType::Bpchar, [length]) => length.checked_add(4),
        (KeyType::Timestamp | KeyType::Timestamptz, [precision]) => Some(*precision),
        (KeyType::Numeric, [precision]) => precision.checked_shl(16)?.checked_add(4),
        (KeyType::Numeric, [precision, scale]) => (precision.checked_shl(16)? | (scale & 0x7ff)).checked_add(4),
        _ => None,
    }
}

fn integer_width(from: Static) -> Option<KeyType> {
    match from {
        Static::Known(width @ (KeyType::Int2 | KeyType::Int4 | KeyType::Int8)) => Some(width),
        Static::Known(_) | Static::Unknown | Static::Inferred(_) => None,
    }
}

fn wider(a: KeyType, b: KeyType) -> KeyType {
    match (a, b) {
        (KeyType::Int2, other) | (other, KeyType::Int2) => other,
        (KeyType::Int4, KeyType::Int4) => KeyType::Int4,
        _ => KeyType::Int8,
    }
}

/// A folded integer; one that leaves its type is an error that only Postgres may raise.
fn fold<'v>(value: Option<i64>, width: KeyType) -> Result<Value<'v>, Outcome> {
    let value = value.ok_or(Outcome::Unclear)?;
    Key::Int(value)
        .assign(width, -1)
        .map(Value::Key)
        .map_err(|_| Outcome::Unclear)
}

fn from_literal<'v>(class: LiteralClass, value: Cow<'v, [u8]>, lexing: Lexing) -> Result<Value<'v>, Outcome> {
    match class {
        LiteralClass::Int4 | LiteralClass::Int8 => {
            let digits = std::str::from_utf8(&value).map_err(|_| Outcome::Unclear)?;
            digits
                .parse::<i64>()
                .map(|value| Value::Key(Key::Int(value)))
                .map_err(|_| Outcome::Unclear)
        }
        LiteralClass::Numeric => Key::parse_text(KeyType::Numeric, &value)
            .map(Value::Key)
            .map_err(|_| Outcome::Unclear),
        LiteralClass::String => in_server_encoding(&value, lexing).map(|()| Value::Unknown(value)),
        LiteralClass::National => {
            in_server_encoding(&value, lexing)?;
            Ok(Value::Key(Key::Bpchar(value.into_owned())))
        }
        LiteralClass::Bit | LiteralClass::Hex => Err(Outcome::Unclear),
    }
}

/// Bytes beyond ASCII are the server's only if the client speaks its encoding.
fn in_server_encoding(value: &[u8], lexing: Lexing) -> Result<(), Outcome> {
    match lexing.encoding {
        Encoding::Utf8 => Ok(()),
        Encoding::HighBit | Encoding::Unsafe if value.is_ascii() => Ok(()),
        Encoding::HighBit | Encoding::Unsafe => Err(Outcome::Unclear),
    }
}

fn parameter<'v>(number: u32, type_oid: Oid, values: &Values<'v>) -> Result<Value<'v>, Outcome> {
    let (format, bytes) = parameter_bytes(number, values)?;
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    let key_type = match KeyType::of(type_oid) {
        Some(key_type) => key_type,
        None => return Err(Outcome::Unclear),
    };
    match key_type {
        KeyType::Text | KeyType::Varchar | KeyType::Bpchar => in_server_encoding(bytes, values.lexing)?,
        KeyType::Int2
        | KeyType::Int4
        | KeyType::Int8
        | KeyType::Uuid
        | KeyType::Date
        | KeyType::Timestamp
        | KeyType::Timestamptz
        | KeyType::Numeric => {}
    }
    match format {
        Format::Text => read(key_type, bytes, values.facts).map(Value::Key),
        Format::Binary => match Key::parse(type_oid, format, bytes, key_type) {
            Ok(key) => Ok(Value::Key(key)),
            Err(KeyError::Ambiguous { .. }) => Err(Outcome::Unclear),
            Err(KeyError::Invalid { .. } | KeyError::OutOfRange { .. } | KeyError::TooLong { .. }) => {
                Err(Outcome::Rejected)
            }
        },
    }
}

/// Format and bytes of `$n` (`None`: NULL) as Bind gave them.
pub(in crate::plan) fn parameter_bytes<'v>(
    number: u32,
    values: &Values<'v>,
) -> Result<(Format, Option<&'v [u8]>), Outcome> {
    let index = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1))
        .ok_or(Outcome::Unclear)?;
    let bytes = values.parameters.values.get(index).ok_or(Outcome::Unclear)?;
    let format = match values.parameters.formats {
        [] => Format::Text,
        [all] => *all,
        each => *each.get(index).ok_or(Outcome::Unclear)?,
    };
    Ok((format, *bytes))
}
