//! The INSERT of an ORM's batch: `INSERT INTO t (a, b) SELECT p0::text, p1::int FROM (VALUES ('x', 1, 0), ('y', 2, 1)) AS
//! v(p0, p1, n) ORDER BY n`, by tokens.
//!
//! Why it is VALUES in other words: each column of the list is used once, under a cast, so that a cell means the same when
//! the cast stands on itself; and the last column counts the rows in the order in which they are written. SQLAlchemy sends
//! this form so that RETURNING comes in the order of its objects. Django's batch is `SELECT * FROM UNNEST((ARRAY['x', 'y'])::text[],
//! (ARRAY[1, 2])::int[])`: an array for each column, all as long, whose elements in one place are a row.

use crate::plan::sequences::{RowLayout, Words};
use crate::sql::TokenKind;

/// From a token to behind the last one.
type Tokens = (usize, usize);

/// Where its parts stand.
#[derive(Debug)]
pub(in crate::plan) struct Listed {
    /// SELECT
    pub(in crate::plan) select: usize,
    /// behind ORDER BY's column
    pub(in crate::plan) end: usize,
    /// for each column inserted: the place of its cell, and its cast, from `::` to behind the type
    pub(in crate::plan) casts: Vec<(usize, (usize, usize))>,
    /// its rows
    pub(in crate::plan) rows: Vec<RowLayout>,
}

/// The parts of such an INSERT behind its column list, which ends at `list`; `None` for any other form.
pub(in crate::plan) fn listed(words: Words<'_>, list: usize) -> Option<Listed> {
    counted(words, list).or_else(|| unnested(words, list))
}

/// Arrays of columns.
fn unnested(words: Words<'_>, list: usize) -> Option<Listed> {
    let select = list.checked_add(1).filter(|at| words.says(*at, "select"))?;
    let open = select.checked_add(4)?;
    let star = words.tokens.get(select.checked_add(1)?)?.span.of(words.text) == b"*";
    let named = words.says(select.checked_add(2)?, "from") && words.says(select.checked_add(3)?, "unnest");
    let close = words.close(open).filter(|_| star && named)?;
    let end = close.checked_add(1).filter(|end| words.ends(*end))?;
    let mut casts = Vec::new();
    let mut columns: Vec<Vec<Tokens>> = Vec::new();
    for (column, entry) in words.entries(open.checked_add(1)?, close).into_iter().enumerate() {
        let (elements, cast) = array(words, entry)?;
        columns.push(elements);
        casts.push((column, cast));
    }
    let count = columns.first()?.len();
    let rows: Vec<RowLayout> = (0..count)
        .map(|row| {
            let cells = columns.iter().map(|elements| elements.get(row).copied());
            let cells = cells.collect::<Option<Vec<_>>>()?;
            Some(RowLayout { close, cells })
        })
        .collect::<Option<_>>()?;
    let whole = columns.iter().all(|elements| elements.len() == count);
    let alike = (0..columns.len()).all(|column| is_alike(words, &rows, column));
    (whole && alike).then_some(Listed {
        select,
        end,
        casts,
        rows,
    })
}

/// The elements of `(ARRAY[…])::type[]`, of one dimension, and their cast.
fn array(words: Words<'_>, (open, behind): (usize, usize)) -> Option<(Vec<Tokens>, Tokens)> {
    let close = words.close(open)?;
    let bracket = open.checked_add(2).filter(|at| words.is(*at, b'['))?;
    let last = close.checked_sub(1).filter(|at| words.is(*at, b']'))?;
    let first = bracket.checked_add(1)?;
    let mut depth = 0usize;
    for at in first..last {
        match words.kind(at) {
            Some(TokenKind::Punctuation(b'[')) => depth = depth.saturating_add(1),
            Some(TokenKind::Punctuation(b']')) => depth = depth.checked_sub(1)?, // that array ends, and something follows
            _ => {}
        }
    }
    let cast = close
        .checked_add(1)
        .filter(|at| words.kind(*at) == Some(TokenKind::Cast))?;
    let type_end = behind.checked_sub(2)?;
    let typed = type_end > cast.checked_add(1)? && words.is(type_end, b'[') && words.is(type_end.checked_add(1)?, b']');
    let brackets = (cast..type_end).any(|at| words.is(at, b'['));
    let elements = words.entries(first, last);
    let plain = |(from, to): &(usize, usize)| from < to && !words.says(*from, "array") && !words.is(*from, b'[');
    let fits = words.says(open.checked_add(1)?, "array") && typed && !brackets && elements.iter().all(plain);
    fits.then_some((elements, (cast, type_end)))
}

