//! One evaluation of prunings: the values of a request, what had to be asked, and a trace for EXPLAIN (ROUTE).

use std::ops::Range;

use crate::plan::keys::pruning::ArrayConstant;
use crate::plan::keys::{Constant, Outcome, Value, Values, constant};
use crate::plan::{Ask, Category, Purpose, RowShares, Touched, TouchedBucket};
use crate::topology::{Bound, KeyspaceId, Place, Placed, ShardSet, Strategy, Topology};
use crate::value::{Format, Key, KeyType, Oid};

/// State of one evaluation.
#[derive(Debug)]
pub(in crate::plan) struct Evaluation<'v> {
    topology: &'v Topology,
    values: Values<'v>,
    purpose: Purpose,
    asks: Asks,
    trace: Trace,
    touched: Touched,
    /// ranges that the ends of the conjunction under way leave, by place in order of keys
    span: Option<Range<usize>>,
}

/// What had to be asked.
#[derive(Debug, Default)]
pub(in crate::plan) struct Asks {
    categories: Vec<(KeyspaceId, String, Purpose)>,
    constants: Vec<String>,
}

/// Reasons for people, if wanted.
#[derive(Debug)]
enum Trace {
    Off,
    On(Vec<String>),
}

/// Why a written key has no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Unplaced {
    /// an ask is under way
    Asked,
    /// can't be told
    Unclear,
    /// its category isn't known
    Category(String),
    /// it lies beyond the last range
    BeyondRanges(String),
}

// === impl Evaluation ===

