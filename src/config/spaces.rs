//! (spaces)
