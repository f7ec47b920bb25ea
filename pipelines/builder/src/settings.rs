//! What is to be built, from the environment.

use formats::image::ImageReference;
use registries::Registry;
use source::Limits;

use crate::error::Error;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub git: Git,
    pub artifact: String,
    pub strategy: Strategy,
    /// Empty is whichever of the usual names is there.
    pub dockerfile: String,
    pub context: String,
    pub base: String,
    /// Repository that the image goes to, by the name that it is run by.
    pub image: String,
    pub tag: String,
    pub cache: bool,
    pub registry_name: String,
    /// Where the registry of that name is reached from here; empty if by its name.
    pub registry_address: String,
    pub insecure: Vec<String>,
    pub max_source: u64,
    pub max_cache: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Git {
    pub url: String,
    pub commit: String,
    pub reference: String,
    pub protocols: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Strategy {
    #[default]
    Auto,
    Dockerfile,
    Files,
}

impl Settings {
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let text = |name: &str| variable(name).unwrap_or_default();
        let list = |name: &str| {
            let text = text(name);
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let number = |name: &str, default: u64| match text(name).as_str() {
            "" => Ok(default),
            digits => digits
                .parse()
                .map_err(|_| Error::Usage(format!("{name} is not a number of bytes: {digits:?}"))),
        };
        let strategy = match text("STRATEGY").as_str() {
            "" | "auto" => Strategy::Auto,
            "dockerfile" => Strategy::Dockerfile,
            "files" => Strategy::Files,
            other => {
                return Err(Error::Usage(format!(
                    "the strategy {other:?} is none of auto, dockerfile, files"
                )));
            }
        };
        Ok(Self {
            git: Git {
                url: text("GIT_SOURCE"),
                commit: text("GIT_COMMIT"),
                reference: text("GIT_REF"),
                protocols: list("GIT_PROTOCOLS"),
            },
            artifact: text("SOURCE_ARTIFACT"),
            strategy,
            dockerfile: text("DOCKERFILE"),
            context: text("CONTEXT"),
            base: text("BASE_IMAGE"),
            image: text("IMAGE"),
            tag: text("IMAGE_TAG"),
            cache: text("CACHE") == "true",
            registry_name: text("REGISTRY_NAME"),
            registry_address: text("REGISTRY_ADDRESS"),
            insecure: list("INSECURE_REGISTRIES"),
            max_source: number("MAX_SOURCE_BYTES", Limits::default().bytes)?,
            max_cache: number("MAX_CACHE_BYTES", 0)?,
        })
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            bytes: self.max_source,
            packed: self.max_source,
            ..Limits::default()
        }
    }

    /// The same image as it is reached from here.
    pub(crate) fn reached(&self, image: &str) -> String {
        let rest = image
            .strip_prefix(&self.registry_name)
            .filter(|rest| !self.registry_name.is_empty() && rest.starts_with('/'));
        match rest {
            Some(rest) if !self.registry_address.is_empty() => format!("{}{rest}", self.registry_address),
            _ => image.to_owned(),
        }
    }

    pub(crate) fn reached_image(&self, image: &str) -> Result<ImageReference, Error> {
        Ok(ImageReference::parse(&self.reached(image))?)
    }

    /// Those that are spoken to by http.
    pub(crate) fn plain_registries(&self) -> impl Iterator<Item = &String> {
        let own = Some(&self.registry_address).filter(|address| !address.is_empty());
        own.into_iter().chain(&self.insecure)
    }

    pub(crate) fn client(&self) -> Registry {
        Registry::new().insecure(self.plain_registries().cloned())
    }

    /// The repository of the image with its tag, as it is reached from here.
    pub(crate) fn target(&self) -> Result<ImageReference, Error> {
        let tag = if self.tag.is_empty() { "latest" } else { &self.tag };
        Ok(ImageReference::parse(&format!(
            "{}:{tag}",
            self.reached(&self.image)
        ))?)
    }

    /// The repository that keeps the layers of steps; no Service can have its name.
    pub(crate) fn cache_repository(&self) -> Option<String> {
        self.cache.then(|| format!("{}_cache", self.reached(&self.image)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_the_machine_are_reached_by_another_name() {
        let variables = [
            ("REGISTRY_NAME", "localhost:5000"),
            ("REGISTRY_ADDRESS", "10.88.0.1:5000"),
            ("IMAGE", "localhost:5000/default/web"),
            ("INSECURE_REGISTRIES", "a:1, b:2,"),
            ("CACHE", "true"),
        ];
        let settings = Settings::read(|name| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        })
        .unwrap();
        for (image, reached) in [
            ("localhost:5000/default/web", "10.88.0.1:5000/default/web"),
            ("localhost:50001/web", "localhost:50001/web"),
            ("docker.io/library/nginx", "docker.io/library/nginx"),
        ] {
            assert_eq!(settings.reached(image), reached);
        }
        assert_eq!(
            settings.target().unwrap().to_string(),
            "10.88.0.1:5000/default/web:latest"
        );
        assert_eq!(
            settings.cache_repository().as_deref(),
            Some("10.88.0.1:5000/default/web_cache")
        );
        let plain: Vec<_> = settings.plain_registries().collect();
        assert_eq!(plain, ["10.88.0.1:5000", "a:1", "b:2"]);
    }
}
