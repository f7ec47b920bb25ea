//! What a request asks for.

use http::Method;

use crate::refusal::Refusal;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `OPTIONS`, on any path.
    Handshake,
    /// An event that wants an answer.
    Ask { namespace: &'a str, name: &'a str },
    /// The answer.
    Reply { namespace: &'a str, name: &'a str },
}

/// By method and path. Names are looked up and never become part of a path, so nothing is decoded.
pub(crate) fn route<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, Refusal> {
    match *method {
        Method::OPTIONS => return Ok(Route::Handshake),
        Method::POST => {}
        _ => return Err(Refusal::Method),
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<&str> = path.splitn(4, '/').collect();
    match segments.as_slice() {
        [namespace, name] if !namespace.is_empty() && !name.is_empty() => Ok(Route::Ask { namespace, name }),
        [namespace, name, "reply"] if !namespace.is_empty() && !name.is_empty() => {
            Ok(Route::Reply { namespace, name })
        }
        _ => Err(Refusal::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_questions_or_answers() {
        let ask = || Route::Ask {
            namespace: "ns",
            name: "rr",
        };
        let reply = || Route::Reply {
            namespace: "ns",
            name: "rr",
        };
        for (method, path, expected) in [
            (Method::OPTIONS, "/", Ok(Route::Handshake)),
            (Method::POST, "/ns/rr", Ok(ask())),
            (Method::POST, "/ns/rr/", Ok(ask())),
            (Method::POST, "/ns/rr/reply", Ok(reply())),
            (Method::POST, "/", Err(Refusal::Path)),
            (Method::POST, "/ns", Err(Refusal::Path)),
            (Method::POST, "//rr", Err(Refusal::Path)),
            (Method::POST, "/ns/rr/other", Err(Refusal::Path)),
            (Method::POST, "/ns/rr/reply/more", Err(Refusal::Path)),
            (Method::GET, "/ns/rr", Err(Refusal::Method)),
            (Method::PUT, "/ns/rr/reply", Err(Refusal::Method)),
        ] {
            assert_eq!(route(&method, path), expected, "{method} {path}");
        }
    }
}
