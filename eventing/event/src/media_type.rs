//! What a `Content-Type` says about the bytes behind it.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::error::ReadError;
use crate::event::Mode;

pub(crate) const STRUCTURED: &str = "application/cloudevents+json";
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";

/// How a message lays out what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    One(Mode),
    /// A JSON array of structured events.
    Batch,
}

impl Content {
    /// By the `Content-Type`; any other than those of CloudEvents is that of a binary event's data.
    ///
    /// # Errors
    /// [`ReadError::Format`] for an event format other than JSON in UTF-8, which must not pass for data.
    pub fn of(headers: &HeaderMap) -> Result<Self, ReadError> {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Ok(Self::One(Mode::Binary));
        };
        if !begins(value.as_bytes()) {
            return Ok(Self::One(Mode::Binary));
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        let essence = essence(&text);
        let content = if essence.eq_ignore_ascii_case(BATCH) {
            Self::Batch
        } else if essence.eq_ignore_ascii_case(STRUCTURED) {
            Self::One(Mode::Structured)
        } else {
            return Err(ReadError::format(&text));
        };
        match charset(&text) {
            None => Ok(content),
            Some(charset)
                if ["utf-8", "utf8", "us-ascii"]
                    .iter()
                    .any(|good| charset.eq_ignore_ascii_case(good)) =>
            {
                Ok(content)
            }
            Some(_) => Err(ReadError::format(&text)),
        }
    }
}

/// Whether this is the content type of an event in whatever format.
pub(crate) fn is_event(content_type: &str) -> bool {
    begins(content_type.as_bytes())
}

fn begins(content_type: &[u8]) -> bool {
    let prefix = b"application/cloudevents";
    let start = content_type.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether data of this type is JSON: its subtype is `json` or ends in `+json`.
pub(crate) fn is_json(content_type: &str) -> bool {
    let subtype = essence(content_type).rsplit('/').next().unwrap_or_default();
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    suffix.eq_ignore_ascii_case("json")
}

/// Whether data of this type is for people to read, if it is UTF-8: a JSON string then says it better than base64.
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type);
    let (kind, subtype) = essence.split_once('/').unwrap_or((essence, ""));
    let suffix = subtype.rsplit('+').next().unwrap_or_default();
    kind.eq_ignore_ascii_case("text") || suffix.eq_ignore_ascii_case("xml")
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn charset(content_type: &str) -> Option<&str> {
    let parameters = content_type.split(';').skip(1);
    let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, value) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn content_type_decides_the_mode() {
        let binary = Ok(Content::One(Mode::Binary));
        let structured = Ok(Content::One(Mode::Structured));
        let refused = |text: &str| Err(ReadError::format(text));
        for (content_type, expected) in [
            ("application/json", binary.clone()),
            ("text/plain; x=application/cloudevents+json", binary.clone()),
            ("application/cloudevents+json", structured.clone()),
            (
                "Application/CloudEvents+JSON; Charset=\"UTF-8\"",
                structured.clone(),
            ),
            ("application/cloudevents+json;charset=utf8; x=y", structured),
            ("application/cloudevents-batch+json", Ok(Content::Batch)),
            ("application/cloudevents", refused("application/cloudevents")),
            (
                "application/cloudevents+avro",
                refused("application/cloudevents+avro"),
            ),
            (
                "application/cloudevents-batch",
                refused("application/cloudevents-batch"),
            ),
            (
                "application/cloudevents+json; charset=iso-8859-1",
                refused("application/cloudevents+json; charset=iso-8859-1"),
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(Content::of(&headers), expected, "{content_type}");
        }
        assert_eq!(Content::of(&HeaderMap::new()), binary);
    }

    #[test]
    fn subtypes_say_what_is_json_and_what_is_text() {
        for (content_type, json, text) in [
            ("application/json", true, false),
            ("text/json", true, true),
            ("application/vnd.api+JSON; charset=utf-8", true, false),
            ("application/jsonp", false, false),
            ("application/xml", false, true),
            ("image/svg+xml", false, true),
            ("text/plain;charset=utf-8", false, true),
            ("application/octet-stream", false, false),
            ("json", true, false),
            ("", false, false),
        ] {
            assert_eq!(is_json(content_type), json, "{content_type}");
            assert_eq!(is_text(content_type), text, "{content_type}");
        }
    }
}
