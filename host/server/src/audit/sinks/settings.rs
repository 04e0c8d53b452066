//! Which sinks there are, and how they behave.

use std::path::PathBuf;
use std::str::FromStr;

use zeroize::Zeroizing;

/// Which sinks there are, and how they behave. Without `Debug`: some of it is secret.
#[derive(Default)]
pub struct SinkSettings {
    /// Whether lines go to standard output.
    pub stdout: bool,
    /// Where syslog is.
    pub syslog: Option<SyslogAddress>,
    /// Where an OTLP receiver is.
    pub otlp: Option<OtlpSettings>,
    /// Where lines are posted to.
    pub webhook: Option<WebhookSettings>,
    /// PEM file of the authorities of both, instead of the system's.
    pub ca_cert: Option<PathBuf>,
    /// Whether requests wait for sinks that are too far behind; else these are not given the oldest.
    pub block: bool,
    /// How many entries behind is too far.
    pub max_lag: u64,
}

/// An OTLP receiver.
pub struct OtlpSettings {
    /// All of it, with its path.
    pub url: String,
    /// Names and values of headers to send along.
    pub headers: Vec<(String, Zeroizing<String>)>,
}

/// Who takes lines by POST.
pub struct WebhookSettings {
    /// All of it.
    pub url: String,
    /// Bearer token to send along.
    pub token: Option<Zeroizing<String>>,
}

/// Where syslog is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A local socket, of datagrams or a stream.
    Unix(PathBuf),
    /// Host and port, a datagram for each message.
    Udp(String),
    /// Host and port, a stream.
    Tcp(String),
}

impl FromStr for SyslogAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(()) };
        }
        let (scheme, address) = text.split_once("://").ok_or(())?;
        let (host, port) = address.rsplit_once(':').ok_or(())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = if let Some(host) = bare {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
            !host.is_empty() && host.chars().all(good)
        };
        if !is_host || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(());
        }
        match scheme {
            "udp" => Ok(Self::Udp(address.to_owned())),
            "tcp" => Ok(Self::Tcp(address.to_owned())),
            _ => Err(()),
        }
    }
}

/// Reads `name=value` of headers, separated by `;`.
pub fn headers(text: &str) -> Option<Vec<(String, Zeroizing<String>)>> {
    let read = |header: &str| {
        let (name, value) = header.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        reqwest::header::HeaderName::from_str(name).ok()?;
        reqwest::header::HeaderValue::from_str(value).ok()?;
        Some((name.to_owned(), Zeroizing::new(value.to_owned())))
    };
    text.split(';').map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_syslog() {
        let read = |text: &str| text.parse::<SyslogAddress>();
        assert_eq!(read("unix:/dev/log"), Ok(SyslogAddress::Unix("/dev/log".into())));
        assert_eq!(
            read("udp://logs.example:514"),
            Ok(SyslogAddress::Udp("logs.example:514".into()))
        );
        assert_eq!(read("tcp://[::1]:601"), Ok(SyslogAddress::Tcp("[::1]:601".into())));
        for bad in [
            "",
            "unix:",
            "unix:log",
            "udp://host",
            "tcp://:601",
            "tcp://host:0",
            "tcp://host:99999",
            "tls://host:6514",
            "tcp://user@host:601",
            "host:514",
            "tcp://::1:601",
            "tcp://h:1/path",
        ] {
            assert_eq!(read(bad), Err(()), "{bad}");
        }
    }

    #[test]
    fn headers_are_names_and_values() {
        let read = |text: &str| {
            let pair = |(name, value): (String, Zeroizing<String>)| (name, value.to_string());
            headers(text).map(|all| all.into_iter().map(pair).collect::<Vec<_>>())
        };
        let expected = [("authorization", "Basic YTpi=="), ("x-org", "a b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read("authorization=Basic YTpi==; x-org=a b"), Some(expected.to_vec()));
        for bad in ["", "a", "a b=c", "=c", "a=b;", "a=b\nc"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
