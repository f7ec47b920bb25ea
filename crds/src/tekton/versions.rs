//! Kinds whose two versions say things in different ways, and the way from one to the other.
//!
//! Where the versions of a kind differ in their name alone, as StepAction's do, there is nothing to convert.

use serde_json::Value;

use super::resolution::v1alpha1;
use super::v1beta1;
use crate::resource::tekton::Resource;

/// The versions of a kind that are converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The one that is read and written, too.
    pub older: &'static str,
    /// The one that is stored.
    pub stored: &'static str,
}

impl Versions {
    /// Those of a kind, if its objects have to be converted.
    pub fn of(resource: Resource) -> Option<Self> {
        let (older, stored) = match resource {
            Resource::Task | Resource::TaskRun | Resource::Pipeline | Resource::PipelineRun => {
                (v1beta1::VERSION, v1beta1::STORED)
            }
            Resource::ResolutionRequest => (v1alpha1::VERSION, v1alpha1::STORED),
            Resource::StepAction | Resource::CustomRun => return None,
        };
        Some(Self { older, stored })
    }
}

/// Turns an object of the older version into one of the stored one. One that is of the stored version in all but its
/// name stays as it is.
pub fn to_stored(resource: Resource, object: &mut Value) {
    match resource {
        Resource::ResolutionRequest => v1alpha1::to_stored(object),
        _ => v1beta1::to_stored(resource, object),
    }
}

/// Turns an object of the stored version into one of the older one: what [`to_stored`] undoes, and the other way round.
pub fn from_stored(resource: Resource, object: &mut Value) {
    match resource {
        Resource::ResolutionRequest => v1alpha1::from_stored(object),
        _ => v1beta1::from_stored(resource, object),
    }
}
