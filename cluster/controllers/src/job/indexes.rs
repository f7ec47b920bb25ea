//! Sets of completion indexes and their text form in `status.completedIndexes`: `1,3-5,7`.

use std::collections::BTreeSet;

/// Reads the text form; what is no number is left out, as is what lies at or beyond `end`.
pub fn parse(text: &str, end: u32) -> BTreeSet<u32> {
    let mut set = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) {
            set.extend(first..last.saturating_add(1).min(end));
        }
    }
    set
}

/// Writes `set`; two neighbours are written apart, as upstream does it.
pub fn format(set: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &index in set {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let parts: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        })
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_are_written_short() {
        for (text, set) in [
            ("", vec![]),
            ("0", vec![0]),
            ("1,2", vec![1, 2]),
            ("1,3-5,7", vec![1, 3, 4, 5, 7]),
        ] {
            assert_eq!(format(&set.iter().copied().collect()), text);
            assert_eq!(parse(text, 100), set.into_iter().collect(), "{text}");
        }
    }

    #[test]
    fn damaged_text_is_read_as_far_as_it_goes() {
        assert_eq!(parse("x,1,3-,2-4294967295", 4), [1, 2, 3].into());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(set in proptest::collection::btree_set(0u32..200, 0..60)) {
            prop_assert_eq!(parse(&format(&set), 200), set);
        }
    }
}
