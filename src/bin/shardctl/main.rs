//! The command line of a DBA: a client of the admin database.
fn main() {}
