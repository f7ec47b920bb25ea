//! What is to be built, and by what.

use std::sync::Arc;

use crds::tekton::Duration;
use formats::image::ImageReference;

use crate::registry::PodRegistry;

/// Longer values than these are no addresses, names or arguments.
const MAX_VALUE: usize = 4096;
const MAX_ARGS: usize = 100;

/// The builder image by digest, or one sentence that says why there is none (yet).
pub type BuilderImage = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What the install says about builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The image whose programs build, by digest; see [`BuilderImage`].
    pub builder_image: String,
    /// The registry of this machine as pods reach it, if images of builds are to be kept there.
    pub registry: Option<PodRegistry>,
    /// Other registries (`host:port`) that are spoken to by http.
    pub insecure_registries: Vec<String>,
    /// What git may speak: of `https`, `http`, `ssh`, `git`.
    pub git_protocols: Vec<String>,
    /// Bytes that a repository, or an unpacked folder, may have.
    pub max_source_bytes: u64,
    /// Bytes of layers that the cache of one repository may keep.
    pub max_cache_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            builder_image: String::new(),
            registry: None,
            insecure_registries: Vec::new(),
            git_protocols: ["https", "http", "ssh"].map(str::to_owned).to_vec(),
            max_source_bytes: 2 << 30,
            max_cache_bytes: 2 << 30,
        }
    }
}

/// Where the source comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A commit of a repository.
    Git {
        /// Its address.
        url: String,
        /// Full hash of the commit; empty for the newest of `reference`.
        commit: String,
        /// Where the commit was pushed to, such as `refs/heads/main`; fetched if the host gives no single commits.
        reference: String,
        /// Secret with `username` and `password`, or `ssh-privatekey` and `known_hosts`.
        secret: Option<String>,
    },
    /// An uploaded folder.
    Upload {
        /// The artifact, `<repository>@sha256:<hex>`.
        artifact: String,
    },
}

/// How the image is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// As a Dockerfile says if there is one, else of the files.
    #[default]
    Auto,
    /// As a Dockerfile says.
    Dockerfile,
    /// Of the files: a program that needs nothing else, or files onto a base image.
    Files,
}

impl Strategy {
    /// The word of specs: `auto`, `dockerfile` or `files`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dockerfile => "dockerfile",
            Self::Files => "files",
        }
    }
}

impl std::str::FromStr for Strategy {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" | "auto" => Ok(Self::Auto),
            "dockerfile" => Ok(Self::Dockerfile),
            "files" => Ok(Self::Files),
            other => Err(PlanError::Strategy(other.to_owned())),
        }
    }
}

/// One build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub source: Source,
    pub strategy: Strategy,
    /// Path of the Dockerfile within the context; empty is `Dockerfile`, then `Containerfile`.
    pub dockerfile: String,
    /// Folder within the source that is built; empty is all of it.
    pub context: String,
    /// Build arguments, `NAME=value`.
    pub args: Vec<String>,
    /// Image that files are put onto; none is an empty root.
    pub base: Option<String>,
    /// Repository that the image is pushed to, without tag.
    pub image: String,
    /// Tag that it gets there; `latest` if there is none.
    pub tag: Option<String>,
    /// Keep the layers of steps in `<image>_cache` for the next build?
    pub cache: bool,
    /// How long all of it may take; none is the default of the install.
    pub timeout: Option<Duration>,
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the strategy {0:?} is none of auto, dockerfile, files")]
    Strategy(String),
    #[error("{field}: {reason}")]
    Value { field: &'static str, reason: String },
}

impl Plan {
    /// A build of `source` into `image` with everything else left to the defaults.
    pub fn new(source: Source, image: impl Into<String>) -> Self {
        Self {
            source,
            strategy: Strategy::Auto,
            dockerfile: String::new(),
            context: String::new(),
            args: Vec::new(),
            base: None,
            image: image.into(),
            tag: None,
            cache: true,
            timeout: None,
        }
    }

    /// Says what of the plan could never be built. The program in the pod checks again, since a run can be written by
    /// anybody.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self, settings: &Settings) -> Result<(), PlanError> {
        let wrong = |field, reason: &str| PlanError::Value {
            field,
            reason: reason.to_owned(),
        };
        match &self.source {
            Source::Git {
                url,
                commit,
                reference,
                ..
            } => {
                check_url(url, &settings.git_protocols)?;
                let hexadecimal = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !hexadecimal || !matches!(commit.len(), 0 | 40 | 64) {
                    return Err(wrong("commit", "must be the full hash of a commit"));
                }
                if commit.is_empty() && reference.is_empty() {
                    return Err(wrong("branch", "must be given where there is no commit"));
                }
                if !reference.is_empty() && !is_reference(reference) {
                    return Err(wrong("branch", "is not the name of a branch or tag"));
                }
            }
            Source::Upload { artifact } => {
                let image = ImageReference::parse(artifact);
                if !image.is_ok_and(|image| image.digest().is_some()) {
                    return Err(wrong("source", "must be an uploaded folder by digest"));
                }
            }
        }
        for (field, path) in [("dockerfile", &self.dockerfile), ("context", &self.context)] {
            let inside = !path.starts_with('/') && path.split('/').all(|part| part != "..");
            if !inside || path.len() > MAX_VALUE || path.contains(char::is_control) {
                return Err(wrong(field, "must be a path within the source"));
            }
        }
        if self.args.len() > MAX_ARGS {
            return Err(wrong("args", "are more than 100"));
        }
        for arg in &self.args {
            let name = arg.split_once('=').map(|(name, _)| name).unwrap_or_default();
            let named = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !named || arg.len() > MAX_VALUE || arg.contains('\0') {
                return Err(wrong("args", "must each be NAME=value"));
            }
        }
        let image = ImageReference::parse(&self.image);
        if !image.is_ok_and(|image| image.tag().is_none() && image.digest().is_none()) {
            return Err(wrong("image", "must be a repository without tag or digest"));
        }
        if let Some(base) = &self.base
            && let Err(error) = ImageReference::parse(base)
        {
            return Err(wrong("base", &error.to_string()));
        }
        Ok(())
    }
}

