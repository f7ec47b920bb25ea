//! URLs from the statuses of addressable objects.

use crds::Addressable;
use serde_json::Value;
use url::Url;

use super::ResolveError;
use crate::tracker::Target;

/// The address in the status of `of`: the one called `name`, or else the first one.
pub(super) fn address_of(
    status: &Value,
    name: Option<&str>,
    of: &Target,
) -> Result<Addressable, ResolveError> {
    let read = |field: &str| status.get(field).filter(|value| !value.is_null()).cloned();
    let all: Vec<Addressable> = read("addresses")
        .and_then(|addresses| serde_json::from_value(addresses).ok())
        .unwrap_or_default();
    let one: Option<Addressable> = read("address").and_then(|address| serde_json::from_value(address).ok());
    let text = || format!("{} {}", of.kind.kind, of.key);
    let address = match name.filter(|name| !name.is_empty()) {
        Some(name) => all
            .into_iter()
            .find(|address| address.name.as_deref() == Some(name))
            .ok_or_else(|| ResolveError::NoSuchAddress {
                name: name.to_owned(),
                of: text(),
            })?,
        None => all
            .into_iter()
            .next()
            .or(one)
            .ok_or_else(|| ResolveError::NoAddress(text()))?,
    };
    let Some(url) = address.url.as_deref().filter(|url| !url.is_empty()) else {
        return Err(ResolveError::NoUrl(text()));
    };
    let has_host = Url::parse(url).is_ok_and(|url| url.has_host());
    if has_host {
        Ok(address)
    } else {
        Err(ResolveError::NoHost(text()))
    }
}

/// The text itself, if it is an absolute URL with a host.
pub(super) fn absolute(uri: &str) -> Result<String, ResolveError> {
    match Url::parse(uri) {
        Ok(url) if url.has_host() => Ok(uri.to_owned()),
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err(ResolveError::NotAbsolute(uri.to_owned()))
        }
        Err(error) => Err(invalid(uri, error)),
    }
}

/// `reference` resolved against `base` (RFC 3986 §5). Without one the base stays as it is written.
pub(super) fn join(base: &str, reference: Option<&str>) -> Result<String, ResolveError> {
    let Some(reference) = reference.filter(|reference| !reference.is_empty()) else {
        return Ok(base.to_owned());
    };
    let parsed = Url::parse(base).map_err(|error| invalid(base, error))?;
    let joined = parsed
        .join(reference)
        .map_err(|error| invalid(reference, error))?;
    Ok(joined.into())
}

fn invalid(uri: &str, error: url::ParseError) -> ResolveError {
    ResolveError::Invalid {
        uri: uri.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use reconciler::Key;
    use serde_json::json;

    use super::*;
    use crate::tracker::Kind;

    fn target() -> Target {
        Target {
            kind: Kind::new("example.com/v1", "Thing"),
            key: Key::new("ns", "a"),
        }
    }

    #[test]
    fn references_are_joined_as_rfc_3986_says() {
        for (base, reference, expected) in [
            ("http://a.b", None, "http://a.b"),
            ("http://a.b/c", Some(""), "http://a.b/c"),
            ("http://a.b", Some("/d"), "http://a.b/d"),
            ("http://a.b/c/d", Some("e"), "http://a.b/c/e"),
            ("http://a.b/c/", Some("e"), "http://a.b/c/e"),
            ("http://a.b/c", Some("/d/e?x=1"), "http://a.b/d/e?x=1"),
            ("http://a.b/c", Some("?x=1"), "http://a.b/c?x=1"),
            ("http://a.b/c/d", Some("../e"), "http://a.b/e"),
        ] {
            assert_eq!(join(base, reference).unwrap(), expected, "{base} + {reference:?}");
        }
        assert!(join("http://a.b", Some("http://[")).is_err());
    }

    #[test]
    fn only_urls_with_a_host_are_absolute() {
        assert_eq!(absolute("http://a.b").unwrap(), "http://a.b");
        for (uri, message) in [
            (
                "/a",
                "URI is not absolute (both scheme and host should be non-empty): \"/a\"",
            ),
            (
                "mailto:me",
                "URI is not absolute (both scheme and host should be non-empty): \"mailto:me\"",
            ),
        ] {
            assert_eq!(absolute(uri).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn one_of_several_addresses_is_found_by_name_else_the_first_wins() {
        let status = json!({
            "address": {"url": "http://one"},
            "addresses": [{"name": "https", "url": "https://two", "CACerts": "pem"}, {"name": "http", "url": "http://three"}],
        });
        let url = |name: Option<&str>| address_of(&status, name, &target()).map(|found| found.url.unwrap());
        assert_eq!(url(None).unwrap(), "https://two");
        assert_eq!(url(Some("http")).unwrap(), "http://three");
        assert_eq!(
            url(Some("x")).unwrap_err().to_string(),
            "address with name \"x\" not found for Thing ns/a"
        );
        for (status, message) in [
            (json!({}), "address not set for Thing ns/a"),
            (json!(null), "address not set for Thing ns/a"),
            (json!({"address": {}}), "URL missing in address of Thing ns/a"),
            (
                json!({"address": {"url": "/path"}}),
                "hostname missing in address of Thing ns/a",
            ),
        ] {
            let error = address_of(&status, None, &target()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let single = json!({"address": {"url": "http://one"}, "addresses": null});
        assert_eq!(
            address_of(&single, None, &target()).unwrap().url.as_deref(),
            Some("http://one")
        );
    }
}
