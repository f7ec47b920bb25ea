//! Gives memory back when the process has come to rest.
//!
//! A start, and each burst of work, maps parts of the program and leaves free blocks in the allocator that nothing
//! needs afterwards, but that stay in the process: a third of it after `spindrift up`. Once the work has stopped, the
//! mapped program is let go (the kernel's page cache keeps it: what is used again is mapped again, without reading the
//! disk), and each thread's free blocks are returned.

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::time::Instant;

/// How often the process looks at itself.
const PERIOD: Duration = Duration::from_secs(5);
/// Share of one core below which the process is at rest.
const AT_REST: f64 = 0.02;
/// Tasks that do nothing, so that sleeping threads wake and see that they are asked: more than there are threads.
const WAKES: usize = 64;

/// Counts the times that threads were asked to return their free blocks.
static ASKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ANSWERED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Decides from the processor time that was used whether memory is to be given back now: once after each work.
#[derive(Debug)]
struct Work {
    used: Duration,
    seen: Instant,
    worked: bool,
}

impl Work {
    /// `used` is the processor time of the process so far. A process has worked when it starts.
    fn new(used: Duration, now: Instant) -> Self {
        Self {
            used,
            seen: now,
            worked: true,
        }
    }

    /// Whether the work before this look has ended.
    fn ended(&mut self, used: Duration, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.seen);
        let spent = used.saturating_sub(self.used);
        (self.used, self.seen) = (used, now);
        if spent.as_secs_f64() >= passed.as_secs_f64() * AT_REST {
            self.worked = true;
            return false;
        }
        std::mem::take(&mut self.worked)
    }
}

/// Watches for as long as the process runs.
pub async fn watch() {
    let Some(used) = processor_time() else { return };
    let mut work = Work::new(used, Instant::now());
    let mut looks = tokio::time::interval(PERIOD);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    looks.tick().await;
    loop {
        looks.tick().await;
        let Some(used) = processor_time() else { return };
        if work.ended(used, Instant::now()) {
            ASKED.fetch_add(1, Ordering::Relaxed);
            for _ in 0..WAKES {
                tokio::spawn(std::future::ready(()));
            }
            release_program();
        }
    }
}

/// For the runtime's threads to call before they sleep: returns what the allocator keeps for the thread, if asked.
pub fn on_park() {
    let asked = ASKED.load(Ordering::Relaxed);
    if ANSWERED.replace(asked) != asked {
        #[expect(unsafe_code, reason = "the allocator's door is a C function")]
        // SAFETY: takes no pointer and may be called by any thread at any time.
        unsafe {
            libmimalloc_sys::mi_collect(true);
        }
    }
}

fn processor_time() -> Option<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(Duration::from_micros(u64::try_from(micros).ok()?))
}

/// Lets go of the program as far as it is mapped; what is used next is mapped again.
pub fn release_program() {
    let (Ok(program), Ok(maps)) = (
        fs::read_link("/proc/self/exe"),
        fs::read_to_string("/proc/self/maps"),
    ) else {
        return;
    };
    for range in unwritten(&maps, &program.to_string_lossy()) {
        #[expect(unsafe_code, reason = "advice about memory is a system call on addresses")]
        // SAFETY: no page of the mapping differs from the file, and the kernel maps each again when it is used.
        let advised = unsafe {
            nix::libc::madvise(
                std::ptr::without_provenance_mut(range.start),
                range.len(),
                nix::libc::MADV_DONTNEED,
            )
        };
        if advised != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "Cannot let go of the mapped program");
        }
    }
}

/// The addresses at which `maps` (the text of `/proc/<pid>/maps`) has parts of `program` that were never written:
/// instructions, and the constants that begin the file. Other constants may hold addresses, which the start filled in
/// before it made them read-only.
fn unwritten(maps: &str, program: &str) -> Vec<Range<usize>> {
    maps.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let (permissions, offset) = (fields.next()?, fields.next()?);
            let untouched = match permissions {
                "r-xp" => true,
                "r--p" => offset.bytes().all(|digit| digit == b'0'),
                _ => false,
            };
            // A path may hold spaces.
            let path = line.split_once('/').map(|(_, path)| path)?;
            if !untouched || program.strip_prefix('/')? != path {
                return None;
            }
            let address = |text| usize::from_str_radix(text, 16).ok();
            Some(address(start)?..address(end)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_written_of_the_program_itself() {
        let maps = "\
7f2d00000000-7f2d00400000 r--p 00000000 fe:00 42                         /opt/my programs/spindrift
7f2d00400000-7f2d03400000 r-xp 00400000 fe:00 42                         /opt/my programs/spindrift
7f2d03400000-7f2d03480000 r--p 03400000 fe:00 42                         /opt/my programs/spindrift
7f2d03480000-7f2d03500000 rw-p 03480000 fe:00 42                         /opt/my programs/spindrift
7f2d04000000-7f2d04100000 r-xp 00000000 fe:00 43                         /lib/libc.so.6
7f2d05000000-7f2d05100000 rwxp 00000000 fe:00 42                         /opt/my programs/spindrift
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
nonsense
";
        assert_eq!(
            unwritten(maps, "/opt/my programs/spindrift"),
            vec![
                0x7f2d_0000_0000..0x7f2d_0040_0000,
                0x7f2d_0040_0000..0x7f2d_0340_0000
            ]
        );
        assert!(unwritten(maps, "/opt/other").is_empty());
    }

    #[test]
    fn memory_is_given_back_once_after_each_work() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut work = Work::new(Duration::ZERO, start);
        let looks = [
            // (second, processor time in ms so far, given back)
            (5, 900, false),
            (10, 920, true),
            (15, 940, false),
            (20, 1940, false),
            (25, 1950, true),
            (30, 1950, false),
        ];
        for (second, used, expected) in looks {
            assert_eq!(
                work.ended(Duration::from_millis(used), at(second)),
                expected,
                "second {second}"
            );
        }
    }

    #[test]
    fn what_was_let_go_still_runs() {
        release_program();
        ASKED.fetch_add(1, Ordering::Relaxed);
        on_park();
        assert!(processor_time().is_some());
    }
}
