//! The plan as a pipeline.

use crds::tekton::{
    EmbeddedTask, Param, ParamSpec, ParamType, ParamValue, PipelineResult, PipelineSpec, PipelineTask, Step,
    TaskResult, TaskSpec,
};
use k8s_openapi::api::core::v1::{
    Capabilities, EmptyDirVolumeSource, EnvVar, SeccompProfile, SecretVolumeSource, SecurityContext, Volume,
    VolumeMount,
};

use crate::plan::{Plan, Settings, Source};
use crate::registry::SECRET;

/// The one task of the pipeline.
pub const TASK: &str = "build";
/// What comes out of an uploaded folder and of a repository; the latter has also what [`GIT_RESULTS`] names.
pub const TASK_RESULTS: [&str; 3] = ["IMAGE_URL", "IMAGE_DIGEST", "tree"];
/// What else comes out of a repository.
const GIT_RESULTS: [&str; 4] = ["commit", "url", "committer-date", "author"];

const BUILDER: &str = "/usr/local/bin/builder";
const SOURCE: &str = "source";
const STORAGE: &str = "storage";
const REGISTRY: &str = "registry";
const GIT: &str = "git";
/// Nobody, whom no file of the image belongs to.
const NOBODY: i64 = 65532;

/// The pipeline of one build. Its values are the defaults of its params, so a run needs to give none, and shows all.
pub fn pipeline(plan: &Plan, settings: &Settings) -> PipelineSpec {
    let values = values(plan, settings);
    let params: Vec<ParamSpec> = values.iter().map(Value::declared).collect();
    let passed = values.iter().map(Value::passed).collect();
    let task = task(plan, settings, &values);
    let results = task.results.iter().map(|result| PipelineResult {
        name: result.name.clone(),
        type_: None,
        description: result.description.clone(),
        value: format!("$(tasks.{TASK}.results.{})", result.name).into(),
    });
    PipelineSpec {
        display_name: "Build".to_owned(),
        description: "Makes an image of a source and pushes it.".to_owned(),
        results: results.collect(),
        tasks: vec![PipelineTask {
            name: TASK.to_owned(),
            task_spec: Some(EmbeddedTask {
                task_spec: task,
                ..EmbeddedTask::default()
            }),
            params: passed,
            timeout: plan.timeout,
            ..PipelineTask::default()
        }],
        params,
        ..PipelineSpec::default()
    }
}

/// A value on its way into the pod.
struct Value {
    param: &'static str,
    /// Absent for a list, which goes as arguments.
    variable: Option<&'static str>,
    value: ParamValue,
}

impl Value {
    fn text(param: &'static str, variable: &'static str, value: impl Into<String>) -> Self {
        Self {
            param,
            variable: Some(variable),
            value: escaped(&value.into()).into(),
        }
    }

    fn type_(&self) -> ParamType {
        self.value.type_()
    }

    fn declared(&self) -> ParamSpec {
        ParamSpec {
            name: self.param.to_owned(),
            type_: Some(self.type_()),
            default: Some(self.value.clone()),
            ..ParamSpec::default()
        }
    }

    fn passed(&self) -> Param {
        let all = match self.type_() {
            ParamType::Array => ParamValue::Array(vec![format!("$(params.{}[*])", self.param)]),
            _ => format!("$(params.{})", self.param).into(),
        };
        Param::new(self.param, all)
    }

    fn environment(&self) -> Option<EnvVar> {
        Some(EnvVar {
            name: self.variable?.to_owned(),
            value: Some(format!("$(params.{})", self.param)),
            ..EnvVar::default()
        })
    }
}

/// Kubernetes replaces `$(NAME)` in variables and arguments, and `$$` by `$`; a value must come through as it is.
fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

