//! The texts that a session has parsed last, with what reading them gave.
//!
//! Why: an application sends few texts many times, each time by an unnamed Parse; what they are and where they go needs
//! working out once. Holds: an entry is found by its very bytes, lexing and declared types; a route in it is used only
//! while its picture and settings are the session's (`Session::kept_route`).

use std::sync::Arc;

use crate::session::state::Route;
use crate::sql::{Command, Lexing, ScanError, Shape, shape};
use crate::value::Oid;

/// Texts that are remembered; a batch of an ORM repeats about as many.
const KEPT_MAX: usize = 4;

/// A longer text isn't kept: what it costs to read it again is small beside running it.
const TEXT_BYTES_MAX: usize = 2 * 1024;

/// One text.
#[derive(Debug)]
pub(super) struct Recent {
    /// it
    pub(super) text: Arc<[u8]>,
    /// how it was lexed
    lexing: Lexing,
    /// types declared with it
    pub(super) declared: Vec<Oid>,
    /// what it is: a query or a write, nothing that the session carries out itself
    pub(super) command: Command,
    /// where it goes, once that was worked out
    pub(super) route: Option<Route>,
}

/// The last texts, the latest first.
#[derive(Debug, Default)]
pub(super) struct RecentTexts(Vec<Recent>);

impl RecentTexts {
    /// A text that was parsed before in the same way; it becomes the latest.
    pub(super) fn find(
        &mut self,
        text: &[u8],
        lexing: Lexing,
        declared: impl Iterator<Item = Oid> + Clone,
    ) -> Option<&Recent> {
        let is_it = |recent: &Recent| {
            *recent.text == *text && recent.lexing == lexing && recent.declared.iter().copied().eq(declared.clone())
        };
        let at = self.0.iter().position(is_it)?;
        if at > 0 {
            self.0.swap(0, at);
        }
        self.latest()
    }

    /// The one that was found or kept last.
    pub(super) fn latest(&self) -> Option<&Recent> {
        self.0.first()
    }

    /// Remembers a text.
    pub(super) fn keep(&mut self, text: &Arc<[u8]>, lexing: Lexing, declared: &[Oid], command: &Command) {
        if text.len() > TEXT_BYTES_MAX {
            return;
        }
        self.0.truncate(KEPT_MAX.saturating_sub(1));
        self.0.insert(
            0,
            Recent {
                text: Arc::clone(text),
                lexing,
                declared: declared.to_vec(),
                command: command.clone(),
                route: None,
            },
        );
    }

    /// Its route has been worked out.
    pub(super) fn note_route(&mut self, text: &Arc<[u8]>, route: &Route) {
        if let Some(recent) = self.0.iter_mut().find(|recent| Arc::ptr_eq(&recent.text, text)) {
            recent.route = Some(route.clone());
        }
    }
}

/// A statement's shape, and where statements of it go.
#[derive(Debug, Default)]
pub(super) struct Shaped {
    /// of the text read last
    pub(super) shape: Shape,
    /// its route, once that was worked out
    pub(super) route: Option<Route>,
}

/// The last shapes of Query messages.
#[derive(Debug, Default)]
pub(super) struct RecentShapes {
    first: Shaped,
    /// the others, the latest first
    others: Vec<Shaped>,
}

impl RecentShapes {
    /// Reads a text: cheaply if one of the last differs from it in lifted values alone. Its shape comes first.
    pub(super) fn read(&mut self, text: &[u8], lexing: Lexing) -> Result<&Shape, ScanError> {
        if self.known(text, lexing).is_none() {
            let spare = match self.others.len() < KEPT_MAX.saturating_sub(1) {
                true => None,
                false => self.others.pop(),
            };
            let before = std::mem::replace(&mut self.first, spare.unwrap_or_default());
            self.others.insert(0, before);
            self.first.route = None;
            shape(text, lexing, &mut self.first.shape)?;
        }
        Ok(&self.first.shape)
    }

    /// A text that differs from one of the last in lifted values alone. Its shape comes first.
    pub(super) fn known(&mut self, text: &[u8], lexing: Lexing) -> Option<&Shaped> {
        if !self.first.shape.read_again(text, lexing) {
            let at = self
                .others
                .iter_mut()
                .position(|kept| kept.shape.read_again(text, lexing));
            std::mem::swap(&mut self.first, self.others.get_mut(at?)?);
        }
        Some(&self.first)
    }

    /// The shape read last.
    pub(super) fn latest(&self) -> &Shaped {
        &self.first
    }

    /// The shape read last, to be put back after use.
    pub(super) fn take(&mut self) -> Shaped {
        std::mem::take(&mut self.first)
    }

    /// Puts it back.
    pub(super) fn put_back(&mut self, shaped: Shaped) {
        self.first = shaped;
    }
}
