//! Values of annotations: text in, typed value out, or what is wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use daymark_providers::text::did_you_mean;

/// Why a value cannot be used, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) what: String,
    pub(super) remedy: String,
}

/// A value that cannot be used.
pub(super) fn bad<T>(what: impl Into<String>, remedy: impl Into<String>) -> Result<T, Bad> {
    Err(Bad { what: what.into(), remedy: remedy.into() })
}

/// Any text but an empty one.
pub(super) fn text(value: &str) -> Result<String, Bad> {
    let value = value.trim();
    if value.is_empty() {
        return bad("it is empty", "write a value, or leave the annotation out");
    }
    Ok(value.to_owned())
}

/// A truth value in the words that Kubernetes programs take (Go's `strconv.ParseBool`).
pub(super) fn boolean(value: &str) -> Result<bool, Bad> {
    match value.trim() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => bad(format!("{other:?} is neither true nor false"), "write \"true\" or \"false\""),
    }
}

/// `on` or `off`.
pub(super) fn on_off(value: &str) -> Result<bool, Bad> {
    word(value, &[("on", true), ("off", false)])
}

/// One of `words`, with what it means.
pub(super) fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Result<T, Bad> {
    let value = value.trim();
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
        return Ok(*meaning);
    }
    let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let remedy = match did_you_mean(value, all.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("write {}", all.join(" or ")),
    };
    bad(format!("{value:?} is none of {}", all.join(", ")), remedy)
}

/// A whole number in `range`.
pub(super) fn number(value: &str, range: RangeInclusive<u32>) -> Result<u32, Bad> {
    let (least, most) = (range.start(), range.end());
    match value.trim().parse::<u32>() {
        Ok(number) if range.contains(&number) => Ok(number),
        Ok(_) | Err(_) => bad(
            format!("{:?} is no whole number from {least} to {most}", value.trim()),
            format!("write a number from {least} to {most}"),
        ),
    }
}

/// A port number.
pub(super) fn port(value: &str) -> Result<u16, Bad> {
    let number = number(value, 1..=65535)?;
    u16::try_from(number).or_else(|_| bad(format!("{number} is no port"), "write a number from 1 to 65535"))
}

/// Items between commas, trimmed; at least one.
pub(super) fn list(value: &str) -> Result<Vec<String>, Bad> {
    let items: Vec<String> =
        value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
    if items.is_empty() {
        return bad("the list is empty", "write items between commas, or leave the annotation out");
    }
    Ok(items)
}

/// A list in which nothing is named twice.
pub(super) fn distinct(value: &str) -> Result<Vec<String>, Bad> {
    let items = list(value)?;
    match items.iter().enumerate().find(|(at, item)| items.iter().take(*at).any(|other| other == *item)) {
        Some((_, twice)) => bad(format!("{twice:?} is named twice"), "name everything once"),
        None => Ok(items),
    }
}

/// A list of what begins with `prefix`, each once.
pub(super) fn ids(value: &str, prefix: &str) -> Result<Vec<String>, Bad> {
    let items = distinct(value)?;
    match items.iter().find(|item| !item.starts_with(prefix)) {
        Some(other) => bad(format!("{other:?} is no id of the form {prefix}…"), format!("write {prefix}…")),
        None => Ok(items),
    }
}

/// A list of addresses, each once.
pub(super) fn addresses<A: FromStr + PartialEq + fmt::Display>(
    value: &str,
    kind: &str,
) -> Result<Vec<A>, Bad> {
    let mut found: Vec<A> = Vec::new();
    for item in list(value)? {
        let Ok(address) = item.parse::<A>() else {
            return bad(
                format!("{item:?} is no {kind} address"),
                format!("write {kind} addresses between commas"),
            );
        };
        if found.contains(&address) {
            return bad(format!("{address} is named twice"), "name every address once");
        }
        found.push(address);
    }
    Ok(found)
}

/// `key=value` pairs between commas; a comma inside a value is written `\,`.
pub(super) fn map(value: &str) -> Result<BTreeMap<String, String>, Bad> {
    let mut pairs = BTreeMap::new();
    for piece in pieces(value).iter().map(|piece| piece.trim()).filter(|piece| !piece.is_empty()) {
        let Some((key, value)) = piece.split_once('=') else {
            return bad(
                format!("{piece:?} has no ="),
                "write key=value pairs between commas, a comma as \\,",
            );
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return bad(format!("{piece:?} has no key"), "write key=value pairs between commas");
        }
        let before = pairs.insert(key.to_owned(), value.to_owned());
        if before.is_some_and(|before| before != value) {
            return bad(format!("{key} is given two values"), "give every key once");
        }
    }
    Ok(pairs)
}

fn pieces(value: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, pieces.last_mut()) {
            ('\\', Some(piece)) if characters.peek() == Some(&',') => {
                characters.next();
                piece.push(',');
            }
            (',', _) => pieces.push(String::new()),
            (_, Some(piece)) => piece.push(character),
            (_, None) => {}
        }
    }
    pieces
}

/// An ARN that has `part` in it.
pub(super) fn arn(value: &str, part: &str, what: &str) -> Result<String, Bad> {
    let value = value.trim();
    if value.starts_with("arn:") && value.contains(part) && !value.contains(char::is_whitespace) {
        return Ok(value.to_owned());
    }
    bad(format!("{value:?} is no ARN of {what}"), format!("write the ARN of {what} (arn:…{part}…)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_know_escapes_and_refuse_what_is_ambiguous() {
        let pairs = map(r"a=1, b = x\,y ,c=p=q,,d=").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(pairs, ["a:1", "b:x,y", "c:p=q", "d:"]);
        assert!(map("a").unwrap_err().what.contains("no ="));
        assert!(map("=1").unwrap_err().what.contains("no key"));
        assert!(map("a=1,a=2").unwrap_err().what.contains("two values"));
        assert_eq!(map(r"a=\").unwrap()["a"], r"\");
    }

    #[test]
    fn words_and_numbers_say_what_would_do() {
        assert_eq!(boolean(" True "), Ok(true));
        assert!(boolean("yes").is_err());
        assert_eq!(on_off("off"), Ok(false));
        assert_eq!(on_off("onn").unwrap_err().remedy, "did you mean on?");
        assert_eq!(number("5", 5..=300), Ok(5));
        for outside in ["4", "301", "-1", "5.0", "", "99999999999"] {
            assert!(number(outside, 5..=300).unwrap_err().what.contains("from 5 to 300"), "{outside}");
        }
    }

    #[test]
    fn lists_are_trimmed_and_name_nothing_twice() {
        assert_eq!(list(" a, ,b ").unwrap(), ["a", "b"]);
        assert!(list(" , ").is_err());
        assert!(distinct("a,b,a").unwrap_err().what.contains("twice"));
        assert!(ids("eipalloc-1,eip-2", "eipalloc-").unwrap_err().what.contains("eip-2"));
        assert!(addresses::<std::net::Ipv4Addr>("10.0.0.1,::1", "IPv4").is_err());
    }
}
