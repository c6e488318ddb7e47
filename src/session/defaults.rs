//! RESET where the client's start-up packet gave a value: that is the default, and a pooled backend doesn't know it.
//!
//! Holds: RESET, RESET ALL and SET TO DEFAULT leave a backend with the values that the session believes it has
//! (`sessions.md` 16); the client gets the tag of what it wrote.

use crate::session::state::Session;
use crate::sql::{Command, Reset, Scope, SetValue, quote_literal};

impl Session {
    /// The statement to send instead of a RESET of settings that have start-up values; `None`: as it is written.
    pub(super) fn reset_to_startup(&self, command: &Command) -> Option<Vec<u8>> {
        let (first, scope, values): (String, &str, Vec<(String, String)>) = match command {
            Command::Reset(Reset::Name(name)) => {
                let value = self.startup_value(name)?;
                (String::new(), "false", vec![(name.clone(), value)])
            }
            Command::Reset(Reset::All) => {
                let all = self.current().discard_all();
                let values = all.effective().filter(|(name, _)| !is_identity(name));
                let values: Vec<_> = values.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
                if values.is_empty() {
                    return None;
                }
                ("RESET ALL;".to_owned(), "false", values)
            }
            Command::Set(set) if set.value == SetValue::Default => {
                let value = self.startup_value(&set.name)?;
                let scope = match set.scope {
                    Scope::Local => "true",
                    Scope::Session => "false",
                };
                (String::new(), scope, vec![(set.name.clone(), value)])
            }
            _ => return None,
        };
        let mut body = format!("BEGIN {first}");
        for (name, value) in values {
            body.push_str(&format!(
                "PERFORM pg_catalog.set_config({},{},{scope});",
                quote_literal(&name),
                quote_literal(&value)
            ));
        }
        body.push_str("END");
        // One statement, so that an error in it undoes all of it, and one tag comes back.
        Some(format!("DO {}", quote_literal(&body)).into_bytes())
    }

    fn startup_value(&self, name: &str) -> Option<String> {
        self.current().discard_all().get(name).map(str::to_owned)
    }
}

/// Those that RESET ALL leaves alone.
fn is_identity(name: &str) -> bool {
    name == "role" || name == "session_authorization"
}

/// The tag of what the client wrote, where something else was sent for it.
pub(super) fn own_tag(command: &Command, tag: &[u8]) -> Option<&'static [u8]> {
    match (command, tag) {
        (Command::Reset(_), b"DO") => Some(b"RESET"),
        (Command::Set(_), b"DO") => Some(b"SET"),
        _ => None,
    }
}
