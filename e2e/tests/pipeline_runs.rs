//! PipelineRuns as people start them: kubectl, YAML, and an image of the embedded registry.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::display::{ids, is_ready, printed, subscriber};
use e2e::tools::Need;
use e2e::{Options, Platform, busybox, cases, eventually, shared, stop_shared, suite, turn};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];

/// The platform, with an image that has a shell.
fn platform() -> anyhow::Result<(&'static Platform, String)> {
    let platform = shared()?;
    let _turn = turn();
    let image = busybox::load(platform, "busybox:pipelines")?;
    Ok((platform, image))
}

fn create(platform: &Platform, name: &str, spec: &Value) -> anyhow::Result<()> {
    let run = json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": name}, "spec": spec});
    platform.apply(&run.to_string(), &[])?.ok().map(drop)
}

fn ended(platform: &Platform, name: &str) -> anyhow::Result<Value> {
    eventually(&format!("the end of {name}"), || {
        let run = platform.get(&["pipelinerun", name])?;
        let status = &run["status"]["conditions"][0]["status"];
        ensure!(status == "True" || status == "False", "{}", run["status"]);
        Ok(run)
    })
}

/// Checks status, reason and message of a run that has ended.
fn expect(run: &Value, status: &str, reason: &str, message: &str) -> anyhow::Result<()> {
    let condition = &run["status"]["conditions"][0];
    ensure!(
        condition["type"] == "Succeeded"
            && condition["status"] == status
            && condition["reason"] == reason
            && condition["message"] == message
            && run["status"]["completionTime"].is_string(),
        "not {status} {reason} {message:?}: {}",
        run["status"]
    );
    Ok(())
}

/// The task runs of a run by the names of their tasks.
fn task_runs(platform: &Platform, run: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let list = platform.get(&["taskrun", "-l", &format!("tekton.dev/pipelineRun={run}")])?;
    let all = list["items"].as_array().context("no list")?.iter();
    let task = |item: &Value| {
        item["metadata"]["labels"]["tekton.dev/pipelineTask"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    Ok(all.map(|item| (task(item), item.clone())).collect())
}

fn script(name: &str, image: &str, script: &str) -> Value {
    json!({"name": name, "taskSpec": {"steps": [{"name": "s", "image": image, "script": script}]}})
}

fn results_flow_from_task_to_task_and_out() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let manifest = format!(
        r#"
apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: say
spec:
  params: [{{name: text}}]
  results: [{{name: said}}]
  steps:
    - name: say
      image: {image}
      env: [{{name: TEXT, value: $(params.text)}}]
      script: printf '%s' "$TEXT" > $(results.said.path)
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata:
  name: talk
spec:
  params:
    - {{name: who}}
    - {{name: moods, type: array, default: [glad, sad]}}
  workspaces: [{{name: desk}}]
  tasks:
    - name: greet
      taskRef: {{name: say}}
      params: [{{name: text, value: "hello $(params.who)"}}]
    - name: moods
      taskRef: {{name: say}}
      matrix: {{params: [{{name: text, value: ["$(params.moods[*])"]}}]}}
    - name: never
      runAfter: [greet]
      when: [{{input: $(tasks.greet.results.said), operator: in, values: [bye]}}]
      taskRef: {{name: say}}
      params: [{{name: text, value: never}}]
    - name: sum
      workspaces: [{{name: desk, subPath: sums}}]
      taskSpec:
        workspaces: [{{name: desk}}]
        results: [{{name: all}}]
        steps:
          - name: write
            image: {image}
            args: ["$(tasks.moods.results.said[*])", "$(tasks.greet.results.said)"]
            script: for word; do printf '%s;' "$word"; done > $(workspaces.desk.path)/sum
          - name: read
            image: {image}
            script: cat $(workspaces.desk.path)/sum > $(results.all.path)
  finally:
    - name: tell
      taskRef: {{name: say}}
      params: [{{name: text, value: "$(tasks.status) $(tasks.never.status) $(tasks.sum.reason)"}}]
  results:
    - {{name: all, value: "<$(tasks.sum.results.all)>"}}
    - {{name: end, value: $(finally.tell.results.said)}}
"#
    );
    platform.apply(&manifest, &[])?.ok()?;
    let spec = json!({
        "pipelineRef": {"name": "talk"},
        "params": [{"name": "who", "value": "you; $(date)"}],
        "workspaces": [{"name": "desk", "emptyDir": {}}],
    });
    create(platform, "talk-1", &spec)?;
    let run = ended(platform, "talk-1")?;
    expect(
        &run,
        "True",
        "Completed",
        "Tasks Completed: 4 (Failed: 0, Cancelled 0), Skipped: 1",
    )?;
    let status = &run["status"];
    let results = json!([
        {"name": "all", "value": "<glad;sad;hello you; $(date);>"},
        {"name": "end", "value": "Completed None Succeeded"},
    ]);
    ensure!(status["results"] == results, "{status}");
    ensure!(
        status["skippedTasks"][0]["reason"] == "When Expressions evaluated to false",
        "{status}"
    );
    let children: Vec<&str> = status["childReferences"]
        .as_array()
        .context("no children")?
        .iter()
        .filter_map(|child| child["name"].as_str())
        .collect();
    let expected = [
        "talk-1-greet",
        "talk-1-moods-0",
        "talk-1-moods-1",
        "talk-1-sum",
        "talk-1-tell",
    ];
    ensure!(children == expected, "{children:?}");
    Ok(())
}

fn a_failure_is_told_and_finally_runs() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let mut flaky = script("flaky", &image, "[ $(context.task.retry-count) = 1 ]");
    flaky["retries"] = json!(2);
    let mut ignored = script("ignored", &image, "exit 3");
    ignored["onError"] = json!("continue");
    let mut after = script("after", &image, "true");
    after["runAfter"] = json!(["fails"]);
    let spec = json!({"pipelineSpec": {
        "tasks": [flaky, ignored, script("fails", &image, "exit 1"), after],
        "finally": [script("clean", &image, "true")],
    }});
    create(platform, "fails", &spec)?;
    let run = ended(platform, "fails")?;
    let message = "Tasks Completed: 4 (Failed: 2 (Ignored: 1), Cancelled 0), Skipped: 1";
    expect(&run, "False", "Failed", message)?;
    for (task, child) in task_runs(platform, "fails")? {
        let reason = child["status"]["conditions"][0]["reason"]
            .as_str()
            .unwrap_or_default();
        let wanted = match task.as_str() {
            "flaky" | "clean" => "Succeeded",
            "ignored" => "FailureIgnored",
            _ => "StepFailed",
        };
        ensure!(reason == wanted, "{task}: {}", child["status"]);
    }
    Ok(())
}

