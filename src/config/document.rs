//! The reference.
/// `docs/configuration.md`, printed from the table of keys.
pub fn reference() -> String {
    String::new()
}
