//! The program `git`, told to trust nothing: no configuration but ours, no hooks, no prompts, no helpers, no other
//! protocols, no redirects, only addresses that were checked, and files of a bounded size.

use std::net::IpAddr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use http::HeaderValue;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use url::Url;

use super::tree::{Entry, Trees};
use crate::question::Failure;
use crate::web::{AGENT, shown};

/// The largest file that git may write: a pack of trees, or of a whole commit where the server cannot leave out files.
const MAX_FILE: u64 = 256 << 20;
/// Bytes of address space of each program: a small pack may hold trees that are large once they are unpacked.
const MAX_MEMORY: u64 = 1 << 30;
/// What is read of what git says when it fails.
const MAX_WORDS: usize = 16 << 10;
/// A transfer slower than this for so long is given up.
const SLOW: (&str, Duration) = ("1000", Duration::from_secs(20));

/// How the repository is reached.
pub(super) struct Access {
    pub url: Url,
    /// The addresses of its host, checked.
    pub addresses: Vec<IpAddr>,
    pub authorization: Option<HeaderValue>,
}

impl Access {
    /// Settings of git, given by its environment: arguments can be read by everybody on the machine.
    fn settings(&self) -> Vec<(String, String)> {
        let url = self.url.as_str();
        let mut settings: Vec<(String, String)> = [
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("core.askPass", ""),
            ("credential.helper", ""),
            ("protocol.allow", "never"),
            ("protocol.http.allow", "always"),
            ("protocol.https.allow", "always"),
            ("protocol.version", "2"),
            // Each thread would have its own objects in memory.
            ("pack.threads", "1"),
            ("http.followRedirects", "false"),
            ("http.userAgent", AGENT),
            ("http.proxy", ""),
            ("http.lowSpeedLimit", SLOW.0),
            ("fetch.recurseSubmodules", "false"),
            // One file, whose size is bounded, and not thousands.
            ("fetch.unpackLimit", "1"),
            ("fetch.writeCommitGraph", "false"),
            ("maintenance.auto", "false"),
            ("gc.auto", "0"),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialCloneFilter", "blob:none"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
        set("http.lowSpeedTime", SLOW.1.as_secs().to_string());
        set("remote.origin.url", url.to_owned());
        let host = self.url.host_str().unwrap_or_default();
        // The name is not looked up again: what was checked is what is connected to.
        if host.parse::<IpAddr>().is_err() && !host.starts_with('[') {
            let addresses: Vec<String> = self.addresses.iter().map(address).collect();
            let port = self.url.port_or_known_default().unwrap_or(443);
            set(
                "http.curloptResolve",
                format!("{host}:{port}:{}", addresses.join(",")),
            );
        }
        if let Some(value) = self.authorization.as_ref().and_then(|value| value.to_str().ok()) {
            set(
                &format!("http.{url}.extraHeader"),
                format!("Authorization: {value}"),
            );
        }
        settings
    }
}

fn address(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// A bare repository with one commit, removed when it is dropped.
pub(super) struct Repository {
    folder: tempfile::TempDir,
    settings: Vec<(String, String)>,
    shown: String,
    revision: String,
}

impl Repository {
    /// Fetches a commit, without its files if the server can do that.
    pub(super) async fn fetch(access: &Access, revision: &str) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("spindrift-git-")
            .tempdir()
            .map_err(|error| Failure::Now(format!("there is no room for a repository: {error}")))?;
        let repository = Self {
            folder,
            settings: access.settings(),
            shown: shown(&access.url),
            revision: revision.to_owned(),
        };
        repository
            .run(&["init", "--quiet", "--bare", "--template=", "."], 0)
            .await?;
        let fetch = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--filter=blob:none",
            "--no-auto-maintenance",
            "--",
            "origin",
            revision,
        ];
        repository.run(&fetch, 0).await?;
        Ok(repository)
    }

