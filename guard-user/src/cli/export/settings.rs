//! Where to send to and what to say of oneself, as users of OpenTelemetry are used to set it.

use http_body_util::Full;
use hyper::{
    HeaderMap, Request, Uri,
    body::Bytes,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue},
    http::request::Builder,
};

use super::super::error::Error;
use crate::otlp::{names, span::Attributes};

/// The path of traces below an endpoint.
const TRACES: &str = "v1/traces";

/// A collector.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    /// As it was given.
    authority: String,
    path: String,
    headers: HeaderMap,
}

impl Endpoint {
    /// # Errors
    /// When the text is no address that can be sent to.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let example = "such as http://localhost:4318";
        let uri: Uri =
            text.parse().map_err(|error| Error::Usage(format!("`{text}` is no endpoint {example}: {error}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(Error::Usage(format!(
                    "`{text}`: guardctl speaks no TLS; send to a collector on this host ({example}), which does"
                )));
            }
            Some(_) | None => return Err(Error::Usage(format!("`{text}` is no endpoint {example}"))),
        }
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(|| Error::Usage(format!("`{text}` is no endpoint {example}")))?;
        Ok(Self {
            host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.to_string(),
            path: format!("{}/{TRACES}", uri.path().trim_end_matches('/')),
            headers: HeaderMap::new(),
        })
    }

    /// # Errors
    /// When a name or a value cannot be in a header.
    pub(super) fn with_headers(mut self, headers: Vec<(String, String)>) -> Result<Self, Error> {
        for (name, value) in headers {
            let wrong = || Error::Usage(format!("`{name}` is no header, or its value is none"));
            let mut text = HeaderValue::from_str(&value).map_err(|_| wrong())?;
            text.set_sensitive(true);
            self.headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, text);
        }
        Ok(self)
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }

    pub(super) fn request(&self, body: String) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request: Builder = Request::post(&self.path);
        let mut request = request.body(Full::new(Bytes::from(body)))?;
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().insert(HOST, HeaderValue::from_str(&self.authority)?);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }
}

/// What all spans say of where they are from. `service` goes before what `attributes` says.
pub(super) fn resource(service: Option<String>, attributes: Vec<(String, String)>) -> Attributes {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut all = vec![
        (names::SERVICE_NAME.to_owned(), "guard".to_owned()),
        (names::SERVICE_VERSION.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        (names::HOST_NAME.to_owned(), host),
    ];
    for (name, value) in attributes.into_iter().chain(service.map(|name| (names::SERVICE_NAME.to_owned(), name))) {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => all.push((name, value)),
        }
    }
    let mut resource = Attributes::default();
    all.into_iter().for_each(|(name, value)| resource.add(&name, &value.into()));
    resource
}

/// A variable of OpenTelemetry's; one that is empty is not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `name=value,name=value`, as W3C Baggage has it: the values are percent-encoded.
///
/// # Errors
/// When `variable` has something else.
pub(super) fn pairs(variable: &str, text: &str) -> Result<Vec<(String, String)>, Error> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let wrong = || Error::Usage(format!("{variable} is no list such as name=value,name=value"));
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            Ok((name.trim().to_owned(), decoded(value.trim()).ok_or_else(wrong)?))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_where_traces_go() {
        let url =
            |text: &str| Endpoint::parse(text).map(|endpoint| (endpoint.host.clone(), endpoint.port, endpoint.url()));
        let is = |text: &str, host: &str, port, whole: &str| {
            assert_eq!(url(text).expect("an endpoint"), (host.to_owned(), port, whole.to_owned()));
        };
        is("http://localhost:4318", "localhost", 4318, "http://localhost:4318/v1/traces");
        is("http://10.0.0.1", "10.0.0.1", 80, "http://10.0.0.1/v1/traces");
        is("http://[::1]:4318/otlp/", "::1", 4318, "http://[::1]:4318/otlp/v1/traces");
        for wrong in ["", "localhost:4318", "/v1/traces", "ftp://x", "http://user:secret@x", "http://a b"] {
            assert!(matches!(url(wrong), Err(Error::Usage(_))), "{wrong}");
        }
        assert!(url("https://x").expect_err("no TLS").to_string().contains("guardctl speaks no TLS"));
    }

    #[test]
    fn lists_are_read_as_opentelemetry_has_them() {
        let read = |text: &str| pairs("X", text).ok();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read(" a=b , c=Bearer%20x+/%3D==,"), Some(vec![pair("a", "b"), pair("c", "Bearer x+/===")]));
        assert_eq!(read(""), Some(Vec::new()));
        for wrong in ["a", "a=%", "a=%2", "a=%zz", "a=%ff", "a=%é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_header_is_sent_and_never_shown() {
        let endpoint = Endpoint::parse("http://x").expect("an endpoint");
        let with = |name: &str, value: &str| endpoint.clone().with_headers(vec![(name.to_owned(), value.to_owned())]);
        let request = with("X-Key", "secret").expect("a header").request(String::new()).expect("a request");
        assert_eq!(request.headers()["x-key"], "secret");
        assert!(!format!("{request:?}").contains("secret"));
        assert!(with("a b", "").is_err() && with("a", "b\r\nc: d").is_err());
    }

    #[test]
    fn the_service_is_named_by_its_own_variable_first() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let text =
            format!("{:?}", resource(Some("mine".to_owned()), vec![pair("service.name", "other"), pair("a", "b")]));
        assert!(text.contains("mine") && !text.contains("other") && text.contains("\"a\""), "{text}");
        assert!(format!("{:?}", resource(None, vec![pair("service.name", "other")])).contains("other"));
    }
}
