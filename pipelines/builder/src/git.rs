//! git, on a short leash: it runs nothing of a repository's, asks nobody, and speaks only what it may.

use std::fs;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use url::Url;

use crate::error::Error;
use crate::output::say;
use crate::place::GIT_SECRET;
use crate::settings::Git;

/// How often git, and the size of what it fetches, is looked at: soon at first, as most commands take a moment.
const LOOKS: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));
/// What of git's words is kept.
pub(crate) const WORDS: u64 = 4 << 20;

/// Configuration that wins over every other.
const CONFIGURATION: [&str; 13] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "http.followRedirects=initial",
    // A host that says nothing for a minute is given up.
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
    "advice.detachedHead=false",
    "safe.directory=*",
    "gc.auto=0",
    "maintenance.auto=false",
    "init.defaultBranch=main",
];

/// git in one folder.
pub(crate) struct Repository<'a> {
    pub folder: &'a Path,
    pub settings: &'a Git,
    /// Bytes that it may grow to.
    pub limit: u64,
}

impl Repository<'_> {
    /// Runs git and gives what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        let mut command = self.command(arguments);
        let mut child = command.spawn().map_err(|error| Error::io("run git", error))?;
        let told = reader(child.stdout.take());
        let complained = reader(child.stderr.take());
        let mut pause = LOOKS.0;
        let status = loop {
            if let Some(status) = child
                .try_wait()
                .map_err(|error| Error::io("wait for git", error))?
            {
                break status;
            }
            if size(self.folder) > self.limit {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::Usage(format!(
                    "the repository is more than {} bytes, which is the most that is built",
                    self.limit
                )));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LOOKS.1);
        };
        let text = told.join().unwrap_or_default();
        if status.success() {
            return Ok(text);
        }
        let words = complained.join().unwrap_or_default();
        Err(Error::Program {
            program: format!("git {}", arguments.first().unwrap_or(&"")),
            message: without_secrets(words.trim(), &self.settings.url),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        // Where the credentials of the service account are, and how the machine reaches others.
        for name in [
            "PATH",
            "HOME",
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_ALLOW_PROTOCOL", self.settings.protocols.join(":"))
            .env("GIT_SSH_COMMAND", ssh_command(Path::new(GIT_SECRET)))
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for setting in CONFIGURATION {
            command.args(["-c", setting]);
        }
        if Path::new(GIT_SECRET).join("password").exists() {
            command.args(["-c", "credential.helper="]);
            command.arg("-c").arg(format!(
                "credential.helper=!{} credential",
                std::env::current_exe().unwrap_or_default().display()
            ));
            command.env("GIT_SOURCE", &self.settings.url);
        }
        command.args(arguments);
        command
    }
}

/// Keys come from the secret; a host that is not known is not trusted unless nobody said which are.
fn ssh_command(secret: &Path) -> String {
    let mut command = "ssh -o BatchMode=yes -o ConnectTimeout=60 -o ServerAliveInterval=30".to_owned();
    if secret.join("ssh-privatekey").exists() {
        command.push_str(&format!(
            " -o IdentitiesOnly=yes -i {}/ssh-privatekey",
            secret.display()
        ));
    }
    if secret.join("known_hosts").exists() {
        command.push_str(&format!(
            " -o StrictHostKeyChecking=yes -o UserKnownHostsFile={}/known_hosts",
            secret.display()
        ));
    } else {
        command.push_str(" -o StrictHostKeyChecking=accept-new");
    }
    command
}

fn reader(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.by_ref().take(WORDS).read_to_end(&mut kept);
            // It must not stop because nobody listens.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

/// Bytes below a folder; links are not followed, what vanishes meanwhile is nothing.
fn size(folder: &Path) -> u64 {
    let mut folders = vec![PathBuf::from(folder)];
    let mut bytes = 0_u64;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) => bytes = bytes.saturating_add(found.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

/// The text without a name and password that the address may have.
fn without_secrets(text: &str, url: &str) -> String {
    let user = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?']).next()?.rsplit_once('@'))
        .map(|(user, _)| user)
        .filter(|user| !user.is_empty());
    match user {
        Some(user) => text.replace(user, "***"),
        None => text.to_owned(),
    }
}

/// The address without a name and password.
pub(crate) fn public_url(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.host().is_some() => {
            let _ = parsed.set_password(None);
            if parsed.scheme() != "ssh" {
                let _ = parsed.set_username("");
            }
            parsed.into()
        }
        _ => url.to_owned(),
    }
}

/// Answers git's question for a name and password (gitcredentials(7)), for the host of the repository and no other.
pub(crate) fn credential(arguments: &[String]) -> Result<(), Error> {
    if arguments.first().map(String::as_str) != Some("get") {
        return Ok(());
    }
    let mut asked = Vec::new();
    for line in std::io::stdin().lock().take(WORDS).lines() {
        let line = line.map_err(|error| Error::io("read what git asks", error))?;
        if line.is_empty() {
            break;
        }
        asked.push(line);
    }
    let url = std::env::var("GIT_SOURCE").unwrap_or_default();
    if !is_asked(&asked, &url) {
        say("a host other than the repository's asks for credentials; it gets none");
        return Ok(());
    }
    let read = |name: &str| fs::read_to_string(Path::new(GIT_SECRET).join(name)).unwrap_or_default();
    let (user, password) = (read("username"), read("password"));
    writeln!(
        std::io::stdout(),
        "username={}\npassword={}",
        user.trim_end(),
        password.trim_end()
    )
    .map_err(|error| Error::io("answer git", error))
}

/// Whether what is asked for is the protocol and host of the repository.
fn is_asked(asked: &[String], url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let value = |key: &str| {
        let mut lines = asked.iter().filter_map(|line| line.split_once('='));
        lines
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.to_owned())
    };
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return false,
    };
    value("host").as_deref() == Some(&host) && value("protocol").as_deref() == Some(url.scheme())
}

