//! What the flags of create and update change in a service: its first container, its template, its own metadata.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::error::CliError;

const USER_IMAGE: &str = "client.knative.dev/user-image";
const UPDATE_TIMESTAMP: &str = "client.knative.dev/updateTimestamp";
const VISIBILITY: &str = "networking.knative.dev/visibility";
const AUTOSCALING: &str = "autoscaling.knative.dev/";

/// Flags that describe what runs.
#[derive(Args, Clone, Debug, Default)]
pub struct TemplateArgs {
    /// Image to run
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Environment variable NAME=value; NAME- removes it; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// All variables of a ConfigMap or Secret: cm:NAME or secret:NAME; a dash at the end removes it
    #[arg(long, value_name = "SOURCE")]
    env_from: Vec<String>,
    /// Replace the entry point of the image; one word per flag
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// Replace the arguments of the image; one word per flag
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    arg: Vec<String>,
    /// Port of the application, such as 8080 or h2c:8080
    #[arg(short, long, value_name = "[NAME:]PORT")]
    port: Option<String>,
    /// Resource to reserve, such as cpu=100m,memory=64Mi; NAME- removes it
    #[arg(long, value_delimiter = ',', value_name = "RESOURCE=AMOUNT")]
    request: Vec<String>,
    /// Resource limit, such as cpu=1,memory=256Mi; NAME- removes it
    #[arg(long, value_delimiter = ',', value_name = "RESOURCE=AMOUNT")]
    limit: Vec<String>,
    /// When to pull: Always, IfNotPresent or Never
    #[arg(long, ignore_case = true, value_parser = ["Always", "IfNotPresent", "Never"], value_name = "POLICY")]
    pull_policy: Option<String>,
    /// Service account to run as; empty clears it
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// Secret for pulling the image; empty clears it
    #[arg(long, value_name = "NAME")]
    pull_secret: Option<String>,
    /// User id to run as
    #[arg(long, value_name = "UID")]
    user: Option<i64>,
    /// Requests that one pod may work on at once; 0 is no limit
    #[arg(long, value_name = "COUNT")]
    concurrency_limit: Option<u32>,
    /// Seconds that a request may take
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Pods: N, or MIN..MAX with either side left out
    #[arg(long, value_name = "RANGE", conflicts_with_all = ["scale_min", "scale_max"])]
    scale: Option<String>,
    /// Fewest pods
    #[arg(long, value_name = "COUNT")]
    scale_min: Option<u32>,
    /// Most pods; 0 is no bound
    #[arg(long, value_name = "COUNT")]
    scale_max: Option<u32>,
    /// Pods to start with
    #[arg(long, value_name = "COUNT")]
    scale_init: Option<u32>,
    /// Fewest pods while there is any load
    #[arg(long, value_name = "COUNT")]
    scale_activation: Option<u32>,
    /// Load per pod that is aimed at
    #[arg(long, value_name = "LOAD")]
    scale_target: Option<f64>,
    /// What the load is measured by: concurrency or rps
    #[arg(long, value_name = "METRIC")]
    scale_metric: Option<String>,
    /// Percentage of the target that is aimed at
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    scale_utilization: Option<u8>,
    /// Window over which load is averaged, such as 30s
    #[arg(long, value_name = "DURATION")]
    scale_window: Option<String>,
    /// Label of service and revision; KEY- removes it; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Label of the service only
    #[arg(long, value_name = "KEY=VALUE")]
    label_service: Vec<String>,
    /// Label of the revision only
    #[arg(long, value_name = "KEY=VALUE")]
    label_revision: Vec<String>,
    /// Annotation of service and revision (autoscaling ones: of the revision only); KEY- removes it
    #[arg(short, long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
    /// Annotation of the service only
    #[arg(long, value_name = "KEY=VALUE")]
    annotation_service: Vec<String>,
    /// Annotation of the revision only
    #[arg(long, value_name = "KEY=VALUE")]
    annotation_revision: Vec<String>,
    /// Name of the new revision; the service's name is put in front if it is not there
    #[arg(long, value_name = "NAME")]
    revision_name: Option<String>,
    /// Reachable from inside the cluster only
    #[arg(long, conflicts_with = "no_cluster_local")]
    cluster_local: bool,
    /// Reachable from outside, too
    #[arg(long)]
    no_cluster_local: bool,
}

