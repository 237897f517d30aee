//! One HTTP request over one connection, which is all that these tests need of a client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The open answer of a request whose body is read later.
pub struct Pending(TcpStream);

/// Sends a request; `None` while nobody listens.
pub fn send(port: u16, method: &str, path: &str, headers: &str, body: &str) -> Option<Pending> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    // Version 1.0 keeps chunks out of the answer.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    socket.write_all((head + body).as_bytes()).ok()?;
    Some(Pending(socket))
}

impl Pending {
    /// Waits for the first part of the answer.
    pub fn begun(self) -> Self {
        assert!(self.0.peek(&mut [0]).unwrap() > 0, "the connection was closed without an answer");
        self
    }

    /// Reads to the end; `None` when the connection broke.
    pub fn answer(mut self) -> Option<Answer> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    }
}

pub fn get(port: u16, path: &str) -> Option<Answer> {
    send(port, "GET", path, "", "")?.answer()
}

pub fn post(port: u16, path: &str, headers: &str, body: &Value) -> Option<Answer> {
    send(port, "POST", path, headers, &body.to_string())?.answer()
}
