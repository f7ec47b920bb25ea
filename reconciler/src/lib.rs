//! What every controller shares: conditions, server-side apply of children, ConfigMap stores, events, leases, health.