/// `K=V` pairs set, then `K-` removed, so that both in one call remove.
fn change_map(map: &mut Value, flags: &[String]) {
    if flags.is_empty() {
        return;
    }
    if !map.is_object() {
        *map = json!({});
    }
    let Some(map) = map.as_object_mut() else { return };
    for flag in flags
        .iter()
        .filter(|flag| flag.contains('=') || !flag.ends_with('-'))
    {
        let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
        map.insert(key.to_owned(), json!(value));
    }
    for key in flags
        .iter()
        .filter(|flag| !flag.contains('='))
        .filter_map(|flag| flag.strip_suffix('-'))
    {
        map.remove(key);
    }
}

impl TemplateArgs {
    /// Changes `service`, and says whether its template is another one now.
    ///
    /// # Errors
    /// A usage error that names the flag.
    pub fn apply(&self, name: &str, service: &mut Value) -> Result<bool, CliError> {
        let before = service["spec"]["template"].clone();
        self.metadata(service)?;
        let template = &mut service["spec"]["template"];
        self.template(template)?;
        let changed = *template != before;
        if changed || self.revision_name.is_some() {
            // A name that was chosen for the revision before would be refused for another template.
            if let Some(metadata) = template["metadata"].as_object_mut() {
                metadata.remove("name");
            }
            if let Some(wanted) = &self.revision_name {
                let prefix = format!("{name}-");
                let full = if wanted.starts_with(&prefix) {
                    wanted.clone()
                } else {
                    format!("{prefix}{wanted}")
                };
                template["metadata"]["name"] = json!(full);
            }
        }
        Ok(changed || self.revision_name.is_some())
    }

    /// Marks the template so that it makes a new revision even if it repeats the present values.
    pub fn stamp(service: &mut Value, now: jiff::Timestamp) {
        service["spec"]["template"]["metadata"]["annotations"][UPDATE_TIMESTAMP] =
            json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }

    fn metadata(&self, service: &mut Value) -> Result<(), CliError> {
        let scaling = |flag: &&String| flag.starts_with(AUTOSCALING);
        if let Some(flag) = self.annotation_service.iter().find(scaling) {
            return Err(CliError::usage(format!(
                "service can not have auto-scaling related annotation: {flag}, please update using '--annotation-revision'"
            )));
        }
        change_map_of(
            service,
            "labels",
            &[&self.label[..], &self.label_service[..]].concat(),
        );
        let own: Vec<String> = self
            .annotation
            .iter()
            .filter(|flag| !scaling(flag))
            .cloned()
            .collect();
        change_map_of(
            service,
            "annotations",
            &[own, self.annotation_service.clone()].concat(),
        );
        if self.cluster_local {
            change_map_of(service, "labels", &[format!("{VISIBILITY}=cluster-local")]);
        }
        if self.no_cluster_local {
            change_map_of(service, "labels", &[format!("{VISIBILITY}-")]);
        }
        Ok(())
    }

    fn template(&self, template: &mut Value) -> Result<(), CliError> {
        change_map_of(
            template,
            "labels",
            &[&self.label[..], &self.label_revision[..]].concat(),
        );
        let mut annotations = [self.annotation.clone(), self.annotation_revision.clone()].concat();
        annotations.extend(self.scaling()?);
        if let Some(image) = &self.image {
            annotations.push(format!("{USER_IMAGE}={image}"));
        }
        change_map_of(template, "annotations", &annotations);
        let spec = child(template, "spec");
        if let Some(limit) = self.concurrency_limit {
            spec.insert("containerConcurrency".into(), json!(limit));
        }
        if let Some(seconds) = self.timeout {
            spec.insert("timeoutSeconds".into(), json!(seconds));
        }
        set_or_clear(
            spec,
            "serviceAccountName",
            self.service_account.as_ref(),
            |name| json!(name),
        );
        set_or_clear(
            spec,
            "imagePullSecrets",
            self.pull_secret.as_ref(),
            |name| json!([{ "name": name }]),
        );
        self.container(first_container(spec))
    }

