//! The Kubernetes API over one generic registry: storage, verbs, watches, discovery, admission.
