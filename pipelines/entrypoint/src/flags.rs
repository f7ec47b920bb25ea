//! The flags, in the way of Go programs: `-name value`, `-name=value`, and `--` before the user's arguments.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::conditions::Condition;
use crate::credentials::{Credentials, Target};
use crate::{message, paths};

/// Every flag of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// `-wait_file`, separated by commas: the step begins when all are there.
    pub wait_files: Vec<PathBuf>,
    /// `-wait_file_content`: they must have content too.
    pub wait_file_content: bool,
    /// `-post_file`: made at the end, with `.err` behind its name after a failure.
    pub post_file: Option<PathBuf>,
    /// `-termination_path`: where the records go.
    pub termination_path: PathBuf,
    /// `-step_metadata_dir`: holds `exitCode` and `results/`.
    pub step_metadata_dir: Option<PathBuf>,
    /// `-on_error`.
    pub on_error: OnError,
    /// `-cancel_file`: the step ends when this has content.
    pub cancel_file: Option<PathBuf>,
    /// `-breakpoint_on_failure`: a step that failed is held until somebody lets it go on.
    pub breakpoint_on_failure: bool,
    /// `-debug_before_step`: the step is held before its command runs.
    pub debug_before_step: bool,
    /// `-debug_file`: may say, by the names of steps, how they go on.
    pub debug_file: Option<PathBuf>,
    /// `-debug_name`: the name of this step in that file.
    pub debug_name: String,
    /// `-timeout`; zero or nothing is none.
    pub timeout: Option<Duration>,
    /// `-stdout_path`: gets a copy of what the command prints.
    pub stdout_path: Option<PathBuf>,
    /// `-stderr_path`.
    pub stderr_path: Option<PathBuf>,
    /// `-results`: names of the Task's results, separated by commas.
    pub results: Vec<String>,
    /// `-step_results`: names of the step's own.
    pub step_results: Vec<String>,
    /// `-artifacts`: what went in and came out is told, and may be asked for by later steps.
    pub artifacts: bool,
    /// `-when_expressions`: JSON of the conditions without which the command does not run.
    pub conditions: Vec<Condition>,
    /// `-termination_limit`: bytes that the records may take.
    pub termination_limit: usize,
    /// What git, ssh and docker are told.
    pub credentials: Credentials,
    /// `-results_dir`: where the Task's results are.
    pub results_dir: PathBuf,
    /// `-artifacts_dir`: where the Task's provenance is.
    pub artifacts_dir: PathBuf,
    /// `-steps_dir`: where earlier steps are found by name.
    pub steps_dir: PathBuf,
    /// `-entrypoint`, and what comes after the flags.
    pub command: Vec<String>,
}

/// What a failure of the command means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The Task ends.
    #[default]
    StopAndFail,
    /// The next step runs.
    Continue,
}

/// Why the arguments are none.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FlagError {
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    #[error("invalid value {value:?} for flag -{flag}: {why}")]
    Bad {
        flag: &'static str,
        value: String,
        why: String,
    },
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            wait_files: Vec::new(),
            wait_file_content: false,
            post_file: None,
            termination_path: paths::TERMINATION.into(),
            step_metadata_dir: None,
            on_error: OnError::default(),
            cancel_file: None,
            breakpoint_on_failure: false,
            debug_before_step: false,
            debug_file: None,
            debug_name: String::new(),
            timeout: None,
            stdout_path: None,
            stderr_path: None,
            results: Vec::new(),
            step_results: Vec::new(),
            artifacts: false,
            conditions: Vec::new(),
            termination_limit: message::LIMIT,
            credentials: Credentials::default(),
            results_dir: paths::RESULTS.into(),
            artifacts_dir: paths::ARTIFACTS.into(),
            steps_dir: paths::STEPS.into(),
            command: Vec::new(),
        }
    }
}

