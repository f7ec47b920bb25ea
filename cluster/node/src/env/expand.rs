//! `$(NAME)` references (upstream: k8s.io/kubernetes third_party/forked/golang/expansion).

/// Replaces `$(NAME)` by the variable's value. `$$` is a literal `$`; a reference to an unknown variable and a `$`
/// before anything else stay as they are.
pub fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match value(name) {
                Some(value) => result.push_str(&value),
                None => {
                    result.push_str("$(");
                    result.push_str(name);
                    result.push(')');
                }
            }
            rest = tail;
        } else {
            result.push('$');
            rest = after;
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expands_as_upstream_does() {
        let table = [
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("$$(VAR_A)", "$(VAR_A)"),
            ("$$$(VAR_A)", "$A"),
            ("$(NONE)-$(VAR_A)", "$(NONE)-A"),
            ("$VAR_A", "$VAR_A"),
            ("$(VAR_A", "$(VAR_A"),
            ("foo$", "foo$"),
            ("$(EMPTY)x", "x"),
            ("$(VAR_A)$(VAR_B)", "AB"),
        ];
        for (text, wanted) in table {
            let found = expand(text, |name| match name {
                "VAR_A" => Some("A".to_owned()),
                "VAR_B" => Some("B".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            });
            assert_eq!(found, wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_is_untouched(text in "[^$]*") {
            prop_assert_eq!(expand(&text, |_| None), text);
        }
    }
}
