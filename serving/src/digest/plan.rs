//! Which images have to be looked up, and which already say all.

use std::collections::BTreeSet;

use crds::serving::{ContainerStatus, Revision};
use formats::image::ImageReference;
use k8s_openapi::api::core::v1::Container;

/// The digests of all containers, in the order of the template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub containers: Vec<ContainerStatus>,
    pub init_containers: Vec<ContainerStatus>,
}

/// Where a container stands in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Container,
    InitContainer,
}

impl Found {
    pub(super) fn push(&mut self, slot: Slot, status: ContainerStatus) {
        match slot {
            Slot::Container => self.containers.push(status),
            Slot::InitContainer => self.init_containers.push(status),
        }
    }
}

/// One container's image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Image {
    pub container: String,
    pub written: String,
    /// What to ask the registry for; `None` if nothing needs asking.
    pub reference: Option<ImageReference>,
    /// The digest if it is known: as written, or empty for registries that are not asked.
    pub known: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Planned {
    /// Nothing has to be asked.
    Done(Found),
    Ask(Vec<(Image, Slot)>),
}

impl Planned {
    pub(super) fn into_images(self) -> Vec<(Image, Slot)> {
        match self {
            Self::Done(_) => Vec::new(),
            Self::Ask(images) => images,
        }
    }
}

/// # Errors
/// The message for the user if an image is not a reference.
pub(super) fn plan(revision: &Revision, skipped: &BTreeSet<String>) -> Result<Planned, String> {
    let pod = &revision.spec.pod_spec;
    let containers = pod
        .containers
        .iter()
        .map(|container| (container, Slot::Container));
    let init = pod
        .init_containers
        .iter()
        .flatten()
        .map(|container| (container, Slot::InitContainer));
    let images: Vec<_> = containers
        .chain(init)
        .map(|(container, slot)| Ok((image(container, skipped)?, slot)))
        .collect::<Result<_, String>>()?;
    if images.iter().any(|(image, _)| image.reference.is_some()) {
        return Ok(Planned::Ask(images));
    }
    let mut found = Found::default();
    for (image, slot) in images {
        found.push(
            slot,
            ContainerStatus {
                name: image.container,
                image_digest: Some(image.known),
            },
        );
    }
    Ok(Planned::Done(found))
}

fn image(container: &Container, skipped: &BTreeSet<String>) -> Result<Image, String> {
    let written = container.image.clone().unwrap_or_default();
    let reference = ImageReference::parse(&written).map_err(|error| {
        format!("Unable to fetch image {written:?}: failed to resolve image to digest: {error}")
    })?;
    let is_pinned = reference.digest().is_some();
    let is_skipped = skipped.contains(reference.registry());
    let known = if is_pinned { written.clone() } else { String::new() };
    Ok(Image {
        container: container.name.clone(),
        written,
        reference: (!is_pinned && !is_skipped).then_some(reference),
        known,
    })
}
