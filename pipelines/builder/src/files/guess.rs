//! What an image of files is to run.

use crate::elf::Program;

/// Names of that many programs are told.
const TOLD: usize = 5;

/// A program among the files.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub path: String,
    pub program: Program,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    /// The program; none leaves it to the base image.
    pub program: Option<String>,
    pub architecture: Option<&'static str>,
}

/// The one program that there is, if it can run.
///
/// # Errors
/// What to change, if there is nothing that could be run for sure.
pub(super) fn guess(candidates: &[Candidate], has_base: bool) -> Result<Guess, String> {
    match candidates {
        [] if has_base => Ok(Guess {
            program: None,
            architecture: None,
        }),
        [] => Err(
            "there is neither a Dockerfile nor a program in the source: add a Dockerfile, or put one statically linked \
             program (with the right to run) beside the files; files alone need a base image that serves them"
                .to_owned(),
        ),
        [only] if !only.program.is_static && !has_base => Err(format!(
            "{} needs libraries that are not in the source: link it statically, name a base image that has them, or add \
             a Dockerfile",
            only.path
        )),
        [only] => match only.program.architecture {
            Some(architecture) => Ok(Guess {
                program: Some(only.path.clone()),
                architecture: Some(architecture),
            }),
            None => Err(format!("{} is for a machine that is not known", only.path)),
        },
        several => {
            let names: Vec<&str> = several.iter().take(TOLD).map(|one| one.path.as_str()).collect();
            Err(format!(
                "there is no Dockerfile, and there are {} programs in the source ({}{}): leave one, or add a Dockerfile \
                 that says which is run",
                several.len(),
                names.join(", "),
                if several.len() > TOLD { ", ..." } else { "" }
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_that_can_run_is_run() {
        let candidate = |path: &str, is_static: bool, architecture| Candidate {
            path: path.to_owned(),
            program: Program {
                architecture,
                is_static,
            },
        };
        let amd = Some("amd64");
        for (candidates, base, expected) in [
            (vec![candidate("web", true, amd)], false, Ok(Some("web"))),
            (vec![candidate("web", false, amd)], true, Ok(Some("web"))),
            (
                vec![candidate("web", false, amd)],
                false,
                Err("link it statically"),
            ),
            (vec![candidate("web", true, None)], false, Err("not known")),
            (
                vec![candidate("a", true, amd), candidate("b", true, amd)],
                false,
                Err("2 programs in the source (a, b)"),
            ),
            (vec![], true, Ok(None)),
            (
                vec![],
                false,
                Err("add a Dockerfile, or put one statically linked"),
            ),
        ] {
            match (guess(&candidates, base), expected) {
                (Ok(found), Ok(program)) => assert_eq!(found.program.as_deref(), program),
                (Err(text), Err(words)) => assert!(text.contains(words), "{text}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
    }
}