    /// The id of the commit.
    pub(super) async fn commit(&self) -> Result<String, Failure> {
        let out = self
            .run(&["rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}"], 256)
            .await?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    /// Runs git, and gives what it wrote, which may have `most` bytes.
    async fn run(&self, arguments: &[&str], most: usize) -> Result<Vec<u8>, Failure> {
        let child = match self.command(arguments).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Failure::never(
                    "the git resolver needs the program git, which is not on the PATH of the resolvers: install it",
                );
            }
            Err(error) => return Failure::now(format!("git cannot be started: {error}")),
        };
        let mut group = Group(child);
        group.limit();
        let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
        let (out, words) = tokio::join!(upto(stdout, most + 1), upto(stderr, MAX_WORDS));
        if out.len() > most {
            return Failure::never(format!("{}: the file is longer than {most} bytes", self.shown));
        }
        let status = group
            .0
            .wait()
            .await
            .map_err(|error| Failure::Now(format!("git was lost: {error}")))?;
        match status.success() {
            true => Ok(out),
            false => Err(self.failure(status, &String::from_utf8_lossy(&words))),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .args(["--literal-pathspecs", "--no-replace-objects"])
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for kept in [
            "PATH",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "GIT_SSL_CAINFO",
            "LD_LIBRARY_PATH",
        ] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        for (key, value) in [
            ("GIT_DIR", "."),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ALLOW_PROTOCOL", "http:https"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("GIT_SSH_COMMAND", "/bin/false"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
        ] {
            command.env(key, value);
        }
        command.env("GIT_CONFIG_COUNT", self.settings.len().to_string());
        for (index, (key, value)) in self.settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command
    }

    fn failure(&self, status: ExitStatus, words: &str) -> Failure {
        told(&self.shown, &self.revision, status.code(), words)
    }
}

/// What a failure of git means. Its own words are shown only where nothing secret can be in them.
fn told(shown: &str, revision: &str, code: Option<i32>, words: &str) -> Failure {
    let says = |text: &str| words.contains(text);
    if says("couldn't find remote ref") || says("not our ref") || says("no such remote ref") {
        return Failure::Never(format!("{shown} has no revision {revision:?}"));
    }
    if says("Authentication failed") || says("could not read Username") || says("terminal prompts disabled") {
        return Failure::Never(format!(
            "{shown} refuses access: give the params gitToken and gitTokenKey"
        ));
    }
    if says("File too large") || says("file too large") || says("signal 25") {
        return Failure::Never(format!(
            "{shown} is too large: {MAX_FILE} bytes are fetched at most"
        ));
    }
    if says("unable to update url base from redirection") || says("redirect") {
        return Failure::Never(format!("{shown} redirects, which is not followed"));
    }
    let last = words
        .lines()
        .rfind(|line| line.starts_with("fatal:") || line.starts_with("error:"))
        .unwrap_or_default();
    let last: String = last.chars().filter(|c| !c.is_control()).take(300).collect();
    let code = code.map_or_else(|| "a signal".to_owned(), |code| format!("code {code}"));
    Failure::Now(format!("{shown}: git ended with {code}: {last}"))
}

impl Trees for Repository {
    async fn entry(&self, path: &str) -> Result<Option<Entry>, Failure> {
        // One entry: the path has no wildcards, and its folder no end.
        let listed = self
            .run(&["ls-tree", "-z", "FETCH_HEAD", "--", path], 64 << 10)
            .await?;
        Ok(parse_entry(&String::from_utf8_lossy(&listed), path))
    }

    async fn blob(&self, id: &str, most: usize) -> Result<Vec<u8>, Failure> {
        self.run(&["cat-file", "blob", id], most).await
    }
}

