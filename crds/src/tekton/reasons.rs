//! Reasons of the condition `Succeeded`, by the kind of the run, and of tasks that were skipped.

/// Declares reasons whose texts are their own names.
macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$meta])* pub const $name: &str = $text;)*
    };
}

/// Reasons of TaskRuns.
pub mod task_run {
    reasons! {
        /// Unknown: seen for the first time.
        STARTED = "Started";
        /// Unknown: its pod does not run yet.
        PENDING = "Pending";
        /// Unknown: its pod runs.
        RUNNING = "Running";
        /// Unknown: somebody wants it not to begin yet.
        TASK_RUN_PENDING = "TaskRunPending";
        /// Unknown: an attempt failed, another will be made.
        TO_BE_RETRIED = "ToBeRetried";
        /// Unknown: its task is being fetched.
        RESOLVING_TASK_REF = "ResolvingTaskRef";
        /// Unknown: a step of its task is being fetched.
        RESOLVING_STEP_ACTION_REF = "ResolvingStepActionRef";
        /// Unknown: the quota of the namespace does not allow its pod now.
        EXCEEDED_RESOURCE_QUOTA = "ExceededResourceQuota";
        /// Unknown: no node has room for its pod now.
        EXCEEDED_NODE_RESOURCES = "ExceededNodeResources";
        /// Unknown: an image could not be pulled yet.
        PULL_IMAGE_FAILED = "PullImageFailed";
        /// True.
        SUCCEEDED = "Succeeded";
        /// False: a step exited with another code than 0.
        STEP_FAILED = "StepFailed";
        /// False: a step had too little memory.
        STEP_OOM = "StepOOM";
        /// False: a sidecar exited with another code than 0.
        SIDECAR_FAILED = "SidecarFailed";
        /// False: a sidecar had too little memory.
        SIDECAR_OOM = "SidecarOOM";
        /// False: an init container exited with another code than 0.
        INIT_CONTAINER_FAILED = "InitContainerFailed";
        /// False: an init container had too little memory.
        INIT_CONTAINER_OOM = "InitContainerOOM";
        /// False: its pod was evicted.
        POD_EVICTED = "PodEvicted";
        /// False: anything else in its pod.
        FAILED = "Failed";
        /// False: an image could not be pulled.
        TASK_RUN_IMAGE_PULL_FAILED = "TaskRunImagePullFailed";
        /// False: a container cannot be configured; also Unknown.
        CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError";
        /// False: its pod could not be made.
        POD_CREATION_FAILED = "PodCreationFailed";
        /// False: its pod was not admitted.
        POD_ADMISSION_FAILED = "PodAdmissionFailed";
        /// False: its sidecars could not be stopped.
        STOP_SIDECAR_FAILED = "TaskRunStopSidecarFailed";
        /// False: somebody wanted it to end.
        CANCELLED = "TaskRunCancelled";
        /// False: it took too long.
        TIMEOUT = "TaskRunTimeout";
        /// False: results were too long.
        RESULT_LARGER_THAN_ALLOWED_LIMIT = "TaskRunResultLargerThanAllowedLimit";
        /// False: a param has a value that it may not have.
        INVALID_PARAM_VALUE = "InvalidParamValue";
        /// False: its task could not be fetched.
        RESOLUTION_FAILED = "TaskRunResolutionFailed";
        /// False: the run does not fit its task.
        VALIDATION_FAILED = "TaskRunValidationFailed";
        /// False: its task is not valid.
        TASK_VALIDATION_FAILED = "TaskValidationFailed";
        /// False: its task is not signed as it has to be.
        RESOURCE_VERIFICATION_FAILED = "ResourceVerificationFailed";
        /// False: a claim for a workspace could not be made.
        COULDNT_CREATE_WORKSPACE_PVC = "CouldntCreateWorkspacePVC";
        /// False: it failed, which the pipeline ignores.
        FAILURE_IGNORED = "FailureIgnored";
    }

    /// Message while steps run.
    pub const MESSAGE_RUNNING: &str = "Not all Steps in the Task have finished executing";
    /// Message of success.
    pub const MESSAGE_SUCCEEDED: &str = "All Steps have completed executing";
}

