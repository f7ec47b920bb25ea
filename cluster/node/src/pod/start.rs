//! Starting one run of a container: everything between a decision and the shim's answer.

use std::path::{Path, PathBuf};

use cluster_images::Image;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, SecurityContext, VolumeMount};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::debug;

use super::status::pod_display;
use super::termination::MESSAGE_FILE;
use super::{containers, run_id};
use crate::context::Context;
use crate::downward::Addresses;
use crate::env::{self, Environment};
use crate::mount_points::Point;
use crate::oci::{self, BindMount, Process, Rights};
use crate::resources;
use crate::shim::CONTAINERS_DIR;
use crate::shim::protocol::{Answer, Call, SeccompProfile, StartContainer};
use crate::shim_client::{CallError, ShimClient};
use crate::sources::{References, Sources};
use crate::user::{self, UserLists};
use crate::volume::{Mounted, sub_path};

/// Where the files of a pod's `/etc` are, inside its directory.
pub(super) const ETC_DIR: &str = "etc";
pub(super) const HOSTS_FILE: &str = "hosts";
const DEFAULT_MESSAGE_PATH: &str = "/dev/termination-log";

/// What is kept beside a run, so that an agent that starts later knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Note {
    pub(super) container: String,
    pub(super) attempt: u32,
    pub(super) image_id: String,
    pub(super) stop_signal: String,
}

/// Why a run could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StartFailure {
    /// The container cannot be described: `CreateContainerConfigError`.
    Config(String),
    /// Its parts cannot be made ready: `CreateContainerError`.
    Create(String),
    /// The program cannot be run: the run has ended with `StartError`.
    Run(String),
    /// The sandbox has ended.
    Gone,
}

/// All that a start needs.
pub(super) struct Start<'a> {
    pub(super) context: &'a Context,
    pub(super) pod: &'a Pod,
    pub(super) container: &'a Container,
    pub(super) attempt: u32,
    pub(super) image: &'a Image,
    pub(super) mounted: &'a Mounted,
    pub(super) shim: &'a ShimClient,
    pub(super) shim_pid: i32,
    pub(super) addresses: &'a Addresses,
}

