//! Variables that tell a container about services, after the fashion of Docker links.

use std::borrow::Borrow;

use k8s_openapi::api::core::v1::{Service, ServicePort};

/// The service that every container learns of, whatever `enableServiceLinks` says.
const MASTER: (&str, &str) = ("default", "kubernetes");

/// Variables of the services that have a cluster address, in the order of their names.
pub fn service_variables(
    services: &[impl Borrow<Service>],
    namespace: &str,
    links: bool,
) -> Vec<(String, String)> {
    let mut wanted: Vec<&Service> = services
        .iter()
        .map(Borrow::borrow)
        .filter(|service| is_wanted(service, namespace, links))
        .collect();
    wanted.sort_by_key(|service| service.metadata.name.clone());
    wanted.into_iter().flat_map(variables).collect()
}

fn is_wanted(service: &Service, namespace: &str, links: bool) -> bool {
    let meta = &service.metadata;
    let (in_namespace, name) = (
        meta.namespace.as_deref().unwrap_or(""),
        meta.name.as_deref().unwrap_or(""),
    );
    let has_address = address(service).is_some_and(|address| !address.is_empty() && address != "None");
    let shadowed = namespace != MASTER.0 && (in_namespace, name) == (namespace, MASTER.1);
    has_address && !shadowed && ((in_namespace, name) == MASTER || (links && in_namespace == namespace))
}

fn address(service: &Service) -> Option<&str> {
    service.spec.as_ref()?.cluster_ip.as_deref()
}

fn variables(service: &Service) -> Vec<(String, String)> {
    let name = service
        .metadata
        .name
        .as_deref()
        .unwrap_or_default()
        .to_uppercase()
        .replace('-', "_");
    let ip = address(service).unwrap_or_default();
    let ports: &[ServicePort] = service
        .spec
        .as_ref()
        .and_then(|spec| spec.ports.as_deref())
        .unwrap_or_default();
    let Some(first) = ports.first() else {
        return Vec::new();
    };
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    let url = |port: &ServicePort| format!("{}://{host}:{}", protocol(port).to_lowercase(), port.port);
    let mut found = vec![
        (format!("{name}_SERVICE_HOST"), ip.to_owned()),
        (format!("{name}_SERVICE_PORT"), first.port.to_string()),
    ];
    for port in ports {
        if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let port_name = port_name.to_uppercase().replace('-', "_");
            found.push((format!("{name}_SERVICE_PORT_{port_name}"), port.port.to_string()));
        }
    }
    found.push((format!("{name}_PORT"), url(first)));
    for port in ports {
        let prefix = format!("{name}_PORT_{}_{}", port.port, protocol(port).to_uppercase());
        found.push((prefix.clone(), url(port)));
        found.push((format!("{prefix}_PROTO"), protocol(port).to_lowercase()));
        found.push((format!("{prefix}_PORT"), port.port.to_string()));
        found.push((format!("{prefix}_ADDR"), ip.to_owned()));
    }
    found
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}
