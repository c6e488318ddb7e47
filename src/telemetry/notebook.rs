//! What has happened, written down first and counted some dozen at a time.
//!
//! Why: what one event moves lies in a dozen cache lines, which between two statements of a busy proxy are cold; a line of
//! the notebook is warm, and when a page is full the events of all its lines find each other's cells warm too.
//! Holds: each thread keeps to one page, as with stripes; nothing is allocated once a page was full; whoever reads what is
//! counted settles first, so nothing that has happened is missed.

use std::sync::{Mutex, PoisonError};

use super::series::own_stripe;

/// So many threads write without meeting.
const PAGES: usize = 4;

/// Lines of a page.
const LINES: usize = 32;

/// Events that aren't counted yet.
#[derive(Debug)]
pub(crate) struct Notebook<T> {
    /// each guards nothing else
    pages: [Mutex<Vec<T>>; PAGES],
}

// === impl Notebook ===

impl<T> Notebook<T> {
    pub(crate) fn new() -> Notebook<T> {
        Notebook {
            pages: std::array::from_fn(|_| Mutex::new(Vec::with_capacity(LINES))),
        }
    }

    /// Writes an event down; counts the page if that fills it.
    #[inline]
    pub(crate) fn write(&self, event: T, count: impl Fn(T)) {
        let Some(page) = self.pages.get(own_stripe() % PAGES) else {
            return;
        };
        let mut page = page.lock().unwrap_or_else(PoisonError::into_inner);
        page.push(event);
        if page.len() >= LINES {
            page.drain(..).for_each(count);
        }
    }

    /// Counts all that was written down.
    pub(crate) fn settle(&self, count: impl Fn(T)) {
        for page in &self.pages {
            let mut page = page.lock().unwrap_or_else(PoisonError::into_inner);
            page.drain(..).for_each(&count);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn every_event_is_counted_once_and_no_page_grows() {
        let notebook = Notebook::new();
        let (sum, calls) = (Cell::new(0), Cell::new(0));
        let count = |event: usize| {
            sum.set(sum.get() + event);
            calls.set(calls.get() + 1);
        };
        let events = LINES * 3 + 5;
        for event in 1..=events {
            notebook.write(event, count);
        }
        assert_eq!(calls.get(), LINES * 3, "what fills no page waits");
        notebook.settle(count);
        notebook.settle(count);
        assert_eq!((calls.get(), sum.get()), (events, events * (events + 1) / 2));
        let grown = |page: &Mutex<Vec<usize>>| page.lock().unwrap().capacity() > LINES;
        assert!(!notebook.pages.iter().any(grown));
    }
}