impl Start<'_> {
    /// Starts the run.
    pub(super) async fn run(&self) -> Result<Timestamp, StartFailure> {
        let request = self.request().await?;
        match self.shim.call(Call::Start(Box::new(request))).await {
            Ok(Answer::Started { started_at, .. }) => Ok(started_at),
            Ok(_) => Err(StartFailure::Create(
                "the shim answered something else".to_owned(),
            )),
            Err(CallError::Gone) => Err(StartFailure::Gone),
            Err(CallError::Refused(message)) => Err(StartFailure::Run(message)),
        }
    }

    async fn request(&self) -> Result<StartContainer, StartFailure> {
        let environment = self.environment().await?;
        let spec = self.pod.spec.clone().unwrap_or_default();
        let security = self.container.security_context.clone().unwrap_or_default();
        let pod_security = spec.security_context.clone().unwrap_or_default();
        let lists = UserLists::read(&self.image.layers);
        let shown = pod_display(self.pod);
        let config = &self.image.config;
        let user = user::identity(&shown, self.container, &pod_security, &config.user, &lists)
            .map_err(|error| StartFailure::Config(error.to_string()))?;
        let privileged = security.privileged.unwrap_or(false);
        let seccomp = seccomp(&spec, &security, privileged).map_err(StartFailure::Config)?;
        let arguments = arguments(self.container, &config.entrypoint, &config.cmd, &environment);
        if arguments.is_empty() {
            return Err(StartFailure::Create("no command specified".to_owned()));
        }
        let uid = self.pod.metadata.uid.as_deref().unwrap_or_default();
        let pod_dir = self.context.pod_dir(uid);
        let id = run_id(&self.container.name, self.attempt);
        let dir = pod_dir.join(CONTAINERS_DIR).join(&id);
        let mounts = self.mounts(&pod_dir, &dir, &environment)?;
        let layers = self.layers(&mounts);
        let process = Process {
            arguments,
            environment: with_path(environment.over_image(&config.env), &spec, self.pod),
            working_directory: working_directory(self.container, &config.working_dir),
            user,
            rights: rights(&security, privileged),
            read_only_root: security.read_only_root_filesystem.unwrap_or(false),
            mounts,
            host_pid: spec.host_pid.unwrap_or(false),
            oom_score_adjust: self.oom_score(&spec),
        };
        let note = Note {
            container: self.container.name.clone(),
            attempt: self.attempt,
            image_id: self.image.repo_digest.clone(),
            stop_signal: config.stop_signal.clone(),
        };
        Ok(StartContainer {
            spec: oci::specification(&process, &pod_dir.join("shm"), &self.context.capabilities),
            id,
            layers,
            limits: resources::limits(self.container, privileged),
            log: self
                .context
                .log_base(self.pod, &self.container.name, self.attempt),
            seccomp,
            note: serde_json::to_value(note).unwrap_or(Value::Null),
        })
    }

    /// A score below the agent's own needs CAP_SYS_RESOURCE.
    fn oom_score(&self, spec: &PodSpec) -> Option<i32> {
        let score = resources::oom_score_adjust(spec, self.container, self.context.capacity);
        let may_lower = self
            .context
            .capabilities
            .iter()
            .any(|name| name == "CAP_SYS_RESOURCE");
        (score >= 0 || may_lower).then_some(score)
    }

    async fn environment(&self) -> Result<Environment, StartFailure> {
        let mut references = References::default();
        env::references(self.container, &mut references);
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let sources = Sources::fetch(&self.context.client, namespace, &references)
            .await
            .map_err(|error| StartFailure::Config(error.to_string()))?;
        let services = self.context.services.state();
        let context = env::Context {
            pod: self.pod,
            sources: &sources,
            services: &services,
            addresses: self.addresses,
            node: self.context.capacity,
        };
        env::environment(self.container, context).map_err(|error| StartFailure::Config(error.to_string()))
    }

    /// Those of the image, above what it may lack for these mounts.
    fn layers(&self, mounts: &[BindMount]) -> Vec<PathBuf> {
        let seen = PathBuf::from(format!("/proc/{}/root", self.shim_pid));
        let point = |mount: &BindMount| {
            let source = seen.join(mount.source.strip_prefix("/").unwrap_or(&mount.source));
            Point::new(&mount.target, !std::fs::metadata(source).ok()?.is_dir())
        };
        let points = mounts.iter().filter_map(point).collect();
        let below = self.context.mount_points.layer(points).unwrap_or_else(|error| {
            debug!(container = %self.container.name, %error, "Mount points are made in the container");
            None
        });
        below
            .into_iter()
            .chain(self.image.layers.iter().cloned())
            .collect()
    }

    fn mounts(
        &self,
        pod_dir: &Path,
        dir: &Path,
        environment: &Environment,
    ) -> Result<Vec<BindMount>, StartFailure> {
        let bind = |source: PathBuf, target: &str, read_only| BindMount {
            source,
            target: PathBuf::from(target),
            read_only,
            propagated: false,
        };
        let failed = |error: std::io::Error| StartFailure::Create(error.to_string());
        let etc = pod_dir.join(ETC_DIR);
        let mut mounts = vec![
            bind(etc.join(HOSTS_FILE), "/etc/hosts", false),
            bind(etc.join("hostname"), "/etc/hostname", false),
            bind(etc.join("resolv.conf"), "/etc/resolv.conf", false),
        ];
        let wanted = self.container.volume_mounts.as_deref().unwrap_or_default();
        mounts.retain(|mount| {
            !wanted
                .iter()
                .any(|own| Path::new(&own.mount_path) == mount.target)
        });
        for mount in wanted {
            mounts.push(self.volume_mount(mount, environment)?);
        }
        std::fs::create_dir_all(dir).map_err(failed)?;
        let message = dir.join(MESSAGE_FILE);
        std::fs::write(&message, "").map_err(failed)?;
        std::fs::set_permissions(&message, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .map_err(failed)?;
        let path = self
            .container
            .termination_message_path
            .as_deref()
            .unwrap_or(DEFAULT_MESSAGE_PATH);
        mounts.push(bind(message, path, false));
        Ok(mounts)
    }

    fn volume_mount(
        &self,
        mount: &VolumeMount,
        environment: &Environment,
    ) -> Result<BindMount, StartFailure> {
        let volume = self.mounted.path(&mount.name).ok_or_else(|| {
            StartFailure::Config(format!(
                "volume \"{}\" of mount {} does not exist",
                mount.name, mount.mount_path
            ))
        })?;
        let below = match (&mount.sub_path, &mount.sub_path_expr) {
            (_, Some(expression)) if !expression.is_empty() => Some(env::expand(expression, |name| {
                environment.get(name).map(str::to_owned)
            })),
            (Some(path), _) if !path.is_empty() => Some(path.clone()),
            _ => None,
        };
        let source = match below {
            None => volume.to_path_buf(),
            Some(path) => {
                let seen = PathBuf::from(format!("/proc/{}/root", self.shim_pid));
                sub_path::within(&seen, volume, &path).map_err(|error| {
                    StartFailure::Config(format!(
                        "failed to prepare subPath for volumeMount \"{}\" of container \"{}\": {error}",
                        mount.name, self.container.name
                    ))
                })?
            }
        };
        let propagated = matches!(
            mount.mount_propagation.as_deref(),
            Some("HostToContainer" | "Bidirectional")
        );
        let read_only = mount.read_only.unwrap_or(false);
        // A mount path may be written without its slash.
        Ok(BindMount {
            source,
            target: Path::new("/").join(&mount.mount_path),
            read_only,
            propagated,
        })
    }
}

