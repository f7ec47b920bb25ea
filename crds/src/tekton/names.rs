//! Names of what runs make. They are functions of their parent's name, so that making something twice collides.

use super::param::{Param, ParamValue};
use crate::names::child_name;

/// Where the webhook converts between versions of a kind.
pub const CONVERSION_PATH: &str = "/pipelines/resource-conversion";
/// Namespace of the ConfigMaps that steer tasks and pipelines.
pub const NAMESPACE: &str = "tekton-pipelines";
/// Namespace of the ConfigMaps that steer resolvers.
pub const RESOLVERS_NAMESPACE: &str = "tekton-pipelines-resolvers";
/// Prefix of the containers of steps.
pub const STEP_PREFIX: &str = "step-";
/// Prefix of the containers of sidecars.
pub const SIDECAR_PREFIX: &str = "sidecar-";

/// The TaskRun, CustomRun or PipelineRun of a pipeline's task; with a matrix, that of a combination counted from 0.
pub fn run_of_task(pipeline_run: &str, task: &str, combination: Option<usize>) -> String {
    match combination {
        Some(index) => child_name(pipeline_run, &format!("-{task}-{index}")),
        None => child_name(pipeline_run, &format!("-{task}")),
    }
}

/// The pod of a TaskRun; `retry` counts the attempts before it.
pub fn pod(task_run: &str, retry: usize) -> String {
    match retry {
        0 => child_name(task_run, "-pod"),
        retry => child_name(task_run, &format!("-pod-retry{retry}")),
    }
}

/// The container of a step, which is counted from 0.
pub fn step_container(name: &str, index: usize) -> String {
    if name.is_empty() {
        format!("{STEP_PREFIX}unnamed-{index}")
    } else {
        format!("{STEP_PREFIX}{name}")
    }
}

/// The container of a sidecar.
pub fn sidecar_container(name: &str) -> String {
    format!("{SIDECAR_PREFIX}{name}")
}

/// The question of `asker` in `namespace` to a resolver: the same one for the same params in any order.
pub fn resolution_request(resolver: &str, namespace: &str, asker: &str, params: &[Param]) -> String {
    let mut params: Vec<&Param> = params.iter().collect();
    params.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hash = FNV_128_OFFSET;
    let mut add = |text: &str| {
        // With an end, so that no two lists of texts are the same bytes.
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u128::from(byte)).wrapping_mul(FNV_128_PRIME);
        }
    };
    add(&format!("{namespace}/{asker}"));
    for param in params {
        add(&param.name);
        match &param.value {
            ParamValue::String(text) => add(text),
            other => add(&serde_json::to_string(other).unwrap_or_default()),
        }
    }
    let mut room = MAX_NAME - 33;
    while !resolver.is_char_boundary(room.min(resolver.len())) {
        room -= 1;
    }
    format!("{}-{hash:032x}", &resolver[..room.min(resolver.len())])
}

/// Longest name that is a label value and a DNS label too.
const MAX_NAME: usize = 63;
/// Of FNV-1a with 128 bits.
const FNV_128_OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
/// Likewise.
const FNV_128_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_have_their_names() {
        assert_eq!(run_of_task("run", "build", None), "run-build");
        assert_eq!(run_of_task("run", "build", Some(10)), "run-build-10");
        assert_eq!(pod("run-build", 0), "run-build-pod");
        assert_eq!(pod("run-build", 2), "run-build-pod-retry2");
        assert_eq!(step_container("clone", 3), "step-clone");
        assert_eq!(step_container("", 3), "step-unnamed-3");
        assert_eq!(sidecar_container("db"), "sidecar-db");
        assert!(run_of_task(&"r".repeat(60), "a-task", None).len() <= 63);
    }

    #[test]
    fn questions_have_names_by_what_is_asked() {
        let name = |namespace: &str, asker: &str, params: &[(&str, &str)]| {
            let params: Vec<Param> = params
                .iter()
                .map(|(name, value)| Param::new(*name, *value))
                .collect();
            resolution_request("git", namespace, asker, &params)
        };
        let one = name("ns", "run", &[("url", "u"), ("revision", "main")]);
        assert_eq!(one, name("ns", "run", &[("revision", "main"), ("url", "u")]));
        assert!(one.starts_with("git-") && one.len() == 36, "{one}");
        for other in [
            name("ns", "run", &[("url", "u")]),
            name("ns", "run2", &[("url", "u"), ("revision", "main")]),
            name("ns2", "run", &[("url", "u"), ("revision", "main")]),
            name("ns", "run", &[("url", "urevisionmain")]),
            name("ns", "run", &[("url", "u"), ("revision", "mai"), ("n", "")]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(resolution_request(&"r".repeat(80), "ns", "run", &[]).len(), 63);
    }
}
