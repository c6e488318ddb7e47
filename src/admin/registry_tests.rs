//! The registry as sessions and operators use it.
