//! The cluster's zone, after the Kubernetes DNS specification 1.1: a pure function from what is known to records.

use std::net::Ipv4Addr;

use hickory_proto::rr::rdata::{A, CNAME, NS, PTR, SOA, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::catalog::{Endpoint, Protocol, Service, ServiceKey, ServiceKind, State};
use crate::cidr::Cidr;
use crate::error::NetworkError;

/// Seconds an answer may be kept.
pub(super) const TTL: u32 = 5;

/// Names that point to names inside the zone, followed at most this far.
const MAX_ALIASES: usize = 8;

/// Top-level names that are never asked outside: search-list tries for cluster names, and multicast DNS.
const INSIDE: [&str; 4] = ["svc", "pod", "cluster", "local"];

/// The zone's fixed parts.
#[derive(Debug)]
pub(super) struct Zone {
    /// Lower-case labels of the domain.
    origin: Vec<String>,
    name: Name,
    pod_cidr: Cidr,
    service_cidr: Cidr,
}

/// What the zone has for a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    Records {
        answers: Vec<Record>,
        additionals: Vec<Record>,
    },
    /// An alias chain that leaves the zone; the last target is to be asked elsewhere.
    Alias {
        answers: Vec<Record>,
        target: Name,
    },
    /// The name exists, but not with this type.
    NoData,
    NoName,
    /// Someone else's name.
    Outside,
}

impl Found {
    fn answers(answers: Vec<Record>) -> Self {
        match answers.is_empty() {
            true => Self::NoData,
            false => Self::Records {
                answers,
                additionals: Vec::new(),
            },
        }
    }
}

/// One question while it is answered.
struct Question<'a> {
    zone: &'a Zone,
    state: &'a State,
    name: &'a Name,
    kind: RecordType,
}

impl Zone {
    pub(super) fn new(domain: &str, pod_cidr: Cidr, service_cidr: Cidr) -> Result<Self, NetworkError> {
        let mut name = Name::from_ascii(domain).map_err(|error| {
            NetworkError::Lacking(format!("`{domain}` is no domain for the cluster: {error}"))
        })?;
        name.set_fqdn(true);
        Ok(Self {
            origin: labels(&name).unwrap_or_default(),
            name,
            pod_cidr,
            service_cidr,
        })
    }

    /// Answers one question.
    pub(super) fn find(&self, state: &State, name: &Name, kind: RecordType) -> Found {
        self.find_within(state, name, kind, MAX_ALIASES)
    }

    fn find_within(&self, state: &State, name: &Name, kind: RecordType, aliases: usize) -> Found {
        // Labels that are no text name nothing here, and nothing worth asking for elsewhere.
        let Some(labels) = labels(name) else {
            return Found::NoName;
        };
        let question = Question {
            zone: self,
            state,
            name,
            kind,
        };
        if let Some(relative) = strip(&labels, &self.origin) {
            return match question.inside(&relative) {
                Found::Alias { answers, target } => self.follow(state, answers, target, kind, aliases),
                found => found,
            };
        }
        match labels.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [d, c, b, a, "in-addr", "arpa"] => match address([*a, *b, *c, *d]) {
                Some(ip) => question.reverse(ip),
                None => Found::NoName,
            },
            ["localhost"] => question.records(&[Ipv4Addr::LOCALHOST]),
            [] | [_] => Found::NoName,
            [.., top] if INSIDE.contains(top) => Found::NoName,
            _ => Found::Outside,
        }
    }

    /// Continues an alias inside of the zone, so that the answer is complete.
    fn follow(
        &self,
        state: &State,
        mut answers: Vec<Record>,
        target: Name,
        kind: RecordType,
        aliases: usize,
    ) -> Found {
        if kind == RecordType::CNAME {
            return Found::answers(answers);
        }
        let next = match aliases.checked_sub(1) {
            Some(left) => self.find_within(state, &target, kind, left),
            None => Found::NoName,
        };
        match next {
            Found::Outside => Found::Alias { answers, target },
            Found::Alias {
                answers: more,
                target,
            } => {
                answers.extend(more);
                Found::Alias { answers, target }
            }
            Found::Records {
                answers: more,
                additionals,
            } => {
                answers.extend(more);
                Found::Records { answers, additionals }
            }
            Found::NoData | Found::NoName => Found::answers(answers),
        }
    }

    /// The record that goes with negative answers.
    pub(super) fn soa(&self) -> Record {
        let (ttl, signed) = (TTL, TTL.cast_signed());
        let primary = self.child(&["ns", "dns"]);
        // The serial says nothing: nobody transfers the zone.
        let soa = SOA::new(
            primary,
            self.child(&["hostmaster"]),
            1,
            signed,
            signed,
            signed,
            ttl,
        );
        Record::from_rdata(self.name.clone(), TTL, RData::SOA(soa))
    }

    /// A name below the zone; labels that do not fit give the zone itself.
    fn child(&self, labels: &[&str]) -> Name {
        let relative = Name::from_labels(labels.iter().map(|label| label.as_bytes()));
        relative
            .and_then(|name| name.append_domain(&self.name))
            .unwrap_or_else(|_| self.name.clone())
    }
}

