//! HTTP, as an application speaks it, and as nobody should.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::{Answer, contract};

/// No answer of a test takes this long.
const TIMEOUT: Duration = Duration::from_secs(40);

/// But one that waits for a compiler.
const PATIENCE: Duration = Duration::from_mins(10);

/// Sends requests below one address, with one credential.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    root: String,
    base: String,
    authorization: Option<String>,
}

impl Client {
    /// A client without a credential. Paths are added to `base`.
    pub fn new(base: &str) -> Self {
        Self::with_tls(base, ureq::tls::TlsConfig::default())
    }

    /// The same, with TLS set up so.
    pub fn with_tls(base: &str, tls: ureq::tls::TlsConfig) -> Self {
        let (agent, root) = (agent(tls, TIMEOUT), base.to_owned());
        Self { agent, base: root.clone(), root, authorization: None }
    }

    /// The same client, which waits for minutes: for a policy that takes long to compile, on a
    /// machine with much else to do.
    #[must_use]
    pub fn patient(&self) -> Self {
        let plain = ureq::tls::TlsConfig::default();
        Self { agent: agent(plain, PATIENCE), ..self.clone() }
    }

    /// The same client with this bearer token.
    #[must_use]
    pub fn token(&self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self.clone() }
    }

    /// The same client with this Authorization header, `None` for none.
    #[must_use]
    pub fn authorization(&self, value: Option<&str>) -> Self {
        Self { authorization: value.map(str::to_owned), ..self.clone() }
    }

    /// The same client below `path`.
    #[must_use]
    pub fn below(&self, path: &str) -> Self {
        Self { base: format!("{}{path}", self.base), ..self.clone() }
    }

    /// The same client, no longer below any path.
    #[must_use]
    pub fn at_root(&self) -> Self {
        Self { base: self.root.clone(), ..self.clone() }
    }

    /// Sends a request; fails when there is no answer.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let answer = self.try_send(method, path, headers, body);
        answer.unwrap_or_else(|error| panic!("{method} {}{path}: {error}", self.base))
    }

    /// Sends a request. Fails the test when the API's description does not have such an answer.
    #[track_caller]
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let uri = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method).uri(&uri);
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = if body.is_empty() && matches!(method, "GET" | "DELETE" | "HEAD") {
            self.agent.run(request.body(())?)?
        } else {
            self.agent.run(request.body(body)?)?
        };
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        let answer = Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body,
            asked: format!("{method} {uri}"),
        };
        let at = uri.find("://").map_or(0, |at| at + 3);
        let path = uri[at..].find('/').map_or("", |slash| &uri[at + slash..]);
        contract::check(method, path, &answer);
        Ok(answer)
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// POST of JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.json(path, body.to_string().as_bytes())
    }

    /// POST of what claims to be JSON.
    #[track_caller]
    pub fn json(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body)
    }

    /// PUT of a component to `/policy`.
    #[track_caller]
    pub fn put_policy(&self, wasm: &[u8]) -> Answer {
        self.send("PUT", "/policy", &[("content-type", "application/wasm")], wasm)
    }

    /// The ciphertext of a payload; fails unless it is encrypted.
    #[track_caller]
    pub fn encrypt(&self, body: &Value) -> String {
        self.post("/encrypt", body).expect(200).str("/ciphertext")
    }

    /// The plaintext of a ciphertext; fails unless it opens.
    #[track_caller]
    pub fn decrypt(&self, body: &Value) -> Vec<u8> {
        crate::unb64(&self.post("/decrypt", body).expect(200).str("/plaintext"))
    }
}

fn agent(tls: ureq::tls::TlsConfig, timeout: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .tls_config(tls)
        .build();
    config.new_agent()
}

/// How long the server may take to answer before the client says that it sends no more.
const PAUSE: Duration = Duration::from_millis(300);

/// Sends bytes as they are and reads until the server closes. What it does not take is not an
/// error: it may answer and close before the end.
pub fn raw(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    for timeout in [PAUSE, TIMEOUT] {
        stream.set_read_timeout(Some(timeout)).unwrap();
        let read = stream.read_to_end(&mut answer);
        // A pause: it waits for more, and there is no more.
        if read.is_ok() || stream.shutdown(Shutdown::Write).is_err() {
            break;
        }
    }
    answer
}

/// The same for one request; the response taken apart.
#[track_caller]
pub fn raw_answer(address: &str, bytes: &[u8]) -> Answer {
    let asked = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    let got = raw(address, bytes);
    let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else {
        panic!("{asked}: no HTTP response: {:?}", String::from_utf8_lossy(&got))
    };
    let head = std::str::from_utf8(&got[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
    }
    Answer { status, headers, body: got[end + 4..].to_vec(), asked }
}
