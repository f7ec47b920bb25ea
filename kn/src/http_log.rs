//! `--log-http`: requests and answers on standard error, for whoever wants to know what this program asks for.

use std::io::Write;

use http::{HeaderMap, Request, Response};
use tower::util::{MapRequestLayer, MapResponseLayer};

/// Headers that carry secrets.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// Logs each request.
pub fn requests<B>() -> MapRequestLayer<fn(Request<B>) -> Request<B>> {
    MapRequestLayer::new(|request: Request<B>| {
        let head = format!("{} {}", request.method(), request.uri());
        log(&lines("> ", &head, request.headers()));
        request
    })
}

/// Logs the head of each answer.
pub fn answers<B>() -> MapResponseLayer<fn(Response<B>) -> Response<B>> {
    MapResponseLayer::new(|response: Response<B>| {
        let head = format!("{:?} {}", response.version(), response.status());
        log(&lines("< ", &head, response.headers()));
        response
    })
}

fn lines(mark: &str, head: &str, headers: &HeaderMap) -> String {
    let mut lines = format!("{mark}{head}\n");
    for (name, value) in headers {
        let value = if SECRET.contains(&name.as_str()) {
            "********".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        lines.push_str(&format!("{mark}{name}: {value}\n"));
    }
    lines
}

fn log(text: &str) {
    // Nobody can be told if standard error is closed.
    let _ = anstream::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blanked() {
        let request = Request::get("https://c/api")
            .header("accept", "application/json")
            .header("Authorization", "Bearer s3cret")
            .body(())
            .unwrap();
        assert_eq!(
            lines("> ", "GET https://c/api", request.headers()),
            "> GET https://c/api\n> accept: application/json\n> authorization: ********\n"
        );
    }
}
