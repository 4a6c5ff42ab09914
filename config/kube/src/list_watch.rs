//! Lists and watches one kind, as bytes from the API server to values, object by object.
//!
//! Each object is decoded straight into its type while the list is still coming in, and looked at again only when it does
//! not fit: kube's `DeserializeGuard` buffers every object twice for that, which costs more than all the rest.

mod items;

use std::time::Duration;

use futures::io::{AsyncBufRead, AsyncBufReadExt};
use kube::Client;
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::core::{Request, Status};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{CallError, within};
use crate::object::{Kind, Object, Unreadable};
use crate::slim::Meta;
use items::Items;

/// From asking for a list to the first of it, and from each piece to the next.
const LIST_START_DEADLINE: Duration = Duration::from_secs(30);
const PIECE_DEADLINE: Duration = Duration::from_secs(15);
/// Other tasks get a turn after so many pieces of a list.
const PIECES_PER_TURN: usize = 16;
const WATCH_START_DEADLINE: Duration = Duration::from_secs(15);
const PAGE: u32 = 500;
/// The server ends each watch after this time.
const WATCH_SECONDS: u32 = 290;
/// The server sends a bookmark each minute or two: after a longer silence it is asked again, in case that something
/// between it and us keeps the connection alive without it.
const SILENCE_LIMIT: Duration = Duration::from_secs(150);

/// An object, or what is known of one that does not fit its type.
pub(crate) type Read<K> = Result<K, Unreadable>;

/// How fresh a list must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// What the server has in its cache.
    Any,
    /// What is in etcd now.
    MostRecent,
}

/// Which objects of the kind.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) fields: Option<String>,
    pub(crate) labels: Option<String>,
    pub(crate) freshness: Freshness,
}

/// Why a list or a watch ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the resource version is too old")]
    Expired,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the answer cannot be read: {0}")]
    Garbled(String),
}

impl Failure {
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Expired => Some(410),
            Self::Call(error) => error.code(),
            Self::Garbled(_) => None,
        }
    }
}

/// A change that a watch told.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
pub(crate) enum Change<K> {
    Applied(Read<K>),
    Deleted(crate::Key),
    /// Nothing changed up to here.
    Bookmark,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: Option<String>,
    #[serde(rename = "continue")]
    continue_: Option<String>,
}

/// A list without its items.
#[derive(Deserialize)]
struct Shell {
    metadata: ListMeta,
}

#[derive(Deserialize)]
#[serde(bound = "K: DeserializeOwned")]
struct Line<K> {
    object: K,
}

#[derive(Deserialize)]
struct LineType {
    #[serde(rename = "type")]
    type_: String,
}

#[derive(Deserialize)]
struct MetaOnly {
    #[serde(default)]
    metadata: Meta,
}

/// Reads one object of `kind`.
fn read_object<K: DeserializeOwned>(kind: &Kind, bytes: &[u8]) -> Result<Read<K>, Failure> {
    if let Ok(object) = serde_json::from_slice(bytes) {
        return Ok(Ok(object));
    }
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(garbled)?;
    // Read once more from the value: its errors carry no position in the text, which changes with every write of the
    // status that tells of them.
    let error = match serde_json::from_value(value.clone()) {
        Ok(object) => return Ok(Ok(object)),
        Err(error) => error.to_string(),
    };
    let metadata = serde_json::from_slice(bytes).map(|m: MetaOnly| m.metadata).unwrap_or_default();
    Ok(Err(Unreadable { kind: kind.clone(), key: metadata.key(), metadata, error, value }))
}

fn garbled(error: serde_json::Error) -> Failure {
    Failure::Garbled(error.to_string())
}

impl Scope {
    fn request(&self) -> Request {
        Request::new(self.kind.path(self.namespace.as_deref()))
    }

