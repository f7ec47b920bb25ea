//! The grammars of names, each answering what is wrong in upstream's words
//! (`apimachinery/pkg/util/validation/validation.go`).

pub(super) const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
     '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation \
     is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
pub(super) const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
     and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation \
     is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
pub(super) const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
     with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used \
     for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
     '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
     used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Longest DNS label, qualified name and label value.
const MAX_LABEL: usize = 63;
/// Longest DNS name.
const MAX_SUBDOMAIN: usize = 253;

/// What is wrong with a text; empty if nothing is.
pub(super) type Problems = Vec<String>;

pub(super) fn subdomain(text: &str) -> Problems {
    let mut problems = longest(text, MAX_SUBDOMAIN);
    if !text
        .split('.')
        .all(|part| shaped(part, is_lower_alphanumeric, |c| c == '-'))
    {
        problems.push(SUBDOMAIN.to_owned());
    }
    problems
}

pub(super) fn label(text: &str) -> Problems {
    let mut problems = longest(text, MAX_LABEL);
    if !shaped(text, is_lower_alphanumeric, |c| c == '-') {
        problems.push(LABEL.to_owned());
    }
    problems
}

pub(super) fn label_1035(text: &str) -> Problems {
    let mut problems = longest(text, MAX_LABEL);
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || !shaped(text, is_lower_alphanumeric, |c| c == '-') {
        problems.push(LABEL_1035.to_owned());
    }
    problems
}

/// A name that is one segment of a path, as those of roles.
pub(super) fn path_segment(text: &str) -> Problems {
    let mut problems = Problems::new();
    if matches!(text, "." | "..") {
        problems.push(format!("may not be '{text}'"));
    }
    for forbidden in ['/', '%'] {
        if text.contains(forbidden) {
            problems.push(format!("may not contain '{forbidden}'"));
        }
    }
    problems
}

/// The key of a label, annotation or condition: a name, with a domain before it if there is a slash.
pub(super) fn qualified(text: &str) -> Problems {
    let mut problems = Problems::new();
    let name = match text.split_once('/') {
        None => text,
        Some((prefix, name)) if !name.contains('/') => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".to_owned());
            } else {
                problems.extend(
                    subdomain(prefix)
                        .into_iter()
                        .map(|problem| format!("prefix part {problem}")),
                );
            }
            name
        }
        Some(_) => {
            return vec![format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    }
    problems.extend(
        longest(name, MAX_LABEL)
            .into_iter()
            .map(|problem| format!("name part {problem}")),
    );
    if !shaped(
        name,
        |c| c.is_ascii_alphanumeric(),
        |c| matches!(c, '-' | '_' | '.'),
    ) {
        problems.push(format!("name part {QUALIFIED}"));
    }
    problems
}

pub(super) fn label_value(text: &str) -> Problems {
    let mut problems = longest(text, MAX_LABEL);
    if !text.is_empty()
        && !shaped(
            text,
            |c| c.is_ascii_alphanumeric(),
            |c| matches!(c, '-' | '_' | '.'),
        )
    {
        problems.push(LABEL_VALUE.to_owned());
    }
    problems
}

/// The key of an entry in a ConfigMap or Secret: a file name.
pub(super) fn config_key(text: &str) -> Problems {
    let mut problems = longest(text, MAX_SUBDOMAIN);
    if text.is_empty()
        || !text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    {
        problems.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match text {
        "." => problems.push("must not be '.'".to_owned()),
        ".." => problems.push("must not be '..'".to_owned()),
        text if text.starts_with("..") => problems.push("must not start with '..'".to_owned()),
        _ => {}
    }
    problems
}

pub(super) fn environment_variable(text: &str) -> Problems {
    if text.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        return Problems::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

/// The name of a port: an IANA service name.
pub(super) fn port_name(text: &str) -> Problems {
    /// Longest service name (RFC 6335).
    const MAX: usize = 15;
    let mut problems = longest(text, MAX);
    if !text.chars().all(|c| is_lower_alphanumeric(c) || c == '-') {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !text.contains(|c: char| c.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".to_owned());
    }
    if text.contains("--") {
        problems.push("must not contain consecutive hyphens".to_owned());
    }
    if text.starts_with('-') || text.ends_with('-') {
        problems.push("must not begin or end with a hyphen".to_owned());
    }
    problems
}

/// The number of a port.
pub(super) fn port_number(number: i64) -> Problems {
    if (1..=65_535).contains(&number) {
        return Problems::new();
    }
    vec!["must be between 1 and 65535, inclusive".to_owned()]
}

fn longest(text: &str, max: usize) -> Problems {
    if text.len() <= max {
        Problems::new()
    } else {
        vec![format!("must be no more than {max} bytes")]
    }
}

fn is_lower_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// Whether a text begins and ends with an `edge` character and has only those and `inner` ones.
fn shaped(text: &str, edge: impl Fn(char) -> bool, inner: impl Fn(char) -> bool) -> bool {
    text.starts_with(&edge) && text.ends_with(&edge) && text.chars().all(|c| edge(c) || inner(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_grammars() {
        for (text, is_subdomain, is_label, is_1035) in [
            ("a", true, true, true),
            ("1a", true, true, false),
            ("a.b", true, false, false),
            ("a..b", false, false, false),
            ("-a", false, false, false),
            ("a-", false, false, false),
            ("A", false, false, false),
            ("", false, false, false),
        ] {
            assert_eq!(subdomain(text).is_empty(), is_subdomain, "{text}");
            assert_eq!(label(text).is_empty(), is_label, "{text}");
            assert_eq!(label_1035(text).is_empty(), is_1035, "{text}");
        }
        assert_eq!(label(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    }

    #[test]
    fn keys_may_have_a_domain() {
        for (text, valid) in [
            ("app", true),
            ("app.kubernetes.io/name", true),
            ("A_b.c-d", true),
            ("/name", false),
            ("example.com/", false),
            ("Example.com/name", false),
            ("a/b/c", false),
            ("-a", false),
        ] {
            assert_eq!(qualified(text).is_empty(), valid, "{text}");
        }
        assert!(label_value("").is_empty());
        assert!(!label_value("a b").is_empty());
    }

    #[test]
    fn config_keys_are_file_names() {
        for (text, valid) in [
            ("a.txt", true),
            ("_A-1", true),
            ("", false),
            (".", false),
            ("..a", false),
            ("a/b", false),
        ] {
            assert_eq!(config_key(text).is_empty(), valid, "{text}");
        }
    }

    #[test]
    fn ports_have_names_and_numbers() {
        for (text, valid) in [
            ("http", true),
            ("h2c", true),
            ("8080", false),
            ("a--b", false),
            ("a-", false),
        ] {
            assert_eq!(port_name(text).is_empty(), valid, "{text}");
        }
        assert!(!port_name("much-too-long-name").is_empty());
        assert!(port_number(1).is_empty() && port_number(65_535).is_empty());
        assert!(!port_number(0).is_empty() && !port_number(65_536).is_empty());
    }

    #[test]
    fn environment_variables_are_printable() {
        assert!(environment_variable("my.var-1").is_empty());
        assert!(!environment_variable("a=b").is_empty());
        assert!(!environment_variable("a\n").is_empty());
    }
}
