//! `now()` and its kin: one moment for all shards, put into the text as a constant of the same type.
//!
//! Why a subquery around it: a column without a label is named by the function in it (`now`, also behind a cast), and a
//! bare constant would be named by its type. In conditions and rows nothing is named, and a bare one is estimated better.
//! Why asked in UTC by `to_char`: its answer doesn't depend on DateStyle or TimeZone, and in ISO form neither does
//! reading it back.

use std::collections::BTreeSet;

use crate::plan::resolve::{Block, BlockKind, Child, ConjunctTest, Input, Origin, Resolved, children};
use crate::plan::{Ask, Facts, Refusal, RefusalId, Verdict, refuse};
use crate::sql::ast::{Expr, ObjectNamePart};
use crate::sql::{Edits, Span, Token, TokenKind, byte_span};

use super::calls;

/// A function of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Moment {
    what: What,
    /// digits of a second, where the client says how many
    precision: Option<u8>,
    /// by what name it is called, and gives its name to a column
    name: &'static str,
    shown: Shown,
}

/// How its constant is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// by itself
    Bare,
    /// under the function's name
    Named,
}

/// What is asked of the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// the transaction's
    Transaction,
    /// the statement's
    Statement,
    /// its day in the session's time zone
    Date,
    /// its wall-clock date and time there
    Local,
    /// its time of day there, with the zone's offset
    Time,
    /// its time of day there
    LocalTime,
}

const ALL: [What; 6] = [
    What::Transaction,
    What::Statement,
    What::Date,
    What::Local,
    What::Time,
    What::LocalTime,
];

/// The most digits of a second that Postgres keeps; more draw a warning.
const PRECISION_MAX: u8 = 6;

/// Is it a question for a moment, which is the transaction's?
pub fn asks_moment(question: &str) -> bool {
    ALL.iter().any(|what| what.question() == question)
}

/// The answer to a question for a transaction's own moment is this, whatever the settings.
pub fn is_transactions_moment(question: &str) -> bool {
    What::Transaction.question() == question
}

/// The question for a transaction's own moment.
pub fn transactions_moment() -> &'static str {
    What::Transaction.question()
}

/// A question for a moment, put to a server whose transaction isn't the one that is meant: that began at `moment`.
pub fn ask_of(question: &str, moment: &str) -> String {
    let constant = What::Transaction.constant(moment, None);
    let of = |what: &What| match what {
        What::Transaction | What::Statement => None,
        What::Date => Some(format!("pg_catalog.to_char({constant}, 'YYYY-MM-DD')")),
        What::Local => Some(format!("pg_catalog.to_char({constant}, 'YYYY-MM-DD HH24:MI:SS.US')")),
        What::Time => Some(format!("{constant}::pg_catalog.timetz::pg_catalog.text")),
        What::LocalTime => Some(format!("{constant}::pg_catalog.time::pg_catalog.text")),
    };
    let what = ALL.iter().find(|what| what.question() == question);
    what.and_then(of).unwrap_or_else(|| question.to_owned())
}

impl What {
    fn question(self) -> &'static str {
        match self {
            What::Transaction => {
                "pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'"
            }
            What::Statement => {
                "pg_catalog.to_char(pg_catalog.statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'"
            }
            What::Date => "pg_catalog.to_char(CURRENT_DATE, 'YYYY-MM-DD')",
            What::Local => "pg_catalog.to_char(LOCALTIMESTAMP, 'YYYY-MM-DD HH24:MI:SS.US')",
            // Neither form depends on DateStyle, and an offset stands in the first.
            What::Time => "CURRENT_TIME::pg_catalog.text",
            What::LocalTime => "LOCALTIME::pg_catalog.text",
        }
    }

    fn constant(self, answer: &str, precision: Option<u8>) -> String {
        let type_name = match self {
            What::Transaction | What::Statement => "timestamptz",
            What::Date => "date",
            What::Local => "timestamp",
            What::Time => "timetz",
            What::LocalTime => "time",
        };
        // digits, blanks and `-:.+` only: nothing to quote
        let plain: String = answer
            .chars()
            .filter(|c| c.is_ascii_digit() || " -:.+".contains(*c))
            .collect();
        let precision = precision.map_or_else(String::new, |digits| format!("({digits})"));
        format!("'{plain}'::pg_catalog.{type_name}{precision}")
    }
}

