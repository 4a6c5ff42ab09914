//! A server that says what it was told to say, and keeps what it was sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daymark_aws::api::{ApiError, Call, ask};
use daymark_aws::sdk::{Sdk, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status, further headers, body.
    Http(u16, String, String),
    /// The connection is closed.
    Cut,
    /// The connection is closed within the body.
    Broken,
    /// Nothing, for ever.
    Silence,
}

/// A request: its path, its headers and its form.
#[derive(Clone, Debug)]
pub struct Sent {
    pub first_line: String,
    pub head: String,
    pub form: BTreeMap<String, String>,
}

#[derive(Clone)]
pub struct Server {
    pub url: String,
    answers: Arc<Mutex<Vec<Answer>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Server {
    /// One that gives these answers in turn; after them it closes connections.
    pub async fn that_answers<const N: usize>(answers: [Answer; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut answers: Vec<Answer> = answers.into();
        answers.reverse();
        let server = Self { url, answers: Arc::new(Mutex::new(answers)), sent: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        server
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some(sent) = read(&mut stream).await else { return };
        self.sent.lock().unwrap().push(sent);
        let answer = self.answers.lock().unwrap().pop().unwrap_or(Answer::Cut);
        let (text, missing) = match answer {
            Answer::Http(status, headers, body) => {
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close");
                (format!("{head}\r\n\r\n{body}"), false)
            }
            Answer::Broken => ("HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n<a>".to_owned(), true),
            Answer::Cut => return,
            Answer::Silence => return tokio::time::sleep(Duration::from_secs(3600)).await,
        };
        let _ = stream.write_all(text.as_bytes()).await;
        assert!(!missing || stream.shutdown().await.is_ok());
    }

    /// An SDK that asks it.
    pub async fn sdk(&self) -> Sdk {
        let endpoint = Some(self.url.clone());
        let settings = Settings { region: Some("eu-central-1".to_owned()), endpoint, role_arn: None };
        Sdk::connect_with_key(settings, "AKIDTEST", "secret").await.unwrap()
    }

    /// What it was sent.
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// The forms that it was sent, without the API's version.
    pub fn forms(&self) -> Vec<BTreeMap<String, String>> {
        let mut forms: Vec<_> = self.sent().into_iter().map(|sent| sent.form).collect();
        forms.iter_mut().for_each(|form| drop(form.remove("Version")));
        forms
    }
}

/// Makes a call that is answered so; what it gives and the form that was sent.
pub async fn call<C: Call>(
    call: C,
    answer: Answer,
) -> (Result<C::Answer, ApiError>, BTreeMap<String, String>) {
    let server = Server::that_answers([answer]).await;
    let result = ask(&server.sdk().await, call).await;
    let mut forms = server.forms();
    assert_eq!(forms.len(), 1, "one call is one request");
    (result, forms.remove(0))
}

/// An answer of Elastic Load Balancing.
pub fn elb(action: &str, result: &str) -> Answer {
    let space = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";
    ok(format!(
        "<{action}Response xmlns=\"{space}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></{action}Response>"
    ))
}

/// An answer of EC2.
pub fn ec2(action: &str, result: &str) -> Answer {
    let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    ok(format!("<{action}Response xmlns=\"{space}\"><requestId>r-1</requestId>{result}</{action}Response>"))
}

/// An error of Elastic Load Balancing.
pub fn elb_error(status: u16, code: &str, headers: &str) -> Answer {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no, {code}</Message></Error>");
    let body = format!("<ErrorResponse>{error}<RequestId>r-1</RequestId></ErrorResponse>");
    Answer::Http(status, headers.to_owned(), body)
}

/// An error of EC2.
pub fn ec2_error(status: u16, code: &str) -> Answer {
    let error = format!("<Error><Code>{code}</Code><Message>no, {code}</Message></Error>");
    let body = format!("<Response><Errors>{error}</Errors><RequestID>r-1</RequestID></Response>");
    Answer::Http(status, String::new(), body)
}

pub fn ok(body: String) -> Answer {
    Answer::Http(200, "content-type: text/xml\r\n".to_owned(), body)
}

async fn read(stream: &mut TcpStream) -> Option<Sent> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                let first_line = head.lines().next()?.to_owned();
                return Some(Sent { first_line, head: head.to_owned(), form: form(body) });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn form(body: &str) -> BTreeMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (decoded(key), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        let (hex, rest) = piece.split_at(2);
        bytes.push(u8::from_str_radix(hex, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).unwrap().replace('+', " ")
}
