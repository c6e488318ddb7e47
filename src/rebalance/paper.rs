//! What a text takes of a terminal, and what is cut of one that takes too much.

/// Columns that a text takes on a terminal, well enough for names: combining marks take none, East Asian wide
/// characters and emoji two.
pub fn columns(text: &str) -> usize {
    text.chars().map(columns_of_character).sum()
}

fn columns_of_character(character: char) -> usize {
    match u32::from(character) {
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// A name in no more than so many columns. What is cut is marked, and cut out of the middle: names of many shards begin
/// alike.
pub(super) fn shortened(name: &str, most: usize) -> String {
    if columns(name) <= most {
        return name.to_owned();
    }
    let room = most.saturating_sub(1);
    let behind = room / 2;
    let tail = fitting(name.chars().rev(), behind);
    let head = fitting(name.chars(), room.saturating_sub(behind));
    format!("{head}…{}", tail.chars().rev().collect::<String>())
}

fn fitting(characters: impl Iterator<Item = char>, most: usize) -> String {
    let mut taken = 0_usize;
    let fits = characters.take_while(|character| {
        taken = taken.saturating_add(columns_of_character(*character));
        taken <= most
    });
    fits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shortened_keeps_both_ends() {
        assert_eq!(shortened("s0", 4), "s0");
        assert_eq!(shortened("frankfurt-rack-07", 11), "frank…ck-07");
        assert_eq!(shortened("株式市場", 6), "株…場");
        for most in 1..20 {
            assert!(columns(&shortened("株式市場 größe 🙂🙂 frankfurt", most)) <= most);
        }
    }
}