fn a_run_can_be_cancelled_with_and_without_finally() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    for (name, mode, finally) in [
        ("at-once", "Cancelled", 0),
        ("gracefully", "CancelledRunFinally", 1),
    ] {
        let spec = json!({"pipelineSpec": {
            "tasks": [script("long", &image, "sleep 600")],
            "finally": [script("clean", &image, "true")],
        }});
        create(platform, name, &spec)?;
        eventually("the long task", || {
            let runs = task_runs(platform, name)?;
            let long = runs.first().context("no task run")?;
            ensure!(
                long.1["status"]["conditions"][0]["reason"] == "Running",
                "{}",
                long.1["status"]
            );
            Ok(())
        })?;
        let patch = json!({"spec": {"status": mode}}).to_string();
        platform
            .kubectl(&["patch", "pipelinerun", name, "--type=merge", "-p", &patch])?
            .ok()?;
        let run = ended(platform, name)?;
        ensure!(
            run["status"]["conditions"][0]["reason"] == "Cancelled",
            "{}",
            run["status"]
        );
        eventually("the end of the long task", || {
            let runs = task_runs(platform, name)?;
            let long = runs
                .iter()
                .find(|(task, _)| task == "long")
                .context("no task run")?;
            ensure!(
                long.1["status"]["conditions"][0]["reason"] == "TaskRunCancelled",
                "{}",
                long.1["status"]
            );
            Ok(())
        })?;
        let runs = task_runs(platform, name)?;
        ensure!(runs.len() == 1 + finally, "{} task runs", runs.len());
    }
    Ok(())
}

fn the_time_of_the_tasks_is_kept() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({
        "timeouts": {"pipeline": "1m", "tasks": "4s"},
        "pipelineSpec": {"tasks": [script("long", &image, "sleep 600")], "finally": [script("clean", &image, "true")]},
    });
    create(platform, "slow", &spec)?;
    let run = ended(platform, "slow")?;
    ensure!(
        run["status"]["conditions"][0]["reason"] == "PipelineRunTimeout",
        "{}",
        run["status"]
    );
    ensure!(task_runs(platform, "slow")?.len() == 2, "{}", run["status"]);
    Ok(())
}