impl Question<'_> {
    /// `relative`: labels left of the zone.
    fn inside(&self, relative: &[&str]) -> Found {
        match relative {
            [] => self.apex(),
            ["svc"] | ["pod"] | ["dns"] => Found::NoData,
            ["ns", "dns"] => Found::NoData,
            [namespace, "svc" | "pod"] if self.state.has_namespace(namespace) => Found::NoData,
            [dashed, _, "pod"] => {
                match dashed_address(dashed).filter(|ip| self.zone.pod_cidr.contains(*ip)) {
                    Some(ip) => self.records(&[ip]),
                    None => Found::NoName,
                }
            }
            [service, namespace, "svc"] => {
                self.with_service(service, namespace, |key, service| self.service(key, service))
            }
            [protocol, service, namespace, "svc"] if protocol.starts_with('_') => {
                self.with_service(service, namespace, |_, _| Found::NoData)
            }
            [host, service, namespace, "svc"] => self.with_service(service, namespace, |key, service| {
                self.endpoint(host, key, service)
            }),
            [port, protocol, service, namespace, "svc"]
                if port.starts_with('_') && protocol.starts_with('_') =>
            {
                self.with_service(service, namespace, |key, service| {
                    self.port(port, protocol, key, service)
                })
            }
            _ => Found::NoName,
        }
    }

    fn apex(&self) -> Found {
        match self.kind {
            RecordType::SOA => Found::answers(vec![self.zone.soa()]),
            RecordType::NS => {
                let server = RData::NS(NS(self.zone.child(&["ns", "dns"])));
                Found::answers(vec![Record::from_rdata(self.name.clone(), TTL, server)])
            }
            _ => Found::NoData,
        }
    }

    fn with_service(
        &self,
        name: &str,
        namespace: &str,
        then: impl FnOnce(&ServiceKey, &Service) -> Found,
    ) -> Found {
        let key = ServiceKey {
            namespace: namespace.into(),
            name: name.into(),
        };
        match self.state.service(&key) {
            Some(service) => then(&key, service),
            None => Found::NoName,
        }
    }

    fn service(&self, key: &ServiceKey, service: &Service) -> Found {
        match &service.kind {
            ServiceKind::External(target) => {
                let Ok(mut target) = Name::from_ascii(target) else {
                    return Found::NoData;
                };
                target.set_fqdn(true);
                let alias = Record::from_rdata(self.name.clone(), TTL, RData::CNAME(CNAME(target.clone())));
                Found::Alias {
                    answers: vec![alias],
                    target,
                }
            }
            _ if self.kind == RecordType::SRV => self.all_ports(key, service),
            ServiceKind::ClusterIp(addresses) => self.records(addresses),
            ServiceKind::Headless => {
                let mut addresses: Vec<Ipv4Addr> = self
                    .state
                    .published(key)
                    .iter()
                    .map(|(endpoint, _)| endpoint.address)
                    .collect();
                addresses.dedup();
                match addresses.is_empty() {
                    // As upstream: without endpoints a headless service has no name.
                    true => Found::NoName,
                    false => self.records(&addresses),
                }
            }
        }
    }

    /// `<hostname or a-b-c-d>.<headless service>`.
    fn endpoint(&self, host: &str, key: &ServiceKey, service: &Service) -> Found {
        if service.kind != ServiceKind::Headless {
            return Found::NoName;
        }
        let published = self.state.published(key);
        let named = published
            .iter()
            .filter(|(endpoint, _)| host_label(endpoint) == host);
        let mut addresses: Vec<Ipv4Addr> = named.map(|(endpoint, _)| endpoint.address).collect();
        addresses.dedup();
        match addresses.is_empty() {
            true => Found::NoName,
            false => self.records(&addresses),
        }
    }

    /// `_<port>._<protocol>.<service>`.
    fn port(&self, port: &str, protocol: &str, key: &ServiceKey, service: &Service) -> Found {
        let (Some(port), Some(protocol)) = (port.strip_prefix('_'), protocol_of(protocol)) else {
            return Found::NoName;
        };
        self.srv(key, service, |name, kind| name == port && kind == protocol)
            .unwrap_or(Found::NoName)
    }

    fn all_ports(&self, key: &ServiceKey, service: &Service) -> Found {
        self.srv(key, service, |_, _| true).unwrap_or(Found::NoData)
    }

    /// SRV records of the matching ports with the addresses they point to; `None` when no port matches.
    fn srv(
        &self,
        key: &ServiceKey,
        service: &Service,
        wanted: impl Fn(&str, Protocol) -> bool,
    ) -> Option<Found> {
        let own = [key.name.as_str(), key.namespace.as_str(), "svc"];
        let mut targets: Vec<(u16, Name, Ipv4Addr)> = Vec::new();
        match &service.kind {
            ServiceKind::ClusterIp(addresses) => {
                let ports = service
                    .ports
                    .iter()
                    .filter(|port| wanted(&port.name, port.protocol));
                for port in ports {
                    targets.extend(addresses.iter().map(|ip| (port.port, self.zone.child(&own), *ip)));
                }
            }
            ServiceKind::Headless => {
                for (endpoint, ports) in self.state.published(key) {
                    let name = self
                        .zone
                        .child(&[host_label(endpoint).as_str(), own[0], own[1], own[2]]);
                    let ports = ports.iter().filter(|port| wanted(&port.name, port.protocol));
                    targets.extend(ports.map(|port| (port.port, name.clone(), endpoint.address)));
                }
            }
            ServiceKind::External(_) => return None,
        }
        if targets.is_empty() {
            return None;
        }
        if self.kind != RecordType::SRV {
            return Some(Found::NoData);
        }
        let (mut answers, mut additionals): (Vec<Record>, Vec<Record>) = (Vec::new(), Vec::new());
        for (port, target, ip) in targets {
            let record = RData::SRV(SRV::new(0, 100, port, target.clone()));
            let answer = Record::from_rdata(self.name.clone(), TTL, record);
            if !answers.contains(&answer) {
                answers.push(answer);
            }
            let address = Record::from_rdata(target, TTL, RData::A(A(ip)));
            if !additionals.contains(&address) {
                additionals.push(address);
            }
        }
        Some(Found::Records { answers, additionals })
    }

    fn reverse(&self, ip: Ipv4Addr) -> Found {
        let own = self.zone.service_cidr.contains(ip) || self.zone.pod_cidr.contains(ip);
        let mut names: Vec<Name> = Vec::new();
        if let Some(key) = self.state.service_at(ip) {
            names.push(self.zone.child(&[&key.name, &key.namespace, "svc"]));
        } else if own {
            for key in self.state.headless() {
                let found = self
                    .state
                    .published(key)
                    .into_iter()
                    .find(|(endpoint, _)| endpoint.address == ip);
                if let Some((endpoint, _)) = found {
                    names.push(self.zone.child(&[
                        host_label(endpoint).as_str(),
                        &key.name,
                        &key.namespace,
                        "svc",
                    ]));
                }
            }
            names.sort();
        }
        match (names.is_empty(), own) {
            (true, false) => Found::Outside,
            (true, true) => Found::NoName,
            _ if self.kind != RecordType::PTR => Found::NoData,
            _ => {
                let record = |name| Record::from_rdata(self.name.clone(), TTL, RData::PTR(PTR(name)));
                Found::answers(names.into_iter().map(record).collect())
            }
        }
    }

    fn records(&self, addresses: &[Ipv4Addr]) -> Found {
        if !matches!(self.kind, RecordType::A | RecordType::ANY) {
            return Found::NoData;
        }
        let record = |ip: &Ipv4Addr| Record::from_rdata(self.name.clone(), TTL, RData::A(A(*ip)));
        Found::answers(addresses.iter().map(record).collect())
    }
}

