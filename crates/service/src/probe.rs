//! A look at a daemon from beside it: what its health address answers.
//!
//! Takes an address of this host or a socket's path, gives the status and the text. Never: a name that has to be
//! resolved, a wait without an end, more of an answer than a person reads.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Connecting, and each pause of the answer, may take this long.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer that are looked at.
const LIMIT: u64 = 16 << 10;

/// Headers that an answer may have; a health address sends a few.
const HEADERS: usize = 64;

/// Where a daemon answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address; one that stands for all interfaces is asked on the loopback interface.
    Tcp(SocketAddr),
    /// A socket's path.
    Unix(PathBuf),
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether it lives: starting it afresh would help if not.
    Alive,
    /// Whether it does its work just now.
    Ready,
}

impl Question {
    /// As the flag `--ready` of the commands says.
    #[must_use]
    pub fn about(ready: bool) -> Self {
        match ready {
            true => Self::Ready,
            false => Self::Alive,
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, without space at its ends.
    pub text: String,
}

/// Nothing usable came back.
#[derive(Debug)]
pub struct ProbeError {
    place: Place,
    source: io::Error,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(address) => write!(f, "no answer from the health address `{address}`"),
            Place::Unix(path) => write!(f, "no answer from the health socket `{}`", path.display()),
        }
    }
}

impl std::error::Error for ProbeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Answer {
    /// Whether the answer is a yes.
    #[must_use]
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Asks; blocks for some seconds at most.
///
/// # Errors
/// Nobody answers there, or not in HTTP.
pub fn ask(place: &Place, question: Question) -> Result<Answer, ProbeError> {
    let path = match question {
        Question::Alive => "/healthz",
        Question::Ready => "/readyz",
    };
    let answered = match place {
        Place::Tcp(address) => tcp(*address).and_then(|stream| exchange(stream, path)),
        Place::Unix(socket) => unix(socket).and_then(|stream| exchange(stream, path)),
    };
    let told = answered.and_then(|bytes| parse(&bytes).ok_or_else(no_http));
    told.map_err(|source| ProbeError {
        place: place.clone(),
        source,
    })
}

fn tcp(mut address: SocketAddr) -> io::Result<TcpStream> {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn unix(path: &PathBuf) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// HTTP/1.0, so that the answer ends with the connection.
fn exchange(mut stream: impl Read + Write, path: &str) -> io::Result<Vec<u8>> {
    // In one piece: who answers after the first one and closes would reset the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LIMIT).read_to_end(&mut answer)?;
    Ok(answer)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else {
        return None;
    };
    Some(Answer {
        status: response.code?,
        text: String::from_utf8_lossy(&bytes[head..]).trim().to_owned(),
    })
}

fn no_http() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "what answered was not HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    const READY: &str = "HTTP/1.0 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nroom\n";

    /// Answers one connection, and gives what was asked.
    fn played<S: Read + Write>(mut stream: S, answer: &str) -> String {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    }

    #[test]
    fn an_address_of_all_interfaces_is_asked_on_loopback() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = std::thread::spawn(move || played(listener.accept().unwrap().0, READY));
        let place = Place::Tcp(SocketAddr::from(([0, 0, 0, 0], port)));
        let answer = ask(&place, Question::Ready).unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (503, "room"));
        assert!(!answer.is_good());
        assert!(host.join().unwrap().starts_with("GET /readyz HTTP/1.0\r\n"));
    }

    #[test]
    fn a_socket_is_asked_whether_the_daemon_lives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("health.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let alive = "HTTP/1.1 200 OK\r\n\r\nalive";
        let host = std::thread::spawn(move || played(listener.accept().unwrap().0, alive));
        assert!(ask(&Place::Unix(path), Question::Alive).unwrap().is_good());
        assert!(host.join().unwrap().starts_with("GET /healthz "));
    }

    #[test]
    fn nobody_there_and_something_else_there_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let nobody = ask(&Place::Unix(dir.path().join("gone")), Question::Alive).unwrap_err();
        assert!(nobody.to_string().contains("gone`"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp(listener.local_addr().unwrap());
        let host =
            std::thread::spawn(move || played(listener.accept().unwrap().0, "SSH-2.0-x\r\n"));
        assert!(ask(&place, Question::Alive).is_err());
        host.join().unwrap();
    }
}
