//! What a test needs of the machine, and how its absence is told.

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Root,
    Kubectl,
    Curl,
    Buildah,
    Git,
    Openssl,
    Skopeo,
    Mmdebstrap,
    Busybox,
    Websocat,
    Grpcurl,
}

impl Need {
    /// Why a test with this need cannot run here; `None` if it can.
    pub fn missing(self) -> Option<&'static str> {
        let (there, reason) = match self {
            Self::Root => (nix::unistd::geteuid().is_root(), "needs root"),
            Self::Kubectl => (find("kubectl").is_some(), "needs kubectl"),
            Self::Curl => (find("curl").is_some(), "needs curl"),
            Self::Buildah => (find("buildah").is_some(), "needs buildah"),
            Self::Git => (find("git").is_some(), "needs git"),
            Self::Openssl => (find("openssl").is_some(), "needs openssl"),
            Self::Skopeo => (find("skopeo").is_some(), "needs skopeo"),
            Self::Mmdebstrap => (find("mmdebstrap").is_some(), "needs mmdebstrap"),
            Self::Busybox => (find("busybox").is_some(), "needs busybox, linked statically"),
            Self::Websocat => (find("websocat").is_some(), "needs websocat"),
            Self::Grpcurl => (find("grpcurl").is_some(), "needs grpcurl"),
        };
        (!there).then_some(reason)
    }
}

/// The program `name` on PATH.
pub fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// A named test with its needs.
pub struct Case {
    pub name: &'static str,
    pub needs: &'static [Need],
    pub test: fn() -> anyhow::Result<()>,
}

/// Cases named after their functions, behind what they need.
#[macro_export]
macro_rules! cases {
    ($($needs:expr => [$($test:ident),* $(,)?]),* $(,)?) => {
        vec![$($($crate::tools::Case { name: stringify!($test), needs: $needs, test: $test },)*)*]
    };
}

/// Runs `cases`; those that cannot run here are listed as ignored with the reason. `finish` runs after all of them.
pub fn suite(cases: Vec<Case>, finish: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = cases
        .into_iter()
        .map(|case| {
            let missing = case.needs.iter().find_map(|need| need.missing());
            let trial = Trial::test(case.name, move || {
                (case.test)().map_err(|error| format!("{error:?}").into())
            });
            match missing {
                Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
                None => trial,
            }
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Err(error) = finish() {
        report(&format!("after the tests: {error:?}"));
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

#[expect(
    clippy::print_stderr,
    reason = "a test program tells its failure on standard error"
)]
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
}
