//! Where a line ends: `CopyReadLineText`.
//!
//! Holds: the first line decides how lines end, and one that ends otherwise is what Postgres calls broken; in quotes
//! nothing ends a line.

use super::rows::AtEnd;

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newline {
    /// no line has ended yet
    Unknown,
    Lf,
    Cr,
    CrLf,
}

/// Quoting; text has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quoting {
    /// text: a backslash takes the next byte with it
    Backslash,
    /// csv
    Quotes { quote: u8, escape: u8 },
}

/// A line under way: where it has been looked at, and what was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    at: usize,
    within: Within,
    /// newlines in quotes, of both kinds
    pub(super) feeds: u64,
    pub(super) returns: u64,
}

/// Where in csv's quoting a byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    /// outside quotes
    #[default]
    Line,
    /// inside
    Quotes,
    /// inside, behind an escape
    Escape,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// more bytes are needed
    More,
    /// a line, and how many bytes it has with its newline
    Line { content: usize, whole: usize },
    /// the line of so many bytes before an end marker
    Marker(usize),
    /// Postgres refuses the bytes up to here
    Broken(usize),
}

/// What follows a backslash.
enum Behind {
    More,
    /// the backslash is data, as are the bytes before this one
    Data(usize),
    Found(Found),
}

/// The end of the line at the start of `input`, which is not empty.
pub(super) fn line(
    input: &[u8],
    end: AtEnd,
    quoting: Quoting,
    newline: &mut Newline,
    progress: &mut Progress,
) -> Found {
    loop {
        let Some(at) = next_special(input, quoting, progress) else {
            progress.at = input.len();
            return match end {
                AtEnd::No => Found::More,
                AtEnd::Yes => rest_of(input),
            };
        };
        progress.at = at;
        match input.get(at) {
            Some(b'\n') => {
                let whole = at.saturating_add(1);
                return match newline {
                    Newline::Cr | Newline::CrLf => Found::Broken(whole),
                    Newline::Unknown | Newline::Lf => {
                        *newline = Newline::Lf;
                        Found::Line { content: at, whole }
                    }
                };
            }
            Some(b'\r') => return carriage_return(input, at, end, newline),
            // The only other byte that is looked for: a backslash.
            Some(_) => match backslash(input, at, end, quoting, *newline) {
                Behind::More => return Found::More,
                Behind::Data(next) => progress.at = next,
                Behind::Found(found) => return found,
            },
            None => return Found::More,
        }
    }
}

/// A last line without a newline.
fn rest_of(input: &[u8]) -> Found {
    Found::Line {
        content: input.len(),
        whole: input.len(),
    }
}

fn carriage_return(input: &[u8], at: usize, end: AtEnd, newline: &mut Newline) -> Found {
    let whole = at.saturating_add(1);
    match newline {
        Newline::Lf => Found::Broken(whole),
        Newline::Cr => Found::Line { content: at, whole },
        Newline::Unknown | Newline::CrLf => match (input.get(whole), end) {
            (None, AtEnd::No) => Found::More,
            (Some(b'\n'), _) => {
                *newline = Newline::CrLf;
                Found::Line {
                    content: at,
                    whole: whole.saturating_add(1),
                }
            }
            (Some(_), _) | (None, AtEnd::Yes) if *newline == Newline::CrLf => {
                Found::Broken(input.len().min(whole.saturating_add(1)))
            }
            (Some(_), _) | (None, AtEnd::Yes) => {
                *newline = Newline::Cr;
                Found::Line { content: at, whole }
            }
        },
    }
}