/// A list whose last column counts.
fn counted(words: Words<'_>, list: usize) -> Option<Listed> {
    let select = list.checked_add(1).filter(|at| words.says(*at, "select"))?;
    let from = words.find(select, "from")?;
    let open = from.checked_add(1)?;
    let close = words.close(open)?;
    let values = open.checked_add(1).filter(|at| words.says(*at, "values"))?;
    let (rows, behind) = words.rows(values.checked_add(1)?)?;
    let names_open = close.checked_add(3)?;
    let named = behind == close && words.says(close.checked_add(1)?, "as");
    let names_close = words.close(names_open).filter(|_| named)?;
    let names = words.entries(names_open.checked_add(1)?, names_close);
    let names: Vec<Vec<u8>> = names.into_iter().map(|span| words.word(span)).collect::<Option<_>>()?;
    let (counter, columns) = names.split_last()?;
    let order = names_close.checked_add(1)?;
    let ordered = words.says(order, "order")
        && words.says(order.checked_add(1)?, "by")
        && words.word((order.checked_add(2)?, order.checked_add(3)?)).as_ref() == Some(counter);
    let end = order.checked_add(3).filter(|end| ordered && words.ends(*end))?;
    let mut casts = Vec::new();
    for item in words.entries(select.checked_add(1)?, from) {
        let name = words.word((item.0, item.0.checked_add(1)?))?;
        let column = columns.iter().position(|column| *column == name)?;
        let cast = (item.0.checked_add(1)?, item.1);
        let known = |at: usize| {
            words
                .word((at, at.saturating_add(1)))
                .is_some_and(|word| names.contains(&word))
        };
        let plain = words.kind(cast.0) == Some(TokenKind::Cast) && !(cast.0..cast.1).any(known);
        let used = casts.iter().any(|(before, _)| *before == column);
        casts.push(Some((column, cast)).filter(|_| plain && !used)?);
    }
    let whole = casts.len() == columns.len() && rows.iter().all(|row| row.cells.len() == names.len());
    let alike = (0..columns.len()).all(|column| is_alike(words, &rows, column));
    (whole && alike && counts(words, &rows)).then_some(Listed {
        select,
        end,
        casts,
        rows,
    })
}

/// Beside numbers a string in the same column would be read as a number first.
fn is_alike(words: Words<'_>, rows: &[RowLayout], column: usize) -> bool {
    let kinds = || {
        rows.iter()
            .filter_map(|row| row.cells.get(column))
            .map(|cell| words.kind(cell.0))
    };
    let string = |kind| {
        matches!(
            kind,
            Some(TokenKind::String | TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::DollarString)
        )
    };
    let open = |kind| string(kind) || matches!(kind, Some(TokenKind::Word | TokenKind::Parameter));
    !kinds().any(string) || kinds().all(open)
}

/// Does the last column count upwards?
fn counts(words: Words<'_>, rows: &[RowLayout]) -> bool {
    let numbers = rows.iter().map(|row| words.number(*row.cells.last()?));
    match numbers.collect::<Option<Vec<u32>>>() {
        Some(numbers) => numbers
            .iter()
            .zip(numbers.iter().skip(1))
            .all(|(before, next)| before < next),
        None => false,
    }
}
