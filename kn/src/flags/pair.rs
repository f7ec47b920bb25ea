//! Flags that come as a pair: `--x` and `--no-x`.

use crate::error::CliError;

/// What a pair of flags says: `Some(true)` for `--name`, `Some(false)` for `--no-name`.
///
/// # Errors
/// Both were given, or one with `=false`, which is better said by the other.
pub fn choice(name: &str, yes: Option<bool>, no: Option<bool>) -> Result<Option<bool>, CliError> {
    match (yes, no) {
        (Some(false), _) => Err(CliError::usage(format!(
            "--{name}=false is not supported: use --no-{name}"
        ))),
        (_, Some(false)) => Err(CliError::usage(format!(
            "--no-{name}=false is not supported: use --{name}"
        ))),
        (Some(true), Some(true)) => Err(CliError::usage(format!(
            "only one of --{name} and --no-{name} can be given"
        ))),
        (Some(true), None) => Ok(Some(true)),
        (None, Some(true)) => Ok(Some(false)),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_says_one_thing() {
        assert_eq!(choice("wait", None, None).unwrap(), None);
        assert_eq!(choice("wait", Some(true), None).unwrap(), Some(true));
        assert_eq!(choice("wait", None, Some(true)).unwrap(), Some(false));
        for (yes, no, token) in [
            (Some(true), Some(true), "only one of"),
            (Some(false), None, "use --no-wait"),
            (None, Some(false), "use --wait"),
        ] {
            assert!(choice("wait", yes, no).unwrap_err().message.contains(token));
        }
    }
}
