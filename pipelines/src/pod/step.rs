//! A step as a container: the entrypoint first, the user's command as its arguments.

use std::collections::BTreeMap;

use crds::tekton::{PodTemplate, Step, TaskSpec, names};
use entrypoint::PLATFORM_COMMANDS;
use entrypoint::paths;
use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::volumes::Implicit;
use super::workspaces::Workspaces;
use super::{Attempt, ImageCommand, PodError, init, merge, script};
use crate::when;

/// The container of step `index` of the task, whose steps have what the template gives them.
pub(super) fn container(
    attempt: &Attempt<'_>,
    implicit: &Implicit<'_>,
    index: usize,
    workspaces: &Workspaces,
    template: &PodTemplate,
    message_limit: usize,
) -> Result<Container, PodError> {
    let task = implicit.task;
    let step = task.steps.get(index).cloned().unwrap_or_default();
    let command = command(attempt, task, &step, index)?;
    let mut mounts = workspaces.mounts(&step.workspaces);
    mounts.extend(step.volume_mounts.clone().unwrap_or_default());
    let own = implicit.mounts(index, &mounts);
    mounts.splice(0..0, own);
    let mut env = merge::env(&step, template, &attempt.settings.forbidden_env);
    if let Some(platforms) = command.platforms.clone() {
        env.get_or_insert_default().push(EnvVar {
            name: PLATFORM_COMMANDS.to_owned(),
            value: Some(platforms),
            ..EnvVar::default()
        });
    }
    let mut flags = arguments(task, &step, index, message_limit);
    if implicit.cancellable {
        flags.extend(["-cancel_file", paths::CANCEL].map(str::to_owned));
    }
    flags.extend(implicit.breakpoints.flags(task, index));
    if attempt.settings.artifacts {
        flags.push("-artifacts".to_owned());
    }
    if !step.when.is_empty() {
        let conditions = when::of_step(&step.when).map_err(|source| PodError::When {
            step: names::step_container(&step.name, index),
            source,
        })?;
        let conditions = serde_json::to_string(&conditions).unwrap_or_default();
        flags.extend(["-when_expressions".to_owned(), unexpanded(&conditions)]);
    }
    flags.extend(attempt.credentials.flags.iter().cloned());
    let image = match attempt.images.get(&step.image) {
        Some(known) if command.from_image => known.pinned.clone(),
        _ => step.image.clone(),
    };
    Ok(Container {
        name: names::step_container(&step.name, index),
        image: Some(image),
        command: Some(vec![paths::ENTRYPOINT.to_owned()]),
        args: Some(with_command(flags, command)),
        working_dir: (!step.working_dir.is_empty()).then(|| init::absolute(&step.working_dir)),
        env_from: step.env_from.clone(),
        env,
        resources: merge::resources(attempt, task, &step),
        volume_mounts: Some(mounts),
        volume_devices: step.volume_devices.clone(),
        image_pull_policy: step.image_pull_policy.clone().filter(|policy| !policy.is_empty()),
        security_context: step.security_context.clone(),
        termination_message_path: Some(paths::TERMINATION.to_owned()),
        ..Container::default()
    })
}

/// What a step runs.
struct Command {
    /// The program and its arguments.
    words: Vec<String>,
    from_image: bool,
    /// If it is another one on each platform: those by platform as JSON, and `words` are only arguments.
    platforms: Option<String>,
}

fn command(attempt: &Attempt<'_>, task: &TaskSpec, step: &Step, index: usize) -> Result<Command, PodError> {
    let arguments = step.args.clone().unwrap_or_default();
    let own = match script::of_step(task, index) {
        Some(script) => vec![script.path],
        None => step.command.clone().unwrap_or_default(),
    };
    if !own.is_empty() {
        return Ok(Command {
            words: own.into_iter().chain(arguments).collect(),
            from_image: false,
            platforms: None,
        });
    }
    let of_image = attempt
        .images
        .get(&step.image)
        .and_then(|image| from_image(image, &arguments));
    of_image.ok_or_else(|| PodError::NoCommand {
        step: names::step_container(&step.name, index),
        image: step.image.clone(),
    })
}

/// What the image runs with these arguments instead of its own; `None` if that is nothing on some platform.
fn from_image(image: &ImageCommand, arguments: &[String]) -> Option<Command> {
    let whole = |command: &registries::Command| {
        let arguments = if arguments.is_empty() {
            &command.cmd
        } else {
            arguments
        };
        command
            .entrypoint
            .iter()
            .chain(arguments)
            .cloned()
            .collect::<Vec<String>>()
    };
    let mut all = image.commands.values().map(whole);
    let words = all.next()?;
    if words.is_empty() {
        return None;
    }
    if all.all(|other| other == words) {
        return Some(Command {
            words,
            from_image: true,
            platforms: None,
        });
    }
    let programs = image.commands.iter().map(|(platform, command)| {
        let own = if arguments.is_empty() {
            whole(command)
        } else {
            command.entrypoint.clone()
        };
        (!own.is_empty()).then(|| (platform.clone(), own))
    });
    let programs: Option<BTreeMap<String, Vec<String>>> = programs.collect();
    Some(Command {
        words: arguments.to_vec(),
        from_image: true,
        platforms: serde_json::to_string(&programs?).ok(),
    })
}

/// A text that Kubernetes leaves as it is: it would take a `$(` for one of the container's variables.
fn unexpanded(text: &str) -> String {
    text.replace('$', "$$")
}

/// The flags of the entrypoint.
fn arguments(task: &TaskSpec, step: &Step, index: usize, message_limit: usize) -> Vec<String> {
    let mut flags: Vec<String> = Vec::new();
    let mut flag = |name: &str, value: String| flags.extend([format!("-{name}"), value]);
    match index.checked_sub(1) {
        None => flag("wait_file", paths::READY.to_owned()),
        Some(before) => flag("wait_file", paths::post_file(before)),
    }
    flag("post_file", paths::post_file(index));
    flag("termination_path", paths::TERMINATION.to_owned());
    flag("step_metadata_dir", paths::metadata(index));
    if !step.on_error.is_empty() {
        flag("on_error", step.on_error.clone());
    }
    if let Some(timeout) = step.timeout {
        flag("timeout", timeout.to_string());
    }
    if let Some(stdout) = step
        .stdout_config
        .as_ref()
        .filter(|config| !config.path.is_empty())
    {
        flag("stdout_path", stdout.path.clone());
    }
    if let Some(stderr) = step
        .stderr_config
        .as_ref()
        .filter(|config| !config.path.is_empty())
    {
        flag("stderr_path", stderr.path.clone());
    }
    // Those that are the results of steps are found there.
    let results: Vec<&str> = task
        .results
        .iter()
        .filter(|result| result.value.is_none())
        .map(|result| result.name.as_str())
        .collect();
    if !results.is_empty() {
        flag("results", results.join(","));
    }
    let own: Vec<&str> = step.results.iter().map(|result| result.name.as_str()).collect();
    if !own.is_empty() {
        flag("step_results", own.join(","));
    }
    if message_limit < entrypoint::message::LIMIT {
        flag("termination_limit", message_limit.to_string());
    }
    if index == 0 {
        flags.push("-wait_file_content".to_owned());
    }
    flags
}

/// The flags, and the command behind them.
fn with_command(mut flags: Vec<String>, command: Command) -> Vec<String> {
    let mut words = command.words.into_iter();
    if command.platforms.is_none() {
        flags.extend(["-entrypoint".to_owned(), words.next().unwrap_or_default()]);
    }
    flags.push("--".to_owned());
    flags.extend(words);
    flags
}
