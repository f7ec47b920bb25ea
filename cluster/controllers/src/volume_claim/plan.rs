//! What a claim and its volume need.

use std::collections::BTreeMap;
use std::path::Path;

use informer::Key;
use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec, Pod,
};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::ObjectMeta;

/// The class of claims that name none.
pub(super) const CLASS: &str = "local";
/// Who makes volumes of this class.
pub(super) const PROVISIONER: &str = "spindrift.dev/local";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// Make a volume for the claim.
    Provision,
    /// Tie claim and volume together.
    Bind,
    /// Wait: the claim is gone, and pods still use the volume.
    Keep,
    /// Remove the volume with all that is in it.
    Remove,
    /// Leave the volume to whoever made it.
    Release,
}

/// For a claim, and the volume of the name that [`volume_of`] gives.
pub(super) fn for_claim(
    claim: &PersistentVolumeClaim,
    volume: Option<&PersistentVolume>,
    provisions: bool,
) -> Action {
    if claim.metadata.deletion_timestamp.is_some() {
        return Action::Nothing;
    }
    let spec = claim.spec.clone().unwrap_or_default();
    let bound = claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    match volume {
        // Another claim has it.
        Some(volume) if claimed_by(volume).is_some() && !is_of(volume, Some(claim)) => Action::Nothing,
        Some(volume) if bound && spec.volume_name.is_some() && is_of(volume, Some(claim)) => Action::Nothing,
        Some(_) => Action::Bind,
        // It asks for one that is not there.
        None if spec.volume_name.is_some() || !provisions => Action::Nothing,
        // The empty class asks for none to be made; block devices are not directories.
        None if !matches!(spec.storage_class_name.as_deref(), None | Some(CLASS))
            || spec.volume_mode.as_deref() == Some("Block") =>
        {
            Action::Nothing
        }
        None => Action::Provision,
    }
}

/// For a volume whose claim is gone.
pub(super) fn after_claim(volume: &PersistentVolume, used: bool) -> Action {
    let policy = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let released = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Released");
    match (own_name(volume), policy) {
        (Some(_), Some("Delete")) if used => Action::Keep,
        (Some(_), Some("Delete")) => Action::Remove,
        _ if released => Action::Nothing,
        _ => Action::Release,
    }
}

/// Name of the volume that a claim asks for, or else of the one that is made for it.
pub(super) fn volume_of(claim: &PersistentVolumeClaim) -> String {
    let asked = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    asked
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("pvc-{}", claim.uid().unwrap_or_default()))
}

/// The claim that a volume is for.
pub(super) fn claimed_by(volume: &PersistentVolume) -> Option<Key> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(Key::new(claim.namespace.clone()?, claim.name.clone()?))
}

/// Is it for exactly this claim? A volume may be kept for a name; then it is for whoever comes under it first.
pub(super) fn is_of(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> bool {
    let Some(claim) = claim else { return false };
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|reference| {
        reference.name == claim.metadata.name
            && reference.namespace == claim.metadata.namespace
            && (reference.uid.is_none() || reference.uid == claim.metadata.uid)
    })
}

/// The name of a volume that was made here: the claim's UID is in it, so it is no path to anywhere else.
pub(super) fn own_name(volume: &PersistentVolume) -> Option<String> {
    let name = volume.name_any();
    let uid = volume.spec.as_ref()?.claim_ref.as_ref()?.uid.as_deref()?;
    let made_here = volume
        .annotations()
        .get(PROVISIONED_BY)
        .is_some_and(|by| by == PROVISIONER);
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (made_here && is_plain && name == format!("pvc-{uid}")).then_some(name)
}

/// Does a pod that has not ended use this claim of its namespace?
pub(super) fn uses(pod: &Pod, claim: &str) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    !matches!(phase, Some("Succeeded" | "Failed")) && claims.any(|used| used.claim_name == claim)
}

