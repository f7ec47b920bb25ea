//! Paging of lists: `?n=<count>&last=<name>` and the `Link` to the next page.

use url::form_urlencoded;

use super::error::{Code, RegistryError};

/// Entries of a page when the client names no number, and at most.
const MAX_PAGE: usize = 1_000;

/// Reads a query parameter.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Cuts a page out of sorted `names`; the second is the query of the next page, if there is one.
pub(super) fn page(
    names: Vec<String>,
    query: Option<&str>,
) -> Result<(Vec<String>, Option<String>), RegistryError> {
    let count = match parameter(query, "n") {
        None => MAX_PAGE,
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| RegistryError::new(Code::SizeInvalid, "`n` must be a number of entries"))?
            .min(MAX_PAGE),
    };
    let last = parameter(query, "last");
    let mut rest = names
        .into_iter()
        .filter(|name| last.as_ref().is_none_or(|last| name > last));
    let page: Vec<String> = rest.by_ref().take(count).collect();
    let next = match page.last() {
        Some(last) if rest.next().is_some() => {
            let last: String = form_urlencoded::byte_serialize(last.as_bytes()).collect();
            Some(format!("n={count}&last={last}"))
        }
        _ => None,
    };
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_repeat() {
        let names: Vec<String> = (0..7).map(|n| format!("v{n}")).collect();
        let mut query = Some("n=3".to_owned());
        let mut seen = Vec::new();
        while let Some(current) = query {
            let (page, next) = page(names.clone(), Some(&current)).unwrap();
            seen.extend(page);
            query = next;
        }
        assert_eq!(seen, names);
        assert_eq!(page(names.clone(), Some("n=0")).unwrap(), (vec![], None));
        assert_eq!(
            page(names.clone(), Some("last=v5")).unwrap(),
            (vec!["v6".into()], None)
        );
        assert_eq!(page(names.clone(), Some("n=7")).unwrap(), (names.clone(), None));
        assert!(page(names, Some("n=-1")).is_err());
    }
}
