//! Requests and answers of HTTP/1.1 as bytes, as far as the SDK and moto use it.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Far more than any call or answer has.
const LARGEST: usize = 16 << 20;

/// A request or an answer.
#[derive(Debug)]
pub(super) struct Message {
    /// The first line and the headers, with the empty line.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// The next one; `None` at the end of the connection.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(bytes.len() < LARGEST, "a head without end");
            if stream.read_buf(&mut bytes).await? == 0 {
                ensure!(bytes.is_empty(), "the connection ended within a head");
                return Ok(None);
            }
        };
        let mut body = bytes.split_off(end);
        let mut message = Self { head: String::from_utf8(bytes).context("a head")?, body: Vec::new() };
        match message.header("content-length") {
            Some(length) => {
                let length: usize = length.parse().with_context(|| format!("content-length {length}"))?;
                ensure!(length < LARGEST, "a body of {length} bytes");
                while body.len() < length {
                    ensure!(stream.read_buf(&mut body).await? != 0, "the connection ended within a body");
                }
                body.truncate(length);
            }
            None if message.head.starts_with("HTTP/") => {
                stream.read_to_end(&mut body).await?;
            }
            None => body.clear(),
        }
        message.body = body;
        Ok(Some(message))
    }

    /// The value of a header; `name` in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The status of an answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.head.split_whitespace().nth(1)?.parse().ok()
    }

    /// The value of a field of a form; those that matter here need no decoding.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let body = String::from_utf8_lossy(&self.body);
        let found = body.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_owned())
    }

    /// The bytes to send: with `headers` in addition, and as the last message of its connection.
    pub(super) fn bytes(&self, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut lines = self.head.trim_end().lines();
        let mut head = format!("{}\r\n", lines.next().unwrap_or_default());
        for line in lines {
            let name = line.split(':').next().unwrap_or_default();
            let replaced = headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
            if !replaced && !name.eq_ignore_ascii_case("connection") {
                head.push_str(&format!("{line}\r\n"));
            }
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("connection: close\r\n\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_is_read_and_sent_on() {
        let bytes =
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 19\r\n\r\nAction=X&Version=1.0rest".as_slice();
        let message = Message::read(&mut &bytes[..]).await.unwrap().unwrap();
        assert_eq!(message.field("Action").as_deref(), Some("X"));
        assert_eq!(message.field("Missing"), None);
        let sent = message.bytes(&[("x-account", "1")]);
        let end =
            "host: a\r\ncontent-length: 19\r\nx-account: 1\r\nconnection: close\r\n\r\naction=x&version=1.";
        assert!(String::from_utf8(sent).unwrap().to_lowercase().ends_with(end));
        assert!(Message::read(&mut &b""[..]).await.unwrap().is_none());
        assert!(Message::read(&mut &b"POST / HT"[..]).await.is_err());
    }
}
