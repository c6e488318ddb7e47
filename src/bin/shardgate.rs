//! The proxy: wires rooms together, nothing else.
fn main() {}
