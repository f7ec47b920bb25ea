//! `config-autoscaler`

use std::time::Duration;

use super::data::{ConfigError, ensure, ensure_seconds, read, read_bool, read_duration, read_text, show};
use super::{Data, Snapshot};
use crate::annotations;

/// Smallest target a pod may have; also the smallest product of target and utilisation.
pub const TARGET_MIN: f64 = 0.01;
/// Shortest stable window.
pub const SCALE_WINDOW_MIN: Duration = Duration::from_secs(6);
/// Longest stable window, and longest scale-down delay.
pub const SCALE_WINDOW_MAX: Duration = Duration::from_secs(3600);
/// Grain of the windows; a panic window may not be shorter.
const BUCKET: Duration = Duration::from_secs(1);

/// How revisions are scaled unless their annotations say otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    /// May a revision have no pods at all?
    pub enable_scale_to_zero: bool,
    /// Share of a target that is aimed at, 0–1.
    pub container_concurrency_target_fraction: f64,
    /// Requests at once per pod that are aimed at when a revision sets no limit.
    pub container_concurrency_target_default: f64,
    /// Requests per second per pod that are aimed at under metric `rps`.
    pub rps_target_default: f64,
    /// Requests at once that must fit without an activator; −1 keeps one in the path, 0 takes it out but at zero.
    pub target_burst_capacity: f64,
    /// Requests at once that one activator is good for.
    pub activator_capacity: f64,
    /// May a new revision start with no pods?
    pub allow_zero_initial_scale: bool,
    /// Pods that a new revision starts with.
    pub initial_scale: i32,
    /// Fewest pods; 0 is no limit.
    pub min_scale: i32,
    /// Most pods; 0 is no limit.
    pub max_scale: i32,
    /// Largest `max-scale` that a revision may ask for; 0 is no limit.
    pub max_scale_limit: i32,
    /// Largest factor by which one decision may raise the number of pods.
    pub max_scale_up_rate: f64,
    /// Largest factor by which one decision may lower the number of pods.
    pub max_scale_down_rate: f64,
    /// Window over which load is averaged.
    pub stable_window: Duration,
    /// Length of the panic window, percent of the stable window.
    pub panic_window_percentage: f64,
    /// Load that starts a panic, percent of the capacity.
    pub panic_threshold_percentage: f64,
    /// How long the network may take to be reprogrammed before the last pod goes.
    pub scale_to_zero_grace_period: Duration,
    /// How long the last pod stays at least.
    pub scale_to_zero_pod_retention_period: Duration,
    /// How long a lower wish must last before it is followed.
    pub scale_down_delay: Duration,
    /// Who scales.
    pub pod_autoscaler_class: String,
}

impl Default for Autoscaler {
    fn default() -> Self {
        Self {
            enable_scale_to_zero: true,
            container_concurrency_target_fraction: 0.7,
            container_concurrency_target_default: 100.0,
            rps_target_default: 200.0,
            target_burst_capacity: 211.0,
            activator_capacity: 100.0,
            allow_zero_initial_scale: false,
            initial_scale: 1,
            min_scale: 0,
            max_scale: 0,
            max_scale_limit: 0,
            max_scale_up_rate: 1000.0,
            max_scale_down_rate: 2.0,
            stable_window: Duration::from_secs(60),
            panic_window_percentage: 10.0,
            panic_threshold_percentage: 200.0,
            scale_to_zero_grace_period: Duration::from_secs(30),
            scale_to_zero_pod_retention_period: Duration::ZERO,
            scale_down_delay: Duration::ZERO,
            pod_autoscaler_class: annotations::CLASS_KPA.to_owned(),
        }
    }
}

impl Snapshot for Autoscaler {
    const NAME: &'static str = "config-autoscaler";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        read_bool(data, "enable-scale-to-zero", &mut config.enable_scale_to_zero)?;
        read_bool(
            data,
            "allow-zero-initial-scale",
            &mut config.allow_zero_initial_scale,
        )?;
        let fraction = &mut config.container_concurrency_target_fraction;
        read(data, "container-concurrency-target-percentage", fraction)?;
        // Values up to 1 have always been read as a fraction, so 1 is all of it and not one percent.
        if *fraction > 1.0 {
            *fraction /= 100.0;
        }
        read(
            data,
            "container-concurrency-target-default",
            &mut config.container_concurrency_target_default,
        )?;
        read(
            data,
            "requests-per-second-target-default",
            &mut config.rps_target_default,
        )?;
        read(data, "target-burst-capacity", &mut config.target_burst_capacity)?;
        read(data, "activator-capacity", &mut config.activator_capacity)?;
        read(data, "initial-scale", &mut config.initial_scale)?;
        read(data, "min-scale", &mut config.min_scale)?;
        read(data, "max-scale", &mut config.max_scale)?;
        read(data, "max-scale-limit", &mut config.max_scale_limit)?;
        read(data, "max-scale-up-rate", &mut config.max_scale_up_rate)?;
        read(data, "max-scale-down-rate", &mut config.max_scale_down_rate)?;
        read_duration(data, "stable-window", &mut config.stable_window)?;
        read(
            data,
            "panic-window-percentage",
            &mut config.panic_window_percentage,
        )?;
        read(
            data,
            "panic-threshold-percentage",
            &mut config.panic_threshold_percentage,
        )?;
        read_duration(
            data,
            "scale-to-zero-grace-period",
            &mut config.scale_to_zero_grace_period,
        )?;
        read_duration(
            data,
            "scale-to-zero-pod-retention-period",
            &mut config.scale_to_zero_pod_retention_period,
        )?;
        read_duration(data, "scale-down-delay", &mut config.scale_down_delay)?;
        read_text(data, &["pod-autoscaler-class"], &mut config.pod_autoscaler_class);
        config.check_targets()?;
        config.check_rates()?;
        config.check_times()?;
        config.check_scales()?;
        Ok(config)
    }
}

