//! The HTTP side of the client.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, TE};
use reqwest::redirect::Policy;
use reqwest::{Body, Certificate, Client, Method, RequestBuilder, Response, Url};

use super::call::{Call, Place, Sent};
use super::connection::{Connection, Who};
use super::failure::{Failure, Problem};

const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent before a connection to it is given up.
const SILENCE: Duration = Duration::from_mins(5);
/// The longest problem that is read, in bytes.
const MAX_PROBLEM: usize = 64 << 10;

/// The API of one server.
pub struct Api<'a> {
    connection: &'a Connection,
    http: Client,
    root: Url,
}

impl<'a> Api<'a> {
    /// No network yet.
    pub fn new(connection: &'a Connection) -> Result<Self, Failure> {
        let addr = connection.addr();
        let root = Url::parse(addr).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.username() == ""
        });
        let root = root.ok_or_else(|| {
            Failure::Usage(format!("{addr:?} is no URL of a server; give http://… or https://…"))
        })?;
        // A redirection would carry the token away. A proxy reads what is not TLS.
        let mut builder = Client::builder()
            .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .tls_backend_rustls();
        if let Some(path) = connection.ca_cert() {
            let pem = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
            let found = Certificate::from_pem_bundle(&pem).ok().filter(|found| !found.is_empty());
            builder = builder.tls_certs_only(found.ok_or_else(|| {
                Failure::Usage(format!("{} holds no certificate (PEM)", path.display()))
            })?);
        } else if root.scheme() == "http" {
            // Otherwise the certificates of the system are looked for, needlessly.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| Failure::local("cannot set up TLS", &error))?;
        Ok(Self { connection, http, root })
    }

    /// Makes a call. Gives the body of its answer.
    pub async fn call(&self, call: Call) -> Result<Bytes, Failure> {
        let request = self.request(call.method, call.place, &call.path, &call.query, call.who)?;
        let headers = call.headers.into_iter();
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        let request = match call.sent {
            Sent::Nothing => request,
            Sent::Json(fields) => {
                let json = serde_json::Value::Object(fields).to_string();
                request.header(CONTENT_TYPE, "application/json").body(json)
            }
            Sent::Bytes(kind, bytes) => request.header(CONTENT_TYPE, kind).body(bytes),
        };
        let answer = self.send(request.timeout(SILENCE)).await?;
        answer.bytes().await.map_err(|error| self.broken(&error))
    }

    /// A request to be sent by [`send`](Self::send).
    pub fn request(
        &self,
        method: Method,
        place: Place,
        path: &[String],
        query: &[(&'static str, String)],
        who: Who,
    ) -> Result<RequestBuilder, Failure> {
        let mut url = self.root.clone();
        let bad = || Failure::Usage(format!("{} cannot be a base", self.connection.addr()));
        {
            let mut segments = url.path_segments_mut().map_err(|()| bad())?;
            segments.pop_if_empty().extend(["api", "v1"]);
            if place == Place::Tenant {
                segments.extend(["tenants", &self.connection.tenant()?]);
            }
            segments.extend(path);
        }
        if place == Place::TenantInQuery
            && let Some(tenant) = self.connection.named_tenant()
        {
            url.query_pairs_mut().append_pair("tenant", &tenant);
        }
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let token = self.connection.token(who)?;
        let bearer = zeroize::Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut bearer = HeaderValue::from_str(&bearer)
            .map_err(|_| Failure::Usage("the token has characters that no token has".into()))?;
        bearer.set_sensitive(true);
        Ok(self.http.request(method, url).header(AUTHORIZATION, bearer))
    }

    /// Sends a request; what is not a success is a failure.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = request.header(ACCEPT, "*/*").header(TE, "trailers").send().await;
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let mut body = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            body.extend_from_slice(&piece);
            if body.len() > MAX_PROBLEM {
                break;
            }
        }
        if let Ok(problem) = serde_json::from_slice::<Problem>(&body) {
            return Err(Failure::Problem(Box::new(problem)));
        }
        // Also what says how a Vault is has a status of its own.
        if serde_json::from_slice::<serde_json::Value>(&body).is_ok() {
            let text = String::from_utf8_lossy(&body);
            return Err(Failure::Connection(format!("status {}: {text}", status.as_u16())));
        }
        Err(Failure::Connection(format!(
            "what answers at {} is not Keyward (status {}); see KEYWARD_ADDR or --addr",
            self.connection.addr(),
            status.as_u16()
        )))
    }

    /// The failure of a request without an answer.
    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let addr = self.connection.addr();
        if error.is_body() || error.is_timeout() && !error.is_connect() {
            return self.broken(error);
        }
        Failure::Connection(format!(
            "cannot reach {addr}: {}; is a server running there? Start one (`keyward serve`), or \
             set KEYWARD_ADDR or --addr",
            cause(error)
        ))
    }

    /// The failure of an answer that was not whole.
    pub fn broken(&self, error: &dyn Error) -> Failure {
        let addr = self.connection.addr();
        Failure::Connection(format!(
            "{addr} broke off ({}); what came is not the whole. The server's log says why",
            cause(error)
        ))
    }
}

/// The body of an answer, with the trailers that reqwest leaves out of its own methods.
pub fn body(answer: Response) -> Body {
    answer.into()
}

/// What is at the bottom of an error.
fn cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
