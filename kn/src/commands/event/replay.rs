//! `kn event replay`

use clap::Args;
use http::Method;

use super::operator::BrokerArgs;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};

/// Sends dead letters again, each to the trigger that could not deliver it. They stay in the list.
///
/// Needs the right to make a token of the ServiceAccount `default` in the broker's namespace.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn event replay broker:default 3 4\n  kn event replay default --all")]
pub struct Replay {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Positions that `kn event dead-letters` lists
    #[arg(value_name = "POSITION", required_unless_present = "all", num_args = 1..=1000)]
    positions: Vec<u64>,
    /// All dead letters there are
    #[arg(long, conflicts_with = "positions")]
    all: bool,
    #[command(flatten)]
    form: OutputArgs,
}

impl Replay {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let which: Vec<String> = match self.all {
            true => vec!["all=true".to_owned()],
            false => self
                .positions
                .iter()
                .map(|position| format!("position={position}"))
                .collect(),
        };
        let verb = format!("replay?{}", which.join("&"));
        let mut lines = self.broker.ask(context, Method::POST, &verb).await?;
        let came = lines.next().await?.unwrap_or_default();
        if self.form.print(&came, output)? {
            return Ok(Exit::Success);
        }
        let count = |field: &str| came[field].as_u64().unwrap_or(0);
        let skipped = match count("skipped") {
            0 => String::new(),
            skipped => format!(" {skipped} skipped: their trigger is gone, or they are not kept any more."),
        };
        output.done(format!("{} sent again.{skipped}", count("replayed")))?;
        // Asked for by name, each of them is missed.
        Ok(match self.all || skipped.is_empty() {
            true => Exit::Success,
            false => Exit::Failure,
        })
    }
}