impl Autoscaler {
    fn check_targets(&self) -> Result<(), ConfigError> {
        let fraction = self.container_concurrency_target_fraction;
        ensure(
            fraction > 0.0 && fraction <= 1.0,
            "container-concurrency-target-percentage",
            fraction * 100.0,
            "must be in (0, 100] range",
        )?;
        let target = self.container_concurrency_target_default * fraction;
        ensure(
            target >= TARGET_MIN && target.is_finite(),
            "container-concurrency-target-default",
            self.container_concurrency_target_default,
            format!(
                "must be at least {TARGET_MIN} after container-concurrency-target-percentage is applied to it"
            ),
        )?;
        ensure(
            self.rps_target_default >= TARGET_MIN && self.rps_target_default.is_finite(),
            "requests-per-second-target-default",
            self.rps_target_default,
            format!("must be at least {TARGET_MIN}"),
        )?;
        let burst = self.target_burst_capacity;
        ensure(
            (burst >= 0.0 && burst.is_finite()) || burst == -1.0,
            "target-burst-capacity",
            burst,
            "must be either -1 or at least 0",
        )?;
        ensure(
            self.activator_capacity >= 1.0 && self.activator_capacity.is_finite(),
            "activator-capacity",
            self.activator_capacity,
            "must be at least 1",
        )
    }

    fn check_rates(&self) -> Result<(), ConfigError> {
        for (key, rate) in [
            ("max-scale-up-rate", self.max_scale_up_rate),
            ("max-scale-down-rate", self.max_scale_down_rate),
        ] {
            ensure(
                rate > 1.0 && rate.is_finite(),
                key,
                rate,
                "must be greater than 1.0",
            )?;
        }
        ensure(
            (110.0..=1000.0).contains(&self.panic_threshold_percentage),
            "panic-threshold-percentage",
            self.panic_threshold_percentage,
            "must be in [110.0, 1000.0] range",
        )?;
        ensure(
            (1.0..=100.0).contains(&self.panic_window_percentage),
            "panic-window-percentage",
            self.panic_window_percentage,
            "must be in [1, 100] range",
        )
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        ensure(
            self.scale_to_zero_grace_period > Duration::ZERO,
            "scale-to-zero-grace-period",
            show(self.scale_to_zero_grace_period),
            "must be positive",
        )?;
        ensure(
            (SCALE_WINDOW_MIN..=SCALE_WINDOW_MAX).contains(&self.stable_window),
            "stable-window",
            show(self.stable_window),
            format!(
                "must be in [{}, {}] range",
                show(SCALE_WINDOW_MIN),
                show(SCALE_WINDOW_MAX)
            ),
        )?;
        ensure_seconds("stable-window", self.stable_window)?;
        // The panic window is never shorter than a bucket: the autoscaler rounds it up to one.
        let panic_window = self
            .stable_window
            .mul_f64(self.panic_window_percentage / 100.0)
            .max(BUCKET);
        ensure(
            panic_window <= self.stable_window,
            "panic-window-percentage",
            self.panic_window_percentage,
            "the panic window must not be longer than the stable window",
        )?;
        ensure(
            self.scale_down_delay <= SCALE_WINDOW_MAX,
            "scale-down-delay",
            show(self.scale_down_delay),
            format!("must be in [0s, {}] range", show(SCALE_WINDOW_MAX)),
        )?;
        ensure_seconds("scale-down-delay", self.scale_down_delay)
    }

    fn check_scales(&self) -> Result<(), ConfigError> {
        ensure(
            self.initial_scale > 0 || (self.initial_scale == 0 && self.allow_zero_initial_scale),
            "initial-scale",
            self.initial_scale,
            "must be at least 1, or 0 with allow-zero-initial-scale",
        )?;
        ensure(
            self.min_scale >= 0,
            "min-scale",
            self.min_scale,
            "must be at least 0",
        )?;
        ensure(
            self.max_scale_limit >= 0,
            "max-scale-limit",
            self.max_scale_limit,
            "must be at least 0",
        )?;
        let limit = self.max_scale_limit;
        let within = limit == 0 || (self.max_scale > 0 && self.max_scale <= limit);
        ensure(
            self.max_scale >= 0 && within,
            "max-scale",
            self.max_scale,
            match limit {
                0 => "must be at least 0".to_owned(),
                limit => format!("must be in [1, max-scale-limit({limit})] range"),
            },
        )?;
        ensure(
            self.max_scale == 0 || self.min_scale <= self.max_scale,
            "min-scale",
            self.min_scale,
            format!("must not be greater than max-scale({})", self.max_scale),
        )
    }
}
