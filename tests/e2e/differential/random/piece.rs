//! A statement as a tree of pieces, which knows how to become smaller.
//!
//! Why a tree and not text: what fails is reduced by leaving pieces out for as long as it still fails, and a piece is
//! whatever the grammar says may be left out, or has something plainer to stand for it.

/// Part of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// as it stands
    Text(String),
    /// one after the other
    All(Vec<Piece>),
    /// may be left out
    Maybe(Box<Piece>),
    /// the first; the others are plainer
    OneOf(Vec<Piece>),
    /// with something between them; at least so many stay
    List(&'static str, usize, Vec<Piece>),
    /// a constant of the first and of the second run, which share a shape
    Literal([String; 2]),
    /// a parameter of the two runs, and its declared type; `unknown`: none
    Parameter([Option<String>; 2], &'static str),
    /// what it says of the order of rows goes with it
    Order(Ordered, Box<Piece>),
    /// how many rows come depends on the order
    Limit(Box<Piece>),
}

/// What a statement says about its rows' order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    /// no two rows are equal under it
    Total,
    /// rows may be equal; these columns, from 0, are in order
    By(Vec<usize>),
}

/// A run's text and its parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) sql: String,
    pub(super) parameters: Vec<Option<String>>,
    pub(super) types: Vec<String>,
    pub(super) order: Option<Ordered>,
    pub(super) is_limited: bool,
}

/// As it stands.
pub(super) fn text(text: impl Into<String>) -> Piece {
    Piece::Text(text.into())
}

/// May be left out.
pub(super) fn maybe(piece: Piece) -> Piece {
    Piece::Maybe(Box::new(piece))
}

/// Nothing.
pub(super) fn nothing() -> Piece {
    Piece::All(Vec::new())
}

/// Text with pieces in place of `{}`.
pub(super) fn fill(format: &str, pieces: impl IntoIterator<Item = Piece>) -> Piece {
    let mut all = Vec::new();
    let mut texts = format.split("{}");
    all.push(text(texts.next().unwrap_or_default()));
    let mut pieces = pieces.into_iter();
    for after in texts {
        all.push(pieces.next().expect("as many pieces as {}"));
        all.push(text(after));
    }
    assert!(pieces.next().is_none(), "more pieces than {{}} in {format}");
    Piece::All(all)
}

/// The same, with its pieces as plainer stand-ins.
pub(super) fn over(format: &str, pieces: impl IntoIterator<Item = Piece>) -> Piece {
    let pieces: Vec<Piece> = pieces.into_iter().collect();
    let mut choices = vec![fill(format, pieces.clone())];
    choices.extend(pieces);
    Piece::OneOf(choices)
}

impl Piece {
    /// Its text in the first (0) or second (1) run.
    pub(super) fn written(&self, run: usize) -> Written {
        let mut written = Written::default();
        self.write(run, &mut written);
        written
    }

    fn write(&self, run: usize, to: &mut Written) {
        match self {
            Piece::Text(text) => to.sql.push_str(text),
            Piece::All(pieces) => pieces.iter().for_each(|piece| piece.write(run, to)),
            Piece::Maybe(piece) => piece.write(run, to),
            Piece::OneOf(choices) => choices[0].write(run, to),
            Piece::List(between, _, pieces) => {
                for (index, piece) in pieces.iter().enumerate() {
                    if index > 0 {
                        to.sql.push_str(between);
                    }
                    piece.write(run, to);
                }
            }
            Piece::Literal(texts) => to.sql.push_str(&texts[run]),
            Piece::Parameter(values, kind) => {
                to.parameters.push(values[run].clone());
                to.types.push((*kind).to_owned());
                to.sql.push_str(&format!("${}", to.parameters.len()));
            }
            Piece::Order(order, piece) => {
                to.order = Some(order.clone());
                piece.write(run, to);
            }
            Piece::Limit(piece) => {
                to.is_limited = true;
                piece.write(run, to);
            }
        }
    }

