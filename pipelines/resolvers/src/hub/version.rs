//! Versions of packages, and constraints on them such as `>= 0.5, < 1`.

use std::cmp::Ordering;

/// Numbers, of which missing ones are 0, and what comes before a release.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    before: String,
    /// How many numbers were written.
    written: usize,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_start_matches('v');
        let text = text.split('+').next().unwrap_or(text);
        let (release, before) = text.split_once('-').unwrap_or((text, ""));
        let mut numbers = [0; 3];
        let mut written = 0;
        for part in release.split('.') {
            *numbers.get_mut(written)? = part.parse().ok()?;
            written += 1;
        }
        Some(Self {
            numbers,
            before: before.to_owned(),
            written,
        })
    }

    /// As semver.org §11 orders them.
    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.before.is_empty(), other.before.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => before(&self.before, &other.before),
            }
        })
    }
}

fn before(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (a.parse::<u64>(), b.parse::<u64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Conditions that all have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Constraint(Vec<(Operator, Version)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
    /// The last number that is written may grow.
    About,
}

/// Longer ones first: each begins with a shorter one.
const OPERATORS: [(&str, Operator); 7] = [
    ("!=", Operator::IsNot),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("~>", Operator::About),
    ("<", Operator::Less),
    (">", Operator::More),
    ("=", Operator::Is),
];

impl Constraint {
    /// `None` if the text is a version.
    pub(super) fn parse(text: &str) -> Option<Result<Self, String>> {
        text.contains(['=', '<', '>', '!', '~', ',']).then(|| {
            let one = |part: &str| {
                let part = part.trim();
                let operator = OPERATORS
                    .iter()
                    .find_map(|(sign, operator)| Some((*operator, part.strip_prefix(sign)?)));
                let (operator, rest) = operator.unwrap_or((Operator::Is, part));
                let version = Version::parse(rest).ok_or_else(|| {
                    format!("the version {text:?} cannot be read: expected one such as 0.6, or >= 0.5, < 1")
                })?;
                Ok((operator, version))
            };
            text.split(',').map(one).collect::<Result<_, _>>().map(Self)
        })
    }

    fn holds(&self, version: &Version) -> bool {
        self.0.iter().all(|(operator, wanted)| {
            let order = version.order(wanted);
            match operator {
                Operator::Is => order.is_eq(),
                Operator::IsNot => order.is_ne(),
                Operator::Less => order.is_lt(),
                Operator::AtMost => order.is_le(),
                Operator::More => order.is_gt(),
                Operator::AtLeast => order.is_ge(),
                Operator::About => {
                    let fixed = wanted.written.saturating_sub(1);
                    order.is_ge()
                        && version
                            .numbers
                            .iter()
                            .zip(wanted.numbers)
                            .take(fixed)
                            .all(|(a, b)| *a == b)
                }
            }
        })
    }

    /// The newest of these versions that fits; those before a release only if the constraint speaks of one.
    pub(super) fn newest<'a>(&self, all: impl Iterator<Item = (&'a str, bool)>) -> Option<&'a str> {
        let speaks = self.0.iter().any(|(_, wanted)| !wanted.before.is_empty());
        all.filter_map(|(text, prerelease)| {
            let version = Version::parse(text)?;
            let is_release = version.before.is_empty() && !prerelease;
            ((is_release || speaks) && self.holds(&version)).then_some((version, text))
        })
        .max_by(|(a, _), (b, _)| a.order(b))
        .map(|(_, text)| text)
    }
}

/// A version as hubs write it, with three numbers.
pub(super) fn exact(text: &str) -> String {
    match Version::parse(text) {
        Some(version) if version.written == 2 && version.before.is_empty() => {
            format!("{}.0", text.trim())
        }
        _ => text.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_newest_that_fits_is_taken() {
        let all = [
            ("0.1.0", false),
            ("0.5.0", false),
            ("0.6.2", false),
            ("0.10.0", false),
            ("1.0.0-rc.1", true),
            ("1.0.0", false),
            ("2.0.0-beta", true),
            ("odd", false),
        ];
        for (text, expected) in [
            (">= 0.5", Some("1.0.0")),
            (">=0.5, <1", Some("0.10.0")),
            (">= 0.5, < 1.0.0-rc.1", Some("0.10.0")),
            ("<= 1.0.0-rc.1", Some("1.0.0-rc.1")),
            ("~> 0.5", Some("0.10.0")),
            ("~> 0.6.1", Some("0.6.2")),
            ("= 0.5", Some("0.5.0")),
            ("!= 1.0.0", Some("0.10.0")),
            ("> 1", None),
            ("< 0.1", None),
        ] {
            let constraint = Constraint::parse(text).unwrap().unwrap();
            assert_eq!(constraint.newest(all.into_iter()), expected, "{text}");
        }
    }

    #[test]
    fn versions_are_no_constraints() {
        for text in ["0.6", "0.6.1", "v1"] {
            assert_eq!(Constraint::parse(text), None);
        }
        assert_eq!(exact("0.6"), "0.6.0");
        assert_eq!(exact("0.6.1"), "0.6.1");
        assert_eq!(exact("latest"), "latest");
        for text in [">= x", ">=", "~> 1.2.3.4", ","] {
            assert!(Constraint::parse(text).unwrap().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[0-9.<>=!~, va-c-]{0,30}") {
            let _ = Constraint::parse(&text);
            exact(&text);
        }
    }
}
