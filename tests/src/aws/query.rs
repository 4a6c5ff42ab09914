//! Calls as AWS's query protocol has them, without the SDK.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::ground::REGION;
use super::message::Message;

/// Asks moto directly, as one account.
#[derive(Clone, Debug)]
pub struct Query {
    pub(super) address: SocketAddr,
    pub(super) account: String,
}

impl Query {
    /// Calls an action of EC2 and returns the answer.
    ///
    /// # Errors
    /// When it is refused; the error holds the answer.
    pub async fn ec2(&self, action: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.call("ec2", "2016-11-15", action, fields).await
    }

    /// Calls an action of Elastic Load Balancing and returns the answer.
    ///
    /// # Errors
    /// When it is refused; the error holds the answer.
    pub async fn elb(&self, action: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.call("elasticloadbalancing", "2015-12-01", action, fields).await
    }

    /// Has a certificate for a host name made, and returns its ARN.
    ///
    /// # Errors
    /// When it is refused; the error holds the answer.
    pub async fn request_certificate(&self, host: &str) -> Result<String> {
        let scope = format!("test/20260101/{REGION}/acm/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("authorization", signature.as_str()),
            ("x-moto-account-id", &self.account),
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "CertificateManager.RequestCertificate"),
        ];
        let body = format!("{{\"DomainName\": \"{host}\"}}");
        let answer = request(self.address, "/", &headers, &body).await?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        Ok(answer["CertificateArn"].as_str().context("no CertificateArn")?.to_owned())
    }

    async fn call(
        &self,
        service: &str,
        version: &str,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer> {
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in fields {
            body.push_str(&format!("&{}={}", encoded(name), encoded(value)));
        }
        // Moto reads service and region out of the signature, and does not check it.
        let scope = format!("test/20260101/{REGION}/{service}/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("authorization", signature.as_str()),
            ("x-moto-account-id", &self.account),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        request(self.address, "/", &headers, &body)
            .await
            .with_context(|| format!("{service}:{action}"))
            .map(Answer)
    }
}

/// An answer in XML.
#[derive(Clone, Debug)]
pub struct Answer(String);

impl Answer {
    /// The text of the first element of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn first(&self, element: &str) -> Result<String> {
        self.all(element).into_iter().next().with_context(|| format!("no {element} in {}", self.0))
    }

    /// The answer without the first element of that name.
    pub fn without(&self, element: &str) -> Self {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let cut = self.0.split_once(&open).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(&close)?;
            Some(before.to_owned() + after)
        });
        Self(cut.unwrap_or_else(|| self.0.clone()))
    }

    /// The items of the first list of that name, each as an answer of its own.
    pub fn items(&self, list: &str) -> Vec<Self> {
        let Some((_, mut rest)) = self.0.split_once(&format!("<{list}>")) else { return Vec::new() };
        let (open, close) = ("<item>", "</item>");
        let mut items = Vec::new();
        while let Some(begin) = rest.trim_start().strip_prefix(open) {
            let (mut depth, mut at) = (1, 0);
            while depth > 0 {
                let (next_open, next_close) = (begin[at..].find(open), begin[at..].find(close));
                match (next_open, next_close) {
                    (Some(o), Some(c)) if o < c => (depth, at) = (depth + 1, at + o + open.len()),
                    (_, Some(c)) => (depth, at) = (depth - 1, at + c + close.len()),
                    (_, None) => return items,
                }
            }
            items.push(Self(begin[..at - close.len()].to_owned()));
            rest = &begin[at..];
        }
        items
    }

    /// The texts of all elements of that name.
    pub fn all(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let pieces = self.0.split(open.as_str()).skip(1);
        pieces.filter_map(|piece| piece.split_once(close.as_str())).map(|(text, _)| text.to_owned()).collect()
    }
}

/// Sends a POST and returns the answer's body.
pub(super) async fn request(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<String> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", body.len());
    let message = Message { head, body: body.into() };
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&message.bytes(headers)).await?;
    let answer = Message::read(&mut stream).await?.context("no answer")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status() == Some(200), "{}: {text}", answer.head.lines().next().unwrap_or_default());
    Ok(text)
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_and_answers_read() {
        assert_eq!(encoded("tag:a/b c"), "tag%3Aa%2Fb%20c");
        let answer = Answer("<r><id>a</id><other/><id>b</id></r>".to_owned());
        assert_eq!(answer.all("id"), ["a", "b"]);
        assert_eq!(answer.first("id").unwrap(), "a");
        assert!(answer.first("none").is_err());
    }
}