/// `command` replaces the image's entrypoint and then also its `cmd`; `args` replace `cmd`.
fn arguments(
    container: &Container,
    entrypoint: &[String],
    cmd: &[String],
    environment: &Environment,
) -> Vec<String> {
    let expanded = |words: &[String]| -> Vec<String> {
        words
            .iter()
            .map(|word| env::expand(word, |name| environment.get(name).map(str::to_owned)))
            .collect()
    };
    let own_command = container.command.as_deref().filter(|words| !words.is_empty());
    let own_args = container.args.as_deref().filter(|words| !words.is_empty());
    let mut words = own_command.map_or_else(|| entrypoint.to_vec(), expanded);
    match (own_args, own_command) {
        (Some(args), _) => words.extend(expanded(args)),
        (None, None) => words.extend_from_slice(cmd),
        (None, Some(_)) => {}
    }
    words
}

fn working_directory(container: &Container, of_image: &str) -> String {
    let own = container.working_dir.as_deref().unwrap_or_default();
    let chosen = if own.is_empty() { of_image } else { own };
    if chosen.is_empty() {
        "/".to_owned()
    } else {
        chosen.to_owned()
    }
}

/// Every container finds a `PATH` and its `HOSTNAME`.
fn with_path(mut environment: Vec<String>, spec: &PodSpec, pod: &Pod) -> Vec<String> {
    let has = |environment: &[String], name: &str| environment.iter().any(|entry| entry.starts_with(name));
    if !has(&environment, "PATH=") {
        environment.insert(
            0,
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        );
    }
    if !has(&environment, "HOSTNAME=") && !spec.host_network.unwrap_or(false) {
        environment.push(format!("HOSTNAME={}", crate::files::hostname(pod)));
    }
    environment
}

fn rights(security: &SecurityContext, privileged: bool) -> Rights {
    let capabilities = security.capabilities.clone().unwrap_or_default();
    Rights {
        privileged,
        add: capabilities.add.unwrap_or_default(),
        drop: capabilities.drop.unwrap_or_default(),
        no_new_privileges: security.allow_privilege_escalation == Some(false),
    }
}

/// The container's profile, else the pod's; none means unconfined, as kubelet has it by default.
fn seccomp(spec: &PodSpec, security: &SecurityContext, privileged: bool) -> Result<SeccompProfile, String> {
    if privileged {
        return Ok(SeccompProfile::Unconfined);
    }
    let of_pod = spec
        .security_context
        .as_ref()
        .and_then(|pod| pod.seccomp_profile.as_ref());
    match security
        .seccomp_profile
        .as_ref()
        .or(of_pod)
        .map(|profile| profile.type_.as_str())
    {
        None | Some("Unconfined") => Ok(SeccompProfile::Unconfined),
        Some("RuntimeDefault") => Ok(SeccompProfile::RuntimeDefault),
        Some(other) => Err(format!(
            "seccompProfile type \"{other}\" is not supported: use RuntimeDefault or Unconfined"
        )),
    }
}

/// The signal that asks a container to end.
pub(super) fn stop_signal(of_image: &str) -> i32 {
    crate::signal::parse(of_image).unwrap_or(crate::signal::TERM)
}

/// Whether a container is an init container, for events.
pub(super) fn is_init(spec: &PodSpec, name: &str) -> bool {
    spec.init_containers
        .iter()
        .flatten()
        .any(|init| init.name == name)
}

/// A container of the specification by name.
pub(super) fn named<'a>(spec: &'a PodSpec, name: &str) -> Option<&'a Container> {
    containers(spec).find(|container| container.name == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_command_line_follows_the_table_of_kubernetes() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let table = [
            (json!({}), vec!["/entry", "cmd"]),
            (json!({"command": ["own"]}), vec!["own"]),
            (json!({"args": ["a", "$(X)"]}), vec!["/entry", "a", "1"]),
            (json!({"command": ["own"], "args": ["a"]}), vec!["own", "a"]),
        ];
        let mut environment = Environment::default();
        environment.set("X", "1");
        for (mut container, wanted) in table {
            container["name"] = json!("c");
            let container: Container = serde_json::from_value(container).unwrap();
            assert_eq!(
                arguments(&container, &words(&["/entry"]), &words(&["cmd"]), &environment),
                words(&wanted)
            );
        }
    }

    #[test]
    fn unknown_seccomp_profiles_are_refused() {
        let security =
            |kind: &str| serde_json::from_value(json!({"seccompProfile": {"type": kind}})).unwrap();
        let spec = PodSpec::default();
        assert_eq!(
            seccomp(&spec, &security("RuntimeDefault"), false),
            Ok(SeccompProfile::RuntimeDefault)
        );
        assert_eq!(
            seccomp(&spec, &security("RuntimeDefault"), true),
            Ok(SeccompProfile::Unconfined)
        );
        assert_eq!(
            seccomp(&spec, &SecurityContext::default(), false),
            Ok(SeccompProfile::Unconfined)
        );
        assert!(seccomp(&spec, &security("Localhost"), false).is_err());
    }
}
