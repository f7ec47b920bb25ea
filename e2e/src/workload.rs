//! What the tests deploy: Services and pods, as objects.

use serde_json::{Value, json};

use crate::Platform;

/// A Knative Service with one container.
#[derive(Clone, Debug)]
pub struct Workload(Value);

impl Workload {
    /// One that runs `image` as it is.
    pub fn new(name: &str, image: &str) -> Self {
        Self::of(name, json!({"image": image}))
    }

    /// One with this container.
    pub fn of(name: &str, container: Value) -> Self {
        Self(json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"template": {
                "metadata": {"annotations": {}},
                "spec": {"containers": [container]},
            }},
        }))
    }

    /// An annotation of the revision; a key without a prefix is one of autoscaling.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        let key = match key.contains('/') {
            true => key.to_owned(),
            false => format!("autoscaling.knative.dev/{key}"),
        };
        self.0["spec"]["template"]["metadata"]["annotations"][key] = value.into();
        self
    }

    /// A field of the revision's spec.
    #[must_use]
    pub fn spec(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0["spec"]["template"]["spec"][field] = value.into();
        self
    }

    /// A field of the container.
    #[must_use]
    pub fn container(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0["spec"]["template"]["spec"]["containers"][0][field] = value.into();
        self
    }

    /// One variable of the container, in the place of those it had.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Self {
        self.container("env", json!([{"name": name, "value": value}]))
    }

    /// Requests so little that many fit on any machine.
    #[must_use]
    pub fn small(self) -> Self {
        self.container("resources", json!({"requests": {"cpu": "10m"}}))
    }

    /// The object.
    pub fn object(self) -> Value {
        self.0
    }

    /// Applies it by the server.
    ///
    /// # Errors
    /// If it is refused.
    pub fn apply(&self, platform: &Platform) -> anyhow::Result<()> {
        platform.apply(&self.0.to_string(), &["--server-side"])?.ok()?;
        Ok(())
    }

    /// Applies it and waits until it is ready.
    ///
    /// # Errors
    /// If it is refused, or not ready in time.
    pub fn deploy(&self, platform: &Platform) -> anyhow::Result<()> {
        self.apply(platform)?;
        ready(
            platform,
            &[self.0["metadata"]["name"].as_str().unwrap_or_default()],
        )
    }
}

/// Waits until these Services are ready.
///
/// # Errors
/// If one is not in time.
pub fn ready(platform: &Platform, names: &[&str]) -> anyhow::Result<()> {
    let wait = [
        &["wait", "ksvc"],
        names,
        &["--for=condition=Ready", "--timeout=110s"],
    ]
    .concat();
    platform.kubectl(&wait)?.ok()?;
    Ok(())
}

/// Waits until no pod of this Service is left.
///
/// # Errors
/// If some are left after a long time.
pub fn at_zero(platform: &Platform, service: &str) -> anyhow::Result<()> {
    let selector = format!("serving.knative.dev/service={service}");
    crate::eventually("no pods", || {
        let pods = platform
            .kubectl(&["get", "pods", "-l", &selector, "-o", "name"])?
            .ok()?;
        anyhow::ensure!(pods.trim().is_empty(), "left: {pods}");
        Ok(())
    })
}

/// Deletes Services, and waits until nothing is left of what they had made. (Their pods may drain a while longer.)
///
/// # Errors
/// If something is left after a long time.
pub fn delete(platform: &Platform, names: &[&str]) -> anyhow::Result<()> {
    platform.kubectl(&[&["delete", "ksvc"], names].concat())?.ok()?;
    names.iter().try_for_each(|name| gone(platform, name))
}

/// Waits until nothing is left of what a deleted Service had made.
///
/// # Errors
/// If something is left after a long time.
pub fn gone(platform: &Platform, name: &str) -> anyhow::Result<()> {
    let label = format!("serving.knative.dev/service={name}");
    crate::eventually("the children of a deleted service to go", || {
        let kinds = "cfg,rt,rev,pa,sks,king,deployment,svc";
        let left = platform
            .kubectl(&["get", kinds, "-l", &label, "-o", "name"])?
            .ok()?;
        anyhow::ensure!(left.trim().is_empty(), "{left}");
        Ok(())
    })
}

/// A bare pod.
pub fn pod(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

/// Waits until a pod runs.
///
/// # Errors
/// If it does not within a long time.
pub fn until_running(platform: &Platform, name: &str) -> anyhow::Result<()> {
    crate::eventually("a running pod", || {
        let status = &platform.get(&["pod", name])?["status"];
        anyhow::ensure!(status["phase"] == "Running", "{status:#}");
        Ok(())
    })
}
