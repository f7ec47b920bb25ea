//! The scaling decision: how many pods a revision should have, from its load, its ready pods and the time.
//!
//! Two windows are looked at. Over the long, *stable* one the load decides as it is. If the short, *panic* window shows
//! more than the ready pods can take (by the panic threshold), the scaler panics: it follows the higher of the two wishes
//! and never goes down until the short window has been calm for a whole stable window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::metrics::collection::Load;

/// Smallest load per pod that is aimed at, whatever the settings multiply to.
const LEAST_TARGET: f64 = 0.01;

/// Pods wanted while nothing is known.
pub const UNKNOWN: i32 = -1;

/// How much burst must fit on the ready pods before the activator may leave the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BurstCapacity {
    /// The activator always stays in the path (−1 on the wire).
    Unlimited,
    /// The activator is in the path only at zero scale (0 on the wire).
    None,
    /// Requests above the present load that must fit.
    Requests(f64),
}

/// The settings of one revision, already combined from annotations and cluster defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Load per pod at full use: the target without utilisation.
    pub total: f64,
    /// Share of `total` that is aimed at, above 0 and at most 1.
    pub utilization: f64,
    pub burst_capacity: BurstCapacity,
    /// Load over capacity that starts a panic; 2.0 is twice.
    pub panic_threshold: f64,
    /// Most growth in one step, as a factor above 1.
    pub max_scale_up_rate: f64,
    /// Most shrinking in one step, as a divisor above 1.
    pub max_scale_down_rate: f64,
    /// Fewest pods while there is any load; 1 or less means no such bound.
    pub activation_scale: i32,
    pub stable_window: Duration,
    /// How long a lower wish must last before it is followed.
    pub scale_down_delay: Duration,
    /// Pods that the revision starts with.
    pub initial_scale: i32,
    /// Whether requests can reach the revision; an unreachable one shrinks without bounds or delay.
    pub reachable: bool,
}

impl Settings {
    /// Load per pod that is aimed at.
    pub fn target(&self) -> f64 {
        (self.total * self.utilization).max(LEAST_TARGET)
    }
}

/// What the scaler wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Pods wanted; [`UNKNOWN`] before the first observation.
    pub desired: i32,
    /// Requests that the ready pods could take beyond the present ones and the wanted burst; below zero keeps the
    /// activator in the path.
    pub excess_burst_capacity: i32,
}

/// The memory of the decision: whether it panics, and the wishes of the scale-down delay.
#[derive(Clone, Debug)]
pub struct Scaler {
    panic_since: Option<Instant>,
    max_panic_pods: i32,
    /// Wishes of the delay window, times rising and wishes falling: the front is the maximum.
    recent: VecDeque<(Instant, i32)>,
}

impl Scaler {
    /// A scaler made while more than one pod is ready (the autoscaler was restarted) starts in panic at that number, so
    /// that missing history cannot scale anything down for one stable window.
    pub fn new(ready_pods: i32, now: Instant) -> Self {
        let restarted = ready_pods > 1;
        Self {
            panic_since: restarted.then_some(now),
            max_panic_pods: if restarted { ready_pods } else { 0 },
            recent: VecDeque::new(),
        }
    }

    /// What stands before anything was observed.
    pub fn initial(settings: &Settings) -> Decision {
        let excess = match settings.burst_capacity {
            BurstCapacity::Unlimited => -1.0,
            BurstCapacity::None => 0.0,
            BurstCapacity::Requests(burst) => f64::from(settings.initial_scale) * settings.total - burst,
        };
        Decision {
            desired: UNKNOWN,
            excess_burst_capacity: whole(excess.floor()),
        }
    }

    /// Whether the scaler panics.
    pub fn panicking(&self) -> bool {
        self.panic_since.is_some()
    }

