//! Completion of names by asking the cluster. It must never be in the way: it is bounded in time and in number, and
//! silent about every failure.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::cli::{Cli, Global, NamespaceArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::kind::Kind;

/// Variable by which the scripts of shells ask for completions.
pub const VARIABLE: &str = "KN_COMPLETE";
/// Longest time that the cluster may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most names that are offered.
const MOST: u32 = 500;

/// Answers a shell that asks for completions; `false` if this is an ordinary run.
pub fn answer(arguments: &[OsString]) -> bool {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .try_complete(arguments.to_vec(), folder.as_deref())
        .unwrap_or(false)
}

/// Names of objects of the kind that the command is about.
pub fn names(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    let plain: Vec<&str> = words
        .iter()
        .skip(1)
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
        .collect();
    match Kind::of_command(&plain) {
        Some(kind) => candidates(kind, &words, current),
        None => Vec::new(),
    }
}

/// Names of services.
pub fn services(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(Kind::Service, &words(), current)
}

/// Names of brokers.
pub fn brokers(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(Kind::Broker, &words(), current)
}

/// Names of channels.
pub fn channels(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(Kind::Channel, &words(), current)
}

/// The words on the command line that is completed; the shell gives them behind `--`.
fn words() -> Vec<String> {
    std::env::args().skip_while(|word| word != "--").skip(1).collect()
}

fn candidates(kind: Kind, words: &[String], current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else {
        return Vec::new();
    };
    let (global, namespace) = place(words);
    let asked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()
        .and_then(|runtime| {
            let _ = rustls::crypto::ring::default_provider().install_default();
            runtime
                .block_on(async { tokio::time::timeout(PATIENCE, list(kind, global, namespace)).await })
                .ok()
        });
    let names = asked.and_then(Result::ok).unwrap_or_default();
    names
        .into_iter()
        .filter(|name| name.starts_with(current))
        .map(CompletionCandidate::new)
        .collect()
}

async fn list(kind: Kind, global: Global, namespace: NamespaceArgs) -> Result<Vec<String>, CliError> {
    let context = Context::new(global);
    let namespace = context.namespace(&namespace).await?;
    let api = context.api(kind, &namespace).await?;
    let listed = api.list_metadata(&ListParams::default().limit(MOST)).await?;
    Ok(listed.items.iter().map(ResourceExt::name_any).collect())
}

/// Flags that say which cluster and namespace.
#[derive(Parser)]
#[command(disable_help_flag = true, ignore_errors = true)]
struct Place {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// Reads those flags, wherever they are on a line that may be unfinished.
fn place(words: &[String]) -> (Global, NamespaceArgs) {
    let named: Vec<String> = Place::command()
        .get_arguments()
        .flat_map(|argument| {
            let long = argument.get_long().map(|long| format!("--{long}"));
            long.into_iter()
                .chain(argument.get_short().map(|short| format!("-{short}")))
        })
        .collect();
    let mut kept = vec!["kn".to_owned()];
    let mut words = words.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let flag = word.split_once('=').map_or(word.as_str(), |(flag, _)| flag);
        if !named.iter().any(|name| name == flag) {
            continue;
        }
        kept.push(word.clone());
        if flag == word
            && let Some(value) = words.next_if(|next| !next.starts_with('-'))
        {
            kept.push(value.clone());
        }
    }
    match Place::try_parse_from(kept) {
        Ok(place) => (place.global, place.namespace),
        Err(_) => (Global::default(), NamespaceArgs::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_and_namespace_are_read_from_an_unfinished_line() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (global, namespace) = place(&words(
            "kn service describe --context c --bogus x -n team --kubeconfig=/k we",
        ));
        assert_eq!(global.context.as_deref(), Some("c"));
        assert_eq!(global.kubeconfig.as_deref(), Some(std::path::Path::new("/k")));
        assert_eq!(namespace.namespace.as_deref(), Some("team"));
        let (global, namespace) = place(&words("kn service describe -n"));
        assert!(global.context.is_none() && namespace.namespace.is_none());
    }
}
