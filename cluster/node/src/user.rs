//! The identity of a container's process: the pod's security context over the image's `USER`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, PodSecurityContext, SecurityContext};

use crate::oci::User;

/// No image needs a longer list of users.
const MAX_LIST_BYTES: u64 = 1 << 20;

/// Why a container may not run under its identity; users see it as `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// `runAsNonRoot` forbids it.
    #[error("container has runAsNonRoot and image will run as root (pod: \"{0}\", container: {1})")]
    ImageRunsAsRoot(String, String),
    /// `runAsNonRoot` cannot be checked against a name.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: \"{pod}\", container: {container})"
    )]
    NotNumeric {
        /// The image's user.
        user: String,
        /// `name_namespace(uid)`.
        pod: String,
        /// Name of the container.
        container: String,
    },
    /// `runAsNonRoot` contradicts `runAsUser`.
    #[error("container's runAsUser breaks non-root policy (pod: \"{0}\", container: {1})")]
    AsksForRoot(String, String),
    /// The image has no such user.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    UnknownUser(String),
    /// The image has no such group.
    #[error("unable to find group {0}: no matching entries in group file")]
    UnknownGroup(String),
}

/// The image's lists of users and groups.
#[derive(Debug, Clone, Default)]
pub struct UserLists {
    passwd: String,
    group: String,
}

impl UserLists {
    /// Reads `/etc/passwd` and `/etc/group` of an image, given its layers lowest first; the uppermost file counts.
    pub fn read(layers: &[PathBuf]) -> Self {
        let read = |name: &str| {
            layers
                .iter()
                .rev()
                .find_map(|layer| read_inside(layer, name))
                .unwrap_or_default()
        };
        Self {
            passwd: read("etc/passwd"),
            group: read("etc/group"),
        }
    }

    /// uid and primary gid by name.
    fn user(&self, name: &str) -> Option<(u32, u32)> {
        let fields = self
            .passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
        Some((found.get(2)?.parse().ok()?, found.get(3)?.parse().ok()?))
    }

    /// Name and primary gid by uid.
    fn by_uid(&self, uid: u32) -> Option<(String, u32)> {
        self.passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let found = fields.get(2)?.parse::<u32>().ok()? == uid;
            found.then(|| Some(((*fields.first()?).to_owned(), fields.get(3)?.parse().ok()?)))?
        })
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.group.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&name)).then(|| fields.get(2)?.parse().ok())?
        })
    }

    /// Groups that list the user as a member.
    fn memberships(&self, name: &str) -> Vec<u32> {
        let member = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let listed = fields.get(3)?.split(',').any(|user| user == name);
            listed.then(|| fields.get(2)?.parse().ok())?
        };
        self.group.lines().filter_map(member).collect()
    }
}

