//! Durations as Kubernetes writes them (Go's `time.ParseDuration`): `90s`, `1m30s`, `1.5h`, `300ms`.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no duration: write 90s, 1m30s, 500ms or 1.5h (units: ms, s, m, h)")]
pub struct DurationError {
    /// What was written.
    pub text: String,
}

/// Reads a duration that is not negative.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    read(text).ok_or_else(|| DurationError { text: text.to_owned() })
}

fn read(text: &str) -> Option<Duration> {
    let mut nanos: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = tail;
    }
    if text.is_empty() {
        return None;
    }
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

fn scaled(number: &str, unit: &str) -> Option<u128> {
    let unit: u128 = match unit {
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let places = u32::try_from(fraction.len()).ok().filter(|p| *p <= 9)?;
    let whole: u128 = whole.parse::<u64>().ok()?.into();
    let fraction: u128 = fraction.parse::<u64>().ok()?.into();
    Some(whole * unit + fraction * unit / 10_u128.pow(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, millis) in [
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("300ms", 300),
            ("1.5h", 5_400_000),
            ("0s", 0),
            ("0.25s", 250),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "+5s",
            "5 s",
            "5min",
            "1e3s",
            "1..5s",
            ".s",
            "5d",
            "99999999999999999999h",
            "9999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
