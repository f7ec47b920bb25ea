//! Traffic targets: what `--untag`, `--tag` and `--traffic` make of the present ones, in this order.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::error::CliError;

const LATEST: &str = "@latest";

/// The traffic flags of one command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Traffic")]
pub struct TrafficFlags {
    /// Share of a revision, a tag or @latest, such as web-00001=90; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "REF=PERCENT")]
    pub traffic: Vec<String>,
    /// Tag a revision or @latest, such as web-00001=stable; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "REF=TAG")]
    pub tag: Vec<String>,
    /// Remove a tag; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    pub untag: Vec<String>,
}

/// What is known of a service besides its spec.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Revisions that have traffic or a tag at present (`status.traffic`), each once.
    pub routed: Vec<String>,
    /// The latest ready revision.
    pub latest_ready: Option<String>,
    /// Whether this command makes a new revision.
    pub makes_revision: bool,
}

impl TrafficFlags {
    /// Whether any of them was given.
    pub fn is_empty(&self) -> bool {
        self.traffic.is_empty() && self.tag.is_empty() && self.untag.is_empty()
    }

    /// The new targets in place of `present`.
    ///
    /// # Errors
    /// A usage error that names the flag's value and what to change.
    pub fn apply(&self, present: &[Value], known: &Known) -> Result<Vec<Value>, CliError> {
        let mut targets: Vec<Target> = present.iter().map(Target::read).collect();
        untag(&mut targets, &self.untag)?;
        for tag in &self.tag {
            add_tag(&mut targets, tag)?;
        }
        if !self.traffic.is_empty() {
            share(&mut targets, &self.traffic, known)?;
        }
        targets.retain(|target| target.percent > 0 || target.tag.is_some());
        Ok(targets.iter().map(Target::write).collect())
    }
}

/// The revision that keeps its traffic by name although the target that had it followed the latest one: from now on new
/// revisions get none of it, which is easily overlooked.
pub fn no_longer_follows<'a>(before: &[Value], after: &'a [Value], known: &Known) -> Option<&'a str> {
    let follows = |targets: &[Value]| {
        targets
            .iter()
            .any(|target| target["latestRevision"] == true && target["percent"].as_i64() > Some(0))
    };
    if !follows(before) || follows(after) {
        return None;
    }
    after
        .iter()
        .filter_map(|target| target["revisionName"].as_str())
        .find(|revision| known.latest_ready.as_deref() == Some(*revision))
}

#[derive(Clone, Debug, PartialEq)]
struct Target {
    /// `None` is the latest revision.
    revision: Option<String>,
    tag: Option<String>,
    percent: i64,
}

impl Target {
    fn read(value: &Value) -> Self {
        let text = |field: &str| {
            value[field]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Self {
            revision: text("revisionName").filter(|_| value["latestRevision"] != true),
            tag: text("tag"),
            percent: value["percent"].as_i64().unwrap_or(0),
        }
    }

    fn write(&self) -> Value {
        let mut value = Map::new();
        value.insert("latestRevision".into(), json!(self.revision.is_none()));
        value.insert("percent".into(), json!(self.percent));
        if let Some(revision) = &self.revision {
            value.insert("revisionName".into(), json!(revision));
        }
        if let Some(tag) = &self.tag {
            value.insert("tag".into(), json!(tag));
        }
        Value::Object(value)
    }

    fn is(&self, reference: &str) -> bool {
        match &self.revision {
            None => reference == LATEST,
            Some(revision) => revision == reference,
        }
    }
}

fn revision_of(reference: &str) -> Result<Option<String>, CliError> {
    match reference {
        LATEST => Ok(None),
        other if other.starts_with('@') => Err(CliError::usage(format!(
            "'{other}' is no revision: the only word with an @ is {LATEST}"
        ))),
        other => Ok(Some(other.to_owned())),
    }
}

fn untag(targets: &mut [Target], tags: &[String]) -> Result<(), CliError> {
    let missing: Vec<&str> = tags
        .iter()
        .filter(|tag| !targets.iter().any(|target| target.tag.as_ref() == Some(*tag)))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        return Err(CliError::usage(format!(
            "tag(s) {} not present for any revision",
            missing.join(", ")
        )));
    }
    for target in targets
        .iter_mut()
        .filter(|target| target.tag.as_ref().is_some_and(|tag| tags.contains(tag)))
    {
        target.tag = None;
    }
    Ok(())
}

