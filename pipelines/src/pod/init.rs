//! What runs before the steps and is not the user's.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crds::tekton::{TaskSpec, names};
use entrypoint::paths;
use k8s_openapi::api::core::v1::{Capabilities, Container, SeccompProfile, SecurityContext, VolumeMount};

use super::debug::Breakpoints;
use super::{Settings, debug, script, volumes};

/// Linux takes no longer single argument than 128 KiB.
const CHUNK: usize = 96 << 10;

/// In the order in which they run.
pub(super) fn containers(
    task: &TaskSpec,
    settings: &Settings,
    breakpoints: Breakpoints<'_>,
) -> Vec<Container> {
    let mut all = vec![prepare(task, settings)];
    all.extend(place_scripts(task, settings, breakpoints));
    all.extend(working_directories(task, settings));
    all
}

fn prepare(task: &TaskSpec, settings: &Settings) -> Container {
    let mut arguments = ["init", paths::IN_IMAGE, paths::ENTRYPOINT]
        .map(str::to_owned)
        .to_vec();
    let steps = task.steps.iter().enumerate();
    arguments.extend(steps.map(|(index, step)| names::step_container(&step.name, index)));
    let mounts = vec![
        volumes::mount(volumes::BIN, paths::BIN),
        volumes::mount(volumes::STEPS, paths::STEPS),
    ];
    container("prepare", arguments, mounts, settings)
}

fn place_scripts(task: &TaskSpec, settings: &Settings, breakpoints: Breakpoints<'_>) -> Option<Container> {
    let mut arguments = vec!["decode-script".to_owned()];
    for script in script::all(task).into_iter().chain(breakpoints.scripts()) {
        arguments.extend(["-o".to_owned(), script.path]);
        let encoded = STANDARD.encode(script.text.as_bytes());
        // Base64 is ASCII: it may be cut anywhere.
        arguments.extend(
            encoded
                .as_bytes()
                .chunks(CHUNK)
                .map(|chunk| String::from_utf8_lossy(chunk).into_owned()),
        );
    }
    let of_task = script::any(task).then(|| volumes::mount(volumes::SCRIPTS, paths::SCRIPTS));
    let of_debug = breakpoints
        .any()
        .then(|| volumes::mount(debug::SCRIPTS, paths::DEBUG_SCRIPTS));
    let mounts = of_task.into_iter().chain(of_debug).collect();
    (arguments.len() > 1).then(|| container("place-scripts", arguments, mounts, settings))
}

fn working_directories(task: &TaskSpec, settings: &Settings) -> Option<Container> {
    let folders: BTreeSet<String> = task
        .steps
        .iter()
        .filter(|step| !step.working_dir.is_empty())
        .map(|step| absolute(&step.working_dir))
        // Others are in the image or in volumes that this container does not have.
        .filter(|folder| Path::new(folder).starts_with(paths::WORKSPACE) && folder != paths::WORKSPACE)
        .collect();
    if folders.is_empty() {
        return None;
    }
    let arguments = ["working-dir".to_owned()].into_iter().chain(folders).collect();
    let mounts = vec![volumes::mount(volumes::WORKSPACE, paths::WORKSPACE)];
    Some(container("working-dir-initializer", arguments, mounts, settings))
}

/// A working directory as the container gets it: relative ones are below `/workspace`.
pub(super) fn absolute(folder: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let joined = match folder.starts_with('/') {
        true => folder.to_owned(),
        false => format!("{}/{folder}", paths::WORKSPACE),
    };
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn container(name: &str, arguments: Vec<String>, mounts: Vec<VolumeMount>, settings: &Settings) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(settings.entrypoint_image.clone()),
        command: Some(
            [paths::IN_IMAGE.to_owned()]
                .into_iter()
                .chain(arguments)
                .collect(),
        ),
        volume_mounts: Some(mounts),
        security_context: settings
            .secure_init
            .then(|| without_rights(settings.read_only_init)),
        ..Container::default()
    }
}

pub(crate) fn without_rights(read_only: bool) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        run_as_non_root: Some(true),
        read_only_root_filesystem: read_only.then_some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..SecurityContext::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_directories_are_absolute_and_clean() {
        for (folder, expected) in [
            ("src", "/workspace/src"),
            ("./a/../b", "/workspace/b"),
            ("../etc", "/etc"),
            ("/opt//x/", "/opt/x"),
            ("/workspace/../../..", "/"),
        ] {
            assert_eq!(absolute(folder), expected);
        }
    }
}