impl Flags {
    /// # Errors
    /// [`FlagError`], for the log of the step.
    pub fn parse(arguments: &[String]) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        let mut command = None;
        let mut rest = arguments.iter();
        let mut left = Vec::new();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                break;
            }
            let Some(flag) = argument
                .strip_prefix("--")
                .or_else(|| argument.strip_prefix('-'))
                .filter(|flag| !flag.is_empty())
            else {
                left.push(argument.clone());
                break;
            };
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let switch = match name {
                "wait_file_content" => Some(&mut flags.wait_file_content),
                "breakpoint_on_failure" => Some(&mut flags.breakpoint_on_failure),
                "debug_before_step" => Some(&mut flags.debug_before_step),
                "artifacts" => Some(&mut flags.artifacts),
                _ => None,
            };
            if let Some(switch) = switch {
                *switch = given.is_none_or(|value| value == "true" || value == "1");
                continue;
            }
            let value = || {
                given
                    .or_else(|| rest.next().cloned())
                    .ok_or_else(|| FlagError::NoValue(name.to_owned()))
            };
            match name {
                "wait_file" => flags.wait_files = list(&value()?).into_iter().map(PathBuf::from).collect(),
                "post_file" => flags.post_file = path(value()?),
                "termination_path" => flags.termination_path = value()?.into(),
                "step_metadata_dir" => flags.step_metadata_dir = path(value()?),
                "on_error" => flags.on_error = on_error(value()?)?,
                "cancel_file" => flags.cancel_file = path(value()?),
                "debug_file" => flags.debug_file = path(value()?),
                "debug_name" => flags.debug_name = value()?,
                "timeout" => flags.timeout = timeout(value()?)?,
                "stdout_path" => flags.stdout_path = path(value()?),
                "stderr_path" => flags.stderr_path = path(value()?),
                "results" => flags.results = list(&value()?),
                "step_results" => flags.step_results = list(&value()?),
                "when_expressions" => flags.conditions = conditions(value()?)?,
                "termination_limit" => flags.termination_limit = limit(value()?)?,
                "basic-git" => flags.credentials.basic_git.push(target("basic-git", value()?)?),
                "ssh-git" => flags.credentials.ssh_git.push(target("ssh-git", value()?)?),
                "basic-docker" => flags
                    .credentials
                    .basic_docker
                    .push(target("basic-docker", value()?)?),
                "docker-config" => flags.credentials.docker_config.push(value()?),
                "docker-cfg" => flags.credentials.docker_cfg.push(value()?),
                "creds_secrets_dir" => flags.credentials.secrets = value()?.into(),
                "creds_dir" => flags.credentials.folder = value()?.into(),
                "results_dir" => flags.results_dir = value()?.into(),
                "artifacts_dir" => flags.artifacts_dir = value()?.into(),
                "steps_dir" => flags.steps_dir = value()?.into(),
                "entrypoint" => command = Some(value()?).filter(|command| !command.is_empty()),
                unknown => return Err(FlagError::Unknown(unknown.to_owned())),
            }
        }
        flags.command = command.into_iter().chain(left).chain(rest.cloned()).collect();
        Ok(flags)
    }
}

fn path(text: String) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn conditions(value: String) -> Result<Vec<Condition>, FlagError> {
    serde_json::from_str(&value).map_err(|error| FlagError::Bad {
        flag: "when_expressions",
        value,
        why: error.to_string(),
    })
}

fn limit(value: String) -> Result<usize, FlagError> {
    value.parse().map_err(|_| FlagError::Bad {
        flag: "termination_limit",
        value,
        why: "it is no number of bytes".to_owned(),
    })
}

fn target(flag: &'static str, value: String) -> Result<Target, FlagError> {
    Target::parse(&value).ok_or_else(|| FlagError::Bad {
        flag,
        value,
        why: "use <secret>=<address>".to_owned(),
    })
}

fn on_error(value: String) -> Result<OnError, FlagError> {
    match value.as_str() {
        "" | "stopAndFail" => Ok(OnError::StopAndFail),
        "continue" => Ok(OnError::Continue),
        _ => Err(FlagError::Bad {
            flag: "on_error",
            value,
            why: "use continue or stopAndFail".to_owned(),
        }),
    }
}

