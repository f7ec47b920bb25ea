//! The platform as separate processes against a bare cluster, as Deployments would run it: nothing may hide in shared
//! memory, each process may be killed at any time, and each has an account of its own.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::{cases, eventually, suite};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Busybox,
    Need::Buildah,
    Need::Git,
];

#[path = "separate/builds.rs"]
mod builds;
#[path = "separate/events.rs"]
mod events;
#[path = "separate/pipelines.rs"]
mod pipelines;
#[path = "separate/processes.rs"]
mod processes;
#[path = "separate/rights.rs"]
mod rights;

use builds::a_folder_becomes_a_service;
use events::{
    a_request_gets_an_answer, an_event_waits_for_what_makes_its_job,
    no_accepted_event_is_lost_when_components_of_events_are_killed,
};
use pipelines::{
    a_task_from_elsewhere_runs_and_is_remembered, an_event_listener_makes_what_its_triggers_say,
};
use processes::{finish, platform};
use rights::{
    accounts_may_do_all_they_need, accounts_may_do_no_more_than_they_need, kinds_of_events_become_ready,
};

fn separate_processes_serve_refuse_scale_to_zero_and_wake() -> anyhow::Result<()> {
    let platform = platform()?;
    let platform = platform.as_ref().context("it does not run")?;
    platform.create("web")?;
    ensure!(platform.ask("web")? == "Hello World!");
    platform.refused()?;
    platform.at_zero("web")?;
    ensure!(platform.ask("web")? == "Hello World!", "the gateway wakes it");
    platform.at_zero("web")?;
    ensure!(
        platform.ask_revision("web-00001")? == "Hello World!",
        "the activator wakes it"
    );
    platform.program("kn", &["service", "delete", "web"])?.ok()?;
    Ok(())
}

fn every_component_may_be_killed_and_started_again() -> anyhow::Result<()> {
    let mut platform = platform()?;
    let platform = platform.as_mut().context("it does not run")?;
    platform.create("tough")?;
    ensure!(platform.ask("tough")? == "Hello World!");

    // Nobody but the gateway is needed for what runs already.
    for name in ["webhook", "controller", "autoscaler", "activator"] {
        platform.kill(name)?;
        ensure!(platform.ask("tough")? == "Hello World!", "without {name}");
    }
    // Writes wait for the webhook: without it nothing unchecked gets in.
    let update = ["service", "update", "tough", "--env", "TARGET=again"];
    let unchecked = platform.program("kn", &update)?;
    ensure!(
        unchecked.code != 0 && unchecked.stderr.contains("failed calling webhook"),
        "{}",
        unchecked.text()
    );
    for name in ["webhook", "controller", "autoscaler", "activator"] {
        platform.start_again(name)?;
    }
    platform.refused()?;
    platform.program("kn", &update)?.ok()?;
    ensure!(platform.ask("tough")? == "Hello again!");
    platform.at_zero("tough")?;
    ensure!(platform.ask_revision("tough-00002")? == "Hello again!");

    platform.kill("gateway")?;
    ensure!(platform.ask("tough").is_err(), "somebody else answers");
    platform.start_again("gateway")?;
    eventually("the gateway to know its routes", || {
        ensure!(platform.ask("tough")? == "Hello again!");
        Ok(())
    })?;
    platform.at_zero("tough")?;
    ensure!(platform.ask("tough")? == "Hello again!");
    platform.program("kn", &["service", "delete", "tough"])?.ok()?;
    Ok(())
}
fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            separate_processes_serve_refuse_scale_to_zero_and_wake,
            every_component_may_be_killed_and_started_again,
            no_accepted_event_is_lost_when_components_of_events_are_killed,
            an_event_waits_for_what_makes_its_job,
            a_request_gets_an_answer,
            a_task_from_elsewhere_runs_and_is_remembered,
            an_event_listener_makes_what_its_triggers_say,
            a_folder_becomes_a_service,
            kinds_of_events_become_ready,
            accounts_may_do_no_more_than_they_need,
            accounts_may_do_all_they_need,
        ]],
        finish,
    )
}
