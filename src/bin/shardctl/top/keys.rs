//! What is pressed, out of the bytes that a terminal sends for it.

use crate::load::Sort;

/// What `top` does for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Sort(Sort),
    /// heavy keys, or buckets again
    HeavyKeys,
    Scroll(Scroll),
    Quit,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scroll {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Keys in bytes that were read at once; those that mean nothing are left out, whole.
pub(super) fn read(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        let key = match byte {
            // A sequence: ESC, [ or O, digits, and a byte that ends it (ECMA-48, section 5.4).
            0x1b if bytes.next_if(|next| [b'[', b'O'].contains(next)).is_some() => {
                let mut digits = Vec::new();
                while let Some(digit) = bytes.next_if(|next| (0x20..0x40).contains(next)) {
                    digits.push(digit);
                }
                sequence(&digits, bytes.next())
            }
            b'q' | b'Q' | 0x03 | 0x04 => Some(Key::Quit),
            b'k' => Some(Key::HeavyKeys),
            b' ' => Some(Key::Scroll(Scroll::PageDown)),
            letter => Sort::by_key(letter).map(Key::Sort),
        };
        keys.extend(key);
    }
    keys
}

fn sequence(digits: &[u8], end: Option<u8>) -> Option<Key> {
    Some(Key::Scroll(match (digits, end?) {
        ([], b'A') => Scroll::Up,
        ([], b'B') => Scroll::Down,
        ([], b'H') | ([b'1' | b'7'], b'~') => Scroll::Home,
        ([], b'F') | ([b'4' | b'8'], b'~') => Scroll::End,
        ([b'5'], b'~') => Scroll::PageUp,
        ([b'6'], b'~') => Scroll::PageDown,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_sequences_are_told_apart() {
        use Key::{HeavyKeys, Quit, Scroll as To};
        for (bytes, keys) in [
            (&b"b"[..], vec![Key::Sort(Sort::Busy)]),
            (b"nzk", vec![Key::Sort(Sort::Name), Key::Sort(Sort::Size), HeavyKeys]),
            (b"\x1b[A\x1b[B", vec![To(Scroll::Up), To(Scroll::Down)]),
            (
                b"\x1bOA\x1b[5~\x1b[6~",
                vec![To(Scroll::Up), To(Scroll::PageUp), To(Scroll::PageDown)],
            ),
            (b"\x1b[H\x1b[4~q", vec![To(Scroll::Home), To(Scroll::End), Quit]),
            (b"\x03", vec![Quit]),
            // Control-up, F5 and a lone Escape mean nothing, and none of their bytes do.
            (b"\x1b[1;5A\x1b[15~\x1b", vec![]),
            (b"\x1b[1;5", vec![]),
            (b"xX?\xff", vec![]),
        ] {
            assert_eq!(read(bytes), keys, "{bytes:?}");
        }
    }
}
