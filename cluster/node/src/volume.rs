//! A pod's volumes: where they are, what is in them, and keeping projected files current.
//!
//! What a volume *holds* is computed purely from the pod and fetched objects ([`payload`]); the shell here makes
//! directories and writes files. Volumes in memory (Secrets, tokens, everything projected, `emptyDir` of medium
//! `Memory`) live on a tmpfs of the pod's own mount namespace, reached through the shim's `/proc/<pid>/root`.

mod atomic;
mod host_path;
mod owner;
mod payload;
pub(crate) mod sub_path;
mod token;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Volume};
use kube::{Api, Client};

pub use payload::PayloadError;
use payload::Projected;
use token::Tokens;

use crate::downward::Addresses;
use crate::resources::{self, NodeCapacity};
use crate::shim::MEMORY_DIR;
use crate::shim::protocol::{Call, Tmpfs};
use crate::shim_client::{CallError, ShimClient};
use crate::sources::{References, Sources};

/// Projected files are compared with the API this often (kubelet's sync frequency: 60 s).
pub const REFRESH_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// Why a volume cannot be mounted; users see it in the event `FailedMount`.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The content is not available.
    #[error("MountVolume.SetUp failed for volume \"{0}\" : {1}")]
    Payload(String, #[source] PayloadError),
    /// The directory could not be made or written.
    #[error("MountVolume.SetUp failed for volume \"{0}\" : {1}")]
    Io(String, #[source] io::Error),
    /// A `hostPath` is not what its type demands, or a claim is not bound.
    #[error("MountVolume.SetUp failed for volume \"{0}\" : {1}")]
    Refused(String, String),
    /// The API server did not answer.
    #[error("volumes could not be read from the API server: {0}")]
    Api(#[from] kube::Error),
    /// The sandbox is gone.
    #[error(transparent)]
    Shim(#[from] CallError),
}

/// What mounting needs to know.
#[derive(Clone)]
pub struct Mounter {
    /// The API.
    pub client: Client,
    /// The pod's directory.
    pub pod_dir: PathBuf,
    /// The pod's shim.
    pub shim: ShimClient,
    /// Its process id.
    pub shim_pid: i32,
    /// Of pod and node.
    pub addresses: Addresses,
    /// For the downward API.
    pub node: NodeCapacity,
}

/// Mounted volumes by name.
#[derive(Debug, Clone, Default)]
pub struct Mounted {
    paths: BTreeMap<String, PathBuf>,
    tokens: Arc<Tokens>,
}

impl Mounted {
    /// Where a volume is, as the pod's mount namespace sees it.
    pub fn path(&self, volume: &str) -> Option<&Path> {
        self.paths.get(volume).map(PathBuf::as_path)
    }

    /// When tokens have to be renewed at the latest.
    pub fn renew_at(&self) -> Option<Timestamp> {
        self.tokens.renew_at()
    }
}

/// Whether any volume's content may change while the pod runs.
pub fn has_projected(pod: &Pod) -> bool {
    volumes(pod).iter().any(|volume| Projected::of(volume).is_some())
}

fn volumes(pod: &Pod) -> &[Volume] {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.volumes.as_deref())
        .unwrap_or_default()
}

impl Mounter {
    /// Makes every volume of the pod. Calling it again brings projected files up to date and keeps the rest.
    ///
    /// # Errors
    /// The first volume that cannot be mounted.
    pub async fn mount(&self, pod: &Pod) -> Result<Mounted, VolumeError> {
        let (sources, tokens) = self.fetch(pod, &Tokens::default()).await?;
        let mut mounted = Mounted::default();
        for volume in volumes(pod) {
            let path = self.mount_one(pod, volume, &sources, &tokens).await?;
            mounted.paths.insert(volume.name.clone(), path);
        }
        mounted.tokens = Arc::new(tokens);
        Ok(mounted)
    }

    /// Writes projected files again where their content changed, and renews the tokens that are due.
    ///
    /// # Errors
    /// The first volume whose content is not available.
    pub async fn refresh(&self, pod: &Pod, mounted: &Mounted) -> Result<Mounted, VolumeError> {
        let (sources, tokens) = self.fetch(pod, &mounted.tokens).await?;
        for volume in volumes(pod) {
            if let Some(projected) = Projected::of(volume) {
                self.project(pod, volume, &projected, &sources, &tokens)?;
            }
        }
        Ok(Mounted {
            paths: mounted.paths.clone(),
            tokens: Arc::new(tokens),
        })
    }

    async fn fetch(&self, pod: &Pod, held: &Tokens) -> Result<(Sources, Tokens), VolumeError> {
        let mut references = References::default();
        let projected: Vec<Projected> = volumes(pod).iter().filter_map(Projected::of).collect();
        projected
            .iter()
            .for_each(|volume| volume.references(&mut references));
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let (sources, tokens) = tokio::join!(
            Sources::fetch(&self.client, namespace, &references),
            token::request(&self.client, pod, &projected, held)
        );
        Ok((sources?, tokens?))
    }

    async fn mount_one(
        &self,
        pod: &Pod,
        volume: &Volume,
        sources: &Sources,
        tokens: &Tokens,
    ) -> Result<PathBuf, VolumeError> {
        let name = &volume.name;
        if let Some(projected) = Projected::of(volume) {
            return self.project(pod, volume, &projected, sources, tokens);
        }
        if let Some(empty) = &volume.empty_dir {
            let mode = empty
                .mode
                .and_then(|mode| u32::try_from(mode).ok())
                .unwrap_or(0o777);
            let size = empty
                .size_limit
                .as_ref()
                .and_then(resources::parse)
                .map(|size| resources::whole(&size));
            let (path, seen) = match empty.medium.as_deref() {
                Some("Memory") => {
                    let path = self.pod_dir.join(MEMORY_DIR).join(format!("empty-dir-{name}"));
                    if !self.seen(&path).exists() {
                        let tmpfs = Tmpfs {
                            path: path.clone(),
                            size_bytes: size.filter(|&n| n > 0),
                            mode,
                        };
                        self.shim.call(Call::Tmpfs(tmpfs)).await?;
                    }
                    (path.clone(), self.seen(&path))
                }
                _ => {
                    let path = self.pod_dir.join("volumes").join(name);
                    (path.clone(), path)
                }
            };
            make_owned(&seen, mode, fs_group(pod)).map_err(|error| VolumeError::Io(name.clone(), error))?;
            return Ok(path);
        }
        if let Some(host) = &volume.host_path {
            return host_path::prepare(Path::new(&host.path), host.type_.as_deref().unwrap_or_default())
                .map_err(|reason| VolumeError::Refused(name.clone(), reason));
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            return self
                .claimed(pod, &claim.claim_name)
                .await?
                .map_err(|reason| VolumeError::Refused(name.clone(), reason));
        }
        Err(VolumeError::Refused(
            name.clone(),
            "this kind of volume is not supported on this node".to_owned(),
        ))
    }

    /// The directory behind a claim that is bound to a volume on this machine.
    async fn claimed(&self, pod: &Pod, claim: &str) -> Result<Result<PathBuf, String>, kube::Error> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let Some(found) = claims.get_opt(claim).await? else {
            return Ok(Err(format!("persistentvolumeclaim \"{claim}\" not found")));
        };
        let Some(volume) = found.spec.and_then(|spec| spec.volume_name) else {
            return Ok(Err(format!("persistentvolumeclaim \"{claim}\" is not bound yet")));
        };
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let spec = volumes
            .get_opt(&volume)
            .await?
            .and_then(|volume| volume.spec)
            .unwrap_or_default();
        let path = spec
            .host_path
            .map(|host| host.path)
            .or_else(|| spec.local.map(|local| local.path));
        Ok(match path {
            Some(path) => host_path::prepare(Path::new(&path), "DirectoryOrCreate"),
            None => Err(format!(
                "persistentvolume \"{volume}\" is neither hostPath nor local"
            )),
        })
    }

    fn project(
        &self,
        pod: &Pod,
        volume: &Volume,
        projected: &Projected<'_>,
        sources: &Sources,
        tokens: &Tokens,
    ) -> Result<PathBuf, VolumeError> {
        let name = &volume.name;
        let context = payload::Context {
            pod,
            sources,
            tokens,
            addresses: &self.addresses,
            node: self.node,
        };
        let files = projected
            .files(name, context)
            .map_err(|error| VolumeError::Payload(name.clone(), error))?;
        let path = self.pod_dir.join(MEMORY_DIR).join(format!("projected-{name}"));
        let seen = self.seen(&path);
        let write = || -> io::Result<()> {
            make_owned(&seen, 0o777, fs_group(pod))?;
            atomic::write(&seen, &files, fs_group(pod))
        };
        write().map_err(|error| VolumeError::Io(name.clone(), error))?;
        Ok(path)
    }

    /// A path of the pod's mount namespace as this process can reach it.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.shim_pid));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

fn fs_group(pod: &Pod) -> Option<u32> {
    let group = pod.spec.as_ref()?.security_context.as_ref()?.fs_group?;
    u32::try_from(group).ok()
}

/// A directory with exactly these rights; a group of its own is inherited by what is made in it.
fn make_owned(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    let mode = match group {
        Some(gid) => {
            chown(path, None, Some(gid))?;
            mode | 0o2070
        }
        None => mode,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}
