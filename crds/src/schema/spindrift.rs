//! Schemas of `spindrift.dev`.

use serde_json::Value;

use super::build::*;
use super::status::{address, status};

pub(super) fn repository() -> Value {
    let spec = object([
        (
            "url",
            described("Address of the git repository; either this or source.", string()),
        ),
        (
            "source",
            described("An uploaded folder, an artifact by its digest.", string()),
        ),
        (
            "branch",
            described(
                "The branch whose builds the Service runs; by default main.",
                string(),
            ),
        ),
        (
            "service",
            described("The Service; by default of the same name.", string()),
        ),
        (
            "serviceTemplate",
            described(
                "What the Service is made from when there is none; the image is that of the build.",
                object([("metadata", anything()), ("spec", anything())]),
            ),
        ),
        ("build", build()),
        (
            "serviceAccountName",
            described("The ServiceAccount whose secrets clone and push.", string()),
        ),
        ("filters", filters()),
        (
            "previews",
            described(
                "Whether pushes to other branches get a revision with a URL of its own.",
                boolean(),
            ),
        ),
        ("webhook", webhook()),
        (
            "poll",
            described(
                "How often the git host is asked for the branch, at least 10s; by default never.",
                string(),
            ),
        ),
        ("statuses", statuses()),
    ]);
    resource(
        "Builds each push to a git repository, or each upload of a folder, and runs the image as a Service.",
        spec,
        Some(repository_status()),
    )
}

fn build() -> Value {
    described(
        "How an image is made of the source.",
        object([
            (
                "strategy",
                described("auto, dockerfile or files; by default auto.", string()),
            ),
            (
                "dockerfile",
                described(
                    "The Dockerfile within the context; by default Dockerfile.",
                    string(),
                ),
            ),
            (
                "context",
                described(
                    "The folder within the source that is built; by default all.",
                    string(),
                ),
            ),
            (
                "args",
                described("Build arguments, each NAME=value.", list(string())),
            ),
            (
                "image",
                described("Where the image is pushed to, without a tag.", string()),
            ),
            (
                "cache",
                described(
                    "Whether layers of earlier builds are used; by default they are.",
                    boolean(),
                ),
            ),
            (
                "timeout",
                described("How long a build may take; by default 30m.", string()),
            ),
        ]),
    )
}

fn filters() -> Value {
    let globs = |text: &str| {
        described(
            text,
            object([("include", list(string())), ("exclude", list(string()))]),
        )
    };
    described(
        "Which pushes are built.",
        object([
            ("branches", globs("By branch, as patterns.")),
            ("tags", described("Whether tags are built, too.", boolean())),
            ("paths", globs("By the files that changed, as patterns.")),
        ]),
    )
}

fn webhook() -> Value {
    described(
        "Who may tell of pushes.",
        object([
            (
                "secretRef",
                described(
                    "The Secret that they sign with; each line of a key, and without a key each key, is good.",
                    object([("name", string()), ("key", string())]),
                ),
            ),
            (
                "allowUnsigned",
                described("Whether anybody may tell of pushes.", boolean()),
            ),
        ]),
    )
}

fn statuses() -> Value {
    described(
        "Where the git host is told how builds of its commits go; by default nowhere.",
        object([
            (
                "secretRef",
                described(
                    "The Secret with the token that it takes them with; the key is token unless it is given.",
                    object([("name", string()), ("key", string())]),
                ),
            ),
            (
                "provider",
                described(
                    "github, gitlab or gitea; by default as the host of the url says.",
                    string(),
                ),
            ),
            (
                "apiURL",
                described(
                    "Address of the API; by default where the provider has it on the host of the url.",
                    string(),
                ),
            ),
        ]),
    )
}

fn repository_status() -> Value {
    let time = || described("A time in RFC 3339.", string());
    let deployed = || {
        object([
            ("sequence", int64()),
            ("commit", string()),
            ("ref", string()),
            ("tree", string()),
            ("run", string()),
            ("image", string()),
            ("revision", string()),
            ("generation", int64()),
            ("at", time()),
        ])
    };
    let push = object([
        ("sequence", int64()),
        ("ref", string()),
        ("url", string()),
        ("before", string()),
        ("after", string()),
        ("tree", string()),
        ("author", string()),
        ("message", string()),
        ("delivery", string()),
        ("run", string()),
        (
            "state",
            described("Accepted, Started, Superseded or Skipped.", string()),
        ),
        ("reason", string()),
        ("at", time()),
    ]);
    status([
        ("address", address()),
        (
            "sequence",
            described("The last number that a push was given.", int64()),
        ),
        ("deployed", described("What the Service runs.", deployed())),
        (
            "previews",
            described(
                "What runs of other branches.",
                list(with_fields(deployed(), [("tag", string()), ("url", string())])),
            ),
        ),
        (
            "pushes",
            described("The latest pushes, oldest first.", list(push)),
        ),
        (
            "rebuilt",
            described(
                "The value of the annotation that last asked for a build.",
                string(),
            ),
        ),
    ])
}
