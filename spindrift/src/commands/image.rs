//! `spindrift image`: what this machine has, and how to bring more.

use std::process::ExitCode;

use super::say;
use crate::cli::{DataArgs, ImageCommand, OutputFormat};
use crate::control::{ImageView, Images};
use crate::run_file::Run;

/// Exit code when a name does not exist.
const NOT_FOUND: u8 = 3;

pub async fn run(command: ImageCommand) -> anyhow::Result<ExitCode> {
    match command {
        ImageCommand::Load { data, archive } => {
            let loaded = images(&data)?.load(&archive).await?;
            for image in &loaded {
                say::line(format!("Loaded {} ({})", image.name, image.digest));
            }
            if let Some(first) = loaded.first() {
                say::line(format!("\n  kn service create NAME --image {}", first.name));
            }
        }
        ImageCommand::List { data, output } => {
            let all = images(&data)?.list().await?;
            say::line(match output {
                Some(OutputFormat::Json) => serde_json::to_string_pretty(&all)?,
                Some(OutputFormat::Yaml) => serde_saphyr::to_string(&all)?,
                None if all.is_empty() => {
                    "No images found; push one, or `spindrift image load ARCHIVE`".to_owned()
                }
                None => table(&all),
            });
        }
        ImageCommand::Components { data } => {
            for image in images(&data)?.components().await? {
                say::line(image);
            }
        }
        ImageCommand::Builder { data } => {
            say::progress("Making the builder image ...");
            say::line(images(&data)?.builder().await?);
        }
        ImageCommand::Remove { data, images: names } => {
            let images = images(&data)?;
            let mut missing = false;
            for name in names {
                if images.remove(&name).await? {
                    say::line(format!("Removed {name}"));
                } else {
                    missing = true;
                    say::progress(format!(
                        "There is no image {name}; `spindrift image list` shows those that are"
                    ));
                }
            }
            if missing {
                return Ok(ExitCode::from(NOT_FOUND));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn images(data: &DataArgs) -> anyhow::Result<Images> {
    let running = Run::read(&data.data_dir)?.is_some_and(|run| run.alive());
    Images::of(&data.data_dir, running)
}

fn table(images: &[ImageView]) -> String {
    let width = images
        .iter()
        .map(|image| image.name.len())
        .max()
        .unwrap_or(0)
        .max("IMAGE".len());
    let mut lines = vec![format!("{:width$}   {:12}   SIZE", "IMAGE", "DIGEST")];
    for image in images {
        let digest: String = image
            .digest
            .trim_start_matches("sha256:")
            .chars()
            .take(12)
            .collect();
        lines.push(format!(
            "{:width$}   {digest:12}   {}",
            image.name,
            human(image.size)
        ));
    }
    lines.join("\n")
}

/// Bytes in the unit that people read, such as `3.4 MB`.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB"] {
        if value < 1000.0 {
            return if unit == "B" {
                format!("{bytes} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} GB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_columns() {
        assert_eq!(human(999), "999 B");
        assert_eq!(human(3_400_000), "3.4 MB");
        let image = ImageView {
            name: "localhost:5000/web:v1".into(),
            digest: format!("sha256:{}", "a".repeat(64)),
            size: 1,
        };
        assert!(
            table(&[image])
                .lines()
                .nth(1)
                .unwrap()
                .ends_with("aaaaaaaaaaaa   1 B")
        );
    }
}
