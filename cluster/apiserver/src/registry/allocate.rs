//! Addresses and ports of Services, given out when they are created.
//!
//! What is taken is kept in memory and read from the stored Services at the start, so it can never disagree with them
//! for longer than a crash. A reservation that is not kept is given back.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use cluster_machinery::FieldError;
use parking_lot::Mutex;
use rand::Rng;
use serde_json::{Value, json};

use super::{Call, Registry};
use crate::config::{Cidr, Config};
use crate::meta::{self, child_mut};
use crate::status::StatusError;
use crate::store::Store;

/// Addresses at the start of the range that are only given out when asked for, so that well-known Services find theirs
/// free (upstream: `min(max(16, size / 16), 256)`).
const STATIC_BAND: u32 = 256;

/// Everything that is taken, by the key of the Service that has it.
#[derive(Debug)]
pub(super) struct Allocator {
    cidr: Cidr,
    node_ports: (u16, u16),
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    addresses: BTreeMap<Ipv4Addr, String>,
    /// TCP and UDP share numbers, as the owner's key says: one Service may use a number for both.
    ports: BTreeMap<u16, String>,
}

/// What one write took, given back when dropped unless it is kept.
#[derive(Debug, Default)]
pub(super) struct Reservation {
    taken: Option<Arc<Mutex<Taken>>>,
    addresses: Vec<Ipv4Addr>,
    ports: Vec<u16>,
}

impl Reservation {
    /// The write happened: what it took stays taken.
    pub(super) fn keep(mut self) {
        self.taken = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(taken) = &self.taken {
            let mut taken = taken.lock();
            for address in &self.addresses {
                taken.addresses.remove(address);
            }
            for port in &self.ports {
                taken.ports.remove(port);
            }
        }
    }
}

impl Allocator {
    pub(super) fn new(config: &Config, store: &Store) -> Self {
        let mut taken = Taken::default();
        for (key, service) in store.list("/services/").1 {
            let service = service.value();
            taken
                .addresses
                .extend(addresses(&service).map(|address| (address, key.to_string())));
            taken
                .ports
                .extend(ports(&service).map(|port| (port, key.to_string())));
        }
        Self {
            cidr: config.service_cidr,
            node_ports: config.node_ports,
            taken: Arc::new(Mutex::new(taken)),
        }
    }

    fn size(&self) -> u32 {
        1u32.checked_shl(32 - u32::from(self.cidr.prefix))
            .unwrap_or(u32::MAX)
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        let offset = address.to_bits().wrapping_sub(self.cidr.base.to_bits());
        offset > 0 && offset < self.size().saturating_sub(1)
    }

    /// Takes a free address: from the upper band, then from the lower one.
    fn next_address(&self, taken: &Taken) -> Option<Ipv4Addr> {
        let size = self.size();
        let band = STATIC_BAND.min((size / 16).max(16)).min(size.saturating_sub(2));
        let address = |offset: u32| Ipv4Addr::from_bits(self.cidr.base.to_bits().wrapping_add(offset));
        let upper = band + 1..size.saturating_sub(1);
        if upper.is_empty() {
            return (1..size.saturating_sub(1))
                .map(address)
                .find(|address| !taken.addresses.contains_key(address));
        }
        let start = rand::rng().random_range(upper.clone());
        (start..upper.end)
            .chain(upper.start..start)
            .chain(1..=band)
            .map(address)
            .find(|address| !taken.addresses.contains_key(address))
    }

    fn next_port(&self, taken: &Taken) -> Option<u16> {
        let (low, high) = self.node_ports;
        let start = rand::rng().random_range(low..=high);
        (start..=high)
            .chain(low..start)
            .find(|port| !taken.ports.contains_key(port))
    }
}

impl Registry {
    /// Gives a Service the addresses and node ports that its type needs.
    pub(super) fn allocate(
        &self,
        call: &Call,
        object: &mut Value,
        old: Option<&Value>,
    ) -> Result<Reservation, StatusError> {
        if !call.resource.is("", "services") || call.subresource == "status" {
            return Ok(Reservation::default());
        }
        let allocator = &self.allocator;
        let mut reservation = Reservation::default();
        if !call.query.dry_run {
            reservation.taken = Some(allocator.taken.clone());
        }
        let mut taken = allocator.taken.lock();
        let mut causes = Vec::new();
        allocate_address(
            allocator,
            &mut taken,
            call,
            object,
            old,
            &mut reservation,
            &mut causes,
        );
        allocate_ports(
            allocator,
            &mut taken,
            call,
            object,
            old,
            &mut reservation,
            &mut causes,
        );
        if call.query.dry_run {
            for address in &reservation.addresses {
                taken.addresses.remove(address);
            }
            for port in &reservation.ports {
                taken.ports.remove(port);
            }
        }
        // Before the reservation may be dropped, which locks again.
        drop(taken);
        if causes.is_empty() {
            return Ok(reservation);
        }
        Err(StatusError::invalid(
            call.resource.kind_subject(),
            &call.name,
            causes,
        ))
    }

    /// Gives back what a removed Service had.
    pub(super) fn release(&self, call: &Call, object: &Value) {
        if call.resource.is("", "services") {
            let mut taken = self.allocator.taken.lock();
            let key = call.key();
            taken.addresses.retain(|_, owner| *owner != key);
            taken.ports.retain(|_, owner| *owner != key);
        } else {
            let _ = object;
        }
    }
}

