//! How long the certificate lasts that is shown.

use std::sync::Arc;

use certificates::Identity;
use k8s_openapi::jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};

const NAME: &str = "event_certificate_remaining_seconds";
const HELP: &str = "Time until the certificate ends that is shown over TLS; below zero when it has ended.";

/// A gauge that is worked out when it is asked for; it is not there while no certificate is shown.
pub(crate) struct Remaining {
    identity: Arc<Identity>,
    gauge: Gauge,
}

impl Remaining {
    /// Of the certificate from the Secret `secret`.
    pub(crate) fn new(identity: Arc<Identity>, secret: &str) -> prometheus::Result<Self> {
        let gauge = Gauge::with_opts(Opts::new(NAME, HELP).const_label("secret", secret))?;
        Ok(Self { identity, gauge })
    }
}

impl Collector for Remaining {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(ends) = self.identity.ends() else {
            return Vec::new();
        };
        self.gauge
            .set(ends.duration_since(Timestamp::now()).as_secs_f64());
        self.gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use certificates::{Data, Profile, renewed, text};
    use prometheus::Registry;

    use super::*;

    #[test]
    fn each_receiver_tells_how_long_its_certificate_lasts() {
        let registry = Registry::new();
        let identities = ["a", "b"].map(|secret| {
            let identity = Arc::new(Identity::default());
            let remaining = Remaining::new(identity.clone(), secret).unwrap();
            registry.register(Box::new(remaining)).unwrap();
            identity
        });
        assert!(registry.gather().is_empty(), "nothing is shown");
        let data = renewed(
            &Data::new(),
            &["here".to_owned()],
            &Profile::TLS,
            Timestamp::now(),
        );
        let data = data.unwrap().unwrap();
        let part = |key| text(&data, key).unwrap();
        identities[1]
            .set(part(Profile::TLS.certificate), part(Profile::TLS.key))
            .unwrap();
        let families = registry.gather();
        let [metric] = families[0].get_metric() else {
            panic!("{families:?}")
        };
        assert_eq!(metric.get_label()[0].value(), "b");
        let days = metric.get_gauge().get_value() / 86_400.0;
        assert!((88.0..=91.0).contains(&days), "{days}");
    }
}