    fn container(&self, container: &mut Map<String, Value>) -> Result<(), CliError> {
        if let Some(image) = &self.image {
            container.insert("image".into(), json!(image));
        }
        if let Some(policy) = &self.pull_policy {
            container.insert("imagePullPolicy".into(), json!(policy));
        }
        if !self.cmd.is_empty() {
            container.insert("command".into(), json!(self.cmd));
        }
        if !self.arg.is_empty() {
            container.insert("args".into(), json!(self.arg));
        }
        if let Some(port) = &self.port {
            container.insert("ports".into(), json!([container_port(port)?]));
        }
        if let Some(user) = self.user {
            container.entry("securityContext").or_insert_with(|| json!({}))["runAsUser"] = json!(user);
        }
        environment(container, &self.env)?;
        environment_sources(container, &self.env_from)?;
        for (field, flags) in [("requests", &self.request), ("limits", &self.limit)] {
            if let Some(bad) = flags
                .iter()
                .find(|flag| !flag.contains('=') && !flag.ends_with('-'))
            {
                return Err(CliError::usage(format!(
                    "'{bad}' lacks an '=': write a resource as NAME=AMOUNT"
                )));
            }
            if !flags.is_empty() {
                change_map(
                    &mut container.entry("resources").or_insert_with(|| json!({}))[field],
                    flags,
                );
            }
        }
        Ok(())
    }

    /// The autoscaling annotations that the scale flags mean.
    fn scaling(&self) -> Result<Vec<String>, CliError> {
        let (mut min, mut max) = (self.scale_min, self.scale_max);
        if let Some(range) = &self.scale {
            (min, max) = scale_range(range)?;
        }
        if let (Some(min), Some(max)) = (min, max)
            && max > 0
            && min > max
        {
            return Err(CliError::usage(format!(
                "the fewest pods ({min}) are more than the most ({max})"
            )));
        }
        if self.scale_target.is_some_and(|target| target < 0.01) {
            return Err(CliError::usage("--scale-target should be at least 0.01"));
        }
        if self.scale_activation.is_some_and(|scale| scale < 2) {
            return Err(CliError::usage("--scale-activation should be at least 2"));
        }
        let set = |key: &str, value: Option<String>| value.map(|value| format!("{AUTOSCALING}{key}={value}"));
        Ok([
            set("min-scale", min.map(|n| n.to_string())),
            set("max-scale", max.map(|n| n.to_string())),
            set("initial-scale", self.scale_init.map(|n| n.to_string())),
            set("activation-scale", self.scale_activation.map(|n| n.to_string())),
            set("target", self.scale_target.map(|n| n.to_string())),
            set("metric", self.scale_metric.clone()),
            set(
                "target-utilization-percentage",
                self.scale_utilization.map(|n| n.to_string()),
            ),
            set("window", self.scale_window.clone()),
        ]
        .into_iter()
        .flatten()
        .collect())
    }
}

