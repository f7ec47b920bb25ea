//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a pod. Pure.

use k8s_openapi::api::core::v1::{HostAlias, Pod, PodSpec};

/// Longest host name the kernel takes, less one.
const MAX_HOSTNAME: usize = 63;
/// Name servers and search domains that resolvers read.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

/// The pod's host name.
pub(crate) fn hostname(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let given = spec
        .and_then(|spec| spec.hostname.clone())
        .filter(|name| !name.is_empty());
    let mut name = given.or_else(|| pod.metadata.name.clone()).unwrap_or_default();
    name.truncate(MAX_HOSTNAME);
    name.trim_end_matches(['-', '.']).to_owned()
}

/// The hosts file of a pod with a network of its own (upstream: pkg/kubelet/kubelet_pods.go).
pub(crate) fn hosts(pod: &Pod, ip: &str, cluster_domain: &str) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n",
    );
    let host = hostname(pod);
    let subdomain = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.subdomain.as_deref())
        .filter(|name| !name.is_empty());
    match subdomain {
        Some(subdomain) => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            text.push_str(&format!(
                "{ip}\t{host}.{subdomain}.{namespace}.svc.{cluster_domain}\t{host}\n"
            ));
        }
        None => text.push_str(&format!("{ip}\t{host}\n")),
    }
    text.push_str(&aliases(pod.spec.as_ref()));
    text
}

/// The hosts file of a pod that shares the machine's network.
pub(crate) fn host_network_hosts(pod: &Pod, of_machine: &str) -> String {
    format!(
        "# Kubernetes-managed hosts file (host network).\n{of_machine}{}",
        aliases(pod.spec.as_ref())
    )
}

fn aliases(spec: Option<&PodSpec>) -> String {
    let aliases: &[HostAlias] = spec
        .and_then(|spec| spec.host_aliases.as_deref())
        .unwrap_or_default();
    if aliases.is_empty() {
        return String::new();
    }
    let lines = aliases.iter().map(|alias| {
        let names = alias.hostnames.clone().unwrap_or_default();
        format!("{}\t{}\n", alias.ip, names.join("\t"))
    });
    format!("\n# Entries added by HostAliases.\n{}", lines.collect::<String>())
}

/// What a resolver is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Resolver {
    nameservers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

/// `resolv.conf` by the pod's DNS policy.
pub(crate) fn resolv_conf(pod: &Pod, cluster_dns: &str, cluster_domain: &str, of_machine: &str) -> String {
    let spec = pod.spec.clone().unwrap_or_default();
    let machine = parse(of_machine);
    let host_network = spec.host_network.unwrap_or(false);
    let mut resolver = match spec.dns_policy.as_deref() {
        Some("None") => Resolver::default(),
        Some("Default") => machine,
        Some("ClusterFirst") | None if host_network => machine,
        _ => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            let mut searches = vec![
                format!("{namespace}.svc.{cluster_domain}"),
                format!("svc.{cluster_domain}"),
                cluster_domain.to_owned(),
            ];
            searches.extend(machine.searches);
            Resolver {
                nameservers: vec![cluster_dns.to_owned()],
                searches,
                options: vec!["ndots:5".to_owned()],
            }
        }
    };
    if let Some(own) = spec.dns_config {
        resolver.nameservers.extend(own.nameservers.into_iter().flatten());
        resolver.searches.extend(own.searches.into_iter().flatten());
        for option in own.options.into_iter().flatten() {
            let name = option.name.unwrap_or_default();
            resolver
                .options
                .retain(|known| known.split(':').next() != Some(name.as_str()));
            resolver.options.push(match option.value {
                Some(value) => format!("{name}:{value}"),
                None => name,
            });
        }
    }
    resolver.render()
}

impl Resolver {
    fn render(mut self) -> String {
        let mut seen = std::collections::BTreeSet::new();
        self.searches.retain(|domain| seen.insert(domain.clone()));
        self.searches.truncate(MAX_SEARCHES);
        self.nameservers.truncate(MAX_NAMESERVERS);
        let mut text = String::new();
        if !self.searches.is_empty() {
            text.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for server in self.nameservers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !self.options.is_empty() {
            text.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        text
    }
}

fn parse(text: &str) -> Resolver {
    let mut found = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => found.nameservers.extend(words.next()),
            Some("search" | "domain") => found.searches = words.collect(),
            Some("options") => found.options.extend(words),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value) -> Pod {
        let mut spec = spec;
        spec["containers"] = json!([]);
        serde_json::from_value(json!({"metadata": {"name": "web-0", "namespace": "n"}, "spec": spec}))
            .unwrap()
    }

    #[test]
    fn dns_follows_the_policy() {
        let machine = "search corp\nnameserver 9.9.9.9\noptions edns0\n";
        let cluster = "search n.svc.cluster.local svc.cluster.local cluster.local corp\nnameserver 10.0.0.1\noptions ndots:5\n";
        let table = [
            (json!({}), cluster),
            (json!({"dnsPolicy": "ClusterFirst"}), cluster),
            (json!({"dnsPolicy": "Default"}), machine),
            (json!({"hostNetwork": true}), machine),
            (
                json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}),
                cluster,
            ),
            (
                json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["1.1.1.1"], "options": [{"name": "ndots", "value": "2"}]}}),
                "nameserver 1.1.1.1\noptions ndots:2\n",
            ),
            (
                json!({"dnsConfig": {"searches": ["corp", "x"], "options": [{"name": "ndots", "value": "2"}]}}),
                "search n.svc.cluster.local svc.cluster.local cluster.local corp x\nnameserver 10.0.0.1\noptions ndots:2\n",
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(
                resolv_conf(&pod(spec.clone()), "10.0.0.1", "cluster.local", machine),
                wanted,
                "{spec}"
            );
        }
    }

    #[test]
    fn hosts_names_the_pod_and_its_aliases() {
        let text = hosts(
            &pod(json!({"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]})),
            "10.0.0.2",
            "c",
        );
        assert!(
            text.contains("10.0.0.2\tweb-0\n") && text.ends_with("1.2.3.4\ta\tb\n"),
            "{text}"
        );
        let text = hosts(
            &pod(json!({"subdomain": "db", "hostname": "x"})),
            "10.0.0.2",
            "cluster.local",
        );
        assert!(text.contains("10.0.0.2\tx.db.n.svc.cluster.local\tx\n"), "{text}");
    }

    #[test]
    fn long_names_become_host_names() {
        let mut pod = pod(json!({}));
        pod.metadata.name = Some(format!("{}-{}", "a".repeat(62), "tail"));
        assert_eq!(hostname(&pod), "a".repeat(62));
    }
}
