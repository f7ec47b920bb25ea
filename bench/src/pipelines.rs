//! Tasks and pipelines. The controller is a process of its own beside a bare cluster, so that its memory is its own.

mod apart;
mod pushes;
mod runs;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;

use crate::{percentile, process, say};
use apart::Apart;
use runs::Runs;

/// How long the controller has to come to rest: it looks at itself every 5 s, and rests when it did nothing between two
/// looks.
const REST: Duration = Duration::from_secs(15);
/// How often its memory is looked at while it works.
const LOOK: Duration = Duration::from_millis(50);
/// Steps of the longer tasks.
const STEPS: usize = 6;
/// Tasks of the pipelines whose tasks come one after the other.
const CHAINS: [usize; 3] = [20, 40, 60];

/// How much is measured.
pub struct Extent {
    /// TaskRuns of each length, one after the other.
    pub runs: usize,
    /// PipelineRuns of two tasks at the same time.
    pub together: usize,
    /// Without the pipelines of many tasks.
    pub brief: bool,
}

/// Measures and prints.
pub fn measure(bin: &Path, extent: &Extent) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("spindrift-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let mut apart = Apart::start(bin, &folder)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let measured = runtime.block_on(async {
        let client = apart.client().await?;
        apart.tell_of_one_machine(client.clone()).await?;
        let runs = Runs::new(client, &apart.image);
        one_after_the_other(&runs, extent.runs).await?;
        if !extent.brief {
            chains(&runs).await?;
        }
        at_once(&runs, apart.controller(), extent.together).await?;
        pushes::measure(&mut apart, extent.runs).await
    });
    apart.stop()?;
    std::fs::remove_dir_all(&folder)?;
    measured
}

/// TaskRuns of one step and of several: what is common to all of them, and what each further step adds.
async fn one_after_the_other(runs: &Runs, count: usize) -> anyhow::Result<()> {
    // The first one pulls the images.
    runs.task_run("warm", 1).await?;
    let mut of = Vec::new();
    for steps in [1, STEPS] {
        let mut times = Vec::new();
        for index in 0..count {
            let name = format!("steps-{steps}-{index}");
            times.push(millis(runs.task_run(&name, steps).await?));
        }
        times.sort_by(f64::total_cmp);
        of.push((percentile(&times, 0.5), percentile(&times, 0.99)));
    }
    if let [(one, one_p99), (many, many_p99)] = of[..] {
        let further = (STEPS - 1) as f64;
        say(&format!(
            "TaskRun of one step, to Succeeded    {one:8.0} ms p50, {one_p99:.0} ms p99 ({count} runs)"
        ));
        say(&format!(
            "each further step                    {:8.1} ms p50, {:.1} ms p99",
            (many - one) / further,
            (many_p99 - one_p99) / further
        ));
    }
    Ok(())
}

/// Pipelines whose tasks come one after the other: the time until the first pod is there, and for each task.
async fn chains(runs: &Runs) -> anyhow::Result<()> {
    let mut first = None;
    for tasks in CHAINS {
        let (to_pod, total) = runs.chain(&format!("chain-{tasks}"), tasks).await?;
        let each = millis(total) / tasks as f64;
        let base = *first.get_or_insert(each);
        say(&format!(
            "{tasks} tasks in a row: to the first pod   {:8.0} ms; {each:.0} ms for each task; ratio to {} {:.2}",
            millis(to_pod),
            CHAINS[0],
            each / base
        ));
    }
    Ok(())
}

/// Many PipelineRuns of two tasks, and what they cost the controller.
async fn at_once(runs: &Runs, controller: u32, count: usize) -> anyhow::Result<()> {
    tokio::time::sleep(REST).await;
    let before = process::resident_mib(controller)?;
    let peak = Peak::of(controller);
    let start = std::time::Instant::now();
    try_join_all((0..count).map(|index| runs.pair(format!("pair-{index}")))).await?;
    let took = start.elapsed();
    let peak = peak.stop()?;
    tokio::time::sleep(REST).await;
    let after = process::resident_mib(controller)?;
    say(&format!(
        "{count} PipelineRuns of 2 tasks at once   {:8.1} s until all have succeeded",
        took.as_secs_f64()
    ));
    say(&format!(
        "pipelines-controller: resident       {before:8.1} MiB before, {peak:.1} MiB peak, {after:.1} MiB after"
    ));
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The most memory that a process has had since this was made.
struct Peak {
    stop: Arc<AtomicBool>,
    kib: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Peak {
    fn of(pid: u32) -> Self {
        let (stop, kib) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, most) = (stop.clone(), kib.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(mib) = process::resident_mib(pid) {
                    most.fetch_max((mib * 1024.0) as u64, Ordering::Relaxed);
                }
                std::thread::sleep(LOOK);
            }
        });
        Self { stop, kib, thread }
    }

    /// MiB.
    fn stop(self) -> anyhow::Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the memory was not watched")?;
        Ok(self.kib.load(Ordering::Relaxed) as f64 / 1024.0)
    }
}
