//! (scalars)
