//! Domains of one's own: from the claim to the answer, with the programs that people use.

use std::process::ExitCode;

use anyhow::ensure;
use e2e::tools::Need;
use e2e::{Platform, Workload, cases, eventually, shared, stop_shared, suite};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
const DOMAIN: &str = "shop.example.com";

fn answers(platform: &Platform, wanted: &str) -> anyhow::Result<()> {
    eventually("the domain to answer", || {
        let answer = platform.curl(DOMAIN, "/", &["-w", " %{http_code}"])?.ok()?;
        ensure!(answer.contains(wanted), "{answer} instead of {wanted}");
        Ok(())
    })
}

fn a_claimed_domain_leads_to_its_service_also_from_zero() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = format!("{}/hello", platform.registry());
    for (name, target) in [("blue", "blue"), ("green", "green")] {
        Workload::new(name, &image)
            .env("TARGET", target)
            .annotation("autoscaling.knative.dev/initial-scale", "0")
            .small()
            .deploy(platform)?;
    }

    let create = ["domain", "create", DOMAIN, "--ref", "ksvc:blue"];
    let created = platform.kn(&create)?;
    ensure!(created.stderr.contains("kn domain claim"), "{}", created.stderr);
    created.ok()?;
    eventually("the missing claim to be told", || {
        let described = platform.kn(&["domain", "describe", DOMAIN])?.ok()?;
        ensure!(described.contains("DomainClaimFailed"), "{described}");
        Ok(())
    })?;
    let refused = platform.curl(DOMAIN, "/", &["-o", "/dev/null", "-w", "%{http_code}"])?;
    ensure!(refused.ok()? == "404", "nobody has claimed it");

    platform.kn(&["domain", "claim", DOMAIN])?.ok()?;
    platform
        .kubectl(&[
            "wait",
            "domainmapping",
            DOMAIN,
            "--for=condition=Ready",
            "--timeout=60s",
        ])?
        .ok()?;
    answers(platform, "Hello blue!")?;
    let listed = platform.kn(&["domain", "list"])?.ok()?;
    ensure!(listed.contains(&format!("http://{DOMAIN}")), "{listed}");

    platform
        .kn(&["domain", "update", DOMAIN, "--ref", "ksvc:green"])?
        .ok()?;
    answers(platform, "Hello green!")?;
    platform.kn(&["domain", "delete", DOMAIN])?.ok()?;
    answers(platform, "404")
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [a_claimed_domain_leads_to_its_service_also_from_zero]],
        stop_shared,
    )
}
