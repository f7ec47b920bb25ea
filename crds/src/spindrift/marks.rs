//! Keys of labels and annotations.

/// Label keys.
pub mod labels {
    /// On the PipelineRuns of a Repository: its name.
    pub const REPOSITORY: &str = "spindrift.dev/repository";
    /// On the PipelineRuns of a Repository: name of the Service that they are built for.
    pub const SERVICE: &str = "spindrift.dev/service";
}

/// Annotation keys.
pub mod annotations {
    /// On builds and on templates of Services: the git ref, such as `refs/heads/main`.
    pub const REF: &str = "spindrift.dev/ref";
    /// On builds and on templates of Services: the commit.
    pub const COMMIT: &str = "spindrift.dev/commit";
    /// On builds: the commit that the ref pointed to before.
    pub const BEFORE: &str = "spindrift.dev/before";
    /// On builds: who wrote the commit.
    pub const AUTHOR: &str = "spindrift.dev/author";
    /// On builds: first line of the commit's message.
    pub const MESSAGE: &str = "spindrift.dev/message";
    /// On builds: the number of the push; of one ref the greatest is the newest.
    pub const SEQUENCE: &str = "spindrift.dev/sequence";
    /// On builds: generation of the Repository that they were made of.
    pub const GENERATION: &str = "spindrift.dev/generation";
    /// On builds: id under which the git host delivered the push.
    pub const DELIVERY: &str = "spindrift.dev/delivery";
    /// On builds of uploaded folders: the artifact.
    pub const SOURCE: &str = "spindrift.dev/source";
    /// On builds that wait for others: how many are before it, and itself.
    pub const POSITION: &str = "spindrift.dev/position";
    /// On builds: the last state that the git host was told, and `refused` behind it if it did not take it.
    pub const COMMIT_STATUS: &str = "spindrift.dev/commit-status";
    /// On builds that were ended or never begun: why.
    pub const SUPERSEDED_BY: &str = "spindrift.dev/superseded-by";
    /// On templates of Services: name of the PipelineRun that built the image.
    pub const BUILD: &str = "spindrift.dev/build";
    /// On Services: how the last build went, as JSON: `run commit state reason message`.
    pub const LAST_BUILD: &str = "spindrift.dev/last-build";
    /// On Services that show previews: the revision that their requests were pinned to for the sake of that.
    pub const PINNED: &str = "spindrift.dev/pinned-revision";
    /// On Services: UID of the Repository that shows previews there. Without it none is made, so that none is made any more
    /// once it has been taken away.
    pub const PREVIEWS_OF: &str = "spindrift.dev/previews-of";
    /// On Repositories: another value than the last one asks for a build of what was built last.
    pub const REBUILD: &str = "spindrift.dev/rebuild";
}

/// Keeps a Repository until the previews of its Service are gone.
pub const REPOSITORY_FINALIZER: &str = "repositories.spindrift.dev";
