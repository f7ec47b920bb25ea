//! `config-features`

use super::data::ConfigError;
use super::{Data, Snapshot};

/// State of a feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flag {
    /// For everybody.
    Enabled,
    /// For who asks for it.
    Allowed,
    /// For nobody.
    #[default]
    Disabled,
}

impl Flag {
    /// For everybody?
    pub fn is_enabled(self) -> bool {
        self == Self::Enabled
    }

    /// For those at least who ask for it?
    pub fn is_allowed(self) -> bool {
        self != Self::Disabled
    }

    /// Any case; anything else is ignored.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "enabled" => Some(Self::Enabled),
            "allowed" => Some(Self::Allowed),
            "disabled" => Some(Self::Disabled),
            _ => None,
        }
    }
}

/// How far pods are made safe where their template says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurePodDefaults {
    /// Kubernetes' own defaults.
    #[default]
    Disabled,
    /// Safe, but a container may run as root.
    AllowRootBounded,
    /// Safe, and not as root.
    Enabled,
}

impl SecurePodDefaults {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "enabled" => Some(Self::Enabled),
            "allowrootbounded" => Some(Self::AllowRootBounded),
            "disabled" => Some(Self::Disabled),
            _ => None,
        }
    }
}

macro_rules! features {
    ($($(#[$doc:meta])* $field:ident: $key:literal = $default:ident;)+) => {
        /// The features of an install.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Features {
            /// `secure-pod-defaults`
            pub secure_pod_defaults: SecurePodDefaults,
            $(#[doc = concat!("`", $key, "`")] pub $field: Flag,)+
        }

        impl Default for Features {
            fn default() -> Self {
                Self { secure_pod_defaults: SecurePodDefaults::Disabled, $($field: Flag::$default,)+ }
            }
        }

        impl Features {
            /// Key and field of every flag, with its default.
            #[cfg(test)]
            pub(super) const KEYS: &'static [(&'static str, fn(&Self) -> Flag, Flag)] =
                &[$(($key, |features| features.$field, Flag::$default),)+];

            fn read_flags(&mut self, data: &Data) {
                $(if let Some(flag) = data.get($key).and_then(|text| Flag::parse(text)) {
                    self.$field = flag;
                })+
            }
        }
    };
}

features! {
    multi_container: "multi-container" = Enabled;
    pod_spec_volumes_empty_dir: "kubernetes.podspec-volumes-emptydir" = Enabled;
    multi_container_probing: "multi-container-probing" = Disabled;
    tag_header_based_routing: "tag-header-based-routing" = Disabled;
    auto_detect_http2: "autodetect-http2" = Disabled;
    queue_proxy_mount_pod_info: "queueproxy.mount-podinfo" = Disabled;
    queue_proxy_resource_defaults: "queueproxy.resource-defaults" = Disabled;
    container_spec_add_capabilities: "kubernetes.containerspec-addcapabilities" = Disabled;
    pod_spec_affinity: "kubernetes.podspec-affinity" = Disabled;
    pod_spec_topology_spread_constraints: "kubernetes.podspec-topologyspreadconstraints" = Disabled;
    pod_spec_host_aliases: "kubernetes.podspec-hostaliases" = Disabled;
    pod_spec_node_selector: "kubernetes.podspec-nodeselector" = Disabled;
    pod_spec_tolerations: "kubernetes.podspec-tolerations" = Disabled;
    pod_spec_field_ref: "kubernetes.podspec-fieldref" = Disabled;
    pod_spec_runtime_class_name: "kubernetes.podspec-runtimeclassname" = Disabled;
    pod_spec_dns_policy: "kubernetes.podspec-dnspolicy" = Disabled;
    pod_spec_dns_config: "kubernetes.podspec-dnsconfig" = Disabled;
    pod_spec_security_context: "kubernetes.podspec-securitycontext" = Disabled;
    pod_spec_share_process_namespace: "kubernetes.podspec-shareprocessnamespace" = Disabled;
    pod_spec_host_ipc: "kubernetes.podspec-hostipc" = Disabled;
    pod_spec_host_pid: "kubernetes.podspec-hostpid" = Disabled;
    pod_spec_host_network: "kubernetes.podspec-hostnetwork" = Disabled;
    pod_spec_priority_class_name: "kubernetes.podspec-priorityclassname" = Disabled;
    pod_spec_scheduler_name: "kubernetes.podspec-schedulername" = Disabled;
    pod_spec_init_containers: "kubernetes.podspec-init-containers" = Disabled;
    pod_spec_persistent_volume_claim: "kubernetes.podspec-persistent-volume-claim" = Disabled;
    pod_spec_persistent_volume_write: "kubernetes.podspec-persistent-volume-write" = Disabled;
    pod_spec_volumes_host_path: "kubernetes.podspec-volumes-hostpath" = Disabled;
    pod_spec_volumes_csi: "kubernetes.podspec-volumes-csi" = Disabled;
    pod_spec_volumes_ephemeral: "kubernetes.podspec-volumes-ephemeral" = Disabled;
    pod_spec_volumes_image: "kubernetes.podspec-volumes-image" = Disabled;
    pod_spec_volumes_mount_propagation: "kubernetes.podspec-volumes-mount-propagation" = Disabled;
}

impl Snapshot for Features {
    const NAME: &'static str = "config-features";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut features = Self::default();
        features.read_flags(data);
        if let Some(level) = data
            .get("secure-pod-defaults")
            .and_then(|text| SecurePodDefaults::parse(text))
        {
            features.secure_pod_defaults = level;
        }
        Ok(features)
    }
}
