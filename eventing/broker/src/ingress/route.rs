//! Where a request wants its events to go.

use std::fmt;

use crds::names::CHANNEL_DISPATCHER_SERVICE;
use http::header::HOST;
use http::{Method, Request};

use super::refusal::Refusal;

/// What every channel's Service is called, after the channel's name.
const CHANNEL_SUFFIX: &str = "-kn-channel";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `OPTIONS`, on any path.
    Handshake,
    Events(Destination),
    Refused(Refusal),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Broker { namespace: String, name: String },
    Channel { namespace: String, name: String },
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker { namespace, name } => write!(f, "broker {namespace}/{name}"),
            Self::Channel { namespace, name } => write!(f, "channel {namespace}/{name}"),
        }
    }
}

/// By the host if it is a channel's, by the path otherwise, which also names a channel if the host is that of all. `service_domain` is `svc.<cluster domain>`.
pub(super) fn route<B>(request: &Request<B>, service_domain: &str) -> Route {
    match *request.method() {
        Method::OPTIONS => return Route::Handshake,
        Method::POST => {}
        _ => return Route::Refused(Refusal::Method),
    }
    let path = request.uri().path();
    if let Some(channel) = host(request).and_then(|host| channel(host, service_domain)) {
        return match path {
            "" | "/" => Route::Events(channel),
            _ => Route::Refused(Refusal::ChannelPath),
        };
    }
    let found = match host(request).is_some_and(|host| is_dispatcher(host, service_domain)) {
        true => named(path).map(|(namespace, name)| Destination::Channel { namespace, name }),
        false => named(path).map(|(namespace, name)| Destination::Broker { namespace, name }),
    };
    found.map_or_else(Route::Refused, Route::Events)
}

fn host<B>(request: &Request<B>) -> Option<&str> {
    let host = match request.uri().authority() {
        Some(authority) => authority.host(),
        None => request.headers().get(HOST)?.to_str().ok()?,
    };
    // No channel is reached by an IPv6 address, so what follows the first colon is a port.
    host.split(':').next()
}

/// `<name>-kn-channel.<namespace>`, alone or within the cluster domain.
fn channel(host: &str, service_domain: &str) -> Option<Destination> {
    let (service, rest) = host.split_once('.')?;
    let name = strip_suffix(service, CHANNEL_SUFFIX).filter(|name| !name.is_empty())?;
    let namespace = namespace(rest, service_domain)?;
    Some(Destination::Channel {
        namespace: namespace.to_ascii_lowercase(),
        name: name.to_ascii_lowercase(),
    })
}

/// Whether a host is that of all channels.
fn is_dispatcher(host: &str, service_domain: &str) -> bool {
    let (service, rest) = host.split_once('.').unwrap_or((host, "any"));
    service.eq_ignore_ascii_case(CHANNEL_DISPATCHER_SERVICE) && namespace(rest, service_domain).is_some()
}

/// Of `<namespace>`, alone or within the cluster domain.
fn namespace<'a>(rest: &'a str, service_domain: &str) -> Option<&'a str> {
    let (namespace, domain) = rest.split_once('.').unwrap_or((rest, ""));
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let ours = ["", "svc", service_domain]
        .iter()
        .any(|known| domain.eq_ignore_ascii_case(known));
    (ours && !namespace.is_empty()).then_some(namespace)
}

fn strip_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (start, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(start)
}

/// `/<namespace>/<name>`.
fn named(path: &str) -> Result<(String, String), Refusal> {
    let Some(path) = path.strip_prefix('/').filter(|path| !path.is_empty()) else {
        return Err(Refusal::NoPath);
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err(Refusal::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(method: &str, host: &str, target: &str) -> Route {
        let mut request = Request::builder().method(method).uri(target);
        if !host.is_empty() {
            request = request.header(HOST, host);
        }
        route(&request.body(()).unwrap(), "svc.cluster.local")
    }

    fn to_broker(namespace: &str, name: &str) -> Route {
        Route::Events(Destination::Broker {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    fn to_channel(namespace: &str, name: &str) -> Route {
        Route::Events(Destination::Channel {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    #[test]
    fn methods_are_looked_at_first() {
        for target in ["/", "/ns/default", "/a/b/c"] {
            assert_eq!(routed("OPTIONS", "x", target), Route::Handshake);
            for method in ["GET", "PUT", "HEAD", "DELETE", "PATCH", "FOO"] {
                assert_eq!(routed(method, "x", target), Route::Refused(Refusal::Method));
            }
        }
    }

    #[test]
    fn paths_name_brokers() {
        for (target, expected) in [
            ("/ns/default", to_broker("ns", "default")),
            ("/ns/default/", to_broker("ns", "default")),
            ("/ns/default?x=/y", to_broker("ns", "default")),
            ("http://host/ns/default", to_broker("ns", "default")),
            ("/", Route::Refused(Refusal::NoPath)),
            ("/?x", Route::Refused(Refusal::NoPath)),
            ("*", Route::Refused(Refusal::NoPath)),
            ("/ns", Route::Refused(Refusal::Path)),
            ("/ns/", Route::Refused(Refusal::Path)),
            ("//default", Route::Refused(Refusal::Path)),
            ("/ns//default", Route::Refused(Refusal::Path)),
            ("/ns/default/x", Route::Refused(Refusal::Path)),
            ("/ns/default//", Route::Refused(Refusal::Path)),
        ] {
            let host = "broker-ingress.knative-eventing.svc.cluster.local";
            assert_eq!(routed("POST", host, target), expected, "{target}");
        }
    }

    #[test]
    fn hosts_name_channels() {
        let broker = || to_broker("a", "b");
        for (host, target, expected) in [
            ("ch-kn-channel.ns.svc.cluster.local", "/", to_channel("ns", "ch")),
            (
                "ch-kn-channel.ns.svc.cluster.local:80",
                "/?x",
                to_channel("ns", "ch"),
            ),
            ("ch-kn-channel.ns.svc.cluster.local.", "/", to_channel("ns", "ch")),
            ("Ch-KN-Channel.NS.svc", "/", to_channel("ns", "ch")),
            ("ch-kn-channel.ns", "/", to_channel("ns", "ch")),
            (
                "a-kn-channel-kn-channel.ns",
                "/",
                to_channel("ns", "a-kn-channel"),
            ),
            ("", "http://ch-kn-channel.ns.svc:8080/", to_channel("ns", "ch")),
            (
                "imc-dispatcher.sys.svc.cluster.local",
                "/ns/ch",
                to_channel("ns", "ch"),
            ),
            ("imc-dispatcher.sys.svc:443", "/ns/ch/", to_channel("ns", "ch")),
            ("imc-dispatcher", "/ns/ch", to_channel("ns", "ch")),
            ("imc-dispatcher.sys.example.com", "/a/b", broker()),
            ("imc-dispatcher.sys", "/", Route::Refused(Refusal::NoPath)),
            ("ch-kn-channel.ns.svc", "/x", Route::Refused(Refusal::ChannelPath)),
            ("ch-kn-channel.ns.example.com", "/a/b", broker()),
            ("-kn-channel.ns.svc", "/a/b", broker()),
            ("ch-kn-channel", "/a/b", broker()),
            ("ch-kn-channel..svc", "/a/b", broker()),
            ("[::1]:80", "/a/b", broker()),
            ("ä-kn-channel.ns", "/a/b", broker()),
        ] {
            assert_eq!(routed("POST", host, target), expected, "{host} {target}");
        }
    }
}
