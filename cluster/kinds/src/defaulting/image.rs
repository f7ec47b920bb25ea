//! When an image is pulled again, decided by its reference.

/// Returns the default `imagePullPolicy`: `Always` for the tag `latest`, spelled out or implied by naming neither tag
/// nor digest; `IfNotPresent` otherwise.
pub(super) fn pull_policy(reference: &str) -> &'static str {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    // A colon before the last slash belongs to the registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    match (last.split_once(':'), digest) {
        (Some((_, "latest")), _) | (None, None) => "Always",
        _ => "IfNotPresent",
    }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn latest_is_pulled_always() {
        for (reference, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("localhost:5000/app", "Always"),
            ("localhost:5000/app:v1", "IfNotPresent"),
            ("app@sha256:00", "IfNotPresent"),
            ("app:v1@sha256:00", "IfNotPresent"),
            ("app:latest@sha256:00", "Always"),
        ] {
            assert_eq!(pull_policy(reference), policy, "{reference}");
        }
    }
}
