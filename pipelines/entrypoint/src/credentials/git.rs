//! `.gitconfig` and `.git-credentials`; keys for ssh are beside this.

use std::path::Path;

use super::{Credentials, Files, basic, ssh};
use crate::say;

pub(super) fn files(credentials: &Credentials, home: Option<&Path>, files: &mut Files) {
    let mut config = String::new();
    let mut stored: Vec<(bool, String)> = Vec::new();
    for target in &credentials.basic_git {
        let Some(url) = Url::parse(&target.url) else {
            say(&format!(
                "secret {}: the address for git is no http or https URL",
                target.secret
            ));
            continue;
        };
        let Some((user, password)) = basic(credentials, &target.secret) else {
            continue;
        };
        if config.is_empty() {
            config.push_str("[credential]\n\thelper = store\n");
        }
        config.push_str(&format!(
            "[credential {}]\n\tusername = {}\n",
            quoted(&url.text()),
            quoted(&user)
        ));
        if !url.path.is_empty() {
            config.push_str("\tuseHttpPath = true\n");
        }
        stored.push((
            !url.path.is_empty(),
            format!(
                "{}://{}:{}@{}{}\n",
                url.scheme,
                encoded(&user),
                encoded(&password),
                url.host,
                url.path
            ),
        ));
    }
    // Those of whole hosts first (as upstream); the sort keeps the order otherwise.
    stored.sort_by_key(|(with_path, _)| *with_path);
    let stored: String = stored.into_iter().map(|(_, line)| line).collect();
    if !stored.is_empty() {
        files.insert(".git-credentials".to_owned(), stored.into_bytes());
    }
    config.push_str(&ssh::files(credentials, home, files));
    if !config.is_empty() {
        files.insert(".gitconfig".to_owned(), config.into_bytes());
    }
}

struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
    /// Empty, or with a slash before it.
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let fits = matches!(scheme, "http" | "https") && !host.is_empty() && !text.contains(['\n', '\r']);
        fits.then(|| Self {
            scheme,
            host,
            path: path.trim_end_matches('/'),
        })
    }

    fn text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.path)
    }
}

/// As git reads it in its configuration.
pub(super) fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// As a part of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