/// Reasons of PipelineRuns.
pub mod pipeline_run {
    reasons! {
        /// Unknown: seen for the first time.
        STARTED = "Started";
        /// Unknown: tasks run.
        RUNNING = "Running";
        /// Unknown: somebody wants it not to begin yet.
        PENDING = "PipelineRunPending";
        /// Unknown: its pipeline is being fetched.
        RESOLVING_PIPELINE_REF = "ResolvingPipelineRef";
        /// Unknown: a task is being fetched.
        RESOLVING_TASK_REF = "ResolvingTaskRef";
        /// Unknown: a task failed, others still run.
        STOPPING = "PipelineRunStopping";
        /// Unknown: cancelled, with `finally`.
        CANCELLED_RUNNING_FINALLY = "CancelledRunningFinally";
        /// Unknown: stopped, with `finally`.
        STOPPED_RUNNING_FINALLY = "StoppedRunningFinally";
        /// Unknown: the tasks took too long, `finally` runs.
        TIMEOUT_RUNNING_FINALLY = "PipelineRunTimeoutRunningFinally";
        /// True: all tasks ran.
        SUCCEEDED = "Succeeded";
        /// True: tasks were skipped.
        COMPLETED = "Completed";
        /// False: a task failed.
        FAILED = "Failed";
        /// False: somebody wanted it to end.
        CANCELLED = "Cancelled";
        /// False: it took too long.
        TIMED_OUT = "PipelineRunTimeout";
        /// False: a child could not be made.
        CREATE_RUN_FAILED = "CreateRunFailed";
        /// False: a child could not be cancelled.
        COULDNT_CANCEL = "PipelineRunCouldntCancel";
        /// False: a child could not be cancelled when time was up.
        COULDNT_TIME_OUT = "PipelineRunCouldntTimeOut";
        /// False: its pipeline could not be fetched.
        COULDNT_GET_PIPELINE = "CouldntGetPipeline";
        /// False: a task could not be fetched.
        COULDNT_GET_TASK = "CouldntGetTask";
        /// False: its pipeline is not valid.
        VALIDATION_FAILED = "PipelineValidationFailed";
        /// False: tasks wait for each other.
        INVALID_GRAPH = "PipelineInvalidGraph";
        /// False: its workspaces do not fit the pipeline.
        INVALID_WORKSPACE_BINDINGS = "InvalidWorkspaceBindings";
        /// False: `taskRunSpecs` do not fit the pipeline.
        INVALID_TASK_RUN_SPECS = "InvalidTaskRunSpecs";
        /// False: a param is missing.
        PARAMETER_MISSING = "ParameterMissing";
        /// False: a param is of another type.
        PARAMETER_TYPE_MISMATCH = "ParameterTypeMismatch";
        /// False: a param lacks keys.
        OBJECT_PARAMETER_MISS_KEYS = "ObjectParameterMissKeys";
        /// False: a param has fewer entries than are asked for.
        PARAM_ARRAY_INDEXING_INVALID = "ParamArrayIndexingInvalid";
        /// False: a param has a value that it may not have.
        INVALID_PARAM_VALUE = "InvalidParamValue";
        /// False: a matrix has params of the wrong type.
        INVALID_MATRIX_PARAMETER_TYPES = "InvalidMatrixParameterTypes";
        /// False: a task refers to a result that there is not.
        INVALID_TASK_RESULT_REFERENCE = "InvalidTaskResultReference";
        /// False: a result of the pipeline refers to a result that there is not.
        INVALID_PIPELINE_RESULT_REFERENCE = "InvalidPipelineResultReference";
        /// False: a result of the pipeline could not be read.
        COULDNT_GET_PIPELINE_RESULT = "CouldntGetPipelineResult";
        /// False: a task requires a workspace that is optional in the pipeline.
        REQUIRED_WORKSPACE_MARKED_OPTIONAL = "RequiredWorkspaceMarkedOptional";
        /// False: an expression could not be evaluated.
        CEL_EVALUATION_FAILED = "CELEvaluationFailed";
        /// False: something is not signed as it has to be.
        RESOURCE_VERIFICATION_FAILED = "ResourceVerificationFailed";
        /// False: a claim for a workspace could not be made.
        COULDNT_CREATE_WORKSPACE_PVC = "CouldntCreateWorkspacePVC";
        /// False: the affinity assistant could not be made. Its text has always begun so.
        COULDNT_CREATE_AFFINITY_ASSISTANT = "ReasonCouldntCreateOrUpdateAffinityAssistantStatefulSet";
    }
}

/// Reasons of CustomRuns.
pub mod custom_run {
    reasons! {
        /// Unknown: seen for the first time.
        STARTED = "Started";
        /// Unknown: it runs.
        RUNNING = "Running";
        /// True.
        SUCCEEDED = "Succeeded";
        /// False.
        FAILED = "Failed";
        /// False: somebody wanted it to end.
        CANCELLED = "CustomRunCancelled";
        /// False: it took too long.
        TIMED_OUT = "CustomRunTimedOut";
        /// False: its controller knows no workspaces.
        WORKSPACE_NOT_SUPPORTED = "CustomRunWorkspaceNotSupported";
    }
}

/// Reasons of ResolutionRequests.
pub mod resolution {
    reasons! {
        /// Unknown.
        IN_PROGRESS = "ResolutionInProgress";
        /// True.
        SUCCESSFUL = "ResolutionSuccessful";
        /// False.
        FAILED = "ResolutionFailed";
        /// False: it took too long.
        TIMED_OUT = "ResolutionTimedOut";
    }
}

/// Why tasks were skipped.
pub mod skipped {
    reasons! {
        /// Its conditions do not hold.
        WHEN_EXPRESSIONS = "When Expressions evaluated to false";
        /// Tasks that it comes after were skipped.
        PARENT_TASKS = "Parent Tasks were skipped";
        /// Results that it needs are not there.
        MISSING_RESULTS = "Results were missing";
        /// Another task failed.
        STOPPING = "PipelineRun was stopping";
        /// Cancelled, with `finally`.
        GRACEFULLY_CANCELLED = "PipelineRun was gracefully cancelled";
        /// Stopped, with `finally`.
        GRACEFULLY_STOPPED = "PipelineRun was gracefully stopped";
        /// The run took too long.
        PIPELINE_TIMED_OUT = "PipelineRun timeout has been reached";
        /// The tasks took too long.
        TASKS_TIMED_OUT = "PipelineRun Tasks timeout has been reached";
        /// `finally` took too long.
        FINALLY_TIMED_OUT = "PipelineRun Finally timeout has been reached";
        /// There are no combinations.
        EMPTY_MATRIX = "Matrix Parameters have an empty array";
        /// Not skipped.
        NONE = "None";
    }
}
