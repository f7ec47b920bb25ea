//! The attributes that a dead letter carries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::outcome::Failure;

/// The address that failed: of a trigger the subscriber itself.
pub const DESTINATION: &str = "knativeerrordest";
/// The last status; 500 for a fault in transport.
pub const CODE: &str = "knativeerrorcode";
/// The start of the last answer's body, in padded base64.
pub const DATA: &str = "knativeerrordata";

/// The values of the three extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extensions {
    pub destination: String,
    pub code: i32,
    /// At most 1024 characters; absent when the answer had no body.
    pub data: Option<String>,
}

/// What is added to an event whose delivery to `destination` ended with `failure`. The three are set for every kind
/// of failure; upstream leaves them out after a malformed reply.
pub fn extensions(destination: &str, failure: &Failure) -> Extensions {
    Extensions {
        destination: attribute_text(destination),
        code: i32::from(failure.code),
        data: (!failure.data.is_empty()).then(|| STANDARD.encode(&failure.data)),
    }
}

/// What an attribute of type String may hold: control characters have no place in it, and would make the dead letter
/// itself undeliverable.
fn attribute_text(text: &str) -> String {
    text.chars().filter(|char| !char.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_are_set_for_every_failure() {
        let rows = [
            (Failure::answered(500, b"boom"), 500, Some("Ym9vbQ==")),
            (Failure::answered(404, b""), 404, None),
            (Failure::bad_reply(&"x"), 502, Some("bWFsZm9ybWVkIHJlcGx5OiB4")),
            (
                Failure::transport(&"refused"),
                500,
                Some("ZGlzcGF0Y2ggZXJyb3I6IHJlZnVzZWQ="),
            ),
        ];
        for (failure, code, data) in rows {
            let expected = Extensions {
                destination: "http://a/b".to_owned(),
                code,
                data: data.map(str::to_owned),
            };
            assert_eq!(extensions("http://a/b", &failure), expected);
        }
    }

    #[test]
    fn data_ends_at_1024_characters() {
        for length in [767, 768, 769, 1024, 100_000] {
            let data = extensions("http://a", &Failure::answered(500, &vec![0xff; length])).data;
            assert_eq!(data.map(|text| text.len()), Some(1024), "{length}");
        }
    }

    #[test]
    fn destinations_hold_no_control_characters() {
        let failure = Failure::answered(500, b"");
        assert_eq!(extensions("http://a/\r\nx", &failure).destination, "http://a/x");
    }
}
