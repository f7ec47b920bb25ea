//! Labels and annotations of the service and of its template.

use serde_json::{Value, json};

use super::json::{at, drop_empty, object};
use super::pairs::{self, Pairs};
use crate::error::CliError;
use crate::flags::metadata::{ServiceMetadataArgs, TemplateMetadataArgs};
use crate::flags::pair;

/// Keys that the autoscaler reads from revisions; on a service they would be refused.
const AUTOSCALING: &str = "autoscaling.knative.dev/";
const VISIBILITY: &str = "networking.knative.dev/visibility";

/// Applies `pairs` to the map `field` at `path`; without any, nothing is touched.
fn merge(service: &mut Value, path: &[&str], field: &str, pairs: &Pairs) {
    if pairs.set.is_empty() && pairs.remove.is_empty() {
        return;
    }
    let metadata = at(service, path);
    let map = object(at(metadata, &[field]));
    for (key, value) in &pairs.set {
        map.insert(key.clone(), json!(value));
    }
    for key in &pairs.remove {
        map.remove(key);
    }
    drop_empty(metadata, field);
}

/// The flag for both, and over it the one for this place: what the latter says of a key wins.
fn layered(both: &Pairs, own: Pairs) -> Pairs {
    let mut pairs = both.clone();
    let named = |key: &String| own.set.iter().any(|(own, _)| own == key) || own.remove.contains(key);
    pairs.set.retain(|(key, _)| !named(key));
    pairs.remove.retain(|key| !named(key));
    pairs.set.extend(own.set);
    pairs.remove.extend(own.remove);
    pairs
}

/// Sets an annotation of the template.
pub fn annotate_template(service: &mut Value, key: &str, value: &str) {
    object(at(service, &["spec", "template", "metadata", "annotations"]))
        .insert(key.to_owned(), json!(value));
}

/// Removes an annotation of the template.
pub fn remove_template_annotation(service: &mut Value, key: &str) {
    if service.pointer("/spec/template/metadata/annotations").is_none() {
        return;
    }
    let metadata = at(service, &["spec", "template", "metadata"]);
    object(at(metadata, &["annotations"])).remove(key);
    drop_empty(metadata, "annotations");
}

/// Applies the flags of labels, annotations and visibility: `own` are those of the service alone.
pub fn apply(
    service: &mut Value,
    flags: &TemplateMetadataArgs,
    own: &ServiceMetadataArgs,
) -> Result<(), CliError> {
    let labels = pairs::parse("label", &flags.label, true)?;
    let service_labels = pairs::parse("label-service", &own.label_service, true)?;
    let template_labels = pairs::parse("label-revision", &flags.label_revision, true)?;
    merge(
        service,
        &["metadata"],
        "labels",
        &layered(&labels, service_labels),
    );
    merge(
        service,
        &["spec", "template", "metadata"],
        "labels",
        &layered(&labels, template_labels),
    );

    let mut annotations = pairs::parse("annotation", &flags.annotation, true)?;
    let template_annotations = pairs::parse("annotation-revision", &flags.annotation_revision, true)?;
    merge(
        service,
        &["spec", "template", "metadata"],
        "annotations",
        &layered(&annotations, template_annotations),
    );
    annotations.set.retain(|(key, _)| !key.starts_with(AUTOSCALING));
    let service_annotations = pairs::parse("annotation-service", &own.annotation_service, true)?;
    if let Some((key, _)) = service_annotations
        .set
        .iter()
        .find(|(key, _)| key.starts_with(AUTOSCALING))
    {
        return Err(CliError::usage(format!(
            "service can not have auto-scaling related annotation: {key}"
        ))
        .with_hint("use --annotation-revision, or one of the --scale flags"));
    }
    merge(
        service,
        &["metadata"],
        "annotations",
        &layered(&annotations, service_annotations),
    );

    let mut visibility = Pairs::default();
    match pair::choice("cluster-local", own.cluster_local, own.no_cluster_local)? {
        Some(true) => visibility
            .set
            .push((VISIBILITY.to_owned(), "cluster-local".to_owned())),
        Some(false) => visibility.remove.push(VISIBILITY.to_owned()),
        None => {}
    }
    merge(service, &["metadata"], "labels", &visibility);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specific_flag_wins_and_autoscaling_stays_on_the_revision() {
        let mut service = json!({ "metadata": { "labels": { "gone": "x" }, "annotations": { "old": "1" } } });
        let flags = TemplateMetadataArgs {
            label: vec!["a=1".into(), "b=2".into(), "gone-".into()],
            label_revision: vec!["b-".into()],
            annotation: vec!["autoscaling.knative.dev/min-scale=1".into(), "n=2".into()],
            ..TemplateMetadataArgs::default()
        };
        let own = ServiceMetadataArgs {
            label_service: vec!["a=s".into()],
            annotation_service: vec!["old-".into()],
            cluster_local: Some(true),
            ..ServiceMetadataArgs::default()
        };
        apply(&mut service, &flags, &own).unwrap();
        assert_eq!(
            service["metadata"],
            json!({ "labels": { "a": "s", "b": "2", VISIBILITY: "cluster-local" }, "annotations": { "n": "2" } })
        );
        assert_eq!(
            service["spec"]["template"]["metadata"],
            json!({ "labels": { "a": "1" }, "annotations": { "autoscaling.knative.dev/min-scale": "1", "n": "2" } })
        );
        let refused = ServiceMetadataArgs {
            annotation_service: vec!["autoscaling.knative.dev/target=1".into()],
            ..ServiceMetadataArgs::default()
        };
        let error = apply(&mut service, &TemplateMetadataArgs::default(), &refused).unwrap_err();
        assert!(error.message.contains("auto-scaling"), "{error}");
    }

    #[test]
    fn annotations_can_be_removed_in_every_place() {
        let map = json!({ "k": "v", "keep": "1" });
        let mut service = json!({ "metadata": { "annotations": map }, "spec": { "template": { "metadata": { "annotations": map } } } });
        let flags = TemplateMetadataArgs {
            annotation_revision: vec!["k-".into()],
            ..TemplateMetadataArgs::default()
        };
        let own = ServiceMetadataArgs {
            annotation_service: vec!["k-".into()],
            no_cluster_local: Some(true),
            ..ServiceMetadataArgs::default()
        };
        apply(&mut service, &flags, &own).unwrap();
        let kept = json!({ "annotations": { "keep": "1" } });
        assert_eq!(service["metadata"], kept);
        assert_eq!(service["spec"]["template"]["metadata"], kept);
    }
}
