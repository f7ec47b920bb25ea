//! Patterns of LIKE: `%` is any text, `_` any one character, a backslash before either takes it literally.

/// A pattern, cut at its `%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// No `%`: the whole text.
    Whole(Segment),
    /// What the text begins with, what follows somewhere in this order, and what it ends with.
    Parts {
        prefix: Segment,
        middle: Vec<Segment>,
        suffix: Segment,
    },
}

/// A piece of a pattern without `%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Text(String),
    /// `None` is any one character.
    Characters(Vec<Option<char>>),
}

impl Pattern {
    pub fn new(pattern: &str) -> Self {
        let mut segments = vec![Vec::new()];
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            let piece = match character {
                '%' => {
                    segments.push(Vec::new());
                    continue;
                }
                '_' => None,
                '\\' => Some(
                    characters
                        .next_if(|next| matches!(next, '%' | '_'))
                        .unwrap_or('\\'),
                ),
                other => Some(other),
            };
            if let Some(last) = segments.last_mut() {
                last.push(piece);
            }
        }
        let mut segments: Vec<Segment> = segments.into_iter().map(Segment::new).collect();
        let suffix = segments.pop().unwrap_or(Segment::Text(String::new()));
        if segments.is_empty() {
            return Self::Whole(suffix);
        }
        let prefix = segments.remove(0);
        segments.retain(|segment| *segment != Segment::Text(String::new()));
        Self::Parts {
            prefix,
            middle: segments,
            suffix,
        }
    }

    /// Most characters that are compared to find out whether a text of `length` bytes matches, beside its own.
    pub fn steps(&self, length: usize) -> usize {
        let Self::Parts { middle, .. } = self else {
            return 0;
        };
        // Texts are searched for in linear time; where any character may be, each place of the text is tried.
        let pieces = middle.iter().map(|segment| match segment {
            Segment::Text(_) => 0,
            Segment::Characters(pieces) => pieces.len(),
        });
        pieces.sum::<usize>().saturating_mul(length)
    }

    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Whole(segment) => segment.strip_prefix(text).is_some_and(str::is_empty),
            Self::Parts {
                prefix,
                middle,
                suffix,
            } => {
                let Some(mut rest) = prefix
                    .strip_prefix(text)
                    .and_then(|rest| suffix.strip_suffix(rest))
                else {
                    return false;
                };
                // The first place is as good as any later one: it leaves the most for the segments that follow.
                for segment in middle {
                    match segment.after(rest) {
                        Some(after) => rest = after,
                        None => return false,
                    }
                }
                true
            }
        }
    }
}

impl Segment {
    fn new(pieces: Vec<Option<char>>) -> Self {
        match pieces.iter().copied().collect::<Option<String>>() {
            Some(text) => Self::Text(text),
            None => Self::Characters(pieces),
        }
    }

    /// What follows the segment at the beginning of `text`.
    fn strip_prefix<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(own) => text.strip_prefix(own.as_str()),
            Self::Characters(pieces) => {
                let mut rest = text.chars();
                let fits = pieces.iter().all(|piece| {
                    rest.next()
                        .is_some_and(|character| piece.is_none_or(|own| own == character))
                });
                fits.then_some(rest.as_str())
            }
        }
    }

    /// What precedes the segment at the end of `text`.
    fn strip_suffix<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(own) => text.strip_suffix(own.as_str()),
            Self::Characters(pieces) => {
                let mut rest = text.chars();
                let fits = pieces.iter().rev().all(|piece| {
                    rest.next_back()
                        .is_some_and(|character| piece.is_none_or(|own| own == character))
                });
                fits.then_some(rest.as_str())
            }
        }
    }

    /// What follows the segment's first place in `text`.
    fn after<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Text(own) => text.split_once(own.as_str()).map(|(_, after)| after),
            Self::Characters(_) => text
                .char_indices()
                .find_map(|(index, _)| self.strip_prefix(text.get(index..)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("%%", "abc", true),
            ("a%", "abc", true),
            ("a%", "bac", false),
            ("%c", "abc", true),
            ("a%a", "a", false),
            ("a%a", "aa", true),
            ("%b%", "abc", true),
            ("%ab%bc%", "abc", false),
            ("_", "ü", true),
            ("_", "ab", false),
            ("%_", "", false),
            ("_%_", "a", false),
            ("_%_", "ab", true),
            ("%b_d%", "abbccd", false),
            ("%b_d%", "abbd", true),
            (r"\%", "%", true),
            (r"\%", "a", false),
            (r"a\_b", "a_b", true),
            (r"a\_b", "axb", false),
            (r"a\b", r"a\b", true),
            (r"a\", r"a\", true),
            (r"\\%", r"\%", true),
            ("ab", "AB", false),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(
                Pattern::new(pattern).matches(text),
                expected,
                "{text:?} LIKE {pattern:?}"
            );
        }
    }

    #[test]
    fn only_places_that_are_searched_for_cost_more_than_the_text() {
        for (pattern, steps) in [
            ("a_b", 0),
            ("__%__", 0),
            ("%abc%", 0),
            ("%a_%", 20),
            ("%a_%b%__c%", 50),
        ] {
            assert_eq!(Pattern::new(pattern).steps(10), steps, "{pattern}");
        }
        assert_eq!(Pattern::new("%a_%").steps(usize::MAX), usize::MAX);
    }

    /// The definition, in exponential time.
    fn plain(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skip| plain(rest, &text[skip..])),
            ['_', rest @ ..] => !text.is_empty() && plain(rest, &text[1..]),
            [own, rest @ ..] => text.first() == Some(own) && plain(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn same_as_the_definition(pattern in "[ab%_ü]{0,7}", text in "[abü]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), plain(&p, &t));
        }
    }
}
