//! The format of our own `post-receive` hook: lines that a shell can write without quoting anything.
//!
//! ```text
//! push <before> <after> <ref>
//! tree <hash>
//! author <name>
//! message <a line of the commit's message>
//! path <a file that changed>
//! forced
//! ```
//!
//! Only `push` has to be there; what follows it is about it, until the next one. Several lines of `message` are one
//! message. `all-paths` says that the files listed are all that changed. Lines that begin otherwise are passed over, so
//! that a newer hook may say more.

use super::{Event, Push};

/// Names the event: `push` or `ping`.
pub const EVENT_HEADER: &str = "x-spindrift-event";

/// What is wrong with a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlainError {
    #[error("it is not UTF-8")]
    NotText,
    #[error("line {0} is not `push <before> <after> <ref>`")]
    Push(usize),
    #[error("line {0} comes before the first `push`")]
    NoPush(usize),
}

pub(super) fn event(name: &str, body: &[u8]) -> Result<Event, PlainError> {
    match name {
        "ping" => return Ok(Event::Ping),
        "push" => {}
        other => return Ok(Event::Other(other.to_owned())),
    }
    let body = std::str::from_utf8(body).map_err(|_| PlainError::NotText)?;
    let mut pushes: Vec<Draft> = Vec::new();
    for (number, line) in (1..).zip(body.lines()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "push" {
            let mut parts = rest.splitn(3, ' ');
            let (Some(before), Some(after), Some(git_ref)) = (parts.next(), parts.next(), parts.next())
            else {
                return Err(PlainError::Push(number));
            };
            pushes.push(Draft::new(before, after, git_ref));
            continue;
        }
        if word.is_empty() {
            continue;
        }
        let draft = pushes.last_mut().ok_or(PlainError::NoPush(number))?;
        draft.note(word, rest);
    }
    Ok(Event::Pushes(pushes.into_iter().map(Draft::done).collect()))
}

/// A push while its lines are read.
struct Draft {
    push: Push,
    paths: Vec<String>,
    all_paths: bool,
    /// Is there a name that git had to quote?
    quoted: bool,
}

impl Draft {
    fn new(before: &str, after: &str, git_ref: &str) -> Self {
        Self {
            push: Push {
                git_ref: git_ref.to_owned(),
                before: before.to_owned(),
                after: after.to_owned(),
                ..Push::default()
            },
            paths: Vec::new(),
            all_paths: false,
            quoted: false,
        }
    }

    fn note(&mut self, word: &str, rest: &str) {
        let push = &mut self.push;
        match word {
            "tree" => rest.clone_into(&mut push.tree),
            "author" => rest.clone_into(&mut push.author),
            "message" => {
                push.message.push_str(rest);
                push.message.push('\n');
            }
            // A name that git had to quote is not the name of the file.
            "path" if rest.starts_with('"') => self.quoted = true,
            "path" => self.paths.push(rest.to_owned()),
            "all-paths" => self.all_paths = true,
            "forced" => push.forced = true,
            _ => {}
        }
    }

    fn done(self) -> Push {
        Push {
            paths: (self.all_paths && !self.quoted).then_some(self.paths),
            ..self.push
        }
    }
}