fn values(plan: &Plan, settings: &Settings) -> Vec<Value> {
    let mut values = match &plan.source {
        Source::Git {
            url,
            commit,
            reference,
            ..
        } => vec![
            Value::text("url", "GIT_SOURCE", url),
            Value::text("commit", "GIT_COMMIT", commit),
            Value::text("ref", "GIT_REF", reference),
            Value::text("protocols", "GIT_PROTOCOLS", settings.git_protocols.join(",")),
        ],
        Source::Upload { artifact } => vec![Value::text("source", "SOURCE_ARTIFACT", artifact)],
    };
    let (name, address) = settings
        .registry
        .as_ref()
        .map(|registry| (registry.name.clone(), registry.address.clone()))
        .unwrap_or_default();
    values.extend([
        Value::text("strategy", "STRATEGY", plan.strategy.as_str()),
        Value::text("dockerfile", "DOCKERFILE", &plan.dockerfile),
        Value::text("context", "CONTEXT", &plan.context),
        Value::text("base", "BASE_IMAGE", plan.base.clone().unwrap_or_default()),
        Value::text("image", "IMAGE", &plan.image),
        Value::text("tag", "IMAGE_TAG", plan.tag.clone().unwrap_or_default()),
        Value::text("cache", "CACHE", if plan.cache { "true" } else { "false" }),
        Value::text("registry-name", "REGISTRY_NAME", name),
        Value::text("registry-address", "REGISTRY_ADDRESS", address),
        Value::text(
            "insecure-registries",
            "INSECURE_REGISTRIES",
            settings.insecure_registries.join(","),
        ),
        Value::text(
            "max-source-bytes",
            "MAX_SOURCE_BYTES",
            settings.max_source_bytes.to_string(),
        ),
        Value::text(
            "max-cache-bytes",
            "MAX_CACHE_BYTES",
            settings.max_cache_bytes.to_string(),
        ),
        Value {
            param: "args",
            variable: None,
            value: plan
                .args
                .iter()
                .map(|arg| escaped(arg))
                .collect::<Vec<_>>()
                .into(),
        },
    ]);
    values
}

fn task(plan: &Plan, settings: &Settings, values: &[Value]) -> TaskSpec {
    let git = matches!(plan.source, Source::Git { .. });
    let environment: Vec<EnvVar> = values.iter().filter_map(Value::environment).collect();
    let step = |name: &str, arguments: &[&str], context: SecurityContext, mounts: Vec<VolumeMount>| Step {
        name: name.to_owned(),
        image: settings.builder_image.clone(),
        command: Some(vec![BUILDER.to_owned(), name.to_owned()]),
        args: (!arguments.is_empty()).then(|| arguments.iter().map(|word| (*word).to_owned()).collect()),
        env: Some(environment.clone()),
        security_context: Some(context),
        volume_mounts: Some(mounts),
        ..Step::default()
    };
    let source = mount(SOURCE, "/source");
    let registry = read_only(REGISTRY, "/var/run/builder/registry");
    let mut fetching = vec![source.clone()];
    fetching.push(if git {
        read_only(GIT, "/var/run/builder/git")
    } else {
        registry.clone()
    });
    let building = vec![source, mount(STORAGE, "/var/lib/containers"), registry];
    let names = GIT_RESULTS.iter().filter(|_| git).chain(&TASK_RESULTS);
    TaskSpec {
        params: values
            .iter()
            .map(|value| ParamSpec {
                default: None,
                ..value.declared()
            })
            .collect(),
        results: names
            .map(|name| TaskResult {
                name: (*name).to_owned(),
                ..TaskResult::default()
            })
            .collect(),
        steps: vec![
            step(if git { "clone" } else { "fetch" }, &[], powerless(), fetching),
            step("build", &["$(params.args[*])"], builds(), building.clone()),
            step("push", &[], builds(), building),
        ],
        volumes: vec![
            directory(SOURCE),
            directory(STORAGE),
            secret(REGISTRY, Some(SECRET)),
            match &plan.source {
                Source::Git { secret: name, .. } => secret(GIT, name.as_deref()),
                Source::Upload { .. } => directory(GIT),
            },
        ],
        ..TaskSpec::default()
    }
}

