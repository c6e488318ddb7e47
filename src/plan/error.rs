//! What goes wrong inside the planner itself.

/// A state of the planner that must not occur; the statement is answered with XX000 and nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An index of the resolved statement points nowhere.
    #[error("planner: {0} points outside the resolved statement")]
    Dangling(&'static str),
}
