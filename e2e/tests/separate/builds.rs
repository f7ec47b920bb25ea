//! What takes pushes, as a process of its own.

use anyhow::{Context, ensure};
use e2e::programs::programs;
use e2e::{block_on, eventually, run};
use registries::Registry;
use serde_json::json;

use super::processes::{Separate, log, platform, spindrift};

impl Separate {
    /// The image that builds run in; made of packages of this machine.
    pub(super) fn builder_image(&self) -> anyhow::Result<String> {
        let made = run(spindrift()?
            .args(["image", "builder", "--data-dir"])
            .arg(&self.data_dir))?
        .ok()?;
        Ok(made.lines().last().context("no image")?.to_owned())
    }

    /// Where pods reach the registry.
    pub(super) fn pods_port(&self) -> anyhow::Result<u16> {
        let port = std::fs::read_to_string(self.data_dir.join("registry-pods-port"))?;
        Ok(port.trim().parse()?)
    }
}

pub(super) fn a_folder_becomes_a_service() -> anyhow::Result<()> {
    let mut platform = platform()?;
    let platform = platform.as_mut().context("it does not run")?;
    let folder = tempfile::tempdir()?;
    std::fs::copy(programs()?.join("hello"), folder.path().join("web"))?;
    let packed = source::pack(folder.path(), &source::Limits::default())?;
    let repository = format!("{}/default/apart-source", platform.registry);
    let artifact = block_on(async { Ok(source::push(&packed, &repository, &Registry::new(), None).await?) })?;
    platform.apply(&json!({
        "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "built"},
        "spec": {"source": artifact, "service": "built"},
    }))?;
    // Whoever comes next goes on with what was begun.
    platform.kill("push-controller")?;
    platform.start_again("push-controller")?;
    eventually("the Service to answer", || {
        let answer = platform.ask("built")?;
        ensure!(
            answer.contains("Hello World!"),
            "{answer} {}",
            log(&platform.data_dir, "push-controller")
        );
        Ok(())
    })
}