/// Fetching needs no rights at all.
fn powerless() -> SecurityContext {
    SecurityContext {
        run_as_user: Some(NOBODY),
        run_as_group: Some(NOBODY),
        run_as_non_root: Some(true),
        allow_privilege_escalation: Some(false),
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

/// Building is root's of a user namespace that buildah makes for itself. For that it must be root with an ordinary
/// container's rights and may make a namespace, which the filter of `RuntimeDefault` forbids; it has no right over the
/// machine (no SYS_ADMIN, not privileged), and neither has what a Dockerfile runs.
fn builds() -> SecurityContext {
    SecurityContext {
        run_as_user: Some(0),
        run_as_group: Some(0),
        run_as_non_root: Some(false),
        privileged: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(
                ["AUDIT_WRITE", "KILL", "NET_BIND_SERVICE", "NET_RAW"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount(name, path)
    }
}

fn directory(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

/// A Secret that may be missing: what needs no credentials is built without.
fn secret(name: &str, secret: Option<&str>) -> Volume {
    let Some(secret) = secret else {
        return directory(name);
    };
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            optional: Some(true),
            default_mode: Some(0o444),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::PodRegistry;

    fn of(source: Source) -> (Plan, PipelineSpec) {
        let plan = Plan {
            args: vec!["A=$(params.url) $$ $(HOME)".to_owned()],
            ..Plan::new(source, "localhost:5000/default/web")
        };
        let settings = Settings {
            builder_image: "localhost:5000/spindrift/builder@sha256:0".to_owned(),
            registry: Some(PodRegistry::new("localhost:5000", "10.88.0.1:5000", [0; 32])),
            ..Settings::default()
        };
        let made = pipeline(&plan, &settings);
        (plan, made)
    }

    fn git() -> Source {
        Source::Git {
            url: "https://example.com/$(id).git".to_owned(),
            commit: "c".repeat(40),
            reference: "refs/heads/main".to_owned(),
            secret: Some("token".to_owned()),
        }
    }

    fn steps(spec: &PipelineSpec) -> Vec<Step> {
        spec.tasks[0].task_spec.clone().unwrap().task_spec.steps
    }

    #[test]
    fn values_are_data_and_come_through_as_they_are() {
        let (_, spec) = of(git());
        let default = |name: &str| {
            let found = spec.params.iter().find(|param| param.name == name);
            found.and_then(|param| param.default.clone()).unwrap()
        };
        // What Kubernetes makes of it is the value again.
        assert_eq!(default("url"), "https://example.com/$$(id).git".into());
        assert_eq!(
            default("args"),
            vec!["A=$$(params.url) $$$$ $$(HOME)".to_owned()].into()
        );
        for step in steps(&spec) {
            assert!(step.script.is_empty());
            assert_eq!(step.command.unwrap()[0], BUILDER);
            for variable in step.env.unwrap() {
                assert!(
                    variable.value.unwrap().starts_with("$(params."),
                    "{}",
                    variable.name
                );
            }
        }
    }

    #[test]
    fn no_step_has_rights_over_the_machine() {
        for source in [
            git(),
            Source::Upload {
                artifact: "localhost:5000/a@sha256:0".to_owned(),
            },
        ] {
            let (_, spec) = of(source);
            for (index, step) in steps(&spec).into_iter().enumerate() {
                let context = step.security_context.unwrap();
                assert_ne!(context.privileged, Some(true));
                assert_eq!(context.capabilities.unwrap().add, None);
                assert_eq!(context.run_as_user == Some(0), index > 0, "{}", step.name);
            }
        }
    }

    #[test]
    fn each_source_has_its_step_its_secrets_and_its_results() {
        let upload = Source::Upload {
            artifact: "localhost:5000/a@sha256:0".to_owned(),
        };
        for (source, names, results) in [
            (git(), ["clone", "build", "push"], 7),
            (upload, ["fetch", "build", "push"], 3),
        ] {
            let (_, spec) = of(source);
            let steps = steps(&spec);
            let found: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
            assert_eq!(found, names);
            assert_eq!(spec.results.len(), results);
            // Who builds what strangers wrote does not see the credentials of the git host, nor the other way round.
            let mounted = |step: &Step, volume: &str| {
                let mounts = step.volume_mounts.iter().flatten();
                mounts.clone().any(|mount| mount.name == volume)
            };
            assert!(!mounted(&steps[1], GIT) && mounted(&steps[1], REGISTRY));
            assert_eq!(mounted(&steps[0], REGISTRY), names[0] == "fetch");
        }
    }
}
