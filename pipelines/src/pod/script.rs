//! Scripts: what stands in the file, and where it is.

use std::borrow::Cow;

use crds::tekton::TaskSpec;
use entrypoint::paths;

/// Put before scripts that name no interpreter.
const PREAMBLE: &str = "#!/bin/sh\nset -e\n";

/// A script as a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script<'a> {
    pub path: String,
    pub text: Cow<'a, str>,
}

pub(super) fn of_step(task: &TaskSpec, index: usize) -> Option<Script<'_>> {
    let step = task.steps.get(index)?;
    script(format!("{}/script-{index}", paths::SCRIPTS), &step.script)
}

pub(super) fn of_sidecar(task: &TaskSpec, index: usize) -> Option<Script<'_>> {
    let sidecar = task.sidecars.get(index)?;
    script(
        format!("{}/sidecar-script-{index}", paths::SCRIPTS),
        &sidecar.script,
    )
}

/// All of them.
pub(super) fn all(task: &TaskSpec) -> Vec<Script<'_>> {
    let steps = (0..task.steps.len()).filter_map(|index| of_step(task, index));
    let sidecars = (0..task.sidecars.len()).filter_map(|index| of_sidecar(task, index));
    steps.chain(sidecars).collect()
}

pub(super) fn any(task: &TaskSpec) -> bool {
    !all(task).is_empty()
}

fn script(path: String, text: &str) -> Option<Script<'_>> {
    if text.is_empty() {
        return None;
    }
    // The kernel wants the mark at the very beginning.
    let trimmed = text.trim_start();
    let text = match trimmed.starts_with("#!") {
        true => Cow::Borrowed(trimmed),
        false => Cow::Owned(format!("{PREAMBLE}{text}")),
    };
    Some(Script { path, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_without_an_interpreter_gets_one() {
        for (text, expected) in [
            ("echo a", "#!/bin/sh\nset -e\necho a"),
            ("#!/bin/bash\necho a", "#!/bin/bash\necho a"),
            (
                "\n  #!/usr/bin/env python3\nprint()",
                "#!/usr/bin/env python3\nprint()",
            ),
            ("\n# comment", "#!/bin/sh\nset -e\n\n# comment"),
        ] {
            assert_eq!(script("p".to_owned(), text).unwrap().text, expected);
        }
        assert_eq!(script("p".to_owned(), ""), None);
    }
}
