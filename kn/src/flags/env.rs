//! The flags of a container's environment. Their order among each other counts, since a variable may refer to those before
//! it; clap's derived arguments keep the order of one flag only, so these are declared by hand.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// One flag and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvFlag {
    /// `NAME=VALUE`, or `NAME-`.
    Value(String),
    /// `NAME=KIND:OBJECT:KEY`, or `NAME-`.
    From(String),
    /// A file of `NAME=VALUE` lines.
    File(String),
    /// The lines of such a file, and its path.
    Lines(String, Vec<String>),
}

/// The flags in the order of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvArgs {
    pub flags: Vec<EnvFlag>,
}

type Make = fn(String) -> EnvFlag;

impl FromArgMatches for EnvArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let kinds: [(&str, Make); 3] = [
            ("env", EnvFlag::Value),
            ("env_value_from", EnvFlag::From),
            ("env_file", EnvFlag::File),
        ];
        let mut found = Vec::new();
        for (id, make) in kinds {
            let indices = matches.indices_of(id).into_iter().flatten();
            let values = matches.get_many::<String>(id).into_iter().flatten();
            found.extend(
                indices
                    .zip(values)
                    .map(|(index, value)| (index, make(value.clone()))),
            );
        }
        found.sort_by_key(|(index, _)| *index);
        Ok(Self {
            flags: found.into_iter().map(|(_, flag)| flag).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for EnvArgs {
    fn augment_args(command: Command) -> Command {
        let repeated =
            |id: &'static str, long: &'static str| Arg::new(id).long(long).action(ArgAction::Append);
        command
            .arg(
                repeated("env", "env")
                    .short('e')
                    .value_name("NAME=VALUE")
                    .help("Environment variable; NAME- removes it; may be repeated"),
            )
            .arg(
                repeated("env_value_from", "env-value-from")
                    .value_name("NAME=KIND:OBJECT:KEY")
                    .help("Environment variable from a key of a config-map (cm) or secret (sc); NAME- removes it; may be repeated"),
            )
            .arg(
                repeated("env_file", "env-file")
                    .value_name("FILE")
                    .help("File with a NAME=VALUE on each line; lines that begin with # are comments; may be repeated"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_command_line() {
        let command = EnvArgs::augment_args(Command::new("kn"));
        let matches = command.get_matches_from([
            "kn",
            "-eA=1",
            "--env-value-from",
            "B=cm:x:k",
            "--env",
            "C=a=b,c",
            "--env-file=f",
            "-e",
            "D=",
        ]);
        assert_eq!(
            EnvArgs::from_arg_matches(&matches).unwrap().flags,
            [
                EnvFlag::Value("A=1".into()),
                EnvFlag::From("B=cm:x:k".into()),
                EnvFlag::Value("C=a=b,c".into()),
                EnvFlag::File("f".into()),
                EnvFlag::Value("D=".into()),
            ]
        );
    }
}