/// Bytes of a file that are looked at.
const MOST_READ: u64 = 1 << 20;

/// Whether a file says that some of the others are kept elsewhere.
pub(crate) fn mentions(file: &Path, word: &str) -> bool {
    // The repository may say anything, links and files without end included.
    if !fs::symlink_metadata(file).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut bytes = Vec::new();
    let read = fs::File::open(file).and_then(|file| file.take(MOST_READ).read_to_end(&mut bytes));
    read.is_ok_and(|_| {
        bytes
            .split(|byte| *byte == b'\n')
            .any(|line| String::from_utf8_lossy(line).contains(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_not_told() {
        let url = "https://me:t0ken@example.com/a.git";
        assert_eq!(
            without_secrets("fatal: 'https://me:t0ken@example.com/a.git/'", url),
            "fatal: 'https://***@example.com/a.git/'"
        );
        assert_eq!(without_secrets("x", "https://example.com/@a"), "x");
        for (url, public) in [
            (url, "https://example.com/a.git"),
            ("https://example.com/a.git", "https://example.com/a.git"),
            ("ssh://git@example.com/a.git", "ssh://git@example.com/a.git"),
            ("git@example.com:a.git", "git@example.com:a.git"),
        ] {
            assert_eq!(public_url(url), public);
        }
    }

    #[test]
    fn credentials_are_for_one_host() {
        let asked = |protocol: &str, host: &str| vec![format!("protocol={protocol}"), format!("host={host}")];
        let url = "https://git.example.com:8443/a.git";
        assert!(is_asked(&asked("https", "git.example.com:8443"), url));
        assert!(!is_asked(&asked("http", "git.example.com:8443"), url));
        assert!(!is_asked(&asked("https", "git.example.com"), url));
        assert!(!is_asked(&asked("https", "evil.example.com:8443"), url));
        assert!(!is_asked(&[], url));
    }
}
