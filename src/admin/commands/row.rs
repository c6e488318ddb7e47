//! Values in their text form, as a row holds them.

use std::time::Duration;

use crate::topology::{ShardId, Topology};

/// A text.
pub(super) fn text(value: impl Into<String>) -> Option<String> {
    Some(value.into())
}

/// A text, NULL where it is empty.
pub(super) fn text_or_null(value: impl Into<String>) -> Option<String> {
    Some(value.into()).filter(|value| !value.is_empty())
}

/// A number.
pub(super) fn number(value: impl TryInto<u64>) -> Option<String> {
    value.try_into().ok().map(|value: u64| value.to_string())
}

/// Whole seconds.
pub(super) fn whole_seconds(value: Duration) -> Option<String> {
    Some(value.as_secs().to_string())
}

/// Seconds, to the microsecond, without trailing zeros.
pub(super) fn seconds(value: Duration) -> Option<String> {
    let text = format!("{}.{:06}", value.as_secs(), value.subsec_micros());
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// A number with at most so many digits behind the point, without trailing zeros.
pub(super) fn decimal(value: f64, digits: usize) -> Option<String> {
    let text = format!("{value:.digits$}");
    let trimmed = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    value.is_finite().then(|| trimmed.to_owned())
}

/// A boolean's text forms.
pub(super) const TRUE: &str = "t";
/// See [`TRUE`].
pub(super) const FALSE: &str = "f";

/// Names of shards, in their order.
pub(super) fn shards(topology: &Topology, shards: impl IntoIterator<Item = ShardId>) -> String {
    let names: Vec<&str> = shards.into_iter().map(|shard| topology.shard_name(shard)).collect();
    names.join(", ")
}