fn child<'a>(value: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !value[field].is_object() {
        value[field] = json!({});
    }
    match &mut value[field] {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

fn change_map_of(object: &mut Value, field: &str, flags: &[String]) {
    if !flags.is_empty() {
        change_map(&mut object["metadata"][field], flags);
    }
}

fn set_or_clear(
    spec: &mut Map<String, Value>,
    field: &str,
    flag: Option<&String>,
    make: impl Fn(&String) -> Value,
) {
    match flag {
        Some(text) if text.is_empty() => {
            spec.remove(field);
        }
        Some(text) => {
            spec.insert(field.to_owned(), make(text));
        }
        None => {}
    }
}

fn first_container(spec: &mut Map<String, Value>) -> &mut Map<String, Value> {
    let containers = spec.entry("containers").or_insert_with(|| json!([{}]));
    if !containers.get(0).is_some_and(Value::is_object) {
        *containers = json!([{}]);
    }
    match &mut containers[0] {
        Value::Object(map) => map,
        _ => unreachable!("it was just made an object"),
    }
}

fn container_port(text: &str) -> Result<Value, CliError> {
    let (name, number) = text
        .split_once(':')
        .map_or((None, text), |(name, number)| (Some(name), number));
    let Ok(number) = number.parse::<i32>() else {
        return Err(CliError::usage(format!(
            "'{text}' is no port: write NUMBER or NAME:NUMBER, such as h2c:8080"
        )));
    };
    Ok(match name {
        Some(name) => json!({ "name": name, "containerPort": number }),
        None => json!({ "containerPort": number }),
    })
}

/// `5`, `1..5`, `1..`, `..5`.
fn scale_range(text: &str) -> Result<(Option<u32>, Option<u32>), CliError> {
    let bad = || {
        CliError::usage(format!(
            "'{text}' is no scale: expecting x..y or x, whole numbers from 0"
        ))
    };
    let number = |text: &str| {
        if text.is_empty() {
            Ok(None)
        } else {
            text.parse().map(Some).map_err(|_| bad())
        }
    };
    match text.split_once("..") {
        None => number(text)?.map(|both| (Some(both), Some(both))).ok_or_else(bad),
        Some((min, max)) => match (number(min)?, number(max)?) {
            (None, None) => Err(bad()),
            range => Ok(range),
        },
    }
}

/// Changes variables in place and appends new ones, in the order given.
fn environment(container: &mut Map<String, Value>, flags: &[String]) -> Result<(), CliError> {
    if flags.is_empty() {
        return Ok(());
    }
    let list = container.entry("env").or_insert_with(|| json!([]));
    let mut variables = list.as_array().cloned().unwrap_or_default();
    for flag in flags {
        match flag.split_once('=') {
            Some((name, value)) => {
                let variable = json!({ "name": name, "value": value });
                match variables.iter_mut().find(|present| present["name"] == name) {
                    Some(present) => *present = variable,
                    None => variables.push(variable),
                }
            }
            None if flag.ends_with('-') => {}
            None => {
                return Err(CliError::usage(format!(
                    "'{flag}' lacks an '=': write a variable as NAME=VALUE, or NAME- to remove it"
                )));
            }
        }
    }
    for name in flags
        .iter()
        .filter(|flag| !flag.contains('='))
        .filter_map(|flag| flag.strip_suffix('-'))
    {
        variables.retain(|present| present["name"] != name);
    }
    *list = Value::Array(variables);
    Ok(())
}

fn environment_sources(container: &mut Map<String, Value>, flags: &[String]) -> Result<(), CliError> {
    for flag in flags {
        let (source, remove) = match flag.strip_suffix('-') {
            Some(source) => (source, true),
            None => (flag.as_str(), false),
        };
        let entry = match source.split_once(':') {
            Some(("cm" | "config-map", name)) if !name.is_empty() => {
                json!({ "configMapRef": { "name": name } })
            }
            Some(("sc" | "secret", name)) if !name.is_empty() => json!({ "secretRef": { "name": name } }),
            _ => {
                return Err(CliError::usage(format!(
                    "'{flag}' is no source: write cm:NAME or secret:NAME"
                )));
            }
        };
        let list = container.entry("envFrom").or_insert_with(|| json!([]));
        let mut sources = list.as_array().cloned().unwrap_or_default();
        sources.retain(|present| *present != entry);
        if !remove {
            sources.push(entry);
        }
        *list = Value::Array(sources);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: TemplateArgs,
    }

    fn apply(flags: &[&str], service: Value) -> Result<(Value, bool), CliError> {
        let command = Command::try_parse_from([&["kn"], flags].concat())
            .map_err(|error| CliError::usage(error.to_string()))?;
        let mut service = service;
        let changed = command.args.apply("web", &mut service)?;
        Ok((service, changed))
    }

    #[test]
    fn a_new_service() {
        let flags = [
            "--image",
            "i",
            "--env",
            "A=1=2",
            "-e",
            "B=x,y",
            "--port",
            "h2c:9090",
            "--scale",
            "1..5",
            "--request",
            "cpu=1,memory=2Gi",
            "--concurrency-limit",
            "10",
            "-l",
            "k=v",
            "-a",
            "autoscaling.knative.dev/window=6s",
            "--arg",
            "-v",
        ];
        let (service, changed) = apply(&flags, json!({})).unwrap();
        assert!(changed);
        let container = &service["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(
            container["env"],
            json!([{ "name": "A", "value": "1=2" }, { "name": "B", "value": "x,y" }])
        );
        assert_eq!(
            container["ports"],
            json!([{ "name": "h2c", "containerPort": 9090 }])
        );
        assert_eq!(
            container["resources"]["requests"],
            json!({ "cpu": "1", "memory": "2Gi" })
        );
        assert_eq!(container["args"], json!(["-v"]));
        let template = &service["spec"]["template"];
        assert_eq!(template["spec"]["containerConcurrency"], 10);
        assert_eq!(
            template["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"],
            "5"
        );
        assert_eq!(
            template["metadata"]["annotations"]["autoscaling.knative.dev/window"],
            "6s"
        );
        assert_eq!(service["metadata"]["labels"], json!({ "k": "v" }));
        assert_eq!(
            service["metadata"]["annotations"],
            Value::Null,
            "autoscaling belongs to the template alone"
        );
    }

    #[test]
    fn an_update_keeps_what_it_does_not_name() {
        let present = json!({ "spec": { "template": { "metadata": { "name": "web-old" }, "spec": { "future": true, "containers": [
            { "image": "i", "env": [{ "name": "A", "valueFrom": {} }, { "name": "B", "value": "2" }] }, { "image": "side" } ] } } } });
        let (service, changed) =
            apply(&["--env", "A=1", "--env", "B-", "--env", "C=3"], present.clone()).unwrap();
        assert!(changed);
        let template = &service["spec"]["template"];
        assert_eq!(
            template["spec"]["containers"][0]["env"],
            json!([{ "name": "A", "value": "1" }, { "name": "C", "value": "3" }])
        );
        assert_eq!(template["spec"]["containers"][1], json!({ "image": "side" }));
        assert_eq!(template["spec"]["future"], true);
        assert_eq!(
            template["metadata"].get("name"),
            None,
            "the old name would be refused"
        );
        let (same, changed) = apply(&["--cluster-local"], present.clone()).unwrap();
        assert!(!changed, "a label of the service makes no revision");
        assert_eq!(same["spec"], present["spec"]);
        let (named, _) = apply(&["--env", "A=1", "--revision-name", "v2"], present).unwrap();
        assert_eq!(named["spec"]["template"]["metadata"]["name"], "web-v2");
    }

    #[test]
    fn refusals() {
        for (flags, token) in [
            (&["--env", "A"][..], "lacks an '='"),
            (&["--scale", "a"], "x..y"),
            (&["--scale", ".."], "x..y"),
            (&["--scale", "1..2..9"], "x..y"),
            (&["--scale-min", "3", "--scale-max", "2"], "more than"),
            (&["--port", "x"], "no port"),
            (&["--scale-target", "0"], "at least 0.01"),
            (&["--env-from", "x:y"], "cm:NAME"),
            (
                &["--annotation-service", "autoscaling.knative.dev/window=6s"],
                "--annotation-revision",
            ),
        ] {
            let error = apply(flags, json!({})).unwrap_err();
            assert!(error.message.contains(token), "{flags:?}: {}", error.message);
        }
    }
}
