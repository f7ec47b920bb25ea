//! The `format`s that Kubernetes checks (`kube-openapi/pkg/validation/strfmt`); unknown ones are ignored, as there.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use formats::quantity::Quantity;
use serde_json::Value;

/// A format with a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Int32,
    Int64,
    DateTime,
    Date,
    Duration,
    Byte,
    Uuid,
    Ipv4,
    Ipv6,
    Cidr,
    Mac,
    Email,
    Hostname,
    Uri,
    /// Number or text of a resource quantity; ours, since OpenAPI has no word for it.
    Quantity,
}

const NAMES: [(&str, Format); 20] = [
    ("int32", Format::Int32),
    ("int64", Format::Int64),
    ("date-time", Format::DateTime),
    ("datetime", Format::DateTime),
    ("date", Format::Date),
    ("duration", Format::Duration),
    ("byte", Format::Byte),
    ("uuid", Format::Uuid),
    ("uuid3", Format::Uuid),
    ("uuid4", Format::Uuid),
    ("uuid5", Format::Uuid),
    ("ipv4", Format::Ipv4),
    ("ip", Format::Ipv4),
    ("ipv6", Format::Ipv6),
    ("cidr", Format::Cidr),
    ("mac", Format::Mac),
    ("email", Format::Email),
    ("hostname", Format::Hostname),
    ("uri", Format::Uri),
    ("quantity", Format::Quantity),
];

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| *format)
    }

    /// As printed in errors.
    pub(super) fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, format)| *format == self)
            .map_or("", |(name, _)| name)
    }

    /// Whether `value`, already of the right JSON type, has this format.
    pub(super) fn accepts(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Int32, Value::Number(number)) => number
                .as_f64()
                .is_some_and(|number| (-2_147_483_648.0..=2_147_483_647.0).contains(&number)),
            (Self::Int64, Value::Number(number)) => {
                number.is_i64()
                    || number
                        .as_f64()
                        .is_some_and(|number| number.abs() < 9_223_372_036_854_775_808.0)
            }
            (Self::Quantity, Value::Number(_)) => true,
            (_, Value::String(text)) => self.accepts_text(text),
            _ => true,
        }
    }

    fn accepts_text(self, text: &str) -> bool {
        match self {
            Self::Int32 | Self::Int64 => true,
            Self::DateTime => is_date_time(text),
            Self::Date => jiff::civil::Date::strptime("%Y-%m-%d", text).is_ok(),
            Self::Duration => is_duration(text),
            Self::Byte => STANDARD.decode(text).is_ok(),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => Ipv4Addr::from_str(text).is_ok(),
            Self::Ipv6 => Ipv6Addr::from_str(text).is_ok(),
            Self::Cidr => is_cidr(text),
            Self::Mac => is_mac(text),
            Self::Email => is_email(text),
            Self::Hostname => is_hostname(text),
            Self::Uri => is_uri(text),
            Self::Quantity => Quantity::from_str(text).is_ok(),
        }
    }
}

/// RFC 3339 with an offset; a space may stand for the `T`, letters may be small, as strfmt allows.
fn is_date_time(text: &str) -> bool {
    text.len() >= "2006-01-02T15:04:05Z".len() && jiff::Timestamp::from_str(text).is_ok()
}

/// Go durations (`1h30m`, `-2.5s`) and the words of strfmt (`3 days`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 27] = [
        "ns",
        "us",
        "µs",
        "μs",
        "ms",
        "s",
        "m",
        "h",
        "d",
        "w",
        "nano",
        "nanosecond",
        "micro",
        "microsecond",
        "milli",
        "millisecond",
        "sec",
        "second",
        "min",
        "minute",
        "hr",
        "hour",
        "day",
        "wk",
        "week",
        "hrs",
        "mins",
    ];
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|ch: char| !ch.is_ascii_digit() && ch != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let letters = tail.find(|ch: char| !ch.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let singular = unit
            .strip_suffix('s')
            .filter(|stem| stem.len() > 1)
            .unwrap_or(unit);
        if number.parse::<f64>().is_err() || !(UNITS.contains(&unit) || UNITS.contains(&singular)) {
            return false;
        }
        rest = tail.trim_start();
    }
    true
}

fn is_uuid(text: &str) -> bool {
    let hex: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    hex.len() == 32 && hex.iter().all(u8::is_ascii_hexdigit)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let Ok(length) = length.parse::<u8>() else {
        return false;
    };
    match std::net::IpAddr::from_str(address) {
        Ok(std::net::IpAddr::V4(_)) => length <= 32,
        Ok(std::net::IpAddr::V6(_)) => length <= 128,
        Err(_) => false,
    }
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_email(text: &str) -> bool {
    match text.rsplit_once('@') {
        Some((local, domain)) => {
            !local.is_empty() && !local.contains(char::is_whitespace) && is_hostname(domain)
        }
        None => false,
    }
}

/// RFC 1123 names, at most 255 bytes.
fn is_hostname(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.trim_end_matches('.').split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|ch| ch.is_alphanumeric() || ch == '-' || ch == '_')
        })
}

/// What Go's `url.ParseRequestURI` takes: an absolute URI or an absolute path.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.chars().any(|ch| ch.is_whitespace() || ch.is_control()) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    match text.split_once(':') {
        Some((scheme, rest)) => {
            !rest.is_empty()
                && scheme.starts_with(|ch: char| ch.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_accept_and_refuse() {
        let table = [
            ("int32", json!(1), true),
            ("int32", json!(4_294_967_296_u64), false),
            ("int64", json!(9_223_372_036_854_775_807_i64), true),
            ("int64", json!(18_446_744_073_709_551_615_u64), false),
            ("date-time", json!("2026-11-21T03:00:00Z"), true),
            ("date-time", json!("2026-11-21T03:00:00.123456+02:00"), true),
            ("date-time", json!("2026-11-21"), false),
            ("date-time", json!("2026-13-21T03:00:00Z"), false),
            ("date", json!("2026-11-21"), true),
            ("date", json!("2026-11-31"), false),
            ("duration", json!("1h30m"), true),
            ("duration", json!("3 days"), true),
            ("duration", json!("soon"), false),
            ("byte", json!("aGk="), true),
            ("byte", json!("a"), false),
            ("uuid", json!("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), true),
            ("uuid", json!("f81d4fae"), false),
            ("ipv4", json!("10.0.0.1"), true),
            ("ipv4", json!("::1"), false),
            ("ipv6", json!("::1"), true),
            ("cidr", json!("10.0.0.0/8"), true),
            ("cidr", json!("10.0.0.0/33"), false),
            ("mac", json!("00:00:5e:00:53:01"), true),
            ("mac", json!("00:00"), false),
            ("email", json!("a@b.example"), true),
            ("email", json!("a"), false),
            ("hostname", json!("a.example"), true),
            ("hostname", json!("-a"), false),
            ("uri", json!("https://a.example/x"), true),
            ("uri", json!("a b"), false),
            ("quantity", json!("500m"), true),
            ("quantity", json!(0.5), true),
            ("quantity", json!("5 apples"), false),
        ];
        for (name, value, expected) in table {
            let format = Format::named(name).unwrap();
            assert_eq!(format.accepts(&value), expected, "{name} {value}");
        }
        assert_eq!(Format::named("password"), None);
        assert_eq!(Format::DateTime.name(), "date-time");
    }
}
