//! What every HTTP data-plane process shares: forwarding, protocols, timeouts, breaker, probes, draining.
