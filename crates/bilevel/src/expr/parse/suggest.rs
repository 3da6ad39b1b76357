//! "Did you mean": the candidate nearest to a misspelt name, by edit distance.

/// The candidate nearest to `name`, if it is near enough to be a likely misspelling: at most a third of the letters
/// wrong, where a swap of neighbours counts once and a difference in case alone counts nothing.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let letters: Vec<char> = name.to_lowercase().chars().take(LONGEST + 1).collect();
    if letters.len() > LONGEST {
        return None;
    }
    let allowed = (letters.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 4 * LONGEST)
        .map(|candidate| {
            let other: Vec<char> = candidate.to_lowercase().chars().collect();
            (distance(&letters, &other), other.len(), candidate)
        })
        // A one-letter name is near to every other: only a difference in case is a likely slip there.
        .filter(|&(d, length, _)| d <= allowed && d < length.max(letters.len()))
        .min_by_key(|&(d, _, _)| d)
        .map(|(_, _, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..width).collect();
    for i in 1..=a.len() {
        let mut current = vec![i; width];
        for j in 1..width {
            let substitution = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            current[j] = substitution.min(previous[j] + 1).min(current[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                current[j] = current[j].min(before[j - 2] + 1);
            }
        }
        before = previous;
        previous = current;
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_likely_slips_only() {
        let names = ["minimize", "maximize", "subject_to", "x", "price"];
        assert_eq!(closest("minimise", names), Some("minimize"));
        assert_eq!(closest("minmize", names), Some("minimize"));
        assert_eq!(closest("pirce", names), Some("price"));
        assert_eq!(closest("X", names), Some("x"));
        assert_eq!(closest("z", names), None);
        assert_eq!(closest("entirely_different", names), None);
        assert_eq!(closest(&"a".repeat(100_000), names), None);
    }

    #[test]
    fn distances_of_known_pairs() {
        let d = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(d("kitten", "sitting"), 3);
        assert_eq!(d("", "abc"), 3);
        assert_eq!(d("ab", "ba"), 1);
        assert_eq!(d("same", "same"), 0);
    }
}
