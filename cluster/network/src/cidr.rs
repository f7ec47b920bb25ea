//! IPv4 ranges.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network such as `10.42.0.0/16`; host bits are always zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    base: u32,
    prefix: u8,
}

/// Says why a text is no IPv4 range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv4 range; write it as 10.42.0.0/16 with no host bits set")]
pub struct CidrError(String);

impl Cidr {
    /// The range of `prefix` bits that holds `address`; `None` for a prefix over 32.
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self {
            base: u32::from(address) & mask(prefix),
            prefix,
        })
    }

    /// First address: the network itself.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base)
    }

    /// Number of network bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Last address: the broadcast address of a subnet.
    pub fn last(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.base | !mask(self.prefix))
    }

    /// The `index`th address, `None` outside of the range.
    pub fn nth(&self, index: u32) -> Option<Ipv4Addr> {
        let address = self.base.checked_add(index)?;
        self.contains(Ipv4Addr::from(address))
            .then(|| Ipv4Addr::from(address))
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == self.base
    }

    /// Whether the two ranges share an address.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        let shorter = mask(self.prefix.min(other.prefix));
        self.base & shorter == other.base & shorter
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let address: Ipv4Addr = address.parse().ok()?;
            let cidr = Cidr::containing(address, prefix.parse().ok()?)?;
            (cidr.network() == address).then_some(cidr)
        });
        parsed.ok_or_else(|| CidrError(text.chars().take(60).collect()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for good in ["10.42.0.0/16", "0.0.0.0/0", "192.0.2.1/32"] {
            assert_eq!(good.parse::<Cidr>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "10.42.0.0",
            "10.42.0.1/16",
            "10.42.0.0/33",
            "10.42.0.0/-1",
            "::/0",
        ] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn knows_its_addresses() {
        let cidr: Cidr = "10.42.0.0/16".parse().unwrap();
        assert_eq!(cidr.nth(1), Some(Ipv4Addr::new(10, 42, 0, 1)));
        assert_eq!(cidr.nth(65_535), Some(cidr.last()));
        assert_eq!(cidr.nth(65_536), None);
        assert!(!cidr.contains(Ipv4Addr::new(10, 43, 0, 0)));
    }

    #[test]
    fn overlap_is_symmetric_and_exact() {
        let cases = [
            ("10.42.0.0/16", "10.42.7.0/24", true),
            ("10.42.0.0/16", "10.43.0.0/16", false),
            ("0.0.0.0/0", "10.43.0.0/16", true),
            ("10.0.0.0/8", "11.0.0.0/8", false),
        ];
        for (a, b, expected) in cases {
            let (a, b): (Cidr, Cidr) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.overlaps(&b), expected, "{a} {b}");
            assert_eq!(b.overlaps(&a), expected, "{b} {a}");
        }
    }
}