    /// Decides for `load` on `ready_pods` pods at `now`, which must not go backwards between calls.
    pub fn decide(&mut self, settings: &Settings, load: Load, ready_pods: i32, now: Instant) -> Decision {
        let target = settings.target();
        let ready = f64::from(ready_pods.max(1));
        let most = (settings.max_scale_up_rate * ready).ceil();
        let least = if settings.reachable {
            (ready / settings.max_scale_down_rate).floor()
        } else {
            0.0
        };
        let wanted_stable = (load.stable / target).ceil();
        let wanted_panic = (load.panic / target).ceil();
        let mut stable = whole(wanted_stable.max(least).min(most));
        let mut panic = whole(wanted_panic.max(least).min(most));
        if settings.activation_scale > 1 {
            if wanted_stable > 0.0 {
                stable = stable.max(settings.activation_scale);
            }
            if wanted_panic > 0.0 {
                panic = panic.max(settings.activation_scale);
            }
        }

        let over = wanted_panic / ready >= settings.panic_threshold;
        if over {
            self.panic_since = Some(now);
        } else if self
            .panic_since
            .is_some_and(|since| since + settings.stable_window < now)
        {
            self.panic_since = None;
            self.max_panic_pods = 0;
        }
        let mut desired = stable;
        if self.panicking() {
            self.max_panic_pods = self.max_panic_pods.max(stable.max(panic));
            desired = self.max_panic_pods;
        }
        if settings.reachable && !settings.scale_down_delay.is_zero() {
            desired = self.delayed(desired, settings.scale_down_delay, now);
        }
        let excess_burst_capacity = match settings.burst_capacity {
            BurstCapacity::None => 0,
            BurstCapacity::Unlimited => -1,
            BurstCapacity::Requests(burst) => {
                whole((f64::from(ready_pods.max(0)) * settings.total - burst - load.panic).floor())
            }
        };
        Decision {
            desired,
            excess_burst_capacity,
        }
    }

    /// The highest wish of the last `delay`.
    fn delayed(&mut self, desired: i32, delay: Duration, now: Instant) -> i32 {
        while self.recent.back().is_some_and(|(_, wish)| *wish <= desired) {
            self.recent.pop_back();
        }
        self.recent.push_back((now, desired));
        while self.recent.front().is_some_and(|(time, _)| *time + delay < now) {
            self.recent.pop_front();
        }
        self.recent.front().map_or(desired, |(_, wish)| *wish)
    }
}

