//! The built-in ingress: host and path routing, traffic split, tags; reads networking.internal Ingress.