fn allocate_address(
    allocator: &Allocator,
    taken: &mut Taken,
    call: &Call,
    object: &mut Value,
    old: Option<&Value>,
    reservation: &mut Reservation,
    causes: &mut Vec<FieldError>,
) {
    let spec = child_mut(object, "spec");
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        if old.is_some() {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
            let key = call.key();
            taken.addresses.retain(|_, owner| *owner != key);
        }
        return;
    }
    let previous = old
        .map(|old| meta::text(old, "/spec/clusterIP").to_owned())
        .unwrap_or_default();
    let wanted = spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .filter(|address| !address.is_empty())
        .or_else(|| {
            spec.get("clusterIPs")
                .and_then(|list| list.get(0))
                .and_then(Value::as_str)
        })
        .map_or_else(|| previous.clone(), str::to_owned);
    if !previous.is_empty() && wanted != previous {
        causes.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            &json!([wanted]),
            "may not change once set",
        ));
        return;
    }
    let address = match wanted.as_str() {
        "None" => "None".to_owned(),
        "" => match allocator.next_address(taken) {
            Some(address) => {
                taken.addresses.insert(address, call.key());
                reservation.addresses.push(address);
                address.to_string()
            }
            None => {
                causes.push(FieldError::invalid(
                    "spec.clusterIP",
                    &json!(""),
                    "failed to allocate an IP address: range is full",
                ));
                return;
            }
        },
        text => match text.parse::<Ipv4Addr>() {
            Ok(address) if allocator.contains(address) => {
                let owner = taken.addresses.entry(address).or_insert_with(|| {
                    reservation.addresses.push(address);
                    call.key()
                });
                if *owner != call.key() || (old.is_none() && reservation.addresses.is_empty()) {
                    causes.push(FieldError::invalid(
                        "spec.clusterIPs",
                        &json!([text]),
                        &format!("failed to allocate IP {text}: provided IP is already allocated"),
                    ));
                    return;
                }
                text.to_owned()
            }
            Ok(_) => {
                causes.push(FieldError::invalid(
                    "spec.clusterIPs",
                    &json!([text]),
                    &format!(
                        "failed to allocate IP {text}: the provided IP is not in the valid range. The range of valid IPs is \
                         {}/{}",
                        allocator.cidr.base, allocator.cidr.prefix
                    ),
                ));
                return;
            }
            Err(_) => {
                causes.push(FieldError::invalid(
                    "spec.clusterIPs[0]",
                    &json!(text),
                    "must be a valid IPv4 address or None",
                ));
                return;
            }
        },
    };
    spec.insert("clusterIPs".into(), json!([address]));
    spec.insert("clusterIP".into(), address.into());
}

fn allocate_ports(
    allocator: &Allocator,
    taken: &mut Taken,
    call: &Call,
    object: &mut Value,
    old: Option<&Value>,
    reservation: &mut Reservation,
    causes: &mut Vec<FieldError>,
) {
    let key = call.key();
    let kind = meta::text(object, "/spec/type").to_owned();
    let allocate_all = kind == "NodePort"
        || (kind == "LoadBalancer"
            && object.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)));
    let previous: BTreeMap<(u64, String), u16> = old
        .into_iter()
        .flat_map(port_entries)
        .filter_map(|port| {
            Some((
                port_identity(port),
                u16::try_from(port["nodePort"].as_u64()?).ok()?,
            ))
        })
        .collect();
    let entries = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    let mut used = Vec::new();
    for (index, port) in entries.into_iter().flatten().enumerate() {
        let identity = port_identity(port);
        let Some(port) = port.as_object_mut() else {
            continue;
        };
        let asked = port
            .get("nodePort")
            .and_then(Value::as_u64)
            .filter(|port| *port != 0);
        if !allocate_all {
            port.remove("nodePort");
            continue;
        }
        let asked = asked.or_else(|| previous.get(&identity).map(|port| u64::from(*port)));
        let field = format!("spec.ports[{index}].nodePort");
        let number = match asked {
            None => match allocator.next_port(taken) {
                Some(number) => number,
                None => {
                    causes.push(FieldError::invalid(
                        &field,
                        &json!(0),
                        "failed to allocate a nodePort: range is full",
                    ));
                    return;
                }
            },
            Some(asked) => match u16::try_from(asked) {
                Ok(number) if (allocator.node_ports.0..=allocator.node_ports.1).contains(&number) => number,
                _ => {
                    let (low, high) = allocator.node_ports;
                    let detail = format!(
                        "provided port is not in the valid range. The range of valid ports is {low}-{high}"
                    );
                    causes.push(FieldError::invalid(&field, &json!(asked), &detail));
                    return;
                }
            },
        };
        let owner = taken.ports.entry(number).or_insert_with(|| {
            reservation.ports.push(number);
            key.clone()
        });
        if *owner != key {
            causes.push(FieldError::invalid(
                &field,
                &json!(number),
                "provided port is already allocated",
            ));
            return;
        }
        used.push(number);
        port.insert("nodePort".into(), number.into());
    }
    if old.is_some() && !call.query.dry_run {
        taken
            .ports
            .retain(|number, owner| *owner != key || used.contains(number));
    }
}

fn port_entries(service: &Value) -> impl Iterator<Item = &Value> {
    service
        .pointer("/spec/ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn port_identity(port: &Value) -> (u64, String) {
    (
        port["port"].as_u64().unwrap_or(0),
        port["protocol"].as_str().unwrap_or("TCP").to_owned(),
    )
}

fn addresses(service: &Value) -> impl Iterator<Item = Ipv4Addr> {
    meta::text(service, "/spec/clusterIP").parse().ok().into_iter()
}

fn ports(service: &Value) -> impl Iterator<Item = u16> {
    port_entries(service)
        .filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok())
        .filter(|port| *port != 0)
}