/// The pods of tasks that share a claim are beside an assistant, which goes when the run ends.
fn tasks_that_share_a_claim_are_beside_an_assistant() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let keep = |how: &str| {
        let patch = json!({"data": {"coschedule": how}}).to_string();
        let map = ["-n", "tekton-pipelines", "patch", "configmap", "feature-flags"];
        platform
            .kubectl(&[&map[..], &["--type=merge", "-p", &patch]].concat())?
            .ok()
    };
    keep("workspaces")?;
    let done = beside_an_assistant(platform, &image);
    keep("disabled")?;
    done
}

fn beside_an_assistant(platform: &Platform, image: &str) -> anyhow::Result<()> {
    let mut write = script(
        "write",
        image,
        "echo $(context.taskRun.name) > $(workspaces.shared.path)/said",
    );
    let mut read = script(
        "read",
        image,
        "test $(cat $(workspaces.shared.path)/said) = $(context.pipelineRun.name)-write; sleep 2",
    );
    (write["workspaces"], read["workspaces"]) = (json!([{"name": "shared"}]), json!([{"name": "shared"}]));
    read["runAfter"] = json!(["write"]);
    let claim =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}});
    let spec = json!({
        "pipelineSpec": {"workspaces": [{"name": "shared"}], "tasks": [write, read]},
        "workspaces": [{"name": "shared", "volumeClaimTemplate": claim}],
    });
    // The controller may not have seen the flag yet.
    let mut tries = 0;
    let (run, assistant) = eventually("a run with an assistant", || {
        tries += 1;
        let run = format!("beside-{tries}");
        create(platform, &run, &spec)?;
        let first = eventually("its first task run", || {
            let runs = task_runs(platform, &run)?;
            runs.into_iter()
                .find(|(task, _)| task == "write")
                .context("not yet")
        })?;
        let notes = &first.1["metadata"]["annotations"];
        let assistant = notes["pipeline.tekton.dev/affinity-assistant"].as_str();
        Ok((run, assistant.context("no assistant")?.to_owned()))
    })?;
    let pod = eventually("its pod", || platform.get(&["pod", &format!("{run}-write-pod")]))?;
    let near = &pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    ensure!(
        near["labelSelector"]["matchLabels"]["app.kubernetes.io/instance"] == assistant.as_str(),
        "{}",
        pod["spec"]
    );
    let set = platform.get(&["statefulset", &assistant])?;
    ensure!(
        set["metadata"]["ownerReferences"][0]["name"] == run.as_str(),
        "{set}"
    );
    let ended = ended(platform, &run)?;
    expect(
        &ended,
        "True",
        "Succeeded",
        "Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0",
    )?;
    eventually("the end of the assistant", || {
        let left = platform.kubectl(&[
            "get",
            "sts,pod",
            "-o",
            "name",
            "-l",
            "app.kubernetes.io/component=affinity-assistant",
        ])?;
        let left = left.ok()?;
        ensure!(!left.contains(&assistant), "{left}");
        Ok(())
    })
}

/// Everything is killed in the middle: what was done is not done again, and the rest follows.
fn a_run_goes_on_after_everything_was_killed() -> anyhow::Result<()> {
    let mut platform = Platform::start(Options::default())?;
    let image = busybox::load(&platform, "busybox:pipelines")?;
    let (mut second, mut third) = (
        script("second", &image, "sleep 3"),
        script("third", &image, "true"),
    );
    second["runAfter"] = json!(["first"]);
    third["runAfter"] = json!(["second"]);
    let spec = json!({"pipelineSpec": {"tasks": [script("first", &image, "true"), second, third]}});
    create(&platform, "killed", &spec)?;
    let first = eventually("the second task", || {
        let runs = task_runs(&platform, "killed")?;
        let of = |name: &str| {
            runs.iter()
                .find(|(task, _)| task == name)
                .map(|(_, run)| run.clone())
        };
        of("second").context("not yet")?;
        of("first").context("no first task")
    })?;
    platform.kill()?;
    platform.restart()?;
    let run = ended(&platform, "killed")?;
    expect(
        &run,
        "True",
        "Succeeded",
        "Tasks Completed: 3 (Failed: 0, Cancelled 0), Skipped: 0",
    )?;
    let runs = task_runs(&platform, "killed")?;
    ensure!(runs.len() == 3, "{} task runs", runs.len());
    let again = runs
        .iter()
        .find(|(task, _)| task == "first")
        .context("no first task")?;
    ensure!(again.1["status"] == first["status"], "{}", again.1["status"]);
    platform.stop()
}

