//! (door to come)
