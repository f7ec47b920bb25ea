//! What a running instance tells later commands: a small file in its data folder.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

const NAME: &str = "run.json";
/// How often a wait for another process looks.
const LOOK: Duration = Duration::from_millis(20);

/// A running instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    pub pid: i32,
    /// When the process started, in clock ticks since boot: a later process with the same pid has another one.
    pub started: u64,
    pub version: String,
    /// Whether everything is up.
    pub ready: bool,
    pub api_url: String,
    /// `None` for a bare cluster.
    pub gateway_url: Option<String>,
    pub registry: String,
    pub kubeconfig: PathBuf,
}

impl Run {
    /// The description of this process.
    pub fn of_this_process() -> anyhow::Result<(i32, u64)> {
        let pid = i32::try_from(std::process::id()).context("the process id does not fit")?;
        let started = start_time(pid).context("cannot read /proc: is it mounted?")?;
        Ok((pid, started))
    }

    /// Stores the file; a reader sees the old or the new one, never half of it.
    pub fn write(&self, data_dir: &Path) -> anyhow::Result<()> {
        let path = data_dir.join(NAME);
        let temporary = data_dir.join(format!("{NAME}.new"));
        std::fs::write(&temporary, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// The instance of `data_dir`, if one has left its file; it may be dead, see [`Run::alive`].
    pub fn read(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = data_dir.join(NAME);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(
                serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?,
            )),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Removes the file.
    pub fn remove(data_dir: &Path) {
        let _ = std::fs::remove_file(data_dir.join(NAME));
    }

    /// Whether the very process that wrote the file still runs.
    pub fn alive(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Asks the process to stop, and waits until it has.
    ///
    /// # Errors
    /// If it may not be signalled, or is still there after `patience`.
    pub async fn stop(&self, patience: Duration) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)
            .with_context(|| format!("cannot stop process {}: try as the user who started it", self.pid))?;
        let deadline = tokio::time::Instant::now() + patience;
        while self.alive() {
            if tokio::time::Instant::now() > deadline {
                anyhow::bail!(
                    "process {} has not stopped within {patience:?}; `kill -9 {}` and run this again",
                    self.pid,
                    self.pid
                );
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Field 22 of `/proc/<pid>/stat`; `None` if there is no such process, or only its remains.
fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in the second field may hold blanks and brackets; what follows its last bracket does not.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" {
        None
    } else {
        fields.nth(18)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_the_same_number() {
        let (pid, started) = Run::of_this_process().unwrap();
        let mut run = Run {
            pid,
            started,
            version: "0".into(),
            ready: true,
            api_url: String::new(),
            gateway_url: None,
            registry: String::new(),
            kubeconfig: PathBuf::new(),
        };
        assert!(run.alive());
        let dir = tempfile::tempdir().unwrap();
        run.write(dir.path()).unwrap();
        assert_eq!(Run::read(dir.path()).unwrap().as_ref(), Some(&run));
        run.started += 1;
        assert!(!run.alive());
        Run::remove(dir.path());
        assert_eq!(Run::read(dir.path()).unwrap(), None);
    }
}