impl<'v> Evaluation<'v> {
    /// An evaluation for reading, or for writing (a category must then be fixed).
    pub(in crate::plan) fn new(topology: &'v Topology, values: Values<'v>) -> Evaluation<'v> {
        Evaluation {
            topology,
            values,
            purpose: Purpose::Read,
            asks: Asks::default(),
            trace: Trace::Off,
            touched: Touched::Nothing,
            span: None,
        }
    }

    /// With reasons for people.
    pub(in crate::plan) fn traced(mut self) -> Evaluation<'v> {
        self.trace = Trace::On(Vec::new());
        self
    }

    /// What the rows are wanted for from now on.
    pub(in crate::plan) fn set_purpose(&mut self, purpose: Purpose) {
        self.purpose = purpose;
    }

    /// What had to be asked, the reasons, and whose load it is.
    pub(in crate::plan) fn finish(self) -> (Asks, Vec<String>, Touched) {
        let reasons = match self.trace {
            Trace::Off => Vec::new(),
            Trace::On(reasons) => reasons,
        };
        (self.asks, reasons, self.touched)
    }

    /// Any bucket may be touched.
    pub(in crate::plan) fn touch_any(&mut self) {
        self.touched = Touched::Several;
    }

    /// A key of this place is touched.
    pub(in crate::plan) fn touch(&mut self, keyspace: KeyspaceId, place: Place, key: Key) {
        let one = Touched::One(TouchedBucket {
            keyspace,
            bucket: place.bucket,
            key: Some(key),
        });
        self.touched = match std::mem::replace(&mut self.touched, Touched::Nothing) {
            Touched::Nothing => one,
            before => before.and(one),
        };
    }

    /// Rows of a write at these places, with these keys.
    pub(in crate::plan) fn touch_rows(&mut self, keyspace: KeyspaceId, places: &[Place], keys: &[Key]) {
        let Some(first) = places.first() else { return };
        let touched = match places.iter().all(|place| place == first) {
            true => Touched::One(TouchedBucket {
                keyspace,
                bucket: first.bucket,
                key: keys
                    .first()
                    .filter(|first| keys.iter().all(|key| key == *first))
                    .cloned(),
            }),
            false => Touched::Rows(Box::new(RowShares::of(keyspace, places, |row| keys.get(row).cloned()))),
        };
        self.touched = self.take_touched().and(touched);
    }

    /// What is touched from here on is collected apart; answers what was before.
    pub(in crate::plan) fn take_touched(&mut self) -> Touched {
        std::mem::replace(&mut self.touched, Touched::Nothing)
    }

    /// This is touched.
    pub(in crate::plan) fn set_touched(&mut self, touched: Touched) {
        self.touched = touched;
    }

    /// All shards of a keyspace.
    pub(in crate::plan) fn all(&self, keyspace: KeyspaceId) -> ShardSet {
        self.topology
            .keyspace(keyspace)
            .map_or(self.topology.all_shards(), |keyspace| keyspace.shards())
    }

    /// The key that a constant is when it is compared with a column of this type; `None` is NULL.
    pub(in crate::plan) fn compared(&self, column: KeyType, constant: &Constant) -> Result<Option<Key>, Outcome> {
        match constant.evaluate(&self.values)? {
            Value::Null => Ok(None),
            Value::Unknown(text) => constant::read(column, &text, self.values.facts).map(Some),
            Value::Key(key) if key.fits(column) => Ok(Some(key)),
            Value::Key(key @ Key::Int(_)) if column == KeyType::Numeric => {
                key.assign(KeyType::Numeric, -1).map(Some).map_err(|_| Outcome::Unclear)
            }
            Value::Key(_) => Err(Outcome::Unclear),
        }
    }

    /// The key that a constant becomes in a column of this type; `None` is NULL.
    pub(in crate::plan) fn written(
        &self,
        column: KeyType,
        typmod: i32,
        constant: &Constant,
    ) -> Result<Option<Key>, Outcome> {
        let key = match constant.evaluate(&self.values)? {
            Value::Null => return Ok(None),
            Value::Unknown(text) => constant::read(column, &text, self.values.facts)?,
            Value::Key(key) => key,
        };
        match key.assign(column, typmod) {
            Ok(key) => Ok(Some(key)),
            Err(crate::value::KeyError::Ambiguous { .. }) => Err(Outcome::Unclear),
            Err(
                crate::value::KeyError::Invalid { .. }
                | crate::value::KeyError::OutOfRange { .. }
                | crate::value::KeyError::TooLong { .. },
            ) => Err(Outcome::Rejected),
        }
    }

    /// The elements of an array; none for NULL.
    pub(in crate::plan) fn array(&self, column: KeyType, array: &ArrayConstant) -> Result<Vec<Option<Key>>, Outcome> {
        let parsed = match array {
            ArrayConstant::String(constant) => match constant.evaluate(&self.values)? {
                Value::Null => return Ok(Vec::new()),
                Value::Unknown(text) => Key::parse_array(Oid::UNKNOWN, Format::Text, &text, column),
                Value::Key(_) => return Err(Outcome::Unclear),
            },
            ArrayConstant::Parameter { number, type_oid } => match constant::parameter_bytes(*number, &self.values)? {
                (_, None) => return Ok(Vec::new()),
                (format, Some(bytes)) => {
                    let is_text = matches!(column, KeyType::Text | KeyType::Varchar | KeyType::Bpchar);
                    if is_text && !self.values.speaks_server_encoding() && !bytes.is_ascii() {
                        return Err(Outcome::Unclear);
                    }
                    Key::parse_array(*type_oid, format, bytes, column)
                }
            },
        };
        parsed.map_err(|_| Outcome::Unclear)
    }

    /// Shards that may hold rows with this key.
    pub(in crate::plan) fn place(&mut self, keyspace: KeyspaceId, key: Key) -> ShardSet {
        match self.locate(keyspace, &key) {
            Ok(place) => {
                self.touch(keyspace, place, key);
                ShardSet::only(place.shard)
            }
            // No row can have such a key.
            Err(Unplaced::BeyondRanges(_)) => ShardSet::EMPTY,
            Err(Unplaced::Asked | Unplaced::Unclear | Unplaced::Category(_)) => {
                self.touch_any();
                self.all(keyspace)
            }
        }
    }

    /// The one place of this key.
    pub(in crate::plan) fn locate(&mut self, id: KeyspaceId, key: &Key) -> Result<Place, Unplaced> {
        let keyspace = self.topology.keyspace(id).ok_or(Unplaced::Unclear)?;
        let mut placed = keyspace.place(key);
        let mut category = None;
        if placed == Placed::CategoryNeeded {
            let symbol = key.to_text();
            let known = self.values.facts.categories.get(&(id, symbol.clone()));
            let name = match (known, self.purpose) {
                (Some(Category::Fixed(name)), _) | (Some(Category::Derived(name)), Purpose::Read) => name,
                (Some(Category::Unknown), _) => return Err(Unplaced::Category(symbol)),
                (None, _) | (Some(Category::Derived(_)), Purpose::Write) => {
                    self.asks.categories.push((id, symbol, self.purpose));
                    return Err(Unplaced::Asked);
                }
            };
            placed = keyspace.place_in_category(key, name);
            category = Some(name);
        }
        match placed {
            Placed::At(place) => {
                if let Trace::On(reasons) = &mut self.trace {
                    let via = category.map_or(String::new(), |category| format!(" category {category}"));
                    reasons.push(format!(
                        "{}({key}) →{via} bucket {}",
                        keyspace.name(),
                        place.bucket.index()
                    ));
                }
                Ok(place)
            }
            Placed::CategoryNeeded | Placed::Mistyped => Err(Unplaced::Unclear),
            Placed::CategoryUnknown => Err(Unplaced::Category(key.to_text())),
            Placed::BeyondRanges => Err(Unplaced::BeyondRanges(key.to_text())),
        }
    }

    /// Shards that may hold keys between two ends.
    pub(in crate::plan) fn between(&mut self, id: KeyspaceId, lower: Bound<'_>, upper: Bound<'_>) -> ShardSet {
        let Some(keyspace) = self.topology.keyspace(id) else {
            self.touch_any();
            return self.topology.all_shards();
        };
        let span = keyspace.ranges_between(lower, upper);
        let touched = self.of_span(id, span.as_ref());
        self.touched = self.take_touched().and(touched);
        self.join_span(span);
        if let (Strategy::Range(_), Trace::On(reasons)) = (keyspace.strategy(), &mut self.trace) {
            reasons.push(format!("{} {}", keyspace.name(), interval(lower, upper)));
        }
        keyspace.shards_between(lower, upper)
    }

    /// What is left by ends from here on is collected apart; answers what was before.
    pub(in crate::plan) fn take_span(&mut self) -> Option<Range<usize>> {
        self.span.take()
    }

    /// Keys lie within this, too.
    pub(in crate::plan) fn join_span(&mut self, other: Option<Range<usize>>) {
        self.span = match (self.span.take(), other) {
            (Some(one), Some(other)) => Some(one.start.max(other.start)..one.end.min(other.end)),
            (one, other) => one.or(other),
        };
    }

    /// What the ends of the conjunction under way leave, together: each alone says little.
    pub(in crate::plan) fn spanned(&self, keyspace: KeyspaceId) -> Touched {
        self.of_span(keyspace, self.span.as_ref())
    }

    fn of_span(&self, id: KeyspaceId, span: Option<&Range<usize>>) -> Touched {
        let only = span.filter(|span| span.len() == 1).map(|span| span.start);
        let keyspace = self.topology.keyspace(id);
        match only.and_then(|place| keyspace?.bucket_of_range(place)) {
            Some(bucket) => Touched::One(TouchedBucket {
                keyspace: id,
                bucket,
                key: None,
            }),
            None => Touched::Several,
        }
    }

    /// Notes a constant that only a server can evaluate.
    pub(in crate::plan) fn ask_constant(&mut self, expression: String) {
        self.asks.constants.push(expression);
    }
}