/// The whole number of a float, within i32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, which is what is wanted of absurd loads"
)]
fn whole(value: f64) -> i32 {
    value as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            total: 10.0,
            utilization: 1.0,
            burst_capacity: BurstCapacity::Requests(211.0),
            panic_threshold: 2.0,
            max_scale_up_rate: 10.0,
            max_scale_down_rate: 10.0,
            activation_scale: 1,
            stable_window: Duration::from_secs(60),
            scale_down_delay: Duration::ZERO,
            initial_scale: 1,
            reachable: true,
        }
    }

    fn load(stable: f64, panic: f64) -> Load {
        Load { stable, panic }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn one_decision() {
        let unreachable = Settings {
            reachable: false,
            ..settings()
        };
        let gentle = Settings {
            max_scale_down_rate: 2.0,
            ..settings()
        };
        let activation = Settings {
            activation_scale: 4,
            ..settings()
        };
        let always = Settings {
            burst_capacity: BurstCapacity::Unlimited,
            ..settings()
        };
        let never = Settings {
            burst_capacity: BurstCapacity::None,
            ..settings()
        };
        let utilized = Settings {
            utilization: 0.7,
            ..settings()
        };
        let cases = [
            ("no load", settings(), load(0.0, 0.0), 1, 0, -201),
            ("rounds up", settings(), load(11.0, 11.0), 2, 2, -202),
            ("utilisation", utilized, load(70.0, 70.0), 10, 10, -181),
            (
                "panic at twice the capacity",
                settings(),
                load(10.0, 40.0),
                2,
                4,
                -231,
            ),
            ("no panic below twice", settings(), load(20.0, 30.0), 2, 2, -221),
            (
                "growth is limited",
                settings(),
                load(1000.0, 1000.0),
                1,
                10,
                -1201,
            ),
            ("at least one pod grows", settings(), load(50.0, 50.0), 0, 5, -261),
            (
                "shrinking is limited",
                gentle.clone(),
                load(10.0, 10.0),
                20,
                10,
                -21,
            ),
            (
                "an unreachable revision shrinks at once",
                Settings {
                    reachable: false,
                    ..gentle
                },
                load(0.0, 0.0),
                20,
                0,
                -11,
            ),
            (
                "unreachable without load",
                unreachable,
                load(0.0, 0.0),
                5,
                0,
                -161,
            ),
            ("activation scale", activation.clone(), load(1.0, 1.0), 1, 4, -202),
            (
                "activation scale does not wake",
                activation,
                load(0.0, 0.0),
                1,
                0,
                -201,
            ),
            ("activator always in path", always, load(10.0, 10.0), 1, 1, -1),
            ("activator only at zero", never, load(10.0, 10.0), 1, 1, 0),
            ("room for the burst", settings(), load(10.0, 10.0), 30, 3, 79),
        ];
        let now = Instant::now();
        for (name, settings, load, ready, desired, excess) in cases {
            let decision = Scaler::new(0, now).decide(&settings, load, ready, now);
            assert_eq!(
                decision,
                Decision {
                    desired,
                    excess_burst_capacity: excess
                },
                "{name}"
            );
        }
    }

    #[test]
    fn a_panic_never_shrinks_and_ends_one_stable_window_after_the_last_peak() {
        let start = Instant::now();
        let mut scaler = Scaler::new(0, start);
        assert_eq!(
            scaler.decide(&settings(), load(10.0, 100.0), 1, start).desired,
            10
        );
        assert!(scaler.panicking());
        let calm = scaler.decide(&settings(), load(20.0, 10.0), 10, after(start, 30));
        assert_eq!(calm.desired, 10, "holds the highest wish");
        assert_eq!(
            scaler
                .decide(&settings(), load(20.0, 10.0), 10, after(start, 60))
                .desired,
            10
        );
        assert_eq!(
            scaler
                .decide(&settings(), load(20.0, 10.0), 10, after(start, 61))
                .desired,
            2
        );
        assert!(!scaler.panicking());
    }

    #[test]
    fn another_peak_extends_the_panic() {
        let start = Instant::now();
        let mut scaler = Scaler::new(0, start);
        scaler.decide(&settings(), load(10.0, 100.0), 1, start);
        scaler.decide(&settings(), load(10.0, 400.0), 10, after(start, 50));
        assert!(
            scaler
                .decide(&settings(), load(10.0, 10.0), 40, after(start, 100))
                .desired
                >= 40
        );
        assert!(scaler.panicking());
    }

    #[test]
    fn a_restarted_autoscaler_scales_nothing_down_for_one_stable_window() {
        let start = Instant::now();
        let mut scaler = Scaler::new(7, start);
        assert_eq!(
            scaler
                .decide(&settings(), load(0.0, 0.0), 7, after(start, 59))
                .desired,
            7
        );
        assert_eq!(
            scaler
                .decide(&settings(), load(0.0, 0.0), 7, after(start, 61))
                .desired,
            0
        );
        assert!(!Scaler::new(1, start).panicking());
    }

    #[test]
    fn a_lower_wish_must_last_for_the_delay() {
        let settings = Settings {
            scale_down_delay: Duration::from_secs(10),
            ..settings()
        };
        let start = Instant::now();
        let mut scaler = Scaler::new(0, start);
        let at = |scaler: &mut Scaler, second, stable| {
            scaler
                .decide(&settings, load(stable, stable), 4, after(start, second))
                .desired
        };
        assert_eq!(at(&mut scaler, 0, 40.0), 4);
        assert_eq!(at(&mut scaler, 2, 20.0), 4);
        assert_eq!(at(&mut scaler, 4, 30.0), 4);
        assert_eq!(
            at(&mut scaler, 11, 10.0),
            3,
            "the wish for 4 is too old, the one for 3 is not"
        );
        assert_eq!(at(&mut scaler, 22, 10.0), 1);
        let unreachable = Settings {
            reachable: false,
            ..settings.clone()
        };
        assert_eq!(
            scaler
                .decide(&unreachable, load(0.0, 0.0), 4, after(start, 23))
                .desired,
            0
        );
    }

    #[test]
    fn before_any_observation_nothing_is_wanted() {
        assert_eq!(
            Scaler::initial(&settings()),
            Decision {
                desired: UNKNOWN,
                excess_burst_capacity: -201
            }
        );
        let never = Settings {
            burst_capacity: BurstCapacity::None,
            ..settings()
        };
        assert_eq!(Scaler::initial(&never).excess_burst_capacity, 0);
    }

    proptest::proptest! {
        /// More load never asks for fewer pods, and no wish exceeds the growth limit unless a panic holds it.
        #[test]
        fn decisions_are_monotonic_and_bounded(low in 0f64..1e5, more in 0f64..1e5, ready in 0i32..500) {
            let now = Instant::now();
            let small = Scaler::new(0, now).decide(&settings(), load(low, low), ready, now);
            let large = Scaler::new(0, now).decide(&settings(), load(low + more, low + more), ready, now);
            proptest::prop_assert!(large.desired >= small.desired);
            proptest::prop_assert!(large.excess_burst_capacity <= small.excess_burst_capacity);
            proptest::prop_assert!(large.desired <= 10 * ready.max(1));
        }
    }
}
