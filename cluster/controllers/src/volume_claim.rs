//! Binds PersistentVolumeClaims: to volumes that somebody made, and else to directories of this machine.
//!
//! What the volume binder and a provisioner of local directories do on a cluster. Claims of no class, or of the class
//! `local`, get a directory below the data folder as soon as they are made; it goes with its claim, once no pod uses it.

mod plan;

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use informer::{Cache, Key, Queue};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::worker::{Next, Setup, is_conflict, is_not_found};
use plan::Action;

/// How soon a volume is looked at again whose claim is gone while pods use it.
const IN_USE_PAUSE: Duration = Duration::from_secs(2);

struct Context {
    client: Client,
    claims: Cache<PersistentVolumeClaim>,
    volumes: Cache<PersistentVolume>,
    pods: Cache<Pod>,
    /// Where directories are made; without it, claims wait for volumes that somebody makes.
    folder: Option<PathBuf>,
}

#[derive(Debug)]
enum Error {
    Api(kube::Error),
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api(error) => error.fmt(f),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
}

pub fn spawn(setup: &mut Setup, folder: Option<PathBuf>) {
    let queue = Queue::new("volumeclaim");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        claims: setup.caches.cache(),
        volumes: setup.caches.cache(),
        pods: setup.caches.cache(),
        folder,
    });
    let on_claim = queue.clone();
    context.claims.on_change(move |change| {
        if let Some(claim) = change.latest() {
            on_claim.add(Key::of(claim.as_ref()));
        }
    });
    let on_volume = queue.clone();
    context.volumes.on_change(move |change| {
        for key in change.states().filter_map(|volume| plan::claimed_by(volume)) {
            on_volume.add(key);
        }
    });
    if context.folder.is_some() {
        let classes: Api<StorageClass> = Api::all(setup.client.clone());
        setup.spawn(async move {
            // Only there to be seen: claims without a class do not wait for it.
            if let Err(error) = classes.create(&PostParams::default(), &plan::class()).await
                && !is_conflict(&error)
            {
                tracing::debug!(%error, "The storage class could not be made");
            }
        });
    }
    let (claims, volumes) = (context.claims.clone(), context.volumes.clone());
    let everything = move || {
        let mut keys = claims.keys();
        keys.extend(
            volumes
                .list()
                .iter()
                .filter_map(|volume| plan::claimed_by(volume)),
        );
        keys
    };
    setup.controller("volumeclaim", &queue, everything, &context, reconcile);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, Error> {
    let claim = context.claims.get(&key);
    let mut next = Next::Wait;
    for volume in context.volumes.list() {
        if plan::claimed_by(&volume).as_ref() != Some(&key) || plan::is_of(&volume, claim.as_deref()) {
            continue;
        }
        // Its claim is gone, whatever has that name now.
        match plan::after_claim(&volume, used(&context, &key)) {
            Action::Keep => next = Next::After(IN_USE_PAUSE),
            Action::Remove => context.remove(&volume).await?,
            Action::Release => context.release(&volume).await?,
            _ => {}
        }
    }
    let Some(claim) = claim else { return Ok(next) };
    let volume = context.volumes.get(&Key::new("", plan::volume_of(&claim)));
    match plan::for_claim(&claim, volume.as_deref(), context.folder.is_some()) {
        Action::Provision => {
            let volume = context.provision(&claim).await?;
            context.bind(&claim, &volume).await?;
        }
        Action::Bind => {
            if let Some(volume) = volume {
                context.bind(&claim, &volume).await?;
            }
        }
        _ => {}
    }
    Ok(next)
}

/// Does a pod that has not ended use the claim?
fn used(context: &Context, key: &Key) -> bool {
    !context
        .pods
        .in_namespace(&key.namespace, |pod| plan::uses(pod, &key.name))
        .is_empty()
}

impl Context {
    /// Makes a directory that every user may write to, and its volume.
    async fn provision(&self, claim: &PersistentVolumeClaim) -> Result<PersistentVolume, Error> {
        let name = plan::volume_of(claim);
        let folder = self.folder.as_deref().unwrap_or(Path::new("/")).join(&name);
        let made = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::set_permissions(&folder, Permissions::from_mode(0o777)));
        made.map_err(|error| Error::Io(folder.clone(), error))?;
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volume = plan::volume(claim, &folder);
        match volumes.create(&PostParams::default(), &volume).await {
            Ok(volume) => Ok(volume),
            // Made before, and not seen yet.
            Err(error) if is_conflict(&error) => Ok(volumes.get(&name).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// First the volume is the claim's and then the claim says so: a crash in between is repaired by the next look.
    async fn bind(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), Error> {
        let (name, namespace) = (claim.name_any(), claim.namespace().unwrap_or_default());
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &namespace);
        let params = PatchParams::default();
        if !plan::is_of(volume, Some(claim)) {
            let patch = json!({"spec": {"claimRef": plan::reference(claim)}});
            volumes
                .patch(&volume.name_any(), &params, &Patch::Merge(patch))
                .await?;
        }
        let phase = json!({"status": {"phase": "Bound"}});
        volumes
            .patch_status(&volume.name_any(), &params, &Patch::Merge(phase))
            .await?;
        let spec = claim.spec.as_ref();
        if spec.and_then(|spec| spec.volume_name.as_ref()).is_none() {
            let bound = json!({
                "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
                "spec": {"volumeName": volume.name_any()},
            });
            gone(claims.patch(&name, &params, &Patch::Merge(bound)).await)?;
        }
        let of_volume = volume.spec.as_ref();
        let status = json!({"status": {
            "phase": "Bound",
            "accessModes": of_volume.and_then(|spec| spec.access_modes.clone()),
            "capacity": of_volume.and_then(|spec| spec.capacity.clone()),
        }});
        gone(claims.patch_status(&name, &params, &Patch::Merge(status)).await)?;
        Ok(())
    }

    async fn remove(&self, volume: &PersistentVolume) -> Result<(), Error> {
        // By its name, never by what the object says about a path: anybody who may write volumes could name any.
        if let (Some(folder), Some(name)) = (&self.folder, plan::own_name(volume)) {
            let path = folder.join(name);
            let removed = tokio::task::spawn_blocking({
                let path = path.clone();
                move || std::fs::remove_dir_all(path)
            });
            match removed.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::Io(path, error)),
                _ => {}
            }
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        gone(volumes.delete(&volume.name_any(), &DeleteParams::default()).await)?;
        Ok(())
    }

    async fn release(&self, volume: &PersistentVolume) -> Result<(), Error> {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let phase = json!({"status": {"phase": "Released"}});
        let (name, params, patch) = (volume.name_any(), PatchParams::default(), Patch::Merge(phase));
        gone(volumes.patch_status(&name, &params, &patch).await)?;
        Ok(())
    }
}

/// What is gone needs nothing more.
fn gone<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