fn add_tag(targets: &mut Vec<Target>, flag: &str) -> Result<(), CliError> {
    let (reference, tag) = flag.split_once('=').unwrap_or((LATEST, flag));
    if reference.is_empty() || tag.is_empty() || tag.contains('=') {
        return Err(CliError::usage(format!(
            "expecting the value format in value1=value2, given {flag}"
        )));
    }
    if targets
        .iter()
        .any(|target| target.is(reference) && target.tag.as_deref() == Some(tag))
    {
        return Ok(());
    }
    if let Some(other) = targets.iter().find(|target| target.tag.as_deref() == Some(tag)) {
        let holder = other.revision.as_deref().unwrap_or(LATEST);
        return Err(CliError::usage(format!(
            "refusing to overwrite existing tag in service, add flag '--untag {tag}' in command to untag it ({holder} has it)"
        )));
    }
    if reference == LATEST
        && targets
            .iter()
            .any(|target| target.is(LATEST) && target.tag.is_some())
    {
        return Err(CliError::usage(format!(
            "tag on latest ready revision already present, add flag '--untag' in command to remove it before tagging it {tag}"
        )));
    }
    match targets
        .iter_mut()
        .find(|target| target.is(reference) && target.tag.is_none())
    {
        Some(target) => target.tag = Some(tag.to_owned()),
        None => targets.push(Target {
            revision: revision_of(reference)?,
            tag: Some(tag.to_owned()),
            percent: 0,
        }),
    }
    Ok(())
}

fn share(targets: &mut Vec<Target>, flags: &[String], known: &Known) -> Result<(), CliError> {
    let mut named: Vec<(String, i64)> = Vec::new();
    for flag in flags {
        // A percent sign belongs behind a reference; alone it would be a number of what?
        let (reference, percent) = flag
            .split_once('=')
            .map_or((LATEST, flag.as_str()), |(reference, percent)| {
                (reference, percent.strip_suffix('%').unwrap_or(percent))
            });
        let number = percent.parse().ok().filter(|percent| (0..=100).contains(percent));
        let Some(percent) = number.filter(|_| !reference.is_empty()) else {
            return Err(CliError::usage(format!(
                "invalid value for traffic percent {flag}, expected REVISION=N with N from 0 to 100"
            )));
        };
        if named.iter().any(|(other, _)| other == reference) {
            return Err(CliError::usage(format!(
                "repetition of revision reference {reference} is not allowed, use only once with --traffic flag"
            )));
        }
        named.push((reference.to_owned(), percent));
    }
    let sum: i64 = named.iter().map(|(_, percent)| percent).sum();
    if sum > 100 {
        return Err(CliError::usage(format!(
            "given traffic percents sum to {sum}, want <=100"
        )));
    }
    if sum < 100 {
        let rest = rest_goes_to(targets, &named, known, 100 - sum)?;
        named.push((rest, 100 - sum));
    }
    targets.iter_mut().for_each(|target| target.percent = 0);
    for (reference, percent) in named {
        let by_tag = targets
            .iter()
            .position(|target| target.tag.as_deref() == Some(reference.as_str()));
        let position = targets
            .iter()
            .position(|target| reference == LATEST && target.is(LATEST))
            .or(by_tag)
            .or_else(|| targets.iter().position(|target| target.is(&reference)));
        match position.and_then(|position| targets.get_mut(position)) {
            Some(target) => target.percent += percent,
            None => targets.push(Target {
                revision: revision_of(&reference)?,
                tag: None,
                percent,
            }),
        }
    }
    Ok(())
}

/// The one party that was not named gets what is left; if there is not exactly one, nobody can tell.
fn rest_goes_to(
    targets: &[Target],
    named: &[(String, i64)],
    known: &Known,
    rest: i64,
) -> Result<String, CliError> {
    let resolve = |reference: &str| -> Option<String> {
        let tagged = targets
            .iter()
            .find(|target| target.tag.as_deref() == Some(reference));
        match tagged {
            Some(target) => target.revision.clone().or_else(|| known.latest_ready.clone()),
            // A latest revision that is still to be made is none of those that have traffic now.
            None if reference == LATEST => known.latest_ready.clone().filter(|_| !known.makes_revision),
            None => Some(reference.to_owned()),
        }
    };
    let resolved: Vec<Option<String>> = named.iter().map(|(reference, _)| resolve(reference)).collect();
    let mut unnamed: Vec<&String> = known
        .routed
        .iter()
        .filter(|revision| !resolved.iter().flatten().any(|named| named == *revision))
        .collect();
    let latest_named = named.iter().any(|(reference, _)| reference == LATEST);
    let new_unnamed = known.makes_revision && !latest_named;
    match (unnamed.pop(), unnamed.is_empty(), new_unnamed) {
        (None, _, true) => Ok(LATEST.to_owned()),
        (Some(only), true, false) => Ok(only.clone()),
        _ => Err(CliError::usage(format!(
            "unable to allocate the remaining traffic: {rest}%. Reason: it must be clear which single revision it goes to; name all with --traffic so that they sum to 100"
        ))),
    }
}

#[cfg(test)]
mod tests;
