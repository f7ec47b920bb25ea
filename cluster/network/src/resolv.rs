//! The host's resolver configuration.

use std::net::Ipv4Addr;

/// Upstream servers taken from `resolv.conf` at most (glibc's `MAXNS`).
const MAX_NAMESERVERS: usize = 3;

/// IPv4 name servers of this machine, in order; empty when there are none.
pub(crate) fn host_nameservers() -> Vec<Ipv4Addr> {
    std::fs::read_to_string("/etc/resolv.conf")
        .map(|text| nameservers(&text))
        .unwrap_or_default()
}

fn nameservers(text: &str) -> Vec<Ipv4Addr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver"))
                .then(|| words.next()?.parse().ok())
                .flatten()
        })
        .take(MAX_NAMESERVERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nameservers_and_nothing_else() {
        let text = "# nameserver 9.9.9.9\nsearch corp\nnameserver 10.0.0.53\nnameserver\nnameserver fe80::1\n \
                    nameserver\t1.1.1.1 # home\nnameserver 2.2.2.2\nnameserver 3.3.3.3\n";
        let expected: [Ipv4Addr; 3] = [[10, 0, 0, 53].into(), [1, 1, 1, 1].into(), [2, 2, 2, 2].into()];
        assert_eq!(nameservers(text), expected);
    }
}
