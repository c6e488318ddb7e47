//! What is wrong with a configuration: positions, single problems, and the error that carries them all.
//!
//! Holds: problems are sorted by position; none contains a secret's value.

use std::fmt;

/// A place in a file, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// line
    pub line: u32,
    /// column in characters
    pub column: u32,
}

/// One complaint about one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// where
    pub at: Position,
    /// the value, the reason and what to do, in one line
    pub message: String,
}

/// Everything that is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    /// name of the file as the caller gave it
    pub file: String,
    /// at least one, by position
    pub problems: Vec<Problem>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(
                f,
                "{}:{}:{}: {}",
                self.file, problem.at.line, problem.at.column, problem.message
            )?;
        }
        Ok(())
    }
}