fn interval(lower: Bound<'_>, upper: Bound<'_>) -> String {
    let lower = match lower {
        Bound::Open => "(…".to_string(),
        Bound::Inclusive(key) => format!("[{key}"),
        Bound::Exclusive(key) => format!("({key}"),
    };
    match upper {
        Bound::Open => format!("{lower}, …)"),
        Bound::Inclusive(key) => format!("{lower}, {key}]"),
        Bound::Exclusive(key) => format!("{lower}, {key})"),
    }
}

// === impl Asks ===

impl Asks {
    /// The next question, if there is one: constants first, then the categories of one keyspace.
    pub(in crate::plan) fn into_ask(mut self) -> Option<Ask> {
        if !self.constants.is_empty() {
            self.constants.sort();
            self.constants.dedup();
            return Some(Ask::Constants(self.constants));
        }
        let keyspace = self.categories.first().map(|(keyspace, _, _)| *keyspace)?;
        let of_it = || self.categories.iter().filter(|(of, _, _)| *of == keyspace);
        let purpose = match of_it().any(|(_, _, purpose)| *purpose == Purpose::Write) {
            true => Purpose::Write,
            false => Purpose::Read,
        };
        let mut keys: Vec<String> = of_it().map(|(_, key, _)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        Some(Ask::Categories {
            keyspace,
            keys,
            purpose,
        })
    }
}

impl Values<'_> {
    /// Is the client's encoding the server's (UTF8)?
    fn speaks_server_encoding(&self) -> bool {
        match self.lexing.encoding {
            crate::sql::Encoding::Utf8 => true,
            crate::sql::Encoding::HighBit | crate::sql::Encoding::Unsafe => false,
        }
    }
}
