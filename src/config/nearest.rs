//! Did you mean …? The nearest of the known words.
//!
//! Holds: a suggestion is at most a third of the word away, so that nonsense gets none.

/// The known word nearest to `word`, if one is near enough.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(away, _)| *away <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `; did you mean "x"?`, or nothing.
pub(super) fn suggestion<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(word, known).map_or_else(String::new, |known| format!("; did you mean \"{known}\"?"))
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut previous = None;
    for (index, l) in left.chars().enumerate() {
        let mut next = vec![index + 1];
        for (column, r) in right.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (get(&row, column) + usize::from(l != *r))
                .min(get(&row, column + 1) + 1)
                .min(get(&next, column) + 1);
            if column > 0 && previous == Some(*r) && right.get(column - 1) == Some(&l) {
                best = best.min(get(&before, column - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(l);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["strategy", "type", "buckets", "placement"];
        assert_eq!(nearest("stratgey", known), Some("strategy"));
        assert_eq!(nearest("bucket", known), Some("buckets"));
        assert_eq!(nearest("TYPE", known), Some("type"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
