//! What an answer has to say, and what is done about one that does not.

use std::fmt::Display;
use std::str::FromStr;

use super::error::unreadable;
use crate::api::{ApiError, Call};

/// More pages than this are a loop: a server that gives the same pages again and again.
pub(super) const MOST_PAGES: usize = 1000;

/// All elements of all pages. A page that repeats the marker of the one before ends it (the SDK's rule).
macro_rules! pages {
    ($call:ty, $paginator:expr, $elements:ident) => {{
        let mut stream = $paginator.send();
        let mut elements = Vec::new();
        let mut pages = 0;
        loop {
            match stream.next().await {
                None => break Ok(elements),
                Some(Err(error)) => break Err($crate::sdk::error::failed::<$call, _>(error)),
                Some(Ok(_)) if pages == $crate::sdk::decode::MOST_PAGES => {
                    break Err($crate::sdk::error::unreadable::<$call>("its pages have no end"));
                }
                Some(Ok(page)) => elements.extend(page.$elements.unwrap_or_default()),
            }
            pages += 1;
        }
    }};
}
pub(super) use pages;

/// A field that an answer cannot do without.
pub(super) fn required<C: Call, T>(field: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| unreadable::<C>(format_args!("{field} is missing")))
}

/// A number within its bounds.
pub(super) fn number<C: Call, T: TryFrom<i32>>(field: &str, value: i32) -> Result<T, ApiError> {
    T::try_from(value).map_err(|_| unreadable::<C>(format_args!("{field} is {value}")))
}

/// A word, an address or a prefix.
pub(super) fn parsed<C: Call, T: FromStr>(field: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| unreadable::<C>(format_args!("{field} is `{text}`")))
}

/// One of AWS's words.
pub(super) fn word<C: Call, T>(field: &str, text: &str, parse: fn(&str) -> Option<T>) -> Result<T, ApiError> {
    parse(text).ok_or_else(|| unreadable::<C>(format_args!("{field} is `{text}`")))
}

/// What is done about an element that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It was asked for by name: not to tell of it would mean that it does not exist.
    Fails,
    /// It is one of all, of kinds and makers that are none of ours.
    IsSkipped,
}

/// The elements of a list.
pub(super) fn elements<T, U>(
    list: Vec<T>,
    unreadable: Unreadable,
    read: impl Fn(T) -> Result<U, ApiError>,
) -> Result<Vec<U>, ApiError> {
    let mut all = Vec::with_capacity(list.len());
    for element in list {
        match (read(element), unreadable) {
            (Ok(element), _) => all.push(element),
            (Err(error), Unreadable::Fails) => return Err(error),
            (Err(error), Unreadable::IsSkipped) => tracing::debug!(%error, "left out"),
        }
    }
    Ok(all)
}

/// The one element that an answer to a creation has.
pub(super) fn only<C: Call, T>(what: &str, list: Option<Vec<T>>) -> Result<T, ApiError> {
    required::<C, _>(what, list.and_then(|list| list.into_iter().next()))
}

/// An address, where there is one that can be read.
pub(super) fn address<T: FromStr>(text: Option<impl AsRef<str>>) -> Option<T> {
    text.and_then(|text| text.as_ref().parse().ok())
}

/// `None` for text that says nothing.
pub(super) fn text(text: Option<impl Display>) -> Option<String> {
    text.map(|text| text.to_string()).filter(|text| !text.is_empty())
}