pub(super) fn reference(claim: &PersistentVolumeClaim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        name: claim.metadata.name.clone(),
        namespace: claim.metadata.namespace.clone(),
        uid: claim.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The volume of a claim in `folder`. The capacity is what was asked for: nothing holds anybody to it.
pub(super) fn volume(claim: &PersistentVolumeClaim, folder: &Path) -> PersistentVolume {
    let spec = claim.spec.clone().unwrap_or_default();
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(volume_of(claim)),
            annotations: Some(BTreeMap::from([(
                PROVISIONED_BY.to_owned(),
                PROVISIONER.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: spec.resources.and_then(|resources| resources.requests),
            claim_ref: Some(reference(claim)),
            host_path: Some(HostPathVolumeSource {
                path: folder.to_string_lossy().into_owned(),
                type_: Some("Directory".to_owned()),
            }),
            persistent_volume_reclaim_policy: Some("Delete".to_owned()),
            storage_class_name: Some(CLASS.to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

/// The class as people see it.
pub(super) fn class() -> StorageClass {
    let default = (
        "storageclass.kubernetes.io/is-default-class".to_owned(),
        "true".to_owned(),
    );
    StorageClass {
        metadata: ObjectMeta {
            name: Some(CLASS.to_owned()),
            annotations: Some(BTreeMap::from([default])),
            ..ObjectMeta::default()
        },
        provisioner: PROVISIONER.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("Immediate".to_owned()),
        ..StorageClass::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim(spec: Value, phase: &str) -> PersistentVolumeClaim {
        serde_json::from_value(json!({
            "metadata": {"name": "c", "namespace": "n", "uid": "u"}, "spec": spec, "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn made(for_uid: &str) -> PersistentVolume {
        let mut claim = claim(json!({"accessModes": ["ReadWriteOnce"]}), "Pending");
        claim.metadata.uid = Some(for_uid.to_owned());
        volume(&claim, Path::new("/v"))
    }

    fn of_others(claim_ref: Value) -> PersistentVolume {
        serde_json::from_value(json!({"metadata": {"name": "pv"}, "spec": {"claimRef": claim_ref}})).unwrap()
    }

    #[test]
    fn claims_get_a_volume_once() {
        let named = json!({"volumeName": "pv"});
        let own = json!({"volumeName": "pvc-u"});
        let taken = json!({"name": "other", "namespace": "n", "uid": "x"});
        let kept = json!({"name": "c", "namespace": "n"});
        for (name, spec, phase, volume, expected) in [
            ("new", json!({}), "Pending", None, Action::Provision),
            (
                "of the class",
                json!({"storageClassName": "local"}),
                "Pending",
                None,
                Action::Provision,
            ),
            (
                "of no class",
                json!({"storageClassName": ""}),
                "Pending",
                None,
                Action::Nothing,
            ),
            (
                "of another class",
                json!({"storageClassName": "fast"}),
                "Pending",
                None,
                Action::Nothing,
            ),
            (
                "of a device",
                json!({"volumeMode": "Block"}),
                "Pending",
                None,
                Action::Nothing,
            ),
            (
                "of a volume to come",
                named.clone(),
                "Pending",
                None,
                Action::Nothing,
            ),
            (
                "made before a crash",
                json!({}),
                "Pending",
                Some(made("u")),
                Action::Bind,
            ),
            (
                "named before a crash",
                own.clone(),
                "Pending",
                Some(made("u")),
                Action::Bind,
            ),
            ("bound", own, "Bound", Some(made("u")), Action::Nothing),
            (
                "free",
                named.clone(),
                "Pending",
                Some(of_others(json!(null))),
                Action::Bind,
            ),
            (
                "kept",
                named.clone(),
                "Pending",
                Some(of_others(kept)),
                Action::Bind,
            ),
            ("taken", named, "Pending", Some(of_others(taken)), Action::Nothing),
        ] {
            assert_eq!(
                for_claim(&claim(spec, phase), volume.as_ref(), true),
                expected,
                "{name}"
            );
        }
        assert_eq!(
            for_claim(&claim(json!({}), "Pending"), None, false),
            Action::Nothing
        );
    }

    #[test]
    fn only_what_was_made_here_is_removed_and_not_under_a_pod() {
        let mut foreign = made("u");
        foreign.metadata.annotations = None;
        let mut retained = made("u");
        retained.spec.as_mut().unwrap().persistent_volume_reclaim_policy = Some("Retain".to_owned());
        let mut elsewhere = made("u");
        elsewhere.metadata.name = Some("..".to_owned());
        for (volume, used, expected) in [
            (made("u"), true, Action::Keep),
            (made("u"), false, Action::Remove),
            (foreign, false, Action::Release),
            (retained, false, Action::Release),
            (elsewhere, false, Action::Release),
        ] {
            assert_eq!(after_claim(&volume, used), expected);
        }
        assert!(
            !is_of(&made("old"), Some(&claim(json!({}), "Pending"))),
            "a namesake is another claim"
        );
    }

    #[test]
    fn ended_pods_use_nothing() {
        let pod = |phase: &str| -> Pod {
            serde_json::from_value(json!({
                "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        assert!(uses(&pod("Running"), "c") && uses(&pod("Pending"), "c"));
        assert!(!uses(&pod("Succeeded"), "c") && !uses(&pod("Running"), "d"));
    }
}
