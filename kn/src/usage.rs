//! What is said when the words on the command line make no command: two lines, the second naming the help that fits.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};

use crate::error::{CliError, Exit};

/// What a failed parse is.
#[derive(Debug)]
pub enum Parsed {
    /// Help or version, for standard output.
    Text(String),
    /// Wrong usage, and the command it is about.
    Wrong(CliError, String),
}

/// The command that was understood, such as `kn service create`.
pub fn path(program: &str, matches: &ArgMatches) -> String {
    let mut path = vec![program];
    let mut matches = matches;
    while let Some((name, below)) = matches.subcommand() {
        path.push(name);
        matches = below;
    }
    path.join(" ")
}

/// The name this program was called by.
pub fn program(arguments: &[OsString]) -> String {
    arguments
        .first()
        .and_then(|first| Path::new(first).file_name()?.to_str())
        .unwrap_or("kn")
        .to_owned()
}

/// Turns the parser's error into ours.
pub fn explain(root: &Command, arguments: &[OsString], error: &clap::Error) -> Parsed {
    let program = program(arguments);
    let (command, path) = reached(root, &program, arguments);
    let wrong = |message: String| Parsed::Wrong(CliError::usage(message), path.clone());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Parsed::Text(error.render().ansi().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
            if path == program =>
        {
            Parsed::Text(error.render().ansi().to_string())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => wrong(format!(
            "no sub-command given for '{path}'\nAvailable sub-commands: {}",
            verbs(command)
        )),
        ErrorKind::InvalidSubcommand => {
            let word = match error.get(ContextKind::InvalidSubcommand) {
                Some(ContextValue::String(word)) => word.as_str(),
                _ => "",
            };
            let near = match error.get(ContextKind::SuggestedSubcommand) {
                // The nearest comes last.
                Some(ContextValue::Strings(words)) => words
                    .last()
                    .map(|word| format!("\nDid you mean: {word}"))
                    .unwrap_or_default(),
                _ => String::new(),
            };
            if path == program {
                wrong(format!("unknown command \"{word}\" for \"{program}\"{near}"))
            } else {
                wrong(format!(
                    "unknown sub-command '{word}' for '{path}'{near}\nAvailable sub-commands: {}",
                    verbs(command)
                ))
            }
        }
        ErrorKind::MissingRequiredArgument if !missing_flags(error).is_empty() => wrong(format!(
            "required flag(s) {} not set for '{path}'",
            missing_flags(error).join(", ")
        )),
        _ => wrong(format!(
            "{} for '{path}'",
            first_paragraph(&error.render().to_string())
        )),
    }
}

/// Follows the words of the command line down the tree, as far as they name commands.
fn reached<'a>(root: &'a Command, program: &str, arguments: &[OsString]) -> (&'a Command, String) {
    let mut command = root;
    let mut path = vec![program.to_owned()];
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(below) = command.find_subcommand(word) {
            command = below;
            path.push(below.get_name().to_owned());
        }
    }
    (command, path.join(" "))
}

/// The flags that are missing, in quotes; none if something else is missing, too.
fn missing_flags(error: &clap::Error) -> Vec<String> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return Vec::new();
    };
    let flag = |argument: &String| {
        let name = argument.strip_prefix("--")?.split(' ').next()?;
        Some(format!("\"{name}\""))
    };
    missing
        .iter()
        .map(flag)
        .collect::<Option<Vec<_>>>()
        .unwrap_or_default()
}

fn verbs(command: &Command) -> String {
    let mut names: Vec<&str> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
        .map(Command::get_name)
        .collect();
    names.sort_unstable();
    names.join(", ")
}

/// The sentence of the parser, without its prefix and without the usage that follows.
fn first_paragraph(text: &str) -> String {
    let text = text.trim_start_matches("error:").trim();
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    lines.join(" ")
}

/// The line that follows an error of usage.
pub fn help_line(error: &CliError, path: &str) -> Option<String> {
    (error.exit == Exit::Usage).then(|| format!("Run '{path} --help' for usage"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    fn said(words: &[&str]) -> (String, String) {
        let arguments: Vec<OsString> = words.iter().map(Into::into).collect();
        let mut root = Cli::command();
        root.build();
        let error = root.clone().try_get_matches_from(&arguments).unwrap_err();
        match explain(&root, &arguments, &error) {
            Parsed::Text(text) => (String::new(), text),
            Parsed::Wrong(error, path) => (error.message, path),
        }
    }

    #[test]
    fn wrong_words_are_told_with_the_command_they_are_wrong_for() {
        for (words, message, path) in [
            (
                &["/usr/bin/kn", "service"][..],
                "no sub-command given for 'kn service'\nAvailable sub-commands: apply, create, delete, describe, export, import, list, logs, update, wait",
                "kn service",
            ),
            (
                &["kn", "ksvc", "foo"],
                "unknown sub-command 'foo' for 'kn service'",
                "kn service",
            ),
            (
                &["kn", "servic"],
                "unknown command \"servic\" for \"kn\"\nDid you mean: service",
                "kn",
            ),
            (
                &["kn", "service", "create", "a", "--bogus"],
                "unexpected argument '--bogus' found for 'kn service create'",
                "kn service create",
            ),
            (
                &["kn", "service", "create", "a", "--scale-min", "x"],
                "invalid value 'x' for '--scale-min <NUMBER>'",
                "kn service create",
            ),
            (
                &["kn", "trigger", "create", "t"],
                "required flag(s) \"sink\" not set for 'kn trigger create'",
                "kn trigger create",
            ),
            (
                &["kn", "service", "describe"],
                "were not provided: <NAME> for 'kn service describe'",
                "kn service describe",
            ),
        ] {
            let (said, at) = said(words);
            assert!(said.contains(message), "{words:?}: {said}");
            assert_eq!(at, path, "{words:?}");
        }
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        fn walk(command: &Command, path: &str) {
            let name = format!("{path} {}", command.get_name());
            if command.get_subcommands().next().is_none() && command.get_name() != "help" {
                let help = command.clone().render_long_help().to_string();
                assert!(help.contains("Examples:"), "{name} has no examples");
            }
            for below in command.get_subcommands() {
                walk(below, &name);
            }
        }
        walk(&Cli::command(), "");
        let (_, help) = said(&["kn"]);
        assert!(help.contains("service") && help.contains("Examples:"), "{help}");
        Cli::command().debug_assert();
    }
}