/// Opens a file below a layer without following a link out of it: images are hostile input.
fn read_inside(layer: &Path, name: &str) -> Option<String> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let root = File::open(layer).ok()?;
    let file = openat2(
        &root,
        name,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .ok()?;
    let file = File::from(file);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(MAX_LIST_BYTES).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Who the container runs as.
///
/// # Errors
/// Fails when the image names an unknown user or a policy forbids the identity.
pub fn identity(
    pod_name: &str,
    container: &Container,
    pod_security: &PodSecurityContext,
    image_user: &str,
    lists: &UserLists,
) -> Result<User, UserError> {
    let own = container.security_context.clone().unwrap_or_default();
    let id = |value: Option<i64>| value.and_then(|value| u32::try_from(value).ok());
    let wanted_uid = id(own.run_as_user.or(pod_security.run_as_user));
    let wanted_gid = id(own.run_as_group.or(pod_security.run_as_group));
    check_non_root(pod_name, container, &own, pod_security, wanted_uid, image_user)?;
    let (uid, image_gid, name) = match wanted_uid {
        Some(uid) => from_uid(uid, lists),
        None => from_image(image_user, lists)?,
    };
    let mut groups: Vec<u32> = match pod_security.supplemental_groups_policy.as_deref() {
        Some("Strict") => Vec::new(),
        _ => name.map(|name| lists.memberships(&name)).unwrap_or_default(),
    };
    groups.extend(
        pod_security
            .supplemental_groups
            .iter()
            .flatten()
            .filter_map(|&group| u32::try_from(group).ok()),
    );
    groups.extend(id(pod_security.fs_group));
    // The primary group too: a set-group-id program could otherwise shed it, and with it what is denied to that group
    // (CVE-2023-25173).
    let gid = wanted_gid.unwrap_or(image_gid);
    groups.push(gid);
    groups.sort_unstable();
    groups.dedup();
    Ok(User { uid, gid, groups })
}

fn check_non_root(
    pod: &str,
    container: &Container,
    own: &SecurityContext,
    pod_security: &PodSecurityContext,
    uid: Option<u32>,
    image_user: &str,
) -> Result<(), UserError> {
    if !own
        .run_as_non_root
        .or(pod_security.run_as_non_root)
        .unwrap_or(false)
    {
        return Ok(());
    }
    let (pod, name) = (pod.to_owned(), container.name.clone());
    let image_user = image_user.split(':').next().unwrap_or_default();
    match uid {
        Some(0) => Err(UserError::AsksForRoot(pod, name)),
        Some(_) => Ok(()),
        None if image_user.is_empty() => Err(UserError::ImageRunsAsRoot(pod, name)),
        None => match image_user.parse::<u32>() {
            Ok(0) => Err(UserError::ImageRunsAsRoot(pod, name)),
            Ok(_) => Ok(()),
            Err(_) => Err(UserError::NotNumeric {
                user: image_user.to_owned(),
                pod,
                container: name,
            }),
        },
    }
}

fn from_uid(uid: u32, lists: &UserLists) -> (u32, u32, Option<String>) {
    match lists.by_uid(uid) {
        Some((name, gid)) => (uid, gid, Some(name)),
        None => (uid, 0, None),
    }
}

/// `user`, `uid`, `user:group`, `uid:gid` or nothing.
fn from_image(text: &str, lists: &UserLists) -> Result<(u32, u32, Option<String>), UserError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let (uid, gid, name) = match (user, user.parse::<u32>()) {
        ("", _) => from_uid(0, lists),
        (_, Ok(uid)) => from_uid(uid, lists),
        (name, Err(_)) => {
            let (uid, gid) = lists
                .user(name)
                .ok_or_else(|| UserError::UnknownUser(name.to_owned()))?;
            (uid, gid, Some(name.to_owned()))
        }
    };
    let gid = match group {
        None | Some("") => gid,
        Some(group) => match group.parse() {
            Ok(gid) => gid,
            Err(_) => lists
                .group(group)
                .ok_or_else(|| UserError::UnknownGroup(group.to_owned()))?,
        },
    };
    Ok((uid, gid, name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lists() -> UserLists {
        UserLists {
            passwd: "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n".into(),
            group: "root:x:0:\nstaff:x:50:app,other\n".into(),
        }
    }

    fn run(container: serde_json::Value, pod: serde_json::Value, image: &str) -> Result<User, UserError> {
        let container: Container =
            serde_json::from_value(json!({"name": "c", "securityContext": container})).unwrap();
        identity(
            "p_n(u)",
            &container,
            &serde_json::from_value(pod).unwrap(),
            image,
            &lists(),
        )
    }

    /// `groups` without the primary one, which is always among them.
    fn user(uid: u32, gid: u32, groups: &[u32]) -> User {
        let mut groups = groups.to_vec();
        groups.push(gid);
        groups.sort_unstable();
        groups.dedup();
        User { uid, gid, groups }
    }

    #[test]
    fn the_image_is_overridden_by_the_pod_and_that_by_the_container() {
        let table = [
            (json!({}), json!({}), "", user(0, 0, &[])),
            (json!({}), json!({}), "app", user(1000, 1001, &[50])),
            (json!({}), json!({}), "1000", user(1000, 1001, &[50])),
            (json!({}), json!({}), "app:staff", user(1000, 50, &[50])),
            (json!({}), json!({}), "7:8", user(7, 8, &[])),
            (json!({}), json!({"runAsUser": 65532}), "app", user(65532, 0, &[])),
            (
                json!({"runAsUser": 5, "runAsGroup": 6}),
                json!({"runAsUser": 65532}),
                "app",
                user(5, 6, &[]),
            ),
            (
                json!({}),
                json!({"fsGroup": 9, "supplementalGroups": [3, 9]}),
                "",
                user(0, 0, &[3, 9]),
            ),
            (
                json!({}),
                json!({"supplementalGroupsPolicy": "Strict"}),
                "app",
                user(1000, 1001, &[]),
            ),
        ];
        for (container, pod, image, wanted) in table {
            assert_eq!(
                run(container.clone(), pod.clone(), image),
                Ok(wanted),
                "{container} {pod} {image}"
            );
        }
    }

    #[test]
    fn non_root_is_enforced_with_the_words_of_kubelet() {
        let strict = || json!({"runAsNonRoot": true});
        assert!(
            run(strict(), json!({}), "")
                .unwrap_err()
                .to_string()
                .contains("image will run as root")
        );
        assert!(
            run(strict(), json!({}), "app")
                .unwrap_err()
                .to_string()
                .contains("non-numeric user (app)")
        );
        assert!(
            run(strict(), json!({"runAsUser": 0}), "5")
                .unwrap_err()
                .to_string()
                .contains("non-root policy")
        );
        assert_eq!(
            run(strict(), json!({}), "65532:65532"),
            Ok(user(65532, 65532, &[]))
        );
        assert!(run(json!({"runAsNonRoot": false}), strict(), "0").is_ok());
    }

    #[test]
    fn unknown_names_are_told() {
        assert_eq!(
            run(json!({}), json!({}), "ghost"),
            Err(UserError::UnknownUser("ghost".into()))
        );
        assert_eq!(
            run(json!({}), json!({}), "app:ghosts"),
            Err(UserError::UnknownGroup("ghosts".into()))
        );
    }

    #[test]
    fn a_list_behind_a_link_out_of_the_image_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "outside:x:1:1").unwrap();
        let layer = dir.path().join("layer");
        std::fs::create_dir_all(layer.join("etc")).unwrap();
        std::os::unix::fs::symlink("../../secret", layer.join("etc/passwd")).unwrap();
        assert_eq!(UserLists::read(&[layer]).passwd, "");
    }
}
