//! Which addresses events may be sent to.
//!
//! Whoever writes a Trigger chooses where this process connects to. Addresses that mean this machine, its link, or the
//! metadata service of a cloud would let them speak with what is meant for the machine's owner alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Kinds of addresses, and whether they are connected to. By default private ones are: those of clusters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// 127.0.0.0/8 and `::1`.
    pub loopback: bool,
    /// 169.254.0.0/16 and `fe80::/10`, but not the metadata addresses among them.
    pub link_local: bool,
    /// The well-known addresses of cloud metadata services.
    pub metadata: bool,
    /// Private networks (RFC 1918, 6598 and 4193), as in clusters and at home.
    pub private: bool,
}

impl Default for Allowed {
    fn default() -> Self {
        Self {
            loopback: false,
            link_local: false,
            metadata: false,
            private: true,
        }
    }
}

/// Why an address is not connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a loopback address")]
    Loopback,
    #[error("a link-local address")]
    LinkLocal,
    #[error("the address of a metadata service")]
    Metadata,
    #[error("a private address")]
    Private,
    #[error("no address of a single host")]
    NoHost,
}

/// Metadata services: of AWS, GCP, Azure and most others; Alibaba Cloud; Oracle (classic); Azure's host agent.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// The metadata services of AWS and GCP over IPv6.
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

impl Allowed {
    /// Nothing is refused but what is no host at all.
    pub const ALL: Self = Self {
        loopback: true,
        link_local: true,
        metadata: true,
        private: true,
    };

    /// # Errors
    /// The kind of address that is refused.
    pub fn check(self, address: IpAddr) -> Result<(), Refusal> {
        let refusal = match address {
            IpAddr::V4(address) => kind_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(address) => kind_v4(address),
                None => kind_v6(address),
            },
        };
        match refusal {
            Some(Refusal::Loopback) if self.loopback => Ok(()),
            Some(Refusal::LinkLocal) if self.link_local => Ok(()),
            Some(Refusal::Metadata) if self.metadata => Ok(()),
            Some(Refusal::Private) if self.private => Ok(()),
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }
}

fn kind_v4(address: Ipv4Addr) -> Option<Refusal> {
    if METADATA_V4.contains(&address) {
        Some(Refusal::Metadata)
    } else if address.is_loopback() {
        Some(Refusal::Loopback)
    } else if address.is_link_local() {
        Some(Refusal::LinkLocal)
    } else if address.octets()[0] == 0 || address.is_multicast() || address.octets()[0] >= 240 {
        // Linux connects 0.0.0.0 to this machine.
        Some(Refusal::NoHost)
    } else if address.is_private() || (address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64) {
        Some(Refusal::Private)
    } else {
        None
    }
}

fn kind_v6(address: Ipv6Addr) -> Option<Refusal> {
    if METADATA_V6.contains(&address) {
        Some(Refusal::Metadata)
    } else if address.is_loopback() {
        Some(Refusal::Loopback)
    } else if address.is_unicast_link_local() {
        Some(Refusal::LinkLocal)
    } else if address.is_unspecified() || address.is_multicast() {
        Some(Refusal::NoHost)
    } else if address.is_unique_local() {
        Some(Refusal::Private)
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = || {
        let [.., a, b, c, d] = address.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(last()),
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(last()),
        [0x2002, high, low, ..] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, allowed: Allowed) -> Option<Refusal> {
        allowed.check(address.parse().unwrap()).err()
    }

    #[test]
    fn this_machine_its_link_and_metadata_are_refused() {
        let rows = [
            ("127.0.0.1", Refusal::Loopback),
            ("127.9.9.9", Refusal::Loopback),
            ("::1", Refusal::Loopback),
            ("::ffff:127.0.0.1", Refusal::Loopback),
            ("::127.0.0.1", Refusal::Loopback),
            ("64:ff9b::7f00:1", Refusal::Loopback),
            ("2002:7f00:1::", Refusal::Loopback),
            ("169.254.1.1", Refusal::LinkLocal),
            ("::ffff:169.254.1.1", Refusal::LinkLocal),
            ("fe80::1", Refusal::LinkLocal),
            ("febf::1", Refusal::LinkLocal),
            ("169.254.169.254", Refusal::Metadata),
            ("::ffff:169.254.169.254", Refusal::Metadata),
            ("64:ff9b::a9fe:a9fe", Refusal::Metadata),
            ("fd00:ec2::254", Refusal::Metadata),
            ("100.100.100.200", Refusal::Metadata),
            ("0.0.0.0", Refusal::NoHost),
            ("0.1.2.3", Refusal::NoHost),
            ("::", Refusal::NoHost),
            ("::ffff:0.0.0.0", Refusal::NoHost),
            ("224.0.0.1", Refusal::NoHost),
            ("255.255.255.255", Refusal::NoHost),
            ("ff02::1", Refusal::NoHost),
        ];
        for (address, refusal) in rows {
            assert_eq!(check(address, Allowed::default()), Some(refusal), "{address}");
            let allowed = check(address, Allowed::ALL).is_none();
            assert_eq!(allowed, refusal != Refusal::NoHost, "{address}");
        }
    }

    #[test]
    fn clusters_and_the_internet_are_reached() {
        for address in [
            "10.65.0.10",
            "192.168.1.1",
            "172.17.0.2",
            "8.8.8.8",
            "fd00::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(check(address, Allowed::default()), None, "{address}");
        }
    }

    #[test]
    fn allowing_the_link_does_not_allow_metadata() {
        let allowed = Allowed {
            link_local: true,
            ..Allowed::default()
        };
        assert_eq!(check("169.254.1.1", allowed), None);
        assert_eq!(check("169.254.169.254", allowed), Some(Refusal::Metadata));
    }

    #[test]
    fn private_networks_can_be_refused() {
        let allowed = Allowed {
            private: false,
            ..Allowed::default()
        };
        for address in [
            "10.65.0.10",
            "192.168.1.1",
            "172.17.0.2",
            "100.64.0.1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(check(address, allowed), Some(Refusal::Private), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert_eq!(check(address, allowed), None, "{address}");
        }
    }
}
