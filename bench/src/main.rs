//! Measures the release build. Prints figures, and ratios against a baseline that runs beside it; judges nothing, but for
//! `soak`, which fails if an event is lost.

mod backlog;
mod cesql;
mod events;
mod http;
mod instance;
mod log;
mod nats;
mod nginx;
mod objects;
mod pipelines;
mod platform;
mod process;
mod sidecar;
mod soak;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand};

/// That of the server: parts of it run in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Spindrift; run it on a machine with nothing else to do.
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  cargo build --release && target/release/bench platform\n  target/release/bench objects\n  target/release/bench sidecar"
)]
struct Cli {
    /// Folder of the programs [default: that of this one]
    #[arg(long, global = true)]
    bin: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Time to start, memory and CPU at rest, wake-ups from zero, many services at once, latency beside nginx
    Platform {
        /// Wake-ups, one after the other
        #[arg(long, default_value_t = 30)]
        wakes: usize,
        /// Services woken at the same time
        #[arg(long, default_value_t = 50)]
        together: usize,
        /// Services created together
        #[arg(long, default_value_t = 0)]
        created: usize,
    },
    /// Tasks and pipelines: TaskRuns, further steps, long pipelines, many at once, memory of the controller, pushes that change nothing
    Pipelines {
        /// TaskRuns of each length, one after the other
        #[arg(long, default_value_t = 30)]
        runs: usize,
        /// PipelineRuns at the same time
        #[arg(long, default_value_t = 100)]
        together: usize,
        /// Leave out the pipelines of many tasks
        #[arg(long)]
        brief: bool,
    },
    /// The API server: creates, lists and watches of many ConfigMaps, and memory for each
    Objects {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        count: usize,
    },
    /// Latency, throughput and memory of queue-proxy, with nginx in front of the same backend in the same run
    Sidecar {
        /// Seconds per measurement
        #[arg(long, default_value_t = 5)]
        seconds: u32,
    },
    /// The durable event log: appends, consumers at its end, a backlog, memory
    Log {
        /// Seconds per measurement
        #[arg(long, default_value_t = 5)]
        seconds: u32,
        /// Records that wait for consumers
        #[arg(long, default_value_t = 1_000_000)]
        backlog: usize,
        /// Folder on the disk to measure
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
    /// The event store on NATS JetStream, with bare publishing and consuming on the same server in the same run
    Nats {
        /// Seconds per measurement
        #[arg(long, default_value_t = 5)]
        seconds: u32,
        /// The server syncs before it acknowledges
        #[arg(long)]
        always_sync: bool,
        /// Folder on the disk to use
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
    /// Brokers: events accepted and delivered, latency, many triggers, bad subscribers
    Events {
        /// Seconds per measurement
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Folder on the disk that the events are kept on
        #[arg(long, default_value = ".")]
        folder: PathBuf,
        /// Only this measurement: one, half, fifty or bad
        #[arg(long)]
        only: Option<String>,
    },
    /// Memory of the data plane with many events that nobody takes
    Backlog {
        /// Events of 1 KiB
        #[arg(long, default_value_t = 1_000_000)]
        count: u64,
        /// Folder on the disk that the events are kept on
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
    /// Kills the data plane at random under load, and fails if an event that was accepted is not delivered
    Soak {
        /// How long events are sent, such as 60s or 10m
        #[arg(long = "for", default_value = "60s", value_parser = duration, value_name = "TIME")]
        time: Duration,
        /// Keep the events in NATS JetStream, and kill nats-server too
        #[arg(long)]
        nats: bool,
        /// Events a second that are sent at most
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
        /// Makes the kills come at the same times again [default: another one each time]
        #[arg(long)]
        seed: Option<u64>,
        /// Folder on the disk to use
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
    /// The process that `soak` kills
    #[command(hide = true)]
    SoakPlane {
        #[arg(long)]
        port: u16,
        #[arg(long, required_unless_present = "nats")]
        folder: Option<PathBuf>,
        #[arg(long)]
        nats: Option<String>,
        #[arg(long = "subscriber")]
        subscribers: Vec<String>,
    },
    /// Evaluations of CloudEvents SQL per second on one core
    Cesql {
        /// Seconds per expression
        #[arg(long, default_value_t = 3)]
        seconds: u32,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let own = || {
        std::env::current_exe()
            .ok()
            .and_then(|path| path.parent().map(PathBuf::from))
    };
    let bin = cli.bin.or_else(own).unwrap_or_default();
    let result = match cli.command {
        Command::Platform {
            wakes,
            together,
            created,
        } => platform::measure(&bin, wakes, together, created),
        Command::Pipelines {
            runs,
            together,
            brief,
        } => {
            let extent = pipelines::Extent {
                runs,
                together,
                brief,
            };
            pipelines::measure(&bin, &extent)
        }
        Command::Objects { count } => objects::measure(&bin, count),
        Command::Log {
            seconds,
            backlog,
            folder,
        } => log::measure(&folder, seconds, backlog),
        Command::Nats {
            seconds,
            always_sync,
            folder,
        } => nats::measure(&folder, seconds, always_sync),
        Command::Events {
            seconds,
            folder,
            only,
        } => events::measure(&folder, seconds, only.as_deref()),
        Command::Backlog { count, folder } => backlog::measure(&folder, count),
        Command::Soak {
            time,
            nats,
            rate,
            seed,
            folder,
        } => soak::run(
            &folder,
            &soak::Soak {
                time,
                rate,
                seed: seed.unwrap_or_else(now),
                nats,
            },
        ),
        Command::SoakPlane {
            port,
            folder,
            nats,
            subscribers,
        } => {
            let kept = match nats {
                Some(url) => soak::Kept::Nats(url),
                None => soak::Kept::Folder(folder.unwrap_or_default()),
            };
            soak::serve(port, &kept, &subscribers)
        }
        Command::Cesql { seconds } => cesql::measure(seconds),
        Command::Sidecar { seconds } => sidecar::measure(&bin, seconds),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("Error: {error:?}"));
            ExitCode::FAILURE
        }
    }
}

/// Seconds, or minutes with an `m` behind them.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{text} is no time: expected a number with s or m, such as 60s"))?;
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}

/// A number that is another one the next time.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// A line of the report.
#[expect(clippy::print_stdout, reason = "a measuring program prints what it measured")]
pub fn say(text: &str) {
    println!("{text}");
}

/// The value below which `share` of `sorted` lie.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted[index]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("60s", Some(60)),
            ("2m", Some(120)),
            ("7", Some(7)),
            ("s", None),
            ("1h", None),
        ] {
            assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(
            (
                percentile(&values, 0.5),
                percentile(&values, 0.99),
                percentile(&values, 1.0)
            ),
            (50.0, 99.0, 100.0)
        );
        assert_eq!(percentile(&[7.0], 0.5), 7.0);
    }
}