    /// Calls `each` with all objects; gives the resource version to watch from. `known` is the newest version seen: the
    /// list is not older.
    pub(crate) async fn list<K: Object>(
        &self,
        client: &Client,
        known: Option<&str>,
        mut each: impl FnMut(Read<K>) + Send,
    ) -> Result<String, Failure> {
        let (version, version_match) = match self.freshness {
            Freshness::Any => (Some(known.unwrap_or("0").to_owned()), Some(VersionMatch::NotOlderThan)),
            Freshness::MostRecent => (None, None),
        };
        let mut params = ListParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            limit: Some(PAGE),
            resource_version: version,
            version_match,
            ..ListParams::default()
        };
        loop {
            let meta = self.page(client, &params, &mut each).await?;
            match meta.continue_.filter(|token| !token.is_empty()) {
                Some(token) => {
                    params.continue_token = Some(token);
                    params.resource_version = None;
                    params.version_match = None;
                }
                None => {
                    let version = meta.resource_version.filter(|version| !version.is_empty());
                    return version
                        .ok_or_else(|| Failure::Garbled("the list carries no resourceVersion".into()));
                }
            }
        }
    }

    async fn page<K: Object>(
        &self,
        client: &Client,
        params: &ListParams,
        each: &mut (impl FnMut(Read<K>) + Send),
    ) -> Result<ListMeta, Failure> {
        let request =
            self.request().list(params).map_err(|e| CallError::Kube(kube::Error::BuildRequest(e)))?;
        let body = within(LIST_START_DEADLINE, client.request_stream(request)).await.map_err(expired)?;
        let mut body = std::pin::pin!(body);
        let mut items = Items::default();
        let mut broken = None;
        for piece in 1_usize.. {
            if piece.is_multiple_of(PIECES_PER_TURN) {
                tokio::task::yield_now().await;
            }
            let Ok(read) = tokio::time::timeout(PIECE_DEADLINE, body.fill_buf()).await else {
                return Err(CallError::Deadline(PIECE_DEADLINE).into());
            };
            let chunk = read.map_err(|e| CallError::Kube(kube::Error::ReadEvents(e)))?;
            if chunk.is_empty() {
                break;
            }
            items.push(chunk, |item| match read_object(&self.kind, item) {
                Ok(read) => each(read),
                Err(failure) => broken = Some(failure),
            });
            let taken = chunk.len();
            AsyncBufReadExt::consume_unpin(&mut body, taken);
        }
        match broken {
            Some(failure) => Err(failure),
            None => Ok(serde_json::from_slice::<Shell>(&items.into_shell()).map_err(garbled)?.metadata),
        }
    }

    /// A watch of what changes after `version`.
    pub(crate) async fn watch(
        &self,
        client: &Client,
        version: &str,
    ) -> Result<Watch<impl AsyncBufRead + use<>>, Failure> {
        let params = WatchParams {
            label_selector: self.labels.clone(),
            field_selector: self.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            send_initial_events: false,
        };
        let mut request = self
            .request()
            .watch(&params, version)
            .map_err(|e| CallError::Kube(kube::Error::BuildRequest(e)))?;
        request
            .headers_mut()
            .insert(http::header::ACCEPT_ENCODING, http::HeaderValue::from_static("identity"));
        let lines = within(WATCH_START_DEADLINE, client.request_stream(request)).await.map_err(expired)?;
        Ok(Watch { lines: Box::pin(lines), buffer: Vec::new(), kind: self.kind.clone() })
    }
}

fn expired(error: CallError) -> Failure {
    if error.code() == Some(410) { Failure::Expired } else { Failure::Call(error) }
}

/// A running watch.
pub(crate) struct Watch<R> {
    lines: std::pin::Pin<Box<R>>,
    buffer: Vec<u8>,
    kind: Kind,
}

impl<R: AsyncBufRead> Watch<R> {
    /// The next change with its resource version; `None` when the watch is to be started anew: the server ended it in
    /// good order, or has been silent for long.
    pub(crate) async fn next<K: Object>(&mut self) -> Result<Option<(Change<K>, String)>, Failure> {
        self.buffer.clear();
        let read = self.lines.read_until(b'\n', &mut self.buffer);
        match tokio::time::timeout(SILENCE_LIMIT, read).await {
            Err(_) => Ok(None),
            Ok(Err(error)) => Err(Failure::Call(CallError::Kube(kube::Error::ReadEvents(error)))),
            Ok(Ok(_)) if self.buffer.last() != Some(&b'\n') => Ok(None),
            Ok(Ok(_)) => read_line(&self.kind, &self.buffer).map(Some),
        }
    }
}

