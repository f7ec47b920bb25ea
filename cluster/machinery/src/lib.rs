//! Pure algorithms of the Kubernetes API: schemas, patches, server-side apply, selectors.
