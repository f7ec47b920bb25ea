//! Workload controllers: Deployment, ReplicaSet, EndpointSlice, namespaces, garbage collection, scheduling.
