//! `.ssh`: a key for each secret, and which host gets which.

use std::path::Path;

use super::git::quoted;
use super::{Credentials, Files, Target, read};
use crate::say;

/// Where a key is used.
struct Place<'a> {
    host: &'a str,
    port: Option<&'a str>,
    /// `org/repo`; empty for the whole host.
    path: &'a str,
}

/// Adds the files, and returns what git's configuration has to say.
pub(super) fn files(credentials: &Credentials, home: Option<&Path>, files: &mut Files) -> String {
    let folder = home.unwrap_or(&credentials.folder).join(".ssh");
    let (mut special, mut general, mut known, mut git) =
        (String::new(), String::new(), String::new(), String::new());
    for target in &credentials.ssh_git {
        let Some(place) = Place::parse(&target.url) else {
            say(&format!(
                "secret {}: the address for ssh is no host",
                target.secret
            ));
            continue;
        };
        let Some(mut key) = read(credentials, &target.secret, "ssh-privatekey") else {
            continue;
        };
        // ssh refuses keys whose last line does not end.
        if !key.ends_with('\n') {
            key.push('\n');
        }
        files.insert(format!(".ssh/id_{}", target.secret), key.into_bytes());
        let hosts =
            std::fs::read_to_string(credentials.secrets.join(&target.secret).join("known_hosts")).ok();
        known.extend(hosts.iter().map(|hosts| format!("{}\n", hosts.trim_end())));
        let block = place.block(target, &folder, hosts.is_some());
        match place.path {
            "" => general.push_str(&block),
            _ => {
                special.push_str(&block);
                git.push_str(&place.instead_of(target));
            }
        }
    }
    // ssh takes the first that fits.
    let config = special + &general;
    if !config.is_empty() {
        files.insert(".ssh/config".to_owned(), config.into_bytes());
    }
    if !known.is_empty() {
        files.insert(".ssh/known_hosts".to_owned(), known.into_bytes());
    }
    git
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix("ssh://").unwrap_or(text);
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, None),
        };
        let is_word = |word: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            !word.is_empty() && !word.starts_with('-') && word.chars().all(fits)
        };
        let fits = is_word(host)
            && port.is_none_or(|port| port.parse::<u16>().is_ok())
            && !path.contains(|c: char| c.is_control() || c == '"');
        fits.then(|| Self {
            host,
            port,
            path: path.trim_matches('/').trim_end_matches(".git"),
        })
    }

    /// The host as ssh is told it: repositories of one host may have keys of their own.
    fn alias(&self, target: &Target) -> String {
        match self.path {
            "" => self.host.to_owned(),
            _ => format!("{}-{}", self.host, target.secret),
        }
    }

    fn block(&self, target: &Target, folder: &Path, is_known: bool) -> String {
        let folder = folder.display();
        let mut block = format!(
            "Host {}\n    HostName {}\n    IdentityFile \"{folder}/id_{}\"\n    IdentitiesOnly yes\n",
            self.alias(target),
            self.host,
            target.secret
        );
        if let Some(port) = self.port {
            block.push_str(&format!("    Port {port}\n"));
        }
        // Without a list of keys the first one that is seen has to do.
        block.push_str(&match is_known {
            true => {
                format!("    UserKnownHostsFile \"{folder}/known_hosts\"\n    StrictHostKeyChecking yes\n")
            }
            false => "    StrictHostKeyChecking accept-new\n".to_owned(),
        });
        block
    }

    fn instead_of(&self, target: &Target) -> String {
        let Self { host, path, .. } = self;
        let alias = self.alias(target);
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!(
            "[url {}]\n\tinsteadOf = {}\n\tinsteadOf = {}\n",
            quoted(&format!("ssh://git@{alias}/{path}")),
            quoted(&format!("git@{host}:{path}")),
            quoted(&format!("ssh://git@{host}{port}/{path}")),
        )
    }
}
