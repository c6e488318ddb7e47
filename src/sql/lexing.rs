//! What lexing depends on besides the text: two settings, as they stand when a message is received.

/// A half-open range of bytes of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// first byte
    pub start: usize,
    /// one past the last
    pub end: usize,
}

impl Span {
    /// From `start` up to, not including, `end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end }
    }

    /// Its bytes; empty if it doesn't lie within `text`.
    pub fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds no byte.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `inner` lies within it.
    pub fn contains(self, inner: Span) -> bool {
        self.start <= inner.start && inner.end <= self.end
    }
}

/// `standard_conforming_strings`: whether a backslash in `'…'` is an ordinary character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StandardStrings {
    /// ordinary (the default)
    On,
    /// an escape
    Off,
}

/// What `client_encoding` means to a reader of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// UTF8 (or SQL_ASCII, whose bytes go to a UTF8 server as they are)
    Utf8,
    /// every byte of a character beyond ASCII has its high bit set, but it isn't UTF-8
    HighBit,
    /// a byte of a character can look like a quote or a backslash: SJIS, BIG5, GBK, GB18030, UHC, JOHAB, SHIFT_JIS_2004
    Unsafe,
}

/// What the lexer must know besides the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lexing {
    /// `standard_conforming_strings`
    pub strings: StandardStrings,
    /// `client_encoding`
    pub encoding: Encoding,
}

impl Default for Lexing {
    fn default() -> Lexing {
        Lexing {
            strings: StandardStrings::On,
            encoding: Encoding::Utf8,
        }
    }
}

impl Lexing {
    /// From the values of `standard_conforming_strings` and `client_encoding` as Postgres reports them.
    pub fn from_settings(standard_conforming_strings: &str, client_encoding: &str) -> Lexing {
        let strings = match standard_conforming_strings.eq_ignore_ascii_case("off") {
            true => StandardStrings::Off,
            false => StandardStrings::On,
        };
        Lexing {
            strings,
            encoding: Encoding::from_name(client_encoding),
        }
    }
}

impl Encoding {
    /// By the name of an encoding, or an alias, compared as Postgres does: letters and digits only, case folded
    /// (`pg_char_to_encoding`). A name that isn't known counts as unsafe.
    pub fn from_name(name: &str) -> Encoding {
        if name == "UTF8" {
            return Encoding::Utf8; // as servers report it, asked for at every statement
        }
        let clean: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match clean.as_str() {
            "utf8" | "unicode" | "sqlascii" => Encoding::Utf8,
            "abc" | "alt" | "euccn" | "eucjis2004" | "eucjp" | "euckr" | "euctw" | "iso88591" | "iso885910"
            | "iso885913" | "iso885914" | "iso885915" | "iso885916" | "iso88592" | "iso88593" | "iso88594"
            | "iso88595" | "iso88596" | "iso88597" | "iso88598" | "iso88599" | "koi8" | "koi8r" | "koi8u"
            | "latin1" | "latin10" | "latin2" | "latin3" | "latin4" | "latin5" | "latin6" | "latin7" | "latin8"
            | "latin9" | "muleinternal" | "tcvn" | "tcvn5712" | "vscii" | "win" | "win1250" | "win1251" | "win1252"
            | "win1253" | "win1254" | "win1255" | "win1256" | "win1257" | "win1258" | "win866" | "win874"
            | "windows1250" | "windows1251" | "windows1252" | "windows1253" | "windows1254" | "windows1255"
            | "windows1256" | "windows1257" | "windows1258" | "windows866" | "windows874" => Encoding::HighBit,
            _ => Encoding::Unsafe,
        }
    }
}
