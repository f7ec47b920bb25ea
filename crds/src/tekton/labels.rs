//! Label keys, and their values where they are fixed.

/// On TaskRuns and pods: name of the Task they refer to.
pub const TASK: &str = "tekton.dev/task";
/// On pods: name of their TaskRun.
pub const TASK_RUN: &str = "tekton.dev/taskRun";
/// On pods: UID of their TaskRun.
pub const TASK_RUN_UID: &str = "tekton.dev/taskRunUID";
/// On PipelineRuns and what they made: name of the pipeline.
pub const PIPELINE: &str = "tekton.dev/pipeline";
/// On what a PipelineRun made: its name.
pub const PIPELINE_RUN: &str = "tekton.dev/pipelineRun";
/// On what a PipelineRun made: its UID.
pub const PIPELINE_RUN_UID: &str = "tekton.dev/pipelineRunUID";
/// On what a PipelineRun made: name of the task within the pipeline.
pub const PIPELINE_TASK: &str = "tekton.dev/pipelineTask";
/// On what a PipelineRun made: the list that the task is in; see the `MEMBER_OF_*` values.
pub const MEMBER_OF: &str = "tekton.dev/memberOf";
/// Value of [`MEMBER_OF`].
pub const MEMBER_OF_TASKS: &str = "tasks";
/// Value of [`MEMBER_OF`].
pub const MEMBER_OF_FINALLY: &str = "finally";
/// On what a CustomRun made: its name.
pub const CUSTOM_RUN: &str = "tekton.dev/customRun";
/// On what concerns a StepAction: its name.
pub const STEP_ACTION: &str = "tekton.dev/stepAction";
/// On pods: who looks after them; always [`MANAGED_BY_VALUE`], unless configured otherwise.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`] unless configured otherwise.
pub const MANAGED_BY_VALUE: &str = "tekton-pipelines";
/// On ResolutionRequests: name of the resolver.
pub const RESOLVER: &str = "resolution.tekton.dev/type";
/// On what a trigger made: name of the EventListener.
pub const EVENT_LISTENER: &str = "triggers.tekton.dev/eventlistener";
/// On what a trigger made: its name.
pub const TRIGGER: &str = "triggers.tekton.dev/trigger";
/// On what a trigger made: id of the event.
pub const TRIGGER_EVENT_ID: &str = "triggers.tekton.dev/triggers-eventid";
/// On affinity assistants: their own name, by which pods find them.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// On affinity assistants: [`COMPONENT_AFFINITY_ASSISTANT`], by which they keep away from each other.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Value of [`COMPONENT`].
pub const COMPONENT_AFFINITY_ASSISTANT: &str = "affinity-assistant";
/// On CRDs: what they are a part of.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Value of [`PART_OF`].
pub const PART_OF_PIPELINES: &str = "tekton-pipelines";