fn read_line<K: Object>(kind: &Kind, line: &[u8]) -> Result<(Change<K>, String), Failure> {
    let LineType { type_ } = serde_json::from_slice(line).map_err(garbled)?;
    let meta = |line| -> Result<Meta, Failure> {
        let object: Line<MetaOnly> = serde_json::from_slice(line).map_err(garbled)?;
        Ok(object.object.metadata)
    };
    match type_.as_str() {
        "ADDED" | "MODIFIED" => {
            if let Ok(Line { object }) = serde_json::from_slice::<Line<K>>(line) {
                let version = object.resource_version().unwrap_or_default().to_owned();
                return Ok((Change::Applied(Ok(object)), version));
            }
            let Line { object }: Line<serde_json::Value> = serde_json::from_slice(line).map_err(garbled)?;
            let version = meta(line)?.resource_version.unwrap_or_default();
            Ok((Change::Applied(read_object(kind, object.to_string().as_bytes())?), version))
        }
        "DELETED" => {
            let meta = meta(line)?;
            Ok((Change::Deleted(meta.key()), meta.resource_version.unwrap_or_default()))
        }
        "BOOKMARK" => Ok((Change::Bookmark, meta(line)?.resource_version.unwrap_or_default())),
        "ERROR" => {
            let Line { object }: Line<Status> = serde_json::from_slice(line).map_err(garbled)?;
            Err(expired(CallError::Kube(kube::Error::Api(object.boxed()))))
        }
        other => Err(Failure::Garbled(format!("an event of the unknown type {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slim::Service;

    #[test]
    fn an_object_that_does_not_fit_is_named() {
        let bytes = br#"{"metadata":{"name":"b","namespace":"d","uid":"u"},"spec":{"type":5}}"#;
        let unreadable = read_object::<Service>(&Service::kind(), bytes).unwrap().unwrap_err();
        assert_eq!(unreadable.metadata.uid.as_deref(), Some("u"));
        assert!(unreadable.to_string().contains("Service d/b cannot be read"), "{unreadable}");
        assert!(!unreadable.error.contains("column"), "{unreadable}");
    }

    #[test]
    fn a_service_with_a_foreign_condition_without_time_is_read() {
        let line =
            br#"{"type":"MODIFIED","object":{"kind":"Service","metadata":{"name":"a","resourceVersion":"9"},
            "status":{"conditions":[{"type":"x","status":"True","lastTransitionTime":null},"odd",{"type":7}],
            "loadBalancer":{}}}}"#;
        let (change, version) = read_line::<Service>(&Service::kind(), line).unwrap();
        assert_eq!(version, "9");
        let Change::Applied(Ok(service)) = change else { panic!("{change:?}") };
        let conditions = service.status.unwrap().conditions.unwrap();
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].type_.as_deref(), Some("x"));
    }

    #[test]
    fn bookmarks_deletes_and_the_end_of_history() {
        let read = |line: &str| read_line::<Service>(&Service::kind(), line.as_bytes());
        let bookmark =
            r#"{"type":"BOOKMARK","object":{"kind":"Service","metadata":{"resourceVersion":"12"}}}"#;
        assert!(matches!(read(bookmark), Ok((Change::Bookmark, v)) if v == "12"));
        let deleted =
            r#"{"type":"DELETED","object":{"metadata":{"name":"a","namespace":"d","resourceVersion":"13"}}}"#;
        assert!(matches!(read(deleted), Ok((Change::Deleted(key), _)) if key.to_string() == "d/a"));
        let gone =
            r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410,"reason":"Expired"}}"#;
        assert!(matches!(read(gone), Err(Failure::Expired)));
        assert!(matches!(read("{}"), Err(Failure::Garbled(_))));
    }
}
