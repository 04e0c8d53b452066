//! The load, in a thread of its own.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::mix::Mix;

/// Connections that wait for their answers when it is measured what the server can do.
const CLOSED: usize = 32;
/// Requests at once at most, twice as many as the server lets in (`limits.max_in_flight`): it is the
/// server that has to say no.
const MOST: usize = 4_096;
/// An answer that has not come by then, connecting included, never will.
const TIMEOUT: Duration = Duration::from_secs(30);

/// When requests come.
#[derive(Clone, Copy)]
pub enum Pace {
    /// When the one before on the connection is answered.
    Closed,
    /// So many a second, at random moments, whatever becomes of them.
    Open(f64),
}

/// What became of the requests.
#[derive(Default)]
pub struct Answers {
    /// Times of accepted ones, in microseconds.
    accepted: Vec<u32>,
    /// Answered with 429 or 503.
    pub rejected: u64,
    /// Of these, without `Retry-After`.
    pub without_retry_after: u64,
    /// Answered with anything else, or not at all.
    pub wrong: u64,
    /// No connection was free for them.
    pub unsent: u64,
}

impl Answers {
    /// All that were answered.
    pub fn answered(&self) -> u64 {
        self.accepted() + self.rejected
    }

    /// Those that were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.len() as u64
    }

    /// One in a hundred accepted ones took longer.
    pub fn p99(&self) -> Duration {
        let mut times = self.accepted.clone();
        times.sort_unstable();
        let at = times.len() * 99 / 100;
        Duration::from_micros(times.get(at).copied().unwrap_or_default().into())
    }

    fn note(&mut self, answer: Option<&Answer>, took: Duration) {
        match answer {
            Some(Answer { status: 200..=299, .. }) => {
                self.accepted.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            }
            Some(Answer { status: 429 | 503, retries, .. }) => {
                self.rejected += 1;
                self.without_retry_after += u64::from(!retries);
            }
            _ => self.wrong += 1,
        }
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} accepted, p99 {} ms, {} rejected, {} wrong, {} unsent",
            self.accepted(),
            self.p99().as_millis(),
            self.rejected,
            self.wrong,
            self.unsent
        )
    }
}

/// Sends requests of the mix for so long, and waits for the last answers.
pub fn run(address: &str, mix: &Mix, pace: Pace, time: Duration) -> Answers {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answers = Rc::new(RefCell::new(Answers::default()));
    let work = async {
        match pace {
            Pace::Closed => closed(address, mix, time, &answers).await,
            Pace::Open(rate) => open(address, mix, rate, time, &answers).await,
        }
    };
    runtime.block_on(work);
    answers.take()
}

async fn closed(address: &str, mix: &Mix, time: Duration, answers: &RefCell<Answers>) {
    let start = Instant::now();
    let idle = RefCell::default();
    let connection = || async {
        while start.elapsed() < time {
            let begin = Instant::now();
            let answer = exchange(address, &idle, mix.draw()).await;
            answers.borrow_mut().note(answer.as_ref(), begin.elapsed());
            // Where connecting fails at once, others have to come to work, too.
            tokio::task::yield_now().await;
        }
    };
    let all: Vec<_> = (0..CLOSED).map(|_| connection()).collect();
    futures_util::future::join_all(all).await;
}

async fn open(address: &str, mix: &Mix, rate: f64, time: Duration, answers: &Rc<RefCell<Answers>>) {
    let idle = Rc::new(RefCell::new(Vec::<Connection>::new()));
    let under_way = Rc::new(Cell::new(0_usize));
    let local = tokio::task::LocalSet::new();
    let (start, mut due) = (Instant::now(), Duration::ZERO);
    let sending = async {
        while due < time {
            // Poisson arrivals: the times between are exponential.
            due += Duration::from_secs_f64(-(1.0 - fastrand::f64()).ln() / rate);
            let wait = due.saturating_sub(start.elapsed());
            if wait > Duration::from_millis(1) {
                tokio::time::sleep(wait).await;
            } else {
                tokio::task::yield_now().await;
            }
            if under_way.get() >= MOST {
                answers.borrow_mut().unsent += 1;
                continue;
            }
            under_way.set(under_way.get() + 1);
            let (idle, answers, under_way) = (idle.clone(), answers.clone(), under_way.clone());
            let (address, request) = (address.to_owned(), mix.draw().to_vec());
            tokio::task::spawn_local(async move {
                let answer = exchange(&address, &idle, &request).await;
                // From when it was to go out: that this process was late is no excuse.
                let took = start.elapsed().saturating_sub(due);
                answers.borrow_mut().note(answer.as_ref(), took);
                under_way.set(under_way.get() - 1);
            });
        }
    };
    local.run_until(sending).await;
    // The last answers.
    local.await;
}

/// A request on a connection that is free, or a new one.
async fn exchange(
    address: &str,
    idle: &RefCell<Vec<Connection>>,
    request: &[u8],
) -> Option<Answer> {
    let work = async {
        let free = idle.borrow_mut().pop();
        if let Some(mut connection) = free {
            match connection.put(request).await {
                // The server closed it meanwhile, which it may.
                Err(Unanswered) => {}
                Ok(answer) => return Some((connection, answer?)),
            }
        }
        let mut connection = Connection::open(address).await?;
        let answer = connection.put(request).await.ok()??;
        Some((connection, answer))
    };
    let (connection, answer) = tokio::time::timeout(TIMEOUT, work).await.ok()??;
    if !answer.closes {
        idle.borrow_mut().push(connection);
    }
    Some(answer)
}

/// What is looked at of an answer.
struct Answer {
    status: u16,
    retries: bool,
    closes: bool,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, buffer: vec![0; 16 << 10] })
    }

    /// The answer, if it comes whole.
    async fn put(&mut self, request: &[u8]) -> Result<Option<Answer>, Unanswered> {
        self.stream.write_all(request).await.map_err(|_| Unanswered)?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            match self.stream.read(&mut self.buffer[filled..]).await {
                Ok(0) | Err(_) if filled == 0 => return Err(Unanswered),
                Ok(0) | Err(_) => return Ok(None),
                Ok(read) => filled += read,
            }
            if let Some(answer) = read(&self.buffer[..filled]) {
                return Ok(Some(answer));
            }
        }
    }
}

/// The connection ended before any byte of an answer.
struct Unanswered;

/// The answer, once it is there whole.
fn read(bytes: &[u8]) -> Option<Answer> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let field = |name: &str| {
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    };
    let length: usize = field("content-length").map_or(Some(0), |text| text.parse().ok())?;
    let closes = field("connection").is_some_and(|text| text.eq_ignore_ascii_case("close"));
    let retries = field("retry-after").is_some_and(|text| text.parse::<u32>().is_ok());
    (bytes.len() >= end + 4 + length).then_some(Answer { status, retries, closes })
}
