//! Builds `Forwarded` (RFC 7239) from the X-Forwarded headers, for applications that read only the standard one.

use std::net::Ipv6Addr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::headers::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};

/// Adds `Forwarded` unless the request has one or there is nothing to say.
pub fn add_forwarded(headers: &mut HeaderMap) {
    if headers.contains_key(FORWARDED) {
        return;
    }
    if let Some(value) = forwarded(headers).and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(FORWARDED, value);
    }
}

/// `for=<first>;host=…;proto=…, for=<next>…`; host and proto belong to the first hop only.
fn forwarded(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .filter(|v| !v.is_empty())
    };
    let host = text(X_FORWARDED_HOST);
    let proto = text(X_FORWARDED_PROTO);
    let mut clients = text(X_FORWARDED_FOR)
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|client| !client.is_empty());

    let mut first = Vec::with_capacity(3);
    first.extend(clients.next().map(for_pair));
    first.extend(host.map(|host| format!("host={}", quoted(host))));
    first.extend(proto.map(|proto| format!("proto={}", quoted(proto))));
    if first.is_empty() {
        return None;
    }
    let mut result = first.join(";");
    for client in clients {
        result.push_str(", ");
        result.push_str(&for_pair(client));
    }
    Some(result)
}

fn for_pair(client: &str) -> String {
    match client.parse::<Ipv6Addr>() {
        Ok(_) => format!("for=\"[{client}]\""),
        Err(_) => format!("for={}", quoted(client)),
    }
}

/// A token as it is; anything that could end the pair early only in quotes. Host with a port stays bare as upstream
/// writes it.
fn quoted(value: &str) -> std::borrow::Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]/".contains(&byte);
    if value.bytes().all(plain) {
        value.into()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_is_built_from_what_is_there() {
        let cases = [
            ("", "", "", None),
            ("127.0.0.1", "", "", Some("for=127.0.0.1")),
            ("127.0.0.1", "", "h2c", Some("for=127.0.0.1;proto=h2c")),
            (
                "127.0.0.1, ::1",
                "h.example",
                "http",
                Some("for=127.0.0.1;host=h.example;proto=http, for=\"[::1]\""),
            ),
            ("::1", "", "", Some("for=\"[::1]\"")),
            ("", "h.example:80", "", Some("host=h.example:80")),
            ("a;proto=https", "", "", Some("for=\"a;proto=https\"")),
        ];
        for (client, host, proto, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                (X_FORWARDED_FOR, client),
                (X_FORWARDED_HOST, host),
                (X_FORWARDED_PROTO, proto),
            ] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            add_forwarded(&mut headers);
            let got = headers.get(FORWARDED).map(|value| value.to_str().unwrap());
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn an_existing_header_is_kept() {
        let mut headers = HeaderMap::new();
        headers.insert(FORWARDED, HeaderValue::from_static("for=1.1.1.1"));
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("2.2.2.2"));
        add_forwarded(&mut headers);
        assert_eq!(headers[FORWARDED], "for=1.1.1.1");
    }
}
