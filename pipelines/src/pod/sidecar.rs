//! Sidecars as init containers that keep running.

use crds::tekton::{TaskSpec, names};
use entrypoint::paths;
use k8s_openapi::api::core::v1::{Container, ResourceRequirements};

use super::workspaces::Workspaces;
use super::{Attempt, PodError, init, script, volumes};

pub(super) fn containers(
    attempt: &Attempt<'_>,
    task: &TaskSpec,
    workspaces: &Workspaces,
) -> Result<Vec<Container>, PodError> {
    (0..task.sidecars.len())
        .map(|index| container(attempt, task, index, workspaces))
        .collect()
}

fn container(
    attempt: &Attempt<'_>,
    task: &TaskSpec,
    index: usize,
    workspaces: &Workspaces,
) -> Result<Container, PodError> {
    let sidecar = task.sidecars.get(index).cloned().unwrap_or_default();
    let mut mounts = workspaces.mounts(&sidecar.workspaces);
    mounts.extend(sidecar.volume_mounts.unwrap_or_default());
    let command = match script::of_sidecar(task, index) {
        Some(_)
            if sidecar
                .command
                .as_ref()
                .is_some_and(|command| !command.is_empty()) =>
        {
            return Err(PodError::CommandAndScript(sidecar.name));
        }
        Some(script) => {
            mounts.push(volumes::read_only(volumes::SCRIPTS, paths::SCRIPTS));
            Some(vec![script.path])
        }
        None => sidecar.command,
    };
    Ok(Container {
        name: names::sidecar_container(&sidecar.name),
        image: Some(sidecar.image),
        command,
        args: sidecar.args,
        working_dir: (!sidecar.working_dir.is_empty()).then(|| init::absolute(&sidecar.working_dir)),
        ports: sidecar.ports,
        env_from: sidecar.env_from,
        env: sidecar.env,
        resources: resources(attempt, &sidecar.name).or(sidecar.compute_resources),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        volume_devices: sidecar.volume_devices,
        liveness_probe: sidecar.liveness_probe,
        readiness_probe: sidecar.readiness_probe,
        startup_probe: sidecar.startup_probe,
        lifecycle: sidecar.lifecycle,
        termination_message_path: sidecar.termination_message_path,
        termination_message_policy: sidecar.termination_message_policy,
        image_pull_policy: sidecar.image_pull_policy,
        security_context: sidecar.security_context,
        stdin: sidecar.stdin,
        stdin_once: sidecar.stdin_once,
        tty: sidecar.tty,
        restart_policy: Some("Always".to_owned()),
        ..Container::default()
    })
}

fn resources(attempt: &Attempt<'_>, sidecar: &str) -> Option<ResourceRequirements> {
    let specs = attempt.run.spec.sidecar_specs.iter();
    specs
        .filter(|spec| spec.name == sidecar)
        .map(|spec| spec.compute_resources.clone())
        .next()
}