impl Moment {
    /// The expression whose value is asked for.
    pub(in crate::plan) fn question(self) -> &'static str {
        self.what.question()
    }

    /// The answer as a typed constant.
    pub(in crate::plan) fn constant(self, answer: &str) -> String {
        let constant = self.what.constant(answer, self.precision);
        match self.shown {
            Shown::Bare => constant,
            Shown::Named => format!("(SELECT {constant} AS {})", self.name),
        }
    }

    /// The same of an answer that is known.
    pub(in crate::plan) fn fixed(self, facts: &Facts) -> Result<String, Verdict> {
        let value = facts.constants.get(self.question()).cloned().flatten();
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| Verdict::Refused(refuse(RefusalId::FanOutMoment, &[])))?;
        Ok(self.constant(&value))
    }

    /// The same, under the function's name: equal to all that are.
    #[must_use]
    pub(in crate::plan) fn named(self) -> Moment {
        Moment {
            shown: Shown::Named,
            ..self
        }
    }

    /// Does it give its name to a column?
    pub(in crate::plan) fn is_named(self) -> bool {
        self.shown == Shown::Named
    }

    /// Is it the transaction's, rather than the statement's?
    pub(in crate::plan) fn is_transactions(self) -> bool {
        self.what != What::Statement
    }

    /// The moment that begins at a token, with the index of its last token.
    pub(in crate::plan) fn at(text: &[u8], tokens: &[Token], index: usize) -> Option<(Moment, usize)> {
        let token = tokens.get(index).filter(|token| token.kind == TokenKind::Word)?;
        let word = token.span.of(text).to_ascii_lowercase();
        let (what, name, is_keyword) = match word.as_slice() {
            b"now" => (What::Transaction, "now", false),
            b"transaction_timestamp" => (What::Transaction, "transaction_timestamp", false),
            b"statement_timestamp" => (What::Statement, "statement_timestamp", false),
            b"current_timestamp" => (What::Transaction, "current_timestamp", true),
            b"current_date" => (What::Date, "current_date", true),
            b"localtimestamp" => (What::Local, "localtimestamp", true),
            b"current_time" => (What::Time, "current_time", true),
            b"localtime" => (What::LocalTime, "localtime", true),
            _ => return None,
        };
        let ahead = |by: usize| index.checked_add(by).and_then(|at| tokens.get(at));
        let is = |by: usize, byte: u8| ahead(by).is_some_and(|token| token.kind == TokenKind::Punctuation(byte));
        let plain = Moment {
            what,
            precision: None,
            name,
            shown: Shown::Bare,
        };
        match (is_keyword, is(1, b'('), is(2, b')')) {
            (true, false, _) => Some((plain, index)),
            (false, true, true) => Some((plain, index.checked_add(2)?)),
            (true, true, false) if is(3, b')') && what != What::Date => {
                let digits = std::str::from_utf8(ahead(2)?.span.of(text)).ok()?;
                let precision = digits.parse().ok().filter(|digits| *digits <= PRECISION_MAX)?;
                let precision = Some(precision);
                Some((Moment { precision, ..plain }, index.checked_add(3)?))
            }
            // a column or a label of that name
            (true, true, _) | (false, _, _) => None,
        }
    }
}

/// Finds every call of a function of the moment in the text. One that can't be put into the text (in a view, in FROM) is
/// refused.
pub(in crate::plan) fn find(resolved: &Resolved<'_>) -> Result<Vec<(Span, Moment)>, Box<Refusal>> {
    let mut found = Vec::new();
    let input: &Input<'_> = resolved.input;
    let (text, tokens) = (input.text, input.tokens);
    let bare = bare(resolved);
    for (index, token) in tokens.iter().enumerate() {
        let Some((moment, last)) = Moment::at(text, tokens, index) else {
            continue; // a call of another form is missed by the count below
        };
        let end = tokens.get(last).map_or(token.span.end, |last| last.span.end);
        let mut span = Span::new(token.span.start, end);
        let behind = |by: usize| index.checked_sub(by).and_then(|at| tokens.get(at));
        if behind(1).is_some_and(|token| token.kind == TokenKind::Punctuation(b'.')) {
            match behind(2) {
                Some(schema) if schema.span.of(text).eq_ignore_ascii_case(b"pg_catalog") => {
                    span.start = schema.span.start;
                }
                _ => continue,
            }
        }
        found.push(match bare.contains(&span.start) {
            true => (span, moment),
            false => (span, moment.named()),
        });
    }
    let called = resolved
        .uses
        .functions
        .iter()
        .filter(|call| calls::is_moment(call.name.strip_prefix("pg_catalog.").unwrap_or(&call.name)));
    let (mut count, mut in_from) = (0usize, false);
    for call in called {
        count = count.saturating_add(1);
        in_from |= call.call.is_none();
    }
    match count == found.len() && !in_from {
        true => Ok(found),
        false => Err(refuse(RefusalId::FanOutMoment, &[])),
    }
}

/// Where calls begin that give no column its name: in conditions and in rows of VALUES.
fn bare(resolved: &Resolved<'_>) -> BTreeSet<usize> {
    let mut open: Vec<Child<'_>> = Vec::new();
    let own = |block: &&Block<'_>| block.origin == Origin::Statement;
    for block in resolved.blocks.iter().filter(own) {
        open.extend(block.conjuncts.iter().filter_map(|conjunct| match conjunct.test {
            ConjunctTest::Expression(expr) => Some(Child::Expr(expr)),
            ConjunctTest::Equal(..) => None,
        }));
        if let BlockKind::Values(values) = block.kind {
            let cells = values.rows.iter().flat_map(|row| &row.content);
            open.extend(cells.map(Child::Expr));
        }
    }
    let mut starts = BTreeSet::new();
    while let Some(child) = open.pop() {
        let Child::Expr(expr) = child else { continue };
        if let Expr::Function(call) = expr {
            let first = call.name.0.first().and_then(ObjectNamePart::as_ident);
            starts.extend(first.and_then(|first| byte_span(first.span)).map(|span| span.start));
        }
        if children(expr, &mut open).is_err() {
            return BTreeSet::new();
        }
    }
    starts
}

/// Asks for the moments that aren't known yet.
pub(in crate::plan) fn know_moments(moments: &[(Span, Moment)], facts: &Facts) -> Result<(), Verdict> {
    let mut missing: Vec<String> = Vec::new();
    for question in moments.iter().map(|(_, moment)| moment.question()) {
        if !facts.constants.contains_key(question) && !missing.iter().any(|asked| asked == question) {
            missing.push(question.to_owned());
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Verdict::Ask(Ask::Constants(missing))),
    }
}

/// Puts the moments that are known into the text.
pub(in crate::plan) fn fix_moments(
    moments: &[(Span, Moment)],
    facts: &Facts,
    edits: &mut Edits,
) -> Result<(), Verdict> {
    for (span, moment) in moments {
        edits.replace(*span, moment.fixed(facts)?);
    }
    Ok(())
}
