//! A run and its children without a cluster: tests end children, lose statuses and move the clock.

use crds::tekton::ParamValue;
use serde_json::{Value, json};

use super::super::*;

pub(super) struct World {
    pub run: PipelineRun,
    pub pipeline: PipelineSpec,
    pub children: Vec<Child>,
    pub made: Vec<NewChild>,
    pub now: i64,
    pub elapsed: Elapsed,
}

impl World {
    /// A run named `run` of a pipeline with this spec.
    pub fn new(pipeline: Value, spec: Value) -> Self {
        let run = json!({"metadata": {"name": "run", "namespace": "ns", "uid": "uid", "generation": 1}, "spec": spec});
        Self {
            run: serde_json::from_value(run).unwrap(),
            pipeline: serde_json::from_value(pipeline).unwrap(),
            children: Vec::new(),
            made: Vec::new(),
            now: 1000,
            elapsed: Elapsed::default(),
        }
    }

    /// Tasks of these names, each after those behind its arrow: `a`, `b<a`.
    pub fn of_tasks(tasks: &[&str]) -> Self {
        Self::new(
            json!({"tasks": tasks.iter().map(|text| named(text)).collect::<Vec<_>>()}),
            json!({}),
        )
    }

    pub fn decide(&self) -> Decision {
        decide(&Facts {
            run: &self.run,
            pipeline: &self.pipeline,
            name: "pipe",
            children: &self.children,
            now: Timestamp::from_second(self.now).unwrap(),
            elapsed: self.elapsed,
        })
    }

    /// Decides and does it. Returns the names of what was made.
    pub fn step(&mut self) -> Vec<String> {
        let decision = self.decide();
        let names = decision
            .create
            .iter()
            .map(|child| child.name().to_owned())
            .collect();
        for new in &decision.create {
            self.make(new);
        }
        for told in &decision.cancel {
            let child = self.child(&told.name);
            child.cancelled = true;
            child.timed_out = told.message == child::TIMED_OUT;
        }
        self.run.status = Some(decision.status);
        names
    }

    pub fn make(&mut self, new: &NewChild) {
        let name = new.name().to_owned();
        assert!(
            self.children.iter().all(|child| child.name != name),
            "{name} is made twice"
        );
        let made = match new {
            NewChild::TaskRun(run) => Child::from(run.as_ref()),
            NewChild::CustomRun(run) => Child::from(run.as_ref()),
            NewChild::PipelineRun(run) => Child::from(run.as_ref()),
        };
        let created = Some(Timestamp::from_second(self.now).unwrap());
        self.children.push(Child { created, ..made });
        self.made.push(new.clone());
    }

    pub fn child(&mut self, name: &str) -> &mut Child {
        self.children.iter_mut().find(|child| child.name == name).unwrap()
    }

    pub fn task_run(&self, name: &str) -> &crds::tekton::TaskRun {
        let found = self.made.iter().find(|child| child.name() == name);
        let Some(NewChild::TaskRun(run)) = found else {
            panic!("no TaskRun {name}")
        };
        run
    }

    pub fn end(&mut self, name: &str, outcome: Outcome) -> &mut Child {
        let child = self.child(&format!("run-{name}"));
        child.outcome = outcome;
        child.reason = match outcome {
            Outcome::Running => "Running",
            Outcome::Succeeded => "Succeeded",
            Outcome::Failed => "StepFailed",
            Outcome::Cancelled => "TaskRunCancelled",
        }
        .to_owned();
        if outcome == Outcome::Cancelled && child.timed_out {
            child.outcome = Outcome::Failed;
        }
        child
    }

    pub fn succeed(&mut self, name: &str) {
        self.end(name, Outcome::Succeeded);
    }

    pub fn succeed_with(&mut self, name: &str, result: &str, value: Value) {
        let value = ParamValue::from_json(&value);
        self.end(name, Outcome::Succeeded)
            .results
            .insert(result.to_owned(), value);
    }

    pub fn fail(&mut self, name: &str) {
        self.end(name, Outcome::Failed);
    }

    pub fn status(&self) -> &PipelineRunStatus {
        self.run.status.as_ref().unwrap()
    }

    /// Status and reason of the condition.
    pub fn told(&self) -> String {
        let condition = self.status().succeeded().unwrap();
        format!(
            "{} {}",
            condition.status.as_str(),
            condition.reason.as_deref().unwrap()
        )
    }

    pub fn message(&self) -> &str {
        self.status().succeeded().unwrap().message.as_deref().unwrap()
    }

    pub fn skipped(&self) -> Vec<(&str, &str)> {
        let all = self.status().skipped_tasks.iter();
        all.map(|task| (task.name.as_str(), task.reason.as_str()))
            .collect()
    }

    pub fn cancelled(&self) -> Vec<&str> {
        self.children
            .iter()
            .filter(|child| child.cancelled)
            .map(|child| child.name.as_str())
            .collect()
    }
}

/// A task as [`World::of_tasks`] writes it.
pub(super) fn named(text: &str) -> Value {
    let (name, after) = text.split_once('<').unwrap_or((text, ""));
    let after: Vec<&str> = after.split(',').filter(|name| !name.is_empty()).collect();
    json!({"name": name, "runAfter": after, "taskRef": {"name": "work"}})
}

/// A task with more fields.
pub(super) fn with(text: &str, fields: Value) -> Value {
    let mut task = named(text);
    for (name, field) in fields.as_object().unwrap() {
        task[name] = field.clone();
    }
    task
}
