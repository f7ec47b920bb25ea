//! The command of an image that has one for each platform.

use std::collections::BTreeMap;
use std::io;

/// Holds a map from platforms to commands as JSON, for steps that name no command.
pub const VARIABLE: &str = "TEKTON_PLATFORM_COMMANDS";

/// `command` as it is if it has a program, else what the variable names for this platform, with `command` as arguments.
pub(crate) fn complete(command: &[String]) -> io::Result<Vec<String>> {
    let Ok(known) = std::env::var(VARIABLE) else {
        return Ok(command.to_vec());
    };
    of(&known, command).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("the image has no command for {}", platforms().join(" or ")),
        )
    })
}

fn of(known: &str, arguments: &[String]) -> Option<Vec<String>> {
    let known: BTreeMap<String, Vec<String>> = serde_json::from_str(known).ok()?;
    let command = platforms()
        .into_iter()
        .find_map(|platform| known.get(&platform).cloned())?;
    Some(command.into_iter().chain(arguments.iter().cloned()).collect())
}

/// The names of this platform, the closest first.
fn platforms() -> Vec<String> {
    let (architecture, variant) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", None),
        "aarch64" => ("arm64", Some("v8")),
        "arm" => ("arm", Some("v7")),
        "powerpc64" => ("ppc64le", None),
        other => (other, None),
    };
    let plain = format!("linux/{architecture}");
    let exact = variant.map(|variant| format!("{plain}/{variant}"));
    exact.into_iter().chain([plain]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_this_platform_comes_before_the_arguments() {
        let plain = platforms().pop().unwrap();
        let known = format!(r#"{{"{plain}":["/bin/tool","run"],"plan9/mips":["/no"]}}"#);
        assert_eq!(
            of(&known, &["-v".to_owned()]).unwrap(),
            ["/bin/tool", "run", "-v"]
        );
        assert_eq!(of(r#"{"plan9/mips":["/no"]}"#, &[]), None);
        assert_eq!(of("nonsense", &[]), None);
    }
}
