//! What a git host delivers, as pushes: the formats of GitHub, GitLab, Gitea (and Forgejo), Bitbucket, and the plain one
//! of our own `post-receive` hook.

mod bitbucket;
mod gitea;
mod github;
mod gitlab;
mod plain;

use http::HeaderMap;
use http::header::CONTENT_TYPE;

pub use plain::EVENT_HEADER as PLAIN_EVENT_HEADER;

/// Pushes in one delivery; GitHub sends one, a `post-receive` hook one for each ref.
const MOST_PUSHES: usize = 50;
/// Longest name of a ref that is taken.
const LONGEST_REF: usize = 512;
/// Longest id of a delivery, author or first line of a message that is kept, in characters.
const LONGEST_TEXT: usize = 120;
/// Files of one push that are kept; beyond that it counts as unknown what changed.
const MOST_PATHS: usize = 3000;

/// A ref that was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// The ref, such as `refs/heads/main`.
    pub git_ref: String,
    /// Where it pointed before; empty if it is new.
    pub before: String,
    /// Where it points now; empty if it is gone.
    pub after: String,
    /// Was it moved to something that does not follow from what it was? Not every git host tells.
    pub forced: bool,
    /// The files that changed; `None` if that is not known for sure.
    pub paths: Option<Vec<String>>,
    /// Who wrote the newest commit.
    pub author: String,
    /// The message of the newest commit, whole.
    pub message: String,
    /// Hash of all files; empty if the git host does not tell.
    pub tree: String,
}

/// What a delivery is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The git host only tries whether somebody is here.
    Ping,
    /// Refs were moved.
    Pushes(Vec<Push>),
    /// Something that nothing is built of, by the git host's name.
    Other(String),
}

/// Who delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    GitHub,
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
    Bitbucket,
    /// A `post-receive` hook.
    Plain,
}

/// The head of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub host: Host,
    /// The host's name of the event.
    pub event: String,
    /// The same when the delivery is made again; empty if the host gives none.
    pub id: String,
    /// Is the payload a field of a form?
    pub form: bool,
}

/// Why a delivery cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    #[error(
        "nothing says which git host this is: webhooks of GitHub, GitLab, Gitea and Bitbucket are understood, and \
         {PLAIN_EVENT_HEADER}: push"
    )]
    NoHost,
    #[error("the header {0} must be there once, and be plain text")]
    Header(&'static str),
    #[error("the payload is not what {host:?} sends: {reason}")]
    Payload { host: Host, reason: String },
    #[error("{0:?} is no name of a ref")]
    Ref(String),
    #[error("{0:?} is no full hash of a commit")]
    Hash(String),
    #[error("the delivery moves more than {MOST_PUSHES} refs")]
    TooMany,
}

/// The header that names the event, and those with ids of which the first counts, in the order in which hosts are told
/// apart: Gitea also sends GitHub's headers.
const HOSTS: [(Host, &str, &[&str]); 6] = [
    (Host::Plain, plain::EVENT_HEADER, &["x-spindrift-delivery"]),
    (
        Host::Gitea,
        "x-forgejo-event",
        &["x-forgejo-delivery", "x-gitea-delivery"],
    ),
    (Host::Gitea, "x-gitea-event", &["x-gitea-delivery"]),
    (Host::GitHub, "x-github-event", &["x-github-delivery"]),
    (
        Host::GitLab,
        "x-gitlab-event",
        &["idempotency-key", "x-gitlab-event-uuid"],
    ),
    (
        Host::Bitbucket,
        "x-event-key",
        &["x-request-uuid", "x-request-id"],
    ),
];

