//! Lines as messages of syslog: RFC 5424, over a stream with octets counted (RFC 6587, 3.4.1).
//!
//! Syslog has no acknowledgement. When a connection breaks, what was sent over it last is sent again
//! over the next.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use keyward_audit::Line;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream, lookup_host};
use tokio::time::timeout;

use super::line::{Seen, Severity};
use super::settings::SyslogAddress;
use super::{Failure, Target, told};

/// Lines at once.
const MOST: usize = 500;
/// Longest a connection or a message may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most lines sent again after a connection broke.
const AGAIN: u64 = 1_000;
/// A connection that is closed so long after a message is taken to have brought it.
const SETTLED: Duration = Duration::from_secs(10);
/// Facility 13: log audit.
const FACILITY: u8 = 13;
/// RFC 5424, 6.2.4.
const MAX_HOST: usize = 255;

pub(super) struct Syslog {
    address: SyslogAddress,
    host: String,
    link: Option<Link>,
    /// Lines sent over the link.
    sent: u64,
    /// When the last was.
    sent_at: Instant,
}

enum Link {
    Udp(UdpSocket),
    Datagrams(UnixDatagram),
    Tcp(TcpStream),
    Stream(UnixStream),
}

impl Syslog {
    pub(super) fn new(address: SyslogAddress) -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { address, host: host(&name), link: None, sent: 0, sent_at: Instant::now() }
    }

    async fn connect(&self) -> io::Result<Link> {
        match &self.address {
            SyslogAddress::Udp(address) => {
                let to = lookup_host(address).await?.next();
                let to = to.ok_or_else(|| io::Error::other("its name has no address"))?;
                let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(to).await?;
                Ok(Link::Udp(socket))
            }
            SyslogAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Link::Tcp(stream))
            }
            SyslogAddress::Unix(path) => local(path).await,
        }
    }

    /// A link that is not known to be closed. One that was closed when all sent over it was long with
    /// the other side is replaced by another.
    async fn linked(&mut self) -> io::Result<&mut Link> {
        let is_closed = match &self.link {
            None => true,
            Some(link) => link.is_closed()?,
        };
        // It may have been closed without a look at what came last.
        if is_closed && self.link.is_some() && self.sent > 0 && self.sent_at.elapsed() < SETTLED {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if is_closed {
            self.link = None;
            let connecting = timeout(PATIENCE, self.connect()).await;
            self.link = Some(connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?);
            self.sent = 0;
        }
        self.link.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sends them; what was sent is counted even if not all were.
    async fn send(&mut self, lines: &[Line], taken: &mut usize) -> io::Result<()> {
        let host = self.host.clone();
        for line in lines {
            let message = message(&host, std::process::id(), line);
            let link = self.linked().await?;
            let sending = timeout(PATIENCE, link.send(&message)).await;
            sending.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            self.sent += 1;
            self.sent_at = Instant::now();
            *taken += 1;
        }
        Ok(())
    }
}

/// A local socket, whichever of the two kinds it is.
async fn local(path: &PathBuf) -> io::Result<Link> {
    let socket = UnixDatagram::unbound()?;
    if socket.connect(path).is_ok() {
        return Ok(Link::Datagrams(socket));
    }
    Ok(Link::Stream(UnixStream::connect(path).await?))
}

impl Link {
    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).await.map(drop),
            Self::Datagrams(socket) => socket.send(message).await.map(drop),
            Self::Tcp(stream) => stream.write_all(&counted(message)).await,
            Self::Stream(stream) => stream.write_all(&counted(message)).await,
        }
    }

    /// Whether the other side closed it; an error: without having read what it was sent.
    fn is_closed(&self) -> io::Result<bool> {
        // Nothing is ever said to a sender.
        let mut read = [0; 64];
        let read = match self {
            Self::Udp(_) | Self::Datagrams(_) => return Ok(false),
            Self::Tcp(stream) => stream.try_read(&mut read),
            Self::Stream(stream) => stream.try_read(&mut read),
        };
        match read {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait::async_trait]
impl Target for Syslog {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let mut taken = 0;
        let sent = self.send(lines, &mut taken).await;
        sent.map_err(|error| {
            let again = self.sent.min(AGAIN);
            (self.link, self.sent) = (None, 0);
            Failure { reason: told(&error), taken, again }
        })
    }
}

/// A message: header, no structured data, and the line as it is.
fn message(host: &str, process: u32, line: &Line) -> Vec<u8> {
    let seen = Seen::read(line.text());
    let severity = match seen.severity() {
        Severity::Critical => 2,
        Severity::Warning => 4,
        Severity::Info => 6,
    };
    let priority = FACILITY * 8 + severity;
    let or_nil = |text: &str, most| if is_name(text, most) { text.to_owned() } else { "-".into() };
    let (time, kind) = (or_nil(&seen.time, 32), or_nil(&seen.kind, 32));
    let mut message =
        format!("<{priority}>1 {time} {host} keyward {process} {kind} - ").into_bytes();
    message.extend_from_slice(line.text());
    message
}

/// With its length before it.
fn counted(message: &[u8]) -> Vec<u8> {
    let mut framed = format!("{} ", message.len()).into_bytes();
    framed.extend_from_slice(message);
    framed
}

/// Whether it can stand in a header: visible ASCII.
fn is_name(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// This machine's name as a header has it.
fn host(name: &str) -> String {
    let name = name.trim();
    if is_name(name, MAX_HOST) { name.to_owned() } else { "-".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { seq: 1, bytes: format!("{text}\n").into_bytes() }
    }

    fn said(text: &str) -> String {
        String::from_utf8(message("box", 42, &line(text))).unwrap()
    }

    #[test]
    fn messages_are_those_of_rfc_5424() {
        let fine = r#"{"seq":1,"kind":"request","time_ms":1,"time":"2026-11-27T04:03:13.000Z","status":200}"#;
        let header = "1 2026-11-27T04:03:13.000Z box keyward 42";
        assert_eq!(said(fine), format!("<110>{header} request - {fine}"));
        let refused = fine.replace("200", "403");
        assert_eq!(said(&refused), format!("<108>{header} request - {refused}"));
        let damage = fine.replace("request", "damage");
        assert_eq!(said(&damage), format!("<106>{header} damage - {damage}"));
    }

    #[test]
    fn nothing_in_a_line_gets_into_the_header() {
        assert_eq!(said("not json"), "<106>1 - box keyward 42 - - not json");
        let forged = r#"{"seq":1,"kind":"a b","time":"x\n<0>1 - evil","status":200}"#;
        assert_eq!(said(forged), format!("<110>1 - box keyward 42 - - {forged}"));
        let long = format!(r#"{{"kind":"{}","time":"t"}}"#, "k".repeat(33));
        assert_eq!(said(&long), format!("<110>1 t box keyward 42 - - {long}"));
        assert_eq!(host("box.example\n"), "box.example");
        for bad in ["", " ", "two words", "büro", &"h".repeat(256)] {
            assert_eq!(host(bad), "-", "{bad}");
        }
    }

    #[test]
    fn over_a_stream_octets_are_counted() {
        assert_eq!(counted("<110>1 é".as_bytes()), "9 <110>1 é".as_bytes());
    }
}
