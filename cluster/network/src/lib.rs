//! Pod network, cluster IPs and DNS.
