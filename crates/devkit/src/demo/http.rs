//! A minimal HTTP/1.1 client for the one plain request at a time that the demo makes.
//! Must not be used for anything else: no TLS, no redirects, no reuse of connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::{Error, Result};

const CONNECT: Duration = Duration::from_secs(5);
// The longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// An answer whose body is read as it comes.
#[derive(Debug)]
pub struct Response {
    /// HTTP status code.
    pub status: u16,
    /// The body, without transfer coding.
    pub body: BufReader<Body>,
}

impl Response {
    /// Reads the whole body as text.
    ///
    /// # Errors
    /// [`Error::Parse`] when the connection breaks.
    pub fn text(mut self) -> Result<String> {
        let mut text = String::new();
        self.body.read_to_string(&mut text).map_err(|e| Error::parse("an HTTP answer", e))?;
        Ok(text)
    }
}

/// Sends a request to `host:port`; `json` makes it a POST.
///
/// # Errors
/// [`Error::Parse`] when there is no connection or no HTTP answer; it names the address.
pub fn request(address: &str, path: &str, json: Option<&str>) -> Result<Response> {
    exchange(address, path, json).map_err(|error| Error::parse(format!("http://{address}{path}"), error))
}

fn exchange(address: &str, path: &str, json: Option<&str>) -> std::io::Result<Response> {
    let invalid = |reason: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, reason.to_owned());
    let target: SocketAddr = address.to_socket_addrs()?.next().ok_or_else(|| invalid("no such address"))?;
    let mut stream = TcpStream::connect_timeout(&target, CONNECT)?;
    stream.set_read_timeout(Some(SILENCE))?;
    let head = match json {
        None => format!("GET {path} HTTP/1.1\r\n"),
        Some(body) => {
            format!(
                "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        }
    };
    let body = json.unwrap_or_default();
    stream.write_all(format!("{head}Host: {address}\r\nConnection: close\r\n\r\n{body}").as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status =
        line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| invalid("no HTTP status"))?;
    let mut length = Length::UntilClosed;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(invalid("the headers are cut off"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("transfer-encoding", coding) if coding.eq_ignore_ascii_case("chunked") => {
                length = Length::Chunked(0);
            }
            ("content-length", number) => {
                length = Length::Known(number.parse().map_err(|_| invalid("a bad Content-Length"))?);
            }
            _ => {}
        }
    }
    Ok(Response { status, body: BufReader::new(Body { reader, length }) })
}

#[derive(Debug)]
enum Length {
    UntilClosed,
    Known(u64),
    // Bytes left of the chunk being read.
    Chunked(u64),
    Ended,
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    reader: BufReader<TcpStream>,
    length: Length,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Length::Chunked(0) = self.length {
            self.length = self.next_chunk()?;
        }
        let left = match self.length {
            Length::UntilClosed => return self.reader.read(buffer),
            Length::Ended => return Ok(0),
            Length::Known(left) | Length::Chunked(left) => left,
        };
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let got = self.reader.read(&mut buffer[..most])?;
        if got == 0 && most > 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the answer is cut off"));
        }
        let left = left - got as u64;
        self.length = match self.length {
            Length::Known(_) if left == 0 => Length::Ended,
            Length::Known(_) => Length::Known(left),
            _ => {
                if left == 0 {
                    // Each chunk ends with an empty line.
                    self.reader.read_line(&mut String::new())?;
                }
                Length::Chunked(left)
            }
        };
        Ok(got)
    }
}

impl Body {
    fn next_chunk(&mut self) -> std::io::Result<Length> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        match u64::from_str_radix(digits, 16) {
            Ok(0) => Ok(Length::Ended),
            Ok(size) => Ok(Length::Chunked(size)),
            Err(_) => Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("a bad chunk size {digits:?}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answer(bytes: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while request.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            stream.write_all(bytes.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn bodies_are_read_whole_in_every_framing() {
        for bytes in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        ] {
            let response = request(&answer(bytes), "/", None).unwrap();
            assert_eq!((response.status, response.text().unwrap().as_str()), (200, "hello"), "{bytes}");
        }
    }

    #[test]
    fn a_cut_off_answer_is_an_error_that_names_the_address() {
        let address = answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
        assert!(request(&address, "/", None).unwrap().text().is_err());
        let address = answer("nonsense\r\n\r\n");
        assert!(request(&address, "/x", None).unwrap_err().to_string().contains(&address));
    }
}
