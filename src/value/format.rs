//! The two wire formats.

/// Wire format of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// As the type's output function prints it.
    Text,
    /// As the type's send function writes it.
    Binary,
}

impl Format {
    /// The format that a format code of the protocol means (0 text, 1 binary), if it is one.
    pub fn from_code(code: i16) -> Option<Format> {
        match code {
            0 => Some(Format::Text),
            1 => Some(Format::Binary),
            _ => None,
        }
    }

    /// The protocol's format code.
    pub fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}
