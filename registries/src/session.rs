//! Several requests to one repository: what its registry asked for once is told it from then on.

use bytes::Bytes;
use formats::image::ImageReference;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use url::Url;

use crate::client::{AGENT, Registry, RegistryError};
use crate::keychain::Credentials;

/// What of a refusal is told: registries explain themselves in a line or two.
const REASON_MAX: usize = 16 << 10;
const REASON_SHOWN: usize = 300;

pub(crate) struct Session<'a> {
    registry: &'a Registry,
    image: &'a ImageReference,
    credentials: Option<&'a Credentials>,
    base: String,
    authorization: Option<String>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        registry: &'a Registry,
        image: &'a ImageReference,
        credentials: Option<&'a Credentials>,
    ) -> Self {
        Self {
            registry,
            image,
            credentials,
            base: registry.base(image.registry()),
            authorization: None,
        }
    }

    /// The address of `path` within the repository.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.image.repository())
    }

    /// Sends; if the registry wants to know who asks, once more.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        url: &str,
        headers: &[(HeaderName, String)],
        body: Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let response = self.attempt(&method, url, headers, body.clone()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(url) {
            return Ok(response);
        }
        self.authorization = self
            .registry
            .authorize(&self.base, self.image, &response, self.credentials)
            .await?;
        if self.authorization.is_none() {
            return Ok(response);
        }
        self.attempt(&method, url, headers, body).await
    }

    async fn attempt(
        &self,
        method: &Method,
        url: &str,
        headers: &[(HeaderName, String)],
        body: Bytes,
    ) -> Result<Response<Incoming>, RegistryError> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(USER_AGENT, AGENT);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // Credentials are for the registry, not for whoever it sends to.
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_own(url)) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|_| RegistryError::Url(url.to_owned()))?;
        self.registry.send(request).await
    }

    fn is_own(&self, url: &str) -> bool {
        url.strip_prefix(&self.base)
            .is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Where an answer to `url` says to go on.
pub(crate) fn location(url: &str, response: &Response<Incoming>) -> Result<Url, RegistryError> {
    let place = response
        .headers()
        .get(LOCATION)
        .and_then(|place| place.to_str().ok());
    let base = Url::parse(url).map_err(|_| RegistryError::Url(url.to_owned()))?;
    let next = base
        .join(place.unwrap_or_default())
        .map_err(|_| RegistryError::Url(place.unwrap_or_default().to_owned()))?;
    // What was begun safely does not go on in clear text.
    if place.is_none() || (next.scheme() != "https" && next.scheme() != base.scheme()) {
        return Err(RegistryError::Url(place.unwrap_or_default().to_owned()));
    }
    Ok(next)
}

/// The answer if it is a success, else what the registry says about it.
pub(crate) async fn accepted(
    method: Method,
    url: &str,
    response: Response<Incoming>,
) -> Result<Response<Incoming>, RegistryError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json") || kind.starts_with("text/plain"));
    let body = Limited::new(response.into_body(), REASON_MAX).collect().await;
    let message = match body {
        Ok(body) if text => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        _ => String::new(),
    };
    let shown = message.chars().filter(|letter| !letter.is_control());
    Err(RegistryError::Refused {
        method,
        url: url.to_owned(),
        status,
        message: shown.take(REASON_SHOWN).collect(),
    })
}