impl Head {
    /// Reads who delivers what.
    ///
    /// # Errors
    /// If no git host sends such headers.
    pub fn read(headers: &HeaderMap) -> Result<Self, DeliveryError> {
        let (host, name, ids) = HOSTS
            .into_iter()
            .find(|(_, name, _)| headers.contains_key(*name))
            .ok_or(DeliveryError::NoHost)?;
        let event = one(headers, name)?.ok_or(DeliveryError::Header(name))?;
        let mut id = "";
        for header in ids {
            if let Some(found) = one(headers, header)? {
                id = found;
                break;
            }
        }
        let form = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                value
                    .trim_start()
                    .starts_with("application/x-www-form-urlencoded")
            });
        Ok(Self {
            host,
            event: event.to_owned(),
            id: cut(id),
            form,
        })
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// If it is not what the host sends with such an event, or names refs or commits that are none.
    pub fn event(&self, body: &[u8]) -> Result<Event, DeliveryError> {
        let payload = self.form.then(|| {
            let mut fields = url::form_urlencoded::parse(body);
            fields.find_map(|(name, value)| (name == "payload").then(|| value.into_owned()))
        });
        let body = match &payload {
            Some(Some(payload)) => payload.as_bytes(),
            Some(None) => return Err(self.problem(&"the form has no field payload")),
            None => body,
        };
        let event = match self.host {
            Host::GitHub => github::event(&self.event, body),
            Host::GitLab => gitlab::event(&self.event, body),
            Host::Gitea => gitea::event(&self.event, body),
            Host::Bitbucket => bitbucket::event(&self.event, body),
            Host::Plain => return self.of_plain(body),
        }
        .map_err(|error| self.problem(&error))?;
        all_checked(event)
    }

    fn of_plain(&self, body: &[u8]) -> Result<Event, DeliveryError> {
        plain::event(&self.event, body)
            .map_err(|error| self.problem(&error))
            .and_then(all_checked)
    }

    fn problem(&self, reason: &dyn std::fmt::Display) -> DeliveryError {
        DeliveryError::Payload {
            host: self.host,
            reason: reason.to_string(),
        }
    }
}

fn all_checked(event: Event) -> Result<Event, DeliveryError> {
    match event {
        Event::Pushes(pushes) if pushes.len() > MOST_PUSHES => Err(DeliveryError::TooMany),
        Event::Pushes(pushes) => {
            let all: Result<Vec<Push>, DeliveryError> = pushes.into_iter().map(checked).collect();
            all.map(Event::Pushes)
        }
        event => Ok(event),
    }
}

/// The value of a header that is there at most once.
fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, DeliveryError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(DeliveryError::Header(name));
    }
    value.to_str().map(Some).map_err(|_| DeliveryError::Header(name))
}

/// What hosts say in their ways is brought into one, and what could mean something to git is refused.
fn checked(mut push: Push) -> Result<Push, DeliveryError> {
    if !is_ref(&push.git_ref) {
        return Err(DeliveryError::Ref(cut(&push.git_ref)));
    }
    for hash in [&mut push.before, &mut push.after, &mut push.tree] {
        if hash.bytes().all(|byte| byte == b'0') {
            hash.clear();
        }
        let hexadecimal = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hexadecimal || !matches!(hash.len(), 0 | 40 | 64) {
            return Err(DeliveryError::Hash(cut(hash)));
        }
        hash.make_ascii_lowercase();
    }
    // What a new or moved branch differs in from others is not what changed on it.
    let unsure = push.before.is_empty() || push.forced;
    push.paths = push
        .paths
        .take()
        .filter(|paths| !unsure && paths.len() < MOST_PATHS);
    push.author = cut(&push.author);
    Ok(push)
}

/// The rules of git-check-ref-format(1), without what would read as a variable where the name becomes a parameter.
fn is_ref(name: &str) -> bool {
    let bad = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    name.starts_with("refs/")
        && name.len() <= LONGEST_REF
        && !name.ends_with(['/', '.'])
        && !["..", "@{", "//", "$("].iter().any(|part| name.contains(part))
        && !name.contains(bad)
        && name
            .split('/')
            .all(|part| !part.starts_with(['.', '-']) && !part.ends_with(".lock"))
}

/// The first line, not too long, without what a terminal would obey.
pub(crate) fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_TEXT)
        .collect()
}

/// The names of the lists of files in commits, put together.
fn joined<'a, T: AsRef<str> + 'a>(lists: impl IntoIterator<Item = &'a Vec<T>>) -> Vec<String> {
    let names = lists.into_iter().flatten().take(MOST_PATHS);
    names.map(|name| name.as_ref().to_owned()).collect()
}

#[cfg(test)]
mod tests;
