//! Flags of services that are built from their source.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::error::CliError;

/// Where the source of a service is, and how an image is made of it.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Build from source")]
pub struct BuildArgs {
    /// Git repository whose pushes are built: the service runs the newest commit
    #[arg(long, value_name = "URL")]
    pub git: Option<String>,
    /// Folder that is uploaded and built, without what .gitignore and .dockerignore name
    #[arg(long, value_name = "FOLDER", conflicts_with = "git")]
    pub source: Option<PathBuf>,
    /// Branch that the service runs [default: main]
    #[arg(long, value_name = "BRANCH", requires = "git")]
    pub branch: Option<String>,
    /// Secret with what the git host or the registry asks for: type kubernetes.io/basic-auth, ssh-auth or dockerconfigjson
    #[arg(long, value_name = "SECRET", requires = "git")]
    pub git_secret: Option<String>,
    /// Give each push to another branch a URL of its own
    #[arg(long, requires = "git")]
    pub previews: bool,
    /// The Dockerfile within the source [default: Dockerfile; without one the files themselves become the image]
    #[arg(long, value_name = "PATH")]
    pub dockerfile: Option<String>,
    /// The folder within the source that is built [default: all of it]
    #[arg(long, value_name = "PATH")]
    pub context_dir: Option<String>,
    /// Argument of the build; may be repeated
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    pub build_args: Vec<String>,
}

impl BuildArgs {
    /// Whether an image is to be built.
    pub fn is_wanted(&self) -> bool {
        self.git.is_some() || self.source.is_some()
    }

    /// The source, as messages name it.
    pub fn place(&self) -> String {
        match (&self.git, &self.source) {
            (Some(url), _) => url.clone(),
            (None, Some(folder)) => folder.display().to_string(),
            (None, None) => String::new(),
        }
    }

    /// What makes no sense without a source.
    ///
    /// # Errors
    /// Names the flag.
    pub fn check(&self) -> Result<(), CliError> {
        let flags = [
            ("dockerfile", self.dockerfile.is_some()),
            ("context-dir", self.context_dir.is_some()),
            ("build-arg", !self.build_args.is_empty()),
        ];
        match flags.into_iter().find(|(_, given)| *given && !self.is_wanted()) {
            Some((flag, _)) => Err(CliError::usage(format!(
                "--{flag} says how a source is built: give --git or --source, too"
            ))),
            None => Ok(()),
        }
    }

    /// The fields of a Repository's spec that these flags name; `image` is where the image is pushed to, `uploaded` where
    /// the folder is.
    ///
    /// # Errors
    /// An argument without a name.
    pub fn spec(&self, image: Option<&str>, uploaded: Option<&str>) -> Result<Map<String, Value>, CliError> {
        let mut build = Map::new();
        let texts = [
            ("image", image.map(str::to_owned)),
            ("dockerfile", self.dockerfile.clone()),
            ("context", self.context_dir.clone()),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                build.insert(field.to_owned(), json!(value));
            }
        }
        if self.dockerfile.is_some() {
            // Who names one does not want to be served its files instead.
            build.insert("strategy".to_owned(), json!("dockerfile"));
        }
        for argument in &self.build_args {
            if argument.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
                return Err(CliError::usage(format!(
                    "--build-arg {argument}: expected NAME=VALUE"
                )));
            }
        }
        if !self.build_args.is_empty() {
            build.insert("args".to_owned(), json!(self.build_args));
        }
        let mut spec = Map::new();
        if let Some(url) = &self.git {
            spec.insert("url".to_owned(), json!(url));
        }
        if let Some(reference) = uploaded {
            spec.insert("source".to_owned(), json!(reference));
        }
        if let Some(branch) = &self.branch {
            spec.insert("branch".to_owned(), json!(branch));
        }
        if self.previews {
            spec.insert("previews".to_owned(), json!(true));
        }
        if !build.is_empty() {
            spec.insert("build".to_owned(), Value::Object(build));
        }
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> BuildArgs {
        BuildArgs {
            git: Some("http://git/app.git".to_owned()),
            ..BuildArgs::default()
        }
    }

    #[test]
    fn only_what_is_said_is_written() {
        assert_eq!(
            Value::Object(args().spec(None, None).unwrap()),
            json!({ "url": "http://git/app.git" })
        );
        let all = BuildArgs {
            branch: Some("next".to_owned()),
            previews: true,
            dockerfile: Some("ops/Dockerfile".to_owned()),
            context_dir: Some("app".to_owned()),
            build_args: vec!["A=b=c".to_owned()],
            ..args()
        };
        assert_eq!(
            Value::Object(all.spec(Some("localhost:5000/x"), None).unwrap()),
            json!({ "url": "http://git/app.git", "branch": "next", "previews": true,
                "build": { "image": "localhost:5000/x", "strategy": "dockerfile", "dockerfile": "ops/Dockerfile", "context": "app", "args": ["A=b=c"] } })
        );
    }

    #[test]
    fn a_folder_is_where_it_was_uploaded_to() {
        let folder = BuildArgs {
            source: Some("app".into()),
            ..BuildArgs::default()
        };
        let spec = folder.spec(None, Some("r/web-source@sha256:1")).unwrap();
        assert_eq!(Value::Object(spec), json!({ "source": "r/web-source@sha256:1" }));
        assert_eq!(folder.place(), "app");
        folder.check().unwrap();
    }

    #[test]
    fn flags_of_builds_need_a_source() {
        let stray = BuildArgs {
            context_dir: Some("x".to_owned()),
            ..BuildArgs::default()
        };
        assert!(stray.check().unwrap_err().message.contains("--context-dir"));
        args().check().unwrap();
        let nameless = BuildArgs {
            build_args: vec!["=x".to_owned()],
            ..args()
        };
        assert!(
            nameless
                .spec(None, None)
                .unwrap_err()
                .message
                .contains("--build-arg =x")
        );
    }
}
