//! How a bucket's load lies over its tokens or keys, by its heavy keys and a sample.
//!
//! Why both: a sample says where the many light keys are; a heavy key's share is known better than any sample tells it.
//! Holds: the parts of any cut add up to the whole; a cut lies inside the bucket.

use std::cmp::Ordering;

use crate::topology::{SplitAt, Token};
use crate::value::Key;

/// Load at points, in order.
#[derive(Clone, Debug)]
pub(super) struct Density {
    points: Vec<Point>,
    total: f64,
}

#[derive(Clone, Debug)]
struct Point {
    at: Position,
    key: Option<Key>,
    load: f64,
}

/// Where a key lies in its bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    Token(Token),
    Key(Key),
}

impl Position {
    fn compare(&self, other: &Position) -> Ordering {
        match (self, other) {
            (Position::Token(a), Position::Token(b)) => a.cmp(b),
            (Position::Key(a), Position::Key(b)) => a.compare(b).unwrap_or(Ordering::Equal),
            (Position::Token(_), Position::Key(_)) => Ordering::Less,
            (Position::Key(_), Position::Token(_)) => Ordering::Greater,
        }
    }
}

impl From<&SplitAt> for Position {
    fn from(at: &SplitAt) -> Position {
        match at {
            SplitAt::Token(token) => Position::Token(*token),
            SplitAt::Key(key) => Position::Key(key.clone()),
        }
    }
}

/// A key with its load: of the heavy ones in busy seconds per second, of sampled ones in any unit.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    pub(super) at: Position,
    pub(super) key: Key,
    pub(super) load: f64,
}

impl Density {
    /// Spreads `total` over heavy keys, which take what is known of them, and sampled ones, which share the rest.
    pub(super) fn new(total: f64, heavy: &[Weighed], sampled: &[Weighed]) -> Density {
        let known: f64 = heavy.iter().map(|key| key.load).sum();
        let is_heavy = |key: &Weighed| heavy.iter().any(|heavy| heavy.at == key.at && heavy.key == key.key);
        let light: Vec<&Weighed> = sampled.iter().filter(|key| !is_heavy(key)).collect();
        let sampled: f64 = light.iter().map(|key| key.load).sum();
        let rest = (total - known).max(0.0);
        // What is known of heavy keys spans minutes and may exceed what the bucket carries now.
        let heavy_scale = match (light.is_empty(), known > 0.0) {
            (true, true) => total / known,
            (false, true) => (total / known).min(1.0),
            (_, false) => 0.0,
        };
        let light_scale = if sampled > 0.0 { rest / sampled } else { 0.0 };
        let heavy = heavy.iter().map(|key| (key, heavy_scale));
        let light = light.into_iter().map(|key| (key, light_scale));
        let mut points: Vec<Point> = heavy
            .chain(light)
            .map(|(key, scale)| Point {
                at: key.at.clone(),
                key: Some(key.key.clone()),
                load: key.load * scale,
            })
            .collect();
        points.sort_by(|a, b| a.at.compare(&b.at).then(a.load.total_cmp(&b.load)));
        points.dedup_by(|next, kept| {
            let is_same = next.at == kept.at;
            if is_same {
                kept.load += next.load;
            }
            is_same
        });
        let total = points.iter().map(|point| point.load).sum();
        Density { points, total }
    }

    /// How many places it knows.
    pub(super) fn places(&self) -> usize {
        self.points.len()
    }

    /// The part of the load at `at` and behind it, 0 to 1.
    pub(super) fn above(&self, at: &Position) -> f64 {
        if self.total <= 0.0 {
            return 0.0;
        }
        let first = self
            .points
            .partition_point(|point| point.at.compare(at) == Ordering::Less);
        let above: f64 = self.points.iter().skip(first).map(|point| point.load).sum();
        above / self.total
    }

    /// The cut behind which about this part of the load lies, between two places; `None` if there is but one.
    pub(super) fn cut(&self, part_above: f64) -> Option<SplitAt> {
        let wanted = part_above * self.total;
        let mut above = self.total;
        let mut best: Option<(f64, usize)> = None;
        for (index, point) in self.points.iter().enumerate() {
            // Before the first place nothing is to be cut.
            if index > 0 {
                let off = (above - wanted).abs();
                if best.is_none_or(|(least, _)| off < least) {
                    best = Some((off, index));
                }
            }
            above -= point.load;
        }
        let (_, index) = best?;
        let (before, behind) = (self.points.get(index.checked_sub(1)?)?, self.points.get(index)?);
        match (&before.at, &behind.at) {
            (Position::Token(low), Position::Token(high)) => {
                // Half-way, so that keys which weren't sampled fall to either side alike; above `low` in any case.
                let middle = (i128::from(low.0) + i128::from(high.0) + 1).div_euclid(2);
                i64::try_from(middle).ok().map(|token| SplitAt::Token(Token(token)))
            }
            (_, Position::Key(key)) => Some(SplitAt::Key(key.clone())),
            (Position::Key(_), Position::Token(_)) => None,
        }
    }

    /// The least and the greatest key that it knows.
    pub(super) fn key_ends(&self) -> Option<(&Key, &Key)> {
        Some((self.points.first()?.key.as_ref()?, self.points.last()?.key.as_ref()?))
    }
}

/// A key as a number in proportion to its distance from others of its type; `None` where distance means nothing.
pub(super) fn distance(key: &Key) -> Option<f64> {
    match key {
        Key::Int(value) | Key::Timestamp(value) | Key::Timestamptz(value)
            if *value != i64::MIN && *value != i64::MAX =>
        {
            Some(float(*value))
        }
        Key::Date(days) if *days != i32::MIN && *days != i32::MAX => Some(f64::from(*days)),
        Key::Numeric(numeric) => numeric.to_string().parse().ok().filter(|value: &f64| value.is_finite()),
        Key::Int(_)
        | Key::Timestamp(_)
        | Key::Timestamptz(_)
        | Key::Date(_)
        | Key::Text(_)
        | Key::Bpchar(_)
        | Key::Uuid(_) => None,
    }
}

/// To the nearest number that an f64 can hold.
#[expect(clippy::cast_precision_loss, reason = "an estimate's last digits mean nothing")]
pub(super) fn float(value: i64) -> f64 {
    value as f64
}
