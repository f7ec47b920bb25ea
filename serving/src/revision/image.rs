//! The Image objects of a revision, one per container, for whoever keeps images warm on nodes.

use crds::caching::{Image, ImageSpec};
use crds::names;
use crds::serving::{ContainerStatus, Revision};

use super::metadata::{annotations, child_metadata};
use crate::shared::name_of;

pub(super) fn images(revision: &Revision, containers: &[ContainerStatus]) -> Vec<Image> {
    let pod = &revision.spec.pod_spec;
    let image = |status: &ContainerStatus| {
        let written = pod
            .containers
            .iter()
            .find(|container| container.name == status.name)?
            .image
            .clone();
        let digest = status.image_digest.clone().filter(|digest| !digest.is_empty());
        let name = names::image_cache(name_of(&revision.metadata), &status.name);
        Some(Image {
            metadata: child_metadata(revision, name, annotations(revision)),
            spec: ImageSpec {
                image: digest.or(written)?,
                service_account_name: pod.service_account_name.clone(),
                image_pull_secrets: pod.image_pull_secrets.clone().unwrap_or_default(),
            },
            status: None,
        })
    };
    containers.iter().filter_map(image).collect()
}