/// A namespace that keeps one run: the older one is pruned, and what it said can still be read.
fn what_is_pruned_can_still_be_read() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let manifest = r#"
apiVersion: v1
kind: Namespace
metadata: {name: pruned}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: tekton-pruner-namespace-spec
  namespace: pruned
  labels: {app.kubernetes.io/part-of: tekton-pruner, pruner.tekton.dev/config-type: namespace}
data:
  ns-config: |
    historyLimit: 1
"#;
    platform.apply(manifest, &[])?.ok()?;
    let names = ["first", "second"];
    for name in names {
        let run = json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": name, "namespace": "pruned"},
            "spec": {"pipelineSpec": {"tasks": [script("talk", &image, &format!("echo {name} line; echo {name} end"))]}}});
        platform.apply(&run.to_string(), &[])?.ok()?;
        eventually(&format!("the end of {name}"), || {
            let runs = platform.get(&["pipelineruns", "-n", "pruned"])?;
            let runs = runs["items"].as_array().context("no list")?;
            let found = runs
                .iter()
                .find(|run| run["metadata"]["name"] == name)
                .context("it is gone")?;
            ensure!(
                found["status"]["conditions"][0]["status"] == "True",
                "{}",
                found["status"]
            );
            Ok(())
        })?;
    }
    eventually("the older run to be pruned, with all it made", || {
        for (kind, left) in [("pipelineruns", 1), ("taskruns", 1), ("pods", 1)] {
            let found = platform.get(&[kind, "-n", "pruned"])?;
            let found = found["items"].as_array().context("no list")?.len();
            ensure!(found == left, "{found} {kind}");
        }
        Ok(())
    })?;
    for name in names {
        let logs = platform.kn(&["pipelinerun", "logs", name, "-n", "pruned"])?;
        let expected = format!("[talk : s] {name} line\n[talk : s] {name} end\n");
        let text = logs.ok()?;
        ensure!(text == expected, "{text:?}");
    }
    // A pod that somebody deletes leaves its log behind, too.
    platform
        .kubectl(&["delete", "pods", "--all", "-n", "pruned"])?
        .ok()?;
    let logs = platform
        .kn(&["taskrun", "logs", "second-talk", "-n", "pruned"])?
        .ok()?;
    ensure!(logs == "[s] second line\n[s] second end\n", "{logs:?}");
    let missing = platform.kn(&["pipelinerun", "logs", "third", "-n", "pruned"])?;
    ensure!(missing.code == 3, "{}", missing.text());
    Ok(())
}

fn a_broker_is_told_what_becomes_of_runs() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    platform.kn(&["broker", "create", "runs"])?.ok()?;
    subscriber(platform, "told")?;
    let trigger = "trigger create told --broker runs --sink ksvc:told --filter type=dev.tekton.event.pipelinerun.successful.v1";
    platform.kn(&trigger.split(' ').collect::<Vec<_>>())?.ok()?;
    is_ready(platform, &["broker/runs", "trigger/told"])?;
    let broker = platform.get(&["broker", "runs"])?;
    let sink = |url: &Value| {
        let change = json!({"data": {"sink": url}}).to_string();
        let map = ["patch", "configmap", "config-events", "-n", "tekton-pipelines"];
        let patch = ["--type=merge", "-p", change.as_str()];
        platform.kubectl(&[&map[..], &patch[..]].concat())?.ok()
    };
    sink(&broker["status"]["address"]["url"])?;
    create(
        platform,
        "told",
        &json!({"pipelineSpec": {"tasks": [script("a", &image, "true")]}}),
    )?;
    let run = ended(platform, "told")?;
    let uid = run["metadata"]["uid"].as_str().context("no uid")?;
    let told = format!("{uid}-successful");
    eventually("the event of the end", || {
        let text = printed(platform, "told")?;
        ensure!(ids(&text).contains(&told), "{text}");
        Ok(())
    })?;
    sink(&json!(""))?;
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            results_flow_from_task_to_task_and_out,
            a_failure_is_told_and_finally_runs,
            a_run_can_be_cancelled_with_and_without_finally,
            the_time_of_the_tasks_is_kept,
            tasks_that_share_a_claim_are_beside_an_assistant,
            a_run_goes_on_after_everything_was_killed,
            what_is_pruned_can_still_be_read,
            a_broker_is_told_what_becomes_of_runs,
        ]],
        stop_shared,
    )
}
