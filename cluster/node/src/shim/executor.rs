//! The last step inside a new container: signals back to their defaults, the system call filter, then the program.

use std::ffi::CString;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use seccompiler::BpfProgram;

/// Where programs are sought when the image says nothing (the container runtimes' default).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the container's program.
#[derive(Clone)]
pub(super) struct ContainerExecutor {
    /// Loaded in this order; empty for an unconfined container.
    pub(super) filters: Rc<Vec<BpfProgram>>,
}

impl Executor for ContainerExecutor {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        // What this process chose for itself would be inherited; whether a workload has huge pages is its own choice.
        let _ = nix::sys::prctl::set_thp_disable(false);
        let arguments = arguments(spec).ok_or(ExecutorError::InvalidArg)?;
        let path = find(&arguments[0], &search_path(spec)).map_err(ExecutorError::Other)?;
        let program = CString::new(path.into_os_string().into_encoded_bytes())
            .map_err(|_| ExecutorError::InvalidArg)?;
        let arguments: Vec<CString> = arguments
            .iter()
            .map(|text| CString::new(text.as_bytes()))
            .collect::<Result<_, _>>()
            .map_err(|_| ExecutorError::InvalidArg)?;
        reset_signals();
        for filter in self.filters.iter() {
            seccompiler::apply_filter(filter)
                .map_err(|error| ExecutorError::Other(format!("load the system call filter: {error}")))?;
        }
        let error = match nix::unistd::execv(&program, &arguments) {
            Ok(never) => match never {},
            Err(error) => format!("exec {program:?}: {}", error.desc()),
        };
        // The start was already confirmed, so the container's own log is the place where the user can see this.
        let _ = writeln!(std::io::stderr(), "{error}");
        Err(ExecutorError::Other(error))
    }

    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let fault = ExecutorValidationError::ArgValidationError;
        let arguments = arguments(spec).ok_or_else(|| fault("no command specified".to_owned()))?;
        find(&arguments[0], &search_path(spec)).map(|_| ()).map_err(fault)
    }
}

fn arguments(spec: &Spec) -> Option<&Vec<String>> {
    spec.process()
        .as_ref()?
        .args()
        .as_ref()
        .filter(|arguments| !arguments.is_empty())
}

fn search_path(spec: &Spec) -> String {
    let environment = spec.process().as_ref().and_then(|process| process.env().as_ref());
    environment
        .into_iter()
        .flatten()
        .find_map(|variable| variable.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
        .to_owned()
}

/// The program's path, or the sentence that users know from other runtimes.
fn find(name: &str, search_path: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(error) => Err(format!("exec: \"{name}\": {error}")),
        };
    }
    for dir in search_path.split(':') {
        let candidate = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
        if executable(&candidate).is_ok() {
            return Ok(candidate);
        }
    }
    Err(format!("exec: \"{name}\": executable file not found in $PATH"))
}

fn executable(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("stat {}: no such file or directory", path.display()),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    })?;
    if metadata.is_dir() {
        return Err("is a directory".to_owned());
    }
    match metadata.permissions().mode() & 0o111 {
        0 => Err("permission denied".to_owned()),
        _ => Ok(()),
    }
}

/// Rust ignores SIGPIPE, the shim blocks SIGCHLD, and whoever started the agent may have ignored more: all of it would
/// be inherited by the container's program.
#[expect(
    unsafe_code,
    reason = "restoring a signal's default action is an unsafe call in nix"
)]
fn reset_signals() {
    for number in Signal::iterator() {
        // SAFETY: SIG_DFL installs no handler, so no code of ours can run at a bad moment. SIGKILL and SIGSTOP
        // cannot be changed, which is no loss.
        let _ = unsafe { signal(number, SigHandler::SigDfl) };
    }
    let _ = SigSet::empty().thread_set_mask();
}