fn timeout(value: String) -> Result<Option<Duration>, FlagError> {
    if value.is_empty() {
        return Ok(None);
    }
    let bad = |value, why| FlagError::Bad {
        flag: "timeout",
        value,
        why,
    };
    match formats::duration::parse(&value) {
        Err(error) => Err(bad(value, error.to_string())),
        Ok(duration) => match Duration::try_from(duration) {
            Ok(duration) => Ok(Some(duration).filter(|duration| !duration.is_zero())),
            Err(_) => Err(bad(value, "it is negative".to_owned())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, FlagError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Flags::parse(&words)
    }

    #[test]
    fn every_flag_is_read_and_the_rest_is_the_command() {
        let flags = parse(
            "-wait_file /a,/b -wait_file_content -post_file /c -termination_path /t -step_metadata_dir /m \
             -on_error continue -cancel_file /f -breakpoint_on_failure -debug_before_step=true -debug_file /g \
             -debug_name n -timeout 1m30s -stdout_path /o -stderr_path=/e -results x,y -step_results z \
             -results_dir /r -steps_dir /s -termination_limit 99 -when_expressions \
             [{\"input\":\"a\",\"operator\":\"in\",\"values\":[\"b\"]}] -basic-git=s=https://h -ssh-git=t=h/p -basic-docker u=r \
             -docker-config v -docker-cfg w -docker-cfg x -creds_secrets_dir /k -creds_dir /d -artifacts -artifacts_dir /h -entrypoint sh -- -c init",
        )
        .unwrap();
        let expected = Flags {
            wait_files: vec!["/a".into(), "/b".into()],
            wait_file_content: true,
            post_file: Some("/c".into()),
            termination_path: "/t".into(),
            step_metadata_dir: Some("/m".into()),
            on_error: OnError::Continue,
            cancel_file: Some("/f".into()),
            breakpoint_on_failure: true,
            debug_before_step: true,
            debug_file: Some("/g".into()),
            debug_name: "n".into(),
            timeout: Some(Duration::from_secs(90)),
            stdout_path: Some("/o".into()),
            stderr_path: Some("/e".into()),
            results: vec!["x".into(), "y".into()],
            step_results: vec!["z".into()],
            artifacts: true,
            conditions: vec![Condition {
                input: "a".into(),
                operator: crate::conditions::Operator::In,
                values: vec!["b".into()],
            }],
            termination_limit: 99,
            credentials: Credentials {
                basic_git: vec![Target::parse("s=https://h").unwrap()],
                ssh_git: vec![Target::parse("t=h/p").unwrap()],
                basic_docker: vec![Target::parse("u=r").unwrap()],
                docker_config: vec!["v".into()],
                docker_cfg: vec!["w".into(), "x".into()],
                secrets: "/k".into(),
                folder: "/d".into(),
            },
            results_dir: "/r".into(),
            artifacts_dir: "/h".into(),
            steps_dir: "/s".into(),
            command: vec!["sh".into(), "-c".into(), "init".into()],
        };
        assert_eq!(flags, expected);
    }

    #[test]
    fn empty_values_mean_nothing() {
        let words = [
            "-timeout",
            "0s",
            "-results",
            "",
            "-post_file",
            "",
            "-entrypoint",
            "",
            "--",
            "a",
        ];
        let flags = Flags::parse(&words.map(str::to_owned)).unwrap();
        assert_eq!(
            flags,
            Flags {
                command: vec!["a".into()],
                ..Flags::default()
            }
        );
    }

    #[test]
    fn what_is_no_flag_is_told() {
        assert_eq!(parse("-nonsense"), Err(FlagError::Unknown("nonsense".into())));
        assert_eq!(parse("-timeout"), Err(FlagError::NoValue("timeout".into())));
        assert!(matches!(
            parse("-timeout soon"),
            Err(FlagError::Bad { flag: "timeout", .. })
        ));
        assert!(matches!(
            parse("-timeout -5s"),
            Err(FlagError::Bad { flag: "timeout", .. })
        ));
        assert!(matches!(
            parse("-on_error shrug"),
            Err(FlagError::Bad { flag: "on_error", .. })
        ));
    }
}
