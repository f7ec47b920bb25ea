//! What is a URI and what a reference to one.
//!
//! Only what makes a text unreadable as a reference is refused: control characters, and a colon that could be the
//! end of a scheme but is not. Producers send spaces and letters of all scripts in sources, and existing brokers take
//! them; a `%` without digits may be left of an escape that was meant for the URI and was taken for one of the header.

/// Whether `text` is an absolute URI or a relative reference.
pub(super) fn is_reference(text: &str) -> bool {
    characters(text) && (scheme(text).is_some() || !colon_in_first_segment(text))
}

/// Whether `text` has a scheme, and something after it.
pub(super) fn is_absolute(text: &str) -> bool {
    characters(text) && scheme(text).is_some_and(|scheme| text.len() > scheme.len() + 1)
}

fn characters(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 && byte != 0x7F)
}

fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let begins = bytes.next().is_some_and(|first| first.is_ascii_alphabetic());
    let goes_on = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (begins && goes_on).then_some(scheme)
}

fn colon_in_first_segment(text: &str) -> bool {
    let first = text.split(['/', '?', '#']).next().unwrap_or_default();
    first.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_absolute_uris_are_told_apart() {
        for (text, reference, absolute) in [
            ("http://example.com/a?b#c", true, true),
            ("urn:uuid:6e8bc430", true, true),
            ("mailto:cncf@example.com", true, true),
            ("/cloudevents/spec/pull/123", true, false),
            ("sensors/tn-1234567/alerts", true, false),
            ("1-555-123-4567", true, false),
            ("//host:80/x", true, false),
            ("?a:b", true, false),
            ("my source", true, false),
            ("/größe", true, false),
            ("/a%20b", true, false),
            ("http:", true, false),
            ("/100%", true, false),
            ("10.0.0.1:80/x", false, false),
            (":x", false, false),
            ("http://a\nb", false, false),
        ] {
            assert_eq!(is_reference(text), reference, "{text}");
            assert_eq!(is_absolute(text), absolute, "{text}");
        }
    }
}
