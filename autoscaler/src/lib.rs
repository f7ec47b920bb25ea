//! Metric windows, the scaling decision, and the reconcilers of PodAutoscaler, Metric and ServerlessService.
