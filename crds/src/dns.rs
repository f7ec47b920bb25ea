//! Names as DNS and Kubernetes understand them. Each check returns the reasons why a text is not such a name, in
//! Kubernetes' own words; none means it is one.

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LONGEST_LABEL: usize = 63;
const LONGEST_SUBDOMAIN: usize = 253;

/// Why a text is not an RFC 1035 label: lower case, digits and dashes, starting with a letter.
pub fn label_1035(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, LONGEST_LABEL);
    if !(is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())) {
        reasons.push(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
             character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
             validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    reasons
}

/// Why a text is not an RFC 1123 label: lower case, digits and dashes.
pub fn label_1123(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, LONGEST_LABEL);
    if !is_label(text) {
        reasons.push(format!(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
             end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '{LABEL}')"
        ));
    }
    reasons
}

/// Why a text is not an RFC 1123 subdomain: labels separated by dots.
pub fn subdomain_1123(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, LONGEST_SUBDOMAIN);
    if !text.split('.').all(is_label) {
        reasons.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must \
             start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '{LABEL}(\\.{LABEL})*')"
        ));
    }
    reasons
}

/// Why a text is not a fully qualified domain: a subdomain of at least two labels; a dot at the end is allowed.
pub fn fully_qualified_domain(text: &str) -> Vec<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return vec!["must not be empty".to_owned()];
    }
    let reasons = subdomain_1123(text);
    if !reasons.is_empty() {
        return reasons;
    }
    if !text.contains('.') {
        return vec!["should be a domain with at least two segments separated by dots".to_owned()];
    }
    text.split('.')
        .flat_map(|label| too_long(label, LONGEST_LABEL))
        .take(1)
        .collect()
}

/// Why a text is not a qualified name, as keys of labels and annotations are: `[prefix/]name`.
pub fn qualified_name(text: &str) -> Vec<String> {
    const NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                        alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                        validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut reasons = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(""), Some(name), None) => {
            reasons.push("prefix part must be non-empty".to_owned());
            name
        }
        (Some(prefix), Some(name), None) => {
            reasons.extend(
                subdomain_1123(prefix)
                    .iter()
                    .map(|reason| format!("prefix part {reason}")),
            );
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        reasons.push("name part must be non-empty".to_owned());
    } else {
        reasons.extend(
            too_long(name, LONGEST_LABEL)
                .iter()
                .map(|reason| format!("name part {reason}")),
        );
    }
    let ends = |c: char| c.is_ascii_alphanumeric();
    let inside = |c: char| ends(c) || "-_.".contains(c);
    if !(name.starts_with(ends) && name.ends_with(ends) && name.chars().all(inside)) {
        reasons.push(format!("name part {NAME}"));
    }
    reasons
}

/// Why a text cannot be a key of a ConfigMap or Secret.
pub fn config_map_key(text: &str) -> Vec<String> {
    let mut reasons = too_long(text, LONGEST_SUBDOMAIN);
    if text.is_empty()
        || !text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    {
        reasons.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match text {
        "." => reasons.push("must not be '.'".to_owned()),
        ".." => reasons.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => reasons.push("must not start with '..'".to_owned()),
        _ => {}
    }
    reasons
}

fn too_long(text: &str, longest: usize) -> Vec<String> {
    if text.len() > longest {
        vec![format!("must be no more than {longest} characters")]
    } else {
        Vec::new()
    }
}

fn is_label(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(ends) && text.ends_with(ends) && text.chars().all(|c| ends(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_domains_are_told_from_other_texts() {
        let long = "a".repeat(64);
        for (text, in_1035, in_1123, subdomain, qualified) in [
            ("a", true, true, true, true),
            ("a-1", true, true, true, true),
            ("1a", false, true, true, true),
            ("-a", false, false, false, false),
            ("a-", false, false, false, false),
            ("A", false, false, false, true),
            ("a.b", false, false, true, true),
            ("a..b", false, false, false, true),
            ("", false, false, false, false),
            (&long, false, false, true, false),
            ("example.com/my_Name", false, false, false, true),
            ("a/b/c", false, false, false, false),
            ("/b", false, false, false, false),
            ("é", false, false, false, false),
        ] {
            assert_eq!(label_1035(text).is_empty(), in_1035, "{text}");
            assert_eq!(label_1123(text).is_empty(), in_1123, "{text}");
            assert_eq!(subdomain_1123(text).is_empty(), subdomain, "{text}");
            assert_eq!(qualified_name(text).is_empty(), qualified, "{text}");
        }
    }

    #[test]
    fn fully_qualified_domains_have_two_labels() {
        for (text, valid) in [
            ("a.b", true),
            ("a.b.", true),
            ("a", false),
            ("", false),
            ("A.b", false),
        ] {
            assert_eq!(fully_qualified_domain(text).is_empty(), valid, "{text}");
        }
    }

    #[test]
    fn config_keys_are_not_paths() {
        for (text, valid) in [
            ("a.B-c_d", true),
            ("", false),
            ("..", false),
            ("..a", false),
            ("a/b", false),
        ] {
            assert_eq!(config_map_key(text).is_empty(), valid, "{text}");
        }
    }

    #[test]
    fn the_words_are_those_of_kubernetes() {
        assert_eq!(
            label_1035("A_"),
            [
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                 character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                 validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert!(subdomain_1123("foo@bar.baz")[0].ends_with(
            "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        ));
    }
}
