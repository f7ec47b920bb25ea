//! Patterns over names with slashes: `*` is anything but a slash, `**` anything, `?` one character but a slash.

/// Does the whole of `name` fit the pattern?
///
/// Takes no more steps than both are long, multiplied: patterns come from users.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let parts = parts(pattern);
    let name: Vec<char> = name.chars().collect();
    // `reached[n]`: do the parts so far fit the first `n` characters?
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    for part in parts {
        let mut next = vec![false; name.len() + 1];
        let mut within = false;
        for at in 0..=name.len() {
            let here = reached.get(at).copied().unwrap_or_default();
            let before = at.checked_sub(1).and_then(|at| {
                let c = *name.get(at)?;
                Some((c, reached.get(at).copied().unwrap_or_default()))
            });
            let fits = match part {
                Part::One(wanted) => before.is_some_and(|(c, fitted)| fitted && c == wanted),
                Part::Any => before.is_some_and(|(c, fitted)| fitted && c != '/'),
                Part::Run { slashes } => {
                    within = here || (within && before.is_some_and(|(c, _)| slashes || c != '/'));
                    within
                }
                // `a/**/b` also means `a/b`.
                Part::Folders => {
                    within |= here;
                    here || (within && before.is_some_and(|(c, _)| c == '/'))
                }
            };
            if let Some(slot) = next.get_mut(at) {
                *slot = fits;
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

/// Is it meant by the patterns: one that includes it, and none that excludes it?
pub(crate) fn meant(globs: &crds::spindrift::Globs, name: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, name));
    (globs.include.is_empty() || any(&globs.include)) && !any(&globs.exclude)
}

#[derive(Clone, Copy, Debug)]
enum Part {
    One(char),
    Any,
    Run {
        slashes: bool,
    },
    /// `**/`: no folder, or any number of them.
    Folders,
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let at_start = parts.is_empty() || matches!(parts.last(), Some(Part::One('/') | Part::Folders));
        let (part, length) = match c {
            '*' if at_start && rest.starts_with("**/") => (Part::Folders, 3),
            '*' if rest.starts_with("**") => (Part::Run { slashes: true }, 2),
            '*' => (Part::Run { slashes: false }, 1),
            '?' => (Part::Any, 1),
            other => (Part::One(other), other.len_utf8()),
        };
        parts.push(part);
        rest = rest.get(length..).unwrap_or_default();
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("main", "main", true),
            ("main", "mainx", false),
            ("", "", true),
            ("release/*", "release/1", true),
            ("release/*", "release/1/x", false),
            ("release/**", "release/1/x", true),
            ("*", "feature/x", false),
            ("**", "feature/x", true),
            ("docs/**", "docs/a/b.md", true),
            ("docs/**", "docs", false),
            ("**/*.md", "README.md", true),
            ("**/*.md", "docs/a/b.md", true),
            ("*.md", "docs/b.md", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("v?.?", "v1.2", true),
            ("v?.?", "v1./", false),
            ("ä*", "äö", true),
            ("[x]", "[x]", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_two_stars(name in "[a-z/.-]{0,30}") {
            prop_assert!(fits(&name, &name));
            prop_assert!(fits("**", &name));
            prop_assert_eq!(fits("*", &name), !name.contains('/'));
        }
    }
}