/// A backslash at `at`: an end marker, or data.
fn backslash(input: &[u8], at: usize, end: AtEnd, quoting: Quoting, newline: Newline) -> Behind {
    let behind = at.saturating_add(1);
    match (input.get(behind), end) {
        (None, AtEnd::No) => return Behind::More,
        (None, AtEnd::Yes) => return Behind::Found(rest_of(input)),
        (Some(_), _) => {}
    }
    let data = match quoting {
        Quoting::Backslash => behind.saturating_add(1),
        Quoting::Quotes { .. } => behind,
    };
    if input.get(behind) != Some(&b'.') {
        return Behind::Data(data);
    }
    // In csv a line of nothing else is the marker; anything more makes it data. In text it is the marker anywhere.
    let corrupt = |upto: usize| match quoting {
        Quoting::Backslash => Behind::Found(Found::Broken(input.len().min(upto))),
        Quoting::Quotes { .. } => Behind::Data(data),
    };
    let mut next = behind.saturating_add(1);
    if newline == Newline::CrLf {
        match (input.get(next), end) {
            (None, AtEnd::No) => return Behind::More,
            (Some(b'\r'), _) => next = next.saturating_add(1),
            (Some(_), _) | (None, AtEnd::Yes) => return corrupt(next.saturating_add(1)),
        }
    }
    let upto = next.saturating_add(1);
    match (input.get(next), end) {
        (None, AtEnd::No) => Behind::More,
        (Some(byte @ (b'\n' | b'\r')), _) => {
            let fits = match newline {
                Newline::Unknown => true,
                Newline::Lf | Newline::CrLf => *byte == b'\n',
                Newline::Cr => *byte == b'\r',
            };
            Behind::Found(match fits {
                true => Found::Marker(at),
                false => Found::Broken(upto),
            })
        }
        (Some(_), _) | (None, AtEnd::Yes) => corrupt(upto),
    }
}

/// The next byte from `progress.at` on that may end the line or begin a marker; counts newlines in quotes on the way.
fn next_special(input: &[u8], quoting: Quoting, progress: &mut Progress) -> Option<usize> {
    let from = progress.at;
    match quoting {
        Quoting::Backslash => {
            let rest = input.get(from..)?;
            memchr::memchr3(b'\n', b'\r', b'\\', rest).map(|found| from.saturating_add(found))
        }
        Quoting::Quotes { quote, escape } => {
            if from == 0 && input.first() == Some(&b'\\') && progress.within == Within::Line {
                return Some(0);
            }
            match escape == quote {
                true => toggled(input, quote, progress),
                false => escaped(input, quote, escape, progress),
            }
        }
    }
}

/// Where a doubled quote stands for one: each quote begins or ends quoting.
fn toggled(input: &[u8], quote: u8, progress: &mut Progress) -> Option<usize> {
    loop {
        let rest = input.get(progress.at..)?;
        let Some(found) = memchr::memchr3(quote, b'\n', b'\r', rest) else {
            progress.at = input.len();
            return None;
        };
        let at = progress.at.saturating_add(found);
        match (rest.get(found), progress.within) {
            (Some(b'\n' | b'\r'), Within::Line) => return Some(at),
            (Some(b'\n'), Within::Quotes | Within::Escape) => progress.feeds = progress.feeds.saturating_add(1),
            (Some(b'\r'), Within::Quotes | Within::Escape) => progress.returns = progress.returns.saturating_add(1),
            (_, Within::Line) => progress.within = Within::Quotes,
            (_, Within::Quotes | Within::Escape) => progress.within = Within::Line,
        }
        progress.at = at.saturating_add(1);
    }
}

/// Where another byte escapes a quote in quotes.
fn escaped(input: &[u8], quote: u8, escape: u8, progress: &mut Progress) -> Option<usize> {
    loop {
        let rest = input.get(progress.at..)?;
        if progress.within == Within::Line {
            let Some(found) = memchr::memchr3(quote, b'\n', b'\r', rest) else {
                progress.at = input.len();
                return None;
            };
            let at = progress.at.saturating_add(found);
            if rest.get(found) != Some(&quote) {
                return Some(at);
            }
            progress.within = Within::Quotes;
            progress.at = at.saturating_add(1);
            continue;
        }
        let byte = *rest.first()?;
        progress.within = match progress.within {
            Within::Escape => Within::Quotes,
            _ if byte == escape => Within::Escape,
            _ if byte == quote => Within::Line,
            within => within,
        };
        match byte {
            b'\n' => progress.feeds = progress.feeds.saturating_add(1),
            b'\r' => progress.returns = progress.returns.saturating_add(1),
            _ => {}
        }
        progress.at = progress.at.saturating_add(1);
    }
}
