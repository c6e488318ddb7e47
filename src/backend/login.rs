//! As whom to log in to a shard.

use std::fmt;
use std::sync::Arc;

use crate::wire::ScramKeys;

/// A role and what proves it, with the settings that only a startup packet can make.
///
/// Backends are pooled by user and startup settings; the secret is not part of that: the proxy has authenticated the
/// client itself.
#[derive(Clone, Debug)]
pub struct Login {
    /// the role
    pub user: Arc<str>,
    /// what proves it
    pub secret: Secret,
    /// settings sent in the startup packet, in a fixed order
    pub startup: Arc<[(String, String)]>,
}

impl Login {
    /// A login without startup settings.
    pub fn new(user: impl Into<Arc<str>>, secret: Secret) -> Login {
        Login {
            user: user.into(),
            secret,
            startup: Arc::from([]),
        }
    }

    /// The same with settings for the startup packet.
    #[must_use]
    pub fn with_startup(self, startup: impl Into<Arc<[(String, String)]>>) -> Login {
        Login {
            startup: startup.into(),
            ..self
        }
    }

    /// Whether a backend of one may serve the other.
    pub fn is_same_key(&self, other: &Login) -> bool {
        let same = std::ptr::eq(self, other); // by far the most often
        same || self.user == other.user && (Arc::ptr_eq(&self.startup, &other.startup) || self.startup == other.startup)
    }
}

/// What proves a role. `Debug` hides it.
#[derive(Clone)]
pub enum Secret {
    /// nothing: for servers that trust this host
    None,
    /// the password
    Password(Arc<str>),
    /// keys that the client's own login revealed; they fit a server that holds the same verifier
    ScramKeys(ScramKeys),
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Secret::None => "None",
            Secret::Password(_) => "Password(hidden)",
            Secret::ScramKeys(_) => "ScramKeys(hidden)",
        })
    }
}
