//! (names)
