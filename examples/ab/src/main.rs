//! An A/B page: shows the revision that answered, in the colour of `$COLOR`.

use bytes::Bytes;
use example_server::{full, serve, variable};
use hyper::Response;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

fn main() -> std::io::Result<()> {
    let page = Bytes::from(page(
        &variable("COLOR").unwrap_or_else(|| "blue".to_owned()),
        &variable("K_REVISION").unwrap_or_else(|| "no revision".to_owned()),
    ));
    serve(move |_| {
        let mut response = Response::new(full(page.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        std::future::ready(response)
    })
}

fn page(color: &str, revision: &str) -> String {
    // The colour ends up in a style: letters and digits are all that a colour needs.
    let color: String = color
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '#')
        .collect();
    let revision: String = revision
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-. ".contains(*c))
        .collect();
    format!(
        "<!doctype html>\n<title>{revision}</title>\n\
         <body style=\"margin:0;display:grid;place-items:center;height:100vh;background:{color};color:white;\
         font:2rem system-ui\">\n<p>{color} · {revision}</p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_shows_the_revision_and_escapes_what_could_be_markup() {
        assert!(page("green", "ab-00002").contains("green · ab-00002"));
        let hostile = page("red;}</style><script>", "<b>");
        assert!(!hostile.contains("<script>") && !hostile.contains("<b>"));
    }
}