    /// The same with other text.
    pub(super) fn rewritten(self, rewrite: &dyn Fn(String) -> String) -> Piece {
        let all = |pieces: Vec<Piece>| pieces.into_iter().map(|piece| piece.rewritten(rewrite)).collect();
        let one = |piece: Box<Piece>| Box::new(piece.rewritten(rewrite));
        match self {
            Piece::Text(text) => Piece::Text(rewrite(text)),
            Piece::All(pieces) => Piece::All(all(pieces)),
            Piece::Maybe(piece) => Piece::Maybe(one(piece)),
            Piece::OneOf(pieces) => Piece::OneOf(all(pieces)),
            Piece::List(between, least, pieces) => Piece::List(between, least, all(pieces)),
            Piece::Order(order, piece) => Piece::Order(order, one(piece)),
            Piece::Limit(piece) => Piece::Limit(one(piece)),
            constant @ (Piece::Literal(_) | Piece::Parameter(..)) => constant,
        }
    }

    /// Everything that is one step smaller, the largest steps first.
    pub(super) fn smaller(&self) -> Vec<Piece> {
        let rebuilt = |pieces: &[Piece], make: &dyn Fn(Vec<Piece>) -> Piece| -> Vec<Piece> {
            let mut found = Vec::new();
            for (index, piece) in pieces.iter().enumerate() {
                for less in piece.smaller() {
                    let mut all = pieces.to_vec();
                    all[index] = less;
                    found.push(make(all));
                }
            }
            found
        };
        match self {
            Piece::Text(_) | Piece::Literal(_) => Vec::new(),
            Piece::All(pieces) => rebuilt(pieces, &Piece::All),
            Piece::Maybe(piece) => {
                let mut found = vec![nothing()];
                found.extend(piece.smaller().into_iter().map(maybe));
                found
            }
            Piece::OneOf(choices) => {
                let mut found = choices[1..].to_vec();
                for less in choices[0].smaller() {
                    let mut all = choices.clone();
                    all[0] = less;
                    found.push(Piece::OneOf(all));
                }
                found
            }
            Piece::List(between, least, pieces) => {
                let mut found = Vec::new();
                if pieces.len() > *least {
                    for index in 0..pieces.len() {
                        let mut all = pieces.clone();
                        all.remove(index);
                        found.push(Piece::List(between, *least, all));
                    }
                }
                found.extend(rebuilt(pieces, &|all| Piece::List(between, *least, all)));
                found
            }
            Piece::Parameter(values, kind) => {
                let quoted = |value: &Option<String>| match value {
                    Some(value) => format!("'{}'", value.replace('\'', "''")),
                    None => "NULL".to_owned(),
                };
                let cast = if *kind == "unknown" {
                    String::new()
                } else {
                    format!("::{kind}")
                };
                vec![Piece::Literal(values.each_ref().map(|value| quoted(value) + &cast))]
            }
            Piece::Order(order, piece) => {
                let wrap = |less| Piece::Order(order.clone(), Box::new(less));
                piece.smaller().into_iter().map(wrap).collect()
            }
            Piece::Limit(piece) => {
                let wrap = |less| Piece::Limit(Box::new(less));
                piece.smaller().into_iter().map(wrap).collect()
            }
        }
    }
}

#[test]
fn pieces_are_left_out_one_by_one() {
    let made = fill(
        "SELECT {}{}",
        [
            Piece::List(
                ", ",
                1,
                vec![
                    text("a"),
                    over(
                        "{} + {}",
                        [text("b"), Piece::Parameter([Some("1".into()), None], "int4")],
                    ),
                ],
            ),
            maybe(text(" WHERE c")),
        ],
    );
    let written = made.written(0);
    assert_eq!(
        (written.sql.as_str(), written.types.len()),
        ("SELECT a, b + $1 WHERE c", 1)
    );
    let smaller: Vec<String> = made.smaller().iter().map(|less| less.written(1).sql).collect();
    let expected = [
        "SELECT b + $1 WHERE c",
        "SELECT a WHERE c",
        "SELECT a, b WHERE c",
        "SELECT a, $1 WHERE c",
        "SELECT a, b + NULL::int4 WHERE c",
        "SELECT a, b + $1",
    ];
    assert_eq!(smaller, expected);
}
