//! Names that are functions of what they stand for, so that making something twice collides.

use crds::names::child_name;
use sha2::{Digest as _, Sha256};

/// Longest name of a host: the tag and the Service share it.
const LONGEST_HOST: usize = 63;

/// The PipelineRun of a push: of the repository, the ref, and where it pointed before and after. `nonce` tells apart
/// what is built again on purpose; it is empty otherwise.
pub(crate) fn run(repository: &str, uid: &str, push: [&str; 3], nonce: &str) -> String {
    let mut parts = vec![uid];
    parts.extend(push);
    parts.push(nonce);
    child_name(repository, &format!("-{}", digest(&parts, 10)))
}

/// The tag of the traffic target that shows a branch or tag.
pub fn tag(git_ref: &str, service: &str) -> String {
    let name = git_ref
        .strip_prefix("refs/heads/")
        .or_else(|| git_ref.strip_prefix("refs/tags/"))
        .unwrap_or(git_ref);
    let mut slug = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let room = LONGEST_HOST.saturating_sub(service.len() + 1);
    let exact = slug == name && git_ref.starts_with("refs/heads/") && slug.len() <= room;
    if exact && slug.starts_with(|c: char| c.is_ascii_lowercase()) {
        return slug;
    }
    // What was left out tells branches apart, so the name has to show it in another way.
    let suffix = digest(&[git_ref], 6);
    slug.truncate(room.saturating_sub(suffix.len() + 3));
    let slug = slug.trim_matches('-');
    let letter = if slug.starts_with(|c: char| c.is_ascii_lowercase()) {
        ""
    } else {
        "b-"
    };
    let separator = if slug.is_empty() { "" } else { "-" };
    format!("{letter}{slug}{separator}{suffix}")
}

/// The revision of a preview: it has to be known before it is made, for nothing else may get its requests.
pub(crate) fn revision(service: &str, run: &str) -> String {
    child_name(service, &format!("-{}", digest(&[run], 10)))
}

fn digest(parts: &[&str], length: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length tells where a part ends.
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut text: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_run_is_named_by_its_push() {
        let name = run("web", "uid", ["refs/heads/main", "a", "b"], "");
        assert!(name.starts_with("web-") && name.len() == 14, "{name}");
        assert_eq!(name, run("web", "uid", ["refs/heads/main", "a", "b"], ""));
        for other in [
            run("web", "other", ["refs/heads/main", "a", "b"], ""),
            run("web", "uid", ["refs/heads/mai", "na", "b"], ""),
            run("web", "uid", ["refs/heads/main", "a", "c"], ""),
            run("web", "uid", ["refs/heads/main", "a", "b"], "again"),
        ] {
            assert_ne!(name, other);
        }
        assert!(run(&"r".repeat(63), "uid", ["x", "", ""], "").len() <= 63);
    }

    #[test]
    fn branches_have_readable_tags() {
        for (git_ref, begins) in [
            ("refs/heads/fix", "fix"),
            ("refs/heads/feature/X", "feature-x-"),
            ("refs/heads/1.x", "b-1-x-"),
            ("refs/tags/v1.2", "v1-2-"),
            ("refs/heads/ü", "b-"),
        ] {
            let tag = tag(git_ref, "web");
            assert!(tag.starts_with(begins), "{git_ref}: {tag}");
        }
        assert_ne!(
            tag("refs/heads/feature-x", "web"),
            tag("refs/heads/feature/x", "web")
        );
        assert_ne!(tag("refs/heads/v1", "web"), tag("refs/tags/v1", "web"));
    }

    proptest! {
        #[test]
        fn tags_are_labels_that_leave_room(name in "\\PC{1,80}", service in "[a-z]{1,40}") {
            let tag = tag(&format!("refs/heads/{name}"), &service);
            prop_assert!(crds::dns::label_1035(&tag).is_empty(), "{}", tag);
            prop_assert!(tag.len() + 1 + service.len() <= 63, "{}", tag);
        }
    }
}
