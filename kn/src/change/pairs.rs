//! `key=value` and `key-`.

use crate::error::CliError;

/// What one flag's values set and remove. All that is set is set first, so `k=v` with `k-` removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    pub set: Vec<(String, String)>,
    pub remove: Vec<String>,
}

/// Reads the values of `flag`; a word alone is a key with an empty value if `bare` allows that.
pub fn parse(flag: &str, values: &[String], bare: bool) -> Result<Pairs, CliError> {
    let mut pairs = Pairs::default();
    for value in values {
        match value.split_once('=') {
            Some(("", _)) => {
                return Err(CliError::usage(format!(
                    "--{flag} {value}: the name before '=' is missing"
                )));
            }
            Some((key, value)) => pairs.set.push((key.to_owned(), value.to_owned())),
            None => match value.strip_suffix('-') {
                Some(key) if !key.is_empty() => pairs.remove.push(key.to_owned()),
                None if bare && !value.is_empty() => pairs.set.push((value.clone(), String::new())),
                _ => {
                    return Err(CliError::usage(format!(
                        "--{flag} \"{value}\": expected NAME=VALUE, or NAME- to remove it, but there is no '='"
                    )));
                }
            },
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_equals_sign_splits() {
        let values = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let pairs = parse("env", &values(&["A=b=c,d", "B=", "C-", "D-=x"]), false).unwrap();
        assert_eq!(
            pairs.set,
            [
                ("A".into(), "b=c,d".into()),
                ("B".into(), String::new()),
                ("D-".into(), "x".into())
            ]
        );
        assert_eq!(pairs.remove, ["C"]);
        for wrong in ["A", "-", "", "=x"] {
            assert!(parse("env", &values(&[wrong]), false).is_err(), "{wrong}");
        }
        assert_eq!(
            parse("label", &values(&["A"]), true).unwrap().set,
            [("A".into(), String::new())]
        );
    }
}