/// The entry `path` of a list as `ls-tree -z` writes it: mode, type and id, a tab, and the path.
fn parse_entry(listed: &str, path: &str) -> Option<Entry> {
    let (head, _) = listed
        .split('\0')
        .filter_map(|line| line.split_once('\t'))
        .find(|(_, name)| *name == path)?;
    let mut words = head.split(' ');
    let (mode, _, id) = (words.next()?, words.next()?, words.next()?);
    Some(match mode {
        "040000" => Entry::Folder,
        "120000" => Entry::Link(id.to_owned()),
        "160000" => Entry::Module,
        _ => Entry::File(id.to_owned()),
    })
}

/// Reads as many bytes at most; what comes after them stays unread, which ends who writes.
async fn upto(source: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        let limit = u64::try_from(most).unwrap_or(u64::MAX);
        let _ = source.take(limit).read_to_end(&mut bytes).await;
    }
    bytes
}

/// A git and the helpers that it starts: they end together.
struct Group(Child);

impl Group {
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.0.id()?).ok()?)
    }

    /// What it starts later has the same limit.
    fn limit(&self) {
        let Some(pid) = self.pid() else { return };
        for (what, most) in [(Resource::Fsize, MAX_FILE), (Resource::As, MAX_MEMORY)] {
            let limit = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            if let Err(error) = prlimit(Some(pid), what, limit) {
                tracing::debug!(%error, ?what, "What git may take is not limited");
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only while it has not been waited for: afterwards the number may be of somebody else.
        if let Some(pid) = self.pid() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str) -> Access {
        Access {
            url: Url::parse(url).unwrap(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            authorization: Some(crate::http_file::basic("git", "secret").unwrap()),
        }
    }

    #[test]
    fn git_connects_to_what_was_checked_and_shows_credentials_to_that_alone() {
        let value = |url: &str, key: &str| {
            let settings = access(url).settings();
            settings
                .into_iter()
                .find(|(found, _)| found == key)
                .map(|(_, value)| value)
        };
        let url = "https://git.example.com/o/r.git";
        assert_eq!(
            value(url, "http.curloptResolve").as_deref(),
            Some("git.example.com:443:192.0.2.1,[2001:db8::1]")
        );
        assert_eq!(value("http://192.0.2.1:8080/r", "http.curloptResolve"), None);
        assert_eq!(value(url, "http.followRedirects").as_deref(), Some("false"));
        let header = value(url, "http.https://git.example.com/o/r.git.extraHeader");
        assert_eq!(header.as_deref(), Some("Authorization: Basic Z2l0OnNlY3JldA=="));
    }

    #[test]
    fn failures_are_told_by_their_meaning() {
        for (words, expected) in [
            ("fatal: couldn't find remote ref nope", "has no revision \"r\""),
            (
                "fatal: remote error: upload-pack: not our ref 12",
                "has no revision \"r\"",
            ),
            ("fatal: could not read Username for 'u'", "gitToken"),
            ("error: index-pack died of signal 25", "too large"),
            (
                "noise\nfatal: odd\u{7}\nmore",
                "git ended with code 128: fatal: odd",
            ),
        ] {
            let failure = told("https://h/r", "r", Some(128), words);
            assert!(failure.to_string().contains(expected), "{failure}");
        }
    }

    #[test]
    fn entries_are_read() {
        let id = "8baef1b4abc478178b004d62031cf7fe6db6f903";
        let listed = format!("100644 blob {id}\ta b.yaml\0");
        assert_eq!(parse_entry(&listed, "a b.yaml"), Some(Entry::File(id.to_owned())));
        assert_eq!(parse_entry(&listed, "a"), None);
        assert_eq!(parse_entry("", "a"), None);
        assert_eq!(parse_entry("040000 tree x\tt\0", "t"), Some(Entry::Folder));
        assert_eq!(
            parse_entry("120000 blob x\tt\0", "t"),
            Some(Entry::Link("x".to_owned()))
        );
        assert_eq!(parse_entry("160000 commit x\tt\0", "t"), Some(Entry::Module));
    }
}