fn check_url(url: &str, protocols: &[String]) -> Result<(), PlanError> {
    let wrong = |reason: String| PlanError::Value { field: "url", reason };
    if url.len() > MAX_VALUE || url.contains(|letter: char| letter.is_control() || letter.is_whitespace()) {
        return Err(wrong("is not an address".to_owned()));
    }
    // `user@host:path` is ssh without saying so.
    let scheme = match url.split_once("://") {
        Some((scheme, _)) => scheme,
        None if !url.starts_with('-') && url.split_once(':').is_some_and(|(host, _)| host.contains('@')) => {
            "ssh"
        }
        None => return Err(wrong("must begin with a protocol, such as https://".to_owned())),
    };
    match protocols.iter().any(|allowed| allowed == scheme) {
        true => Ok(()),
        false => Err(wrong(format!(
            "{scheme:?} is none of the protocols that are allowed ({})",
            protocols.join(", ")
        ))),
    }
}

/// Whether it could be a full or short name of a branch or tag, and nothing that looks like an option
/// (git-check-ref-format(1), shortened to what matters to a command line).
fn is_reference(name: &str) -> bool {
    !name.starts_with(['-', '/', '.'])
        && !name.ends_with(['/', '.'])
        && name.len() <= 512
        && !["..", "@{", "//", ".lock/"]
            .iter()
            .any(|part| name.contains(part))
        && !name.contains(|letter: char| {
            letter.is_control() || matches!(letter, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(url: &str, commit: &str, reference: &str) -> Source {
        Source::Git {
            url: url.to_owned(),
            commit: commit.to_owned(),
            reference: reference.to_owned(),
            secret: None,
        }
    }

    #[test]
    fn what_could_never_be_built_is_refused() {
        let (sha, image) = ("a".repeat(40), "localhost:5000/default/web");
        let plan = |source| Plan::new(source, image);
        let good = plan(git("https://example.com/app.git", &sha, "refs/heads/main"));
        let with = |change: &dyn Fn(&mut Plan)| {
            let mut plan = good.clone();
            change(&mut plan);
            plan
        };
        for (plan, expected) in [
            (good.clone(), None),
            (plan(git("git@example.com:app.git", &sha, "")), None),
            (plan(git("http://example.com/a", "", "feature/x")), None),
            (plan(git("--upload-pack=/bin/sh", &sha, "")), Some("url")),
            (plan(git("-x@y:z", &sha, "")), Some("url")),
            (plan(git("ext::sh -c id", &sha, "")), Some("url")),
            (plan(git("file:///etc", &sha, "")), Some("url")),
            (plan(git("https://a/b", "main", "")), Some("commit")),
            (plan(git("https://a/b", &"a".repeat(39), "")), Some("commit")),
            (plan(git("https://a/b", "", "")), Some("branch")),
            (plan(git("https://a/b", &sha, "--upload-pack=x")), Some("branch")),
            (plan(git("https://a/b", &sha, "a..b")), Some("branch")),
            (
                plan(Source::Upload {
                    artifact: "localhost:5000/x:latest".into(),
                }),
                Some("source"),
            ),
            (
                plan(Source::Upload {
                    artifact: format!("localhost:5000/x@sha256:{}", "a".repeat(64)),
                }),
                None,
            ),
            (with(&|plan| plan.context = "../..".into()), Some("context")),
            (
                with(&|plan| plan.dockerfile = "/etc/passwd".into()),
                Some("dockerfile"),
            ),
            (
                with(&|plan| plan.args = vec!["--volume=/:/host".into()]),
                Some("args"),
            ),
            (with(&|plan| plan.args = vec!["A=$(x) b".into()]), None),
            (
                with(&|plan| plan.image = "localhost:5000/web:v1".into()),
                Some("image"),
            ),
            (with(&|plan| plan.base = Some("A B".into())), Some("base")),
        ] {
            let told = plan.check(&Settings::default()).err();
            let field = told.map(|error| match error {
                PlanError::Value { field, .. } => field,
                PlanError::Strategy(_) => "strategy",
            });
            assert_eq!(field, expected, "{plan:?}");
        }
    }
}
