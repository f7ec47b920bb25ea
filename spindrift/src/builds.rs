//! What builds need of this machine: a door to the registry for their pods, and the image of what builds.

mod builder_image;
mod pod_registry;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use cluster::Cluster;
use cluster_images::ImageStore;
use push::Unbuildable;
use tokio_util::sync::CancellationToken;

pub use builder_image::make as make_builder_image;

/// The parts of builds that one instance runs.
pub struct Builds {
    /// The registry as pods reach it.
    registry: builds::PodRegistry,
    images: ImageStore,
    data_dir: PathBuf,
    stop: CancellationToken,
}

impl Builds {
    /// Opens the door for pods. `name` is what images call the registry by.
    ///
    /// # Errors
    /// If there is no port on the pod network, or the data folder cannot keep the key.
    pub fn start(cluster: &Cluster, data_dir: &Path, name: &str) -> anyhow::Result<Self> {
        let (listener, registry) = pod_registry::open(cluster.gateway_ip(), data_dir, name)
            .context("cannot open the registry to the pods of builds")?;
        let stop = CancellationToken::new();
        tokio::spawn(pod_registry::serve(
            listener,
            cluster.images().clone(),
            registry.clone(),
            stop.clone().cancelled_owned(),
        ));
        Ok(Self {
            registry,
            images: cluster.images().clone(),
            data_dir: data_dir.to_path_buf(),
            stop,
        })
    }

    /// What the pipelines of builds are made with. The builder image is made when it is first asked for, in the
    /// background; until then, and if it cannot be made, the answer says why there is none. Asking again tries again.
    pub fn settings(&self) -> impl Fn() -> Result<builds::Settings, Unbuildable> + Send + Sync + 'static {
        let making: Arc<Mutex<Making>> = Arc::default();
        let (registry, store, folder) = (self.registry.clone(), self.images.clone(), self.data_dir.clone());
        move || {
            let mut state = making.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = match &*state {
                Making::Running => return Err(under_way()),
                Making::Done(image) => {
                    return Ok(builds::Settings {
                        builder_image: image.clone(),
                        registry: Some(registry.clone()),
                        ..builds::Settings::default()
                    });
                }
                Making::Failed(reason) => Unbuildable::No(reason.clone()),
                Making::Idle => under_way(),
            };
            *state = Making::Running;
            let (making, store, folder) = (making.clone(), store.clone(), folder.clone());
            let name = registry.name.clone();
            tokio::spawn(async move {
                let made = make_builder_image(&store, &name, &folder).await;
                *making.lock().unwrap_or_else(PoisonError::into_inner) = match made {
                    Ok(image) => Making::Done(image),
                    Err(error) => Making::Failed(format!("{error:#}")),
                };
            });
            Err(answer)
        }
    }

    /// The Secret that lets the builds of a namespace push.
    pub fn secret(&self) -> impl Fn(&str) -> k8s_openapi::api::core::v1::Secret + Send + Sync + 'static {
        let registry = self.registry.clone();
        move |namespace| registry.secret(namespace)
    }
}

fn under_way() -> Unbuildable {
    Unbuildable::NotYet("the builder image is being made".to_owned())
}

/// How far the builder image is.
#[derive(Default)]
enum Making {
    #[default]
    Idle,
    Running,
    Done(String),
    Failed(String),
}

impl Drop for Builds {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