/// Lower-case labels; `None` when one is no ASCII.
fn labels(name: &Name) -> Option<Vec<String>> {
    name.iter()
        .map(|label| {
            let text = std::str::from_utf8(label).ok().filter(|text| text.is_ascii())?;
            Some(text.to_ascii_lowercase())
        })
        .collect()
}

fn strip<'a>(labels: &'a [String], origin: &[String]) -> Option<Vec<&'a str>> {
    let relative = labels.strip_suffix(origin)?;
    Some(relative.iter().map(String::as_str).collect())
}

fn protocol_of(label: &str) -> Option<Protocol> {
    match label {
        "_tcp" => Some(Protocol::Tcp),
        "_udp" => Some(Protocol::Udp),
        _ => None,
    }
}

/// How an endpoint is called below its headless service.
fn host_label(endpoint: &Endpoint) -> String {
    endpoint
        .hostname
        .clone()
        .unwrap_or_else(|| endpoint.address.to_string().replace('.', "-"))
}

fn dashed_address(label: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = label.split('-').collect();
    address(<[&str; 4]>::try_from(parts).ok()?)
}

/// Four decimal octets; the standard parser refuses leading zeros, which would give one address several names.
fn address(octets: [&str; 4]) -> Option<Ipv4Addr> {
    octets.join(".").parse().ok()
}
