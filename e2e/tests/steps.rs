//! What the steps of a TaskRun find, and what they leave: sidecars, workspaces, claims, credentials, results.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::task_runs::{ended, expect, name_of, pipeline_run_of, platform, run_of};
use e2e::tools::Need;
use e2e::{cases, eventually, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox];

fn steps_wait_for_sidecars_which_end_with_them() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let spec = json!({"taskSpec": {
        "results": [{"name": "page"}],
        "sidecars": [{
            "name": "server", "image": image,
            "script": "sleep 1; echo -n served > /tmp/page; exec httpd -f -p 8080 -h /tmp",
            "readinessProbe": {"httpGet": {"path": "/page", "port": 8080}, "periodSeconds": 1},
        }],
        // At the very first try: the server is there before the step begins.
        "steps": [{"name": "s", "image": image, "script": "wget -q -O $(results.page.path) http://127.0.0.1:8080/page"}],
    }});
    let run = ended(platform, &run_of("sidecar", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    ensure!(
        run["status"]["results"][0]["value"] == "served",
        "{}",
        run["status"]
    );
    let pod = run["status"]["podName"].as_str().context("no pod")?;
    eventually("the end of the sidecar", || {
        let pod = platform.get(&["pod", pod])?;
        ensure!(pod["status"]["phase"] == "Succeeded", "{}", pod["status"]);
        Ok(())
    })
}

fn workspaces_are_where_the_task_wants_them() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    for line in [
        "create configmap task-settings --from-literal=colour=blue",
        "create secret generic task-secret --from-literal=word=hush",
    ] {
        platform.kubectl(&line.split(' ').collect::<Vec<_>>())?.ok()?;
    }
    let spec = json!({
        "workspaces": [
            {"name": "settings", "configMap": {"name": "task-settings"}},
            {"name": "secret", "secret": {"secretName": "task-secret"}},
            {"name": "scratch", "emptyDir": {}, "subPath": "deep"},
        ],
        "taskSpec": {
            "workspaces": [{"name": "settings"}, {"name": "secret", "mountPath": "/hidden"}, {"name": "scratch"},
                           {"name": "none", "optional": true}],
            "results": [{"name": "all"}],
            "steps": [
                {"name": "one", "image": image, "script": "echo kept > $(workspaces.scratch.path)/file"},
                {"name": "two", "image": image, "workingDir": "made/here",
                 "script": "echo $(cat $(workspaces.settings.path)/colour /hidden/word) \
                            $(cat /workspace/scratch/file) $(workspaces.none.bound) $PWD > $(results.all.path)"},
            ],
        },
    });
    let run = ended(platform, &run_of("workspaces", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let all = &run["status"]["results"][0]["value"];
    ensure!(*all == "bluehush kept false /workspace/made/here\n", "{all}");
    Ok(())
}

fn a_step_can_leave_its_command_to_its_image() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    // The image has a Cmd and no entrypoint, so arguments take the place of all of it.
    let spec = json!({"taskSpec": {
        "results": [{"name": "said"}],
        "steps": [{"name": "s", "image": image, "args": ["sh", "-c", "echo -n own > $(results.said.path)"]}],
    }});
    let run = ended(platform, &run_of("own-command", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    ensure!(run["status"]["results"][0]["value"] == "own", "{}", run["status"]);
    let pod = run["status"]["podName"].as_str().context("no pod")?;
    let pinned = platform.get(&["pod", pod])?["spec"]["containers"][0]["image"].clone();
    ensure!(
        pinned.as_str().is_some_and(|name| name.contains("@sha256:")),
        "{pinned}"
    );
    let spec = json!({"taskSpec": {
        "steps": [{"name": "s", "image": format!("{}/nowhere:never", platform.registry())}],
    }});
    let run = ended(platform, &run_of("no-command", spec))?;
    expect(&run, "False", "TaskRunImagePullFailed", "404")
}

fn a_claim_is_made_for_a_run_and_goes_with_it() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    // As another user, who must be able to write, too.
    let security = json!({"runAsUser": 1234});
    let spec = json!({
        "retries": 1,
        "workspaces": [{"name": "kept", "volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}},
        }}}],
        "taskSpec": {
            "workspaces": [{"name": "kept"}],
            "results": [{"name": "count"}],
            "steps": [{"name": "s", "image": image, "securityContext": security,
                "script": "cd $(workspaces.kept.path); echo x >> file; cat file > $(results.count.path); \
                           test $(context.task.retry-count) = 1"}],
        },
    });
    let run = ended(platform, &run_of("claims", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    // The attempts share it.
    ensure!(
        run["status"]["results"][0]["value"] == "x\nx\n",
        "{}",
        run["status"]
    );
    let uid = run["metadata"]["uid"].as_str().unwrap_or_default();
    let of_run = || -> anyhow::Result<Vec<Value>> {
        let all = platform.get(&["pvc"])?["items"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(all
            .into_iter()
            .filter(|claim| claim["metadata"]["ownerReferences"][0]["uid"] == uid)
            .collect())
    };
    let claims = of_run()?;
    ensure!(
        claims.len() == 1 && claims[0]["status"]["phase"] == "Bound",
        "{claims:?}"
    );
    let volume = claims[0]["spec"]["volumeName"].as_str().context("no volume")?;
    let directory = platform.data_dir().join("volumes").join(volume);
    ensure!(directory.join("file").is_file(), "{}", directory.display());
    let name = run["metadata"]["name"].as_str().context("no name")?;
    platform.kubectl(&["delete", "taskrun", name])?.ok()?;
    eventually("the directory to go", || {
        ensure!(
            of_run()?.is_empty() && !directory.exists(),
            "{}",
            directory.display()
        );
        Ok(())
    })
}

fn a_step_can_be_a_step_action() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let action = format!(
        r#"
apiVersion: tekton.dev/v1beta1
kind: StepAction
metadata:
  name: greet-action
spec:
  params:
    - name: who
    - name: word
      default: hello
  results:
    - name: said
  image: {image}
  env:
    - name: WHO
      value: $(params.who)
  args: ["$(params.word)"]
  script: |
    printf '%s %s' "$1" "$WHO" > $(step.results.said.path)
"#
    );
    platform.apply(&action, &[])?.ok()?;
    let spec = json!({
        "params": [{"name": "name", "value": "you; rm -rf /"}],
        "taskSpec": {
            "results": [{"name": "said", "value": "$(steps.greet.results.said)"}],
            "steps": [
                {"name": "greet", "ref": {"name": "greet-action"}, "params": [{"name": "who", "value": "$(params.name)"}]},
                {"name": "read", "image": image, "env": [{"name": "SAID", "value": "$(steps.greet.results.said)"}],
                 "script": "test \"$SAID\" = 'hello you; rm -rf /'"},
            ],
        },
    });
    let run = ended(platform, &run_of("action", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let status = &run["status"];
    ensure!(status["results"][0]["value"] == "hello you; rm -rf /", "{status}");
    ensure!(
        status["taskSpec"]["steps"][0]["image"] == image.as_str(),
        "{status}"
    );
    for (reference, params, words) in [
        ("nowhere", json!([]), "nowhere"),
        (
            "greet-action",
            json!([]),
            "missing parameters which have no default values: who",
        ),
    ] {
        let step = json!({"name": "s", "ref": {"name": reference}, "params": params});
        let run = ended(
            platform,
            &run_of("action-not", json!({"taskSpec": {"steps": [step]}})),
        )?;
        expect(&run, "False", "TaskRunResolutionFailed", words)?;
    }
    Ok(())
}

fn each_version_is_read_in_its_own_shape() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let older = format!(
        r#"
apiVersion: tekton.dev/v1beta1
kind: Task
metadata:
  name: of-old
spec:
  steps:
    - name: say
      image: {image}
      ports: [{{containerPort: 8080}}]
      resources: {{requests: {{memory: 16Mi}}}}
      script: "echo said"
"#
    );
    platform.apply(&older, &[])?.ok()?;
    // Applied again, nothing is found to change.
    let again = platform.apply(&older, &[])?.ok()?;
    ensure!(again.contains("unchanged"), "{again}");
    let step = |version: &str| {
        let task = platform.get(&[&format!("tasks.{version}.tekton.dev"), "of-old"])?;
        ensure!(task["apiVersion"] == format!("tekton.dev/{version}"), "{task}");
        anyhow::Ok(task["spec"]["steps"][0].clone())
    };
    let (old, new) = (step("v1beta1")?, step("v1")?);
    let requests = json!({"requests": {"memory": "16Mi"}});
    ensure!(
        old["resources"] == requests && old["ports"][0]["containerPort"] == 8080,
        "{old}"
    );
    ensure!(
        new["computeResources"] == requests && new.get("ports").is_none() && new.get("resources").is_none(),
        "{new}"
    );
    let run = ended(
        platform,
        &run_of("of-old", json!({"taskRef": {"name": "of-old"}})),
    )?;
    expect(&run, "True", "Succeeded", "")
}

fn credentials_of_the_service_account_are_there_for_git_and_docker() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let objects = r#"
apiVersion: v1
kind: Secret
metadata:
  name: git-login
  annotations:
    tekton.dev/git-0: https://git.example
type: kubernetes.io/basic-auth
stringData:
  username: me
  password: hush-hush
---
apiVersion: v1
kind: Secret
metadata:
  name: registry-login
type: kubernetes.io/dockerconfigjson
stringData:
  .dockerconfigjson: '{"auths":{"registry.example":{"auth":"bWU6aHVzaA=="}}}'
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: with-logins
secrets:
  - name: git-login
  - name: registry-login
  - name: nowhere
"#;
    platform.apply(objects, &[])?.ok()?;
    let script = "export HOME=${HOME:-/}; grep -q '^https://me:hush-hush@git.example$' $HOME/.git-credentials\n\
                  grep -q 'helper = store' $HOME/.gitconfig\n\
                  grep -q registry.example $HOME/.docker/config.json\n\
                  grep -q 'tmpfs $(credentials.path)\\|$(credentials.path) tmpfs' /proc/mounts";
    let step = json!({"name": "use", "image": image, "script": script, "env": [{"name": "HOME", "value": "/tekton/home"}]});
    let spec = json!({"serviceAccountName": "with-logins", "taskSpec": {"steps": [step]}});
    let run = ended(platform, &run_of("logins", spec))?;
    expect(&run, "True", "Succeeded", "")?;
    let pod = run["status"]["podName"].as_str().context("no pod")?;
    let log = platform.kubectl(&["logs", pod, "-c", "step-use"])?.ok()?;
    ensure!(!log.contains("hush"), "{log}");
    // Who has none pays for none.
    let spec = json!({"taskSpec": {"steps": [{"name": "s", "image": image, "script": "! grep /tekton/creds /proc/mounts"}]}});
    expect(
        &ended(platform, &run_of("no-logins", spec))?,
        "True",
        "Succeeded",
        "",
    )
}

fn large_results_come_by_the_log() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let script = "head -c 60000 /dev/urandom | od -An -tx1 | tr -d ' \\n' > $(results.big.path)\n\
                  sha256sum < $(results.big.path) | cut -c1-64 | tr -d '\\n' > $(results.sum.path)\n\
                  printf 'no newline at the end'";
    let check = "printf '%s' \"$BIG\" | sha256sum | cut -c1-64 | grep -q \"^$SUM$\"";
    let pipeline = json!({
        "tasks": [
            {"name": "make", "taskSpec": {
                "results": [{"name": "big"}, {"name": "sum"}],
                "steps": [{"name": "s", "image": image, "script": script}],
            }},
            {"name": "use", "runAfter": ["make"],
             "params": [{"name": "big", "value": "$(tasks.make.results.big)"}, {"name": "sum", "value": "$(tasks.make.results.sum)"}],
             "taskSpec": {
                "params": [{"name": "big"}, {"name": "sum"}],
                "steps": [{"name": "s", "image": image, "script": check, "env": [
                    {"name": "BIG", "value": "$(params.big)"}, {"name": "SUM", "value": "$(params.sum)"},
                ]}],
            }},
        ],
    });
    let run = ended(
        platform,
        &pipeline_run_of("large", json!({"pipelineSpec": pipeline})),
    )?;
    expect(&run, "True", "Succeeded", "")?;
    let made = platform.get(&["taskrun", &format!("{}-make", name_of(&run)?)])?;
    let big = made["status"]["results"][0]["value"].as_str().unwrap_or_default();
    ensure!(big.len() == 120_000, "{} bytes", big.len());
    // Who reads the log sees what the step has said, and that there is more.
    let log = platform.kn(&["pipelinerun", "logs", name_of(&run)?])?;
    let note = format!("`kn taskrun describe {}-make` shows them", name_of(&run)?);
    ensure!(
        log.code == 0
            && log.stdout == "[make : s] no newline at the end\n"
            && log.stderr.contains("more lines are its results")
            && log.stderr.contains(&note),
        "{}",
        log.text()
    );
    let script = "head -c 900000 /dev/urandom | od -An -tx1 > $(results.big.path)";
    let spec = json!({"taskSpec": {
        "results": [{"name": "big"}],
        "steps": [{"name": "s", "image": image, "script": script}],
    }});
    let run = ended(platform, &run_of("too-large", spec))?;
    expect(&run, "False", "TaskRunResultLargerThanAllowedLimit", "1048576")
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            steps_wait_for_sidecars_which_end_with_them,
            workspaces_are_where_the_task_wants_them,
            a_step_can_leave_its_command_to_its_image,
            a_claim_is_made_for_a_run_and_goes_with_it,
            a_step_can_be_a_step_action,
            each_version_is_read_in_its_own_shape,
            credentials_of_the_service_account_are_there_for_git_and_docker,
            large_results_come_by_the_log,
        ]],
        stop_shared,
    )
}
