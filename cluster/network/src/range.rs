//! Choosing address ranges that no one else on the machine uses.

use std::net::Ipv4Addr;

use crate::cidr::Cidr;

/// The two ranges of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ranges {
    pub(crate) pods: Cidr,
    pub(crate) services: Cidr,
}

/// Picks two free /16s. `seed` spreads instances, so that two that start at once rarely want the same ones.
pub(crate) fn choose(seed: u64, taken: &[Cidr]) -> Option<Ranges> {
    let mut free = candidates(seed).filter(|candidate| !taken.iter().any(|cidr| cidr.overlaps(candidate)));
    Some(Ranges {
        pods: free.next()?,
        services: free.next()?,
    })
}

/// All /16s that may be chosen: upper 10/8 first (the lower part is popular), then the other private ranges.
fn candidates(seed: u64) -> impl Iterator<Item = Cidr> {
    const FIRST: u64 = 64;
    const COUNT: u64 = 190;
    let ten = (0..COUNT).map(move |step| (10, FIRST + (seed % COUNT + step) % COUNT));
    let rfc1918 = (16..32).map(|second| (172, second));
    let shared = (64..128).map(|second| (100, second));
    ten.chain(rfc1918).chain(shared).filter_map(|(first, second)| {
        Cidr::containing(Ipv4Addr::new(first, u8::try_from(second).ok()?, 0, 0), 16)
    })
}

/// A stable 64-bit hash of an instance name (FNV-1a): it names devices, so it must not change between builds.
pub(crate) fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidrs(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn takes_the_next_ranges_when_one_is_taken() {
        let free = choose(0, &[]).unwrap();
        assert_eq!(
            (free.pods.to_string(), free.services.to_string()),
            ("10.64.0.0/16".into(), "10.65.0.0/16".into())
        );
        let shifted = choose(0, &cidrs(&["10.64.3.0/24", "10.65.0.0/16"])).unwrap();
        assert_eq!(shifted.pods.to_string(), "10.66.0.0/16");
    }

    #[test]
    fn leaves_ten_when_a_vpn_routes_all_of_it() {
        let other = choose(5, &cidrs(&["10.0.0.0/8"])).unwrap();
        assert_eq!(other.pods.to_string(), "172.16.0.0/16");
        assert_eq!(
            choose(5, &cidrs(&["10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10"])),
            None
        );
    }

    proptest! {
        #[test]
        fn never_overlaps(seed: u64, taken in proptest::collection::vec((any::<u32>(), 8u8..=32), 0..20)) {
            let taken: Vec<Cidr> =
                taken.into_iter().map(|(base, prefix)| Cidr::containing(base.into(), prefix).unwrap()).collect();
            if let Some(ranges) = choose(seed, &taken) {
                prop_assert!(!ranges.pods.overlaps(&ranges.services));
                prop_assert!(taken.iter().all(|c| !c.overlaps(&ranges.pods) && !c.overlaps(&ranges.services)));
            }
        }
    }
}
