//! Reads over several shards: which are exact, what each shard is asked, how the answers become one.

mod spec;

pub use spec::{
    Combine, Comparison, Constant, Direction, Fold, GroupOrder, Grouping, Key, KeyOrder, MergeForm, MergeSpec, Method,
    Nulls, Output, Predicate, Repeats, Scalar,
};
