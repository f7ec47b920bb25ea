//! An event as triggers see it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

/// A request that came to a listener.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Id of the event.
    pub id: String,
    /// The URL that it was sent to, as far as it was told.
    pub url: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it came.
    pub body: Bytes,
    /// When it came.
    pub received_at: Timestamp,
}

/// An event within a trigger: interceptors change it as it goes along.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Id of the event.
    pub id: String,
    /// The URL that it was sent to.
    pub url: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as bytes.
    pub raw: Bytes,
    /// Its body as JSON; null if it is none.
    pub body: Value,
    /// What interceptors have added.
    pub extensions: Map<String, Value>,
    /// When it came.
    pub received_at: Timestamp,
}

impl Seen {
    /// The event as it came.
    pub fn new(incoming: &Incoming) -> Self {
        Self {
            id: incoming.id.clone(),
            url: incoming.url.clone(),
            headers: incoming.headers.clone(),
            raw: incoming.body.clone(),
            body: json_of(&incoming.headers, &incoming.body).unwrap_or_default(),
            extensions: Map::new(),
            received_at: incoming.received_at,
        }
    }

    /// Adds what an interceptor found. A name that was there already is replaced, with all that was in it.
    pub fn extend(&mut self, extensions: Map<String, Value>) {
        self.extensions.extend(extensions);
    }

    /// The headers with their values, by the names as Go spells them.
    pub fn header_lists(&self) -> BTreeMap<String, Vec<String>> {
        header_lists(&self.headers)
    }
}

/// The headers with their values, by the names as Go spells them. Values that are no text are left out.
pub fn header_lists(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Ok(value) = value.to_str() {
            lists
                .entry(canonical(name.as_str()))
                .or_default()
                .push(value.to_owned());
        }
    }
    lists
}

/// The name of a header as Go spells it: `x-github-event` becomes `X-Github-Event`.
pub fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|letter| {
            let spelt = if upper {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            };
            upper = letter == '-';
            spelt
        })
        .collect()
}

/// Is the body a form rather than JSON?
pub fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| {
            essence
                .trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
}

/// The body as JSON: a form is a list of texts by field.
///
/// # Errors
/// If it is neither.
pub fn json_of(headers: &HeaderMap, body: &[u8]) -> Result<Value, serde_json::Error> {
    if !is_form(headers) {
        return serde_json::from_slice(body);
    }
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(body) {
        fields
            .entry(name.into_owned())
            .or_default()
            .push(value.into_owned());
    }
    Ok(json!(fields))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_of_headers_are_spelt_as_go_does() {
        for (name, spelt) in [
            ("x-github-event", "X-Github-Event"),
            ("X-GitHub-Event", "X-Github-Event"),
            ("host", "Host"),
            ("", ""),
        ] {
            assert_eq!(canonical(name), spelt);
        }
    }

    #[test]
    fn forms_become_lists() {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        assert_eq!(
            json_of(&headers, b"a=1&a=2&b=%20x").unwrap(),
            json!({"a": ["1", "2"], "b": [" x"]})
        );
        assert!(json_of(&HeaderMap::new(), b"a=1").is_err());
    }
}
