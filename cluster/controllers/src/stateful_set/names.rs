//! The names that a StatefulSet gives away, and what they say when they are read.

/// Label of a pod: its own name, for a Service in front of this pod alone.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label of a pod: its ordinal.
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// Label of a pod: the revision that it was made from.
pub const POD_REVISION: &str = "controller-revision-hash";
/// Label of a ControllerRevision: the hash in its name.
pub const REVISION_HASH: &str = "controller.kubernetes.io/hash";

/// Characters of a set's name that the names of its revisions begin with (upstream's limit).
const REVISION_PREFIX: usize = 223;

pub fn pod(set: &str, ordinal: u64) -> String {
    format!("{set}-{ordinal}")
}

/// The claim that the pod with `ordinal` has of `template`.
pub fn claim(template: &str, set: &str, ordinal: u64) -> String {
    format!("{template}-{set}-{ordinal}")
}

pub fn revision(set: &str, hash: &str) -> String {
    let prefix: String = set.chars().take(REVISION_PREFIX).collect();
    format!("{prefix}-{hash}")
}

/// What stands before the ordinal, and the ordinal, of the name of a pod or claim.
pub fn split(name: &str) -> Option<(&str, u64)> {
    let (stem, ordinal) = name.rsplit_once('-')?;
    let plain =
        ordinal.bytes().all(|byte| byte.is_ascii_digit()) && (ordinal == "0" || !ordinal.starts_with('0'));
    Some((stem, ordinal.parse().ok().filter(|_| plain)?))
}

/// The ordinal of `pod` if its name is one that `set` gives.
pub fn ordinal(pod: &str, set: &str) -> Option<u64> {
    split(pod)
        .filter(|(stem, _)| *stem == set)
        .map(|(_, ordinal)| ordinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_given() {
        for (pod, set, expected) in [
            ("web-0", "web", Some(0)),
            ("web-12", "web", Some(12)),
            ("my-web-3", "web", None),
            ("my-web-3", "my-web", Some(3)),
            ("web", "web", None),
            ("web-", "web", None),
            ("web-x", "web", None),
            // Another name than the set gives to its pod 1.
            ("web-01", "web", None),
            ("web-+1", "web", None),
            ("web-99999999999999999999999", "web", None),
        ] {
            assert_eq!(ordinal(pod, set), expected, "{pod} of {set}");
        }
        assert_eq!(ordinal(&super::pod("a-1", 7), "a-1"), Some(7));
        assert_eq!(split(&claim("data", "web", 2)), Some(("data-web", 2)));
        assert_eq!(revision(&"s".repeat(300), "h").len(), 225);
    }
}
