//! Text for people, and names within limits.

/// The one of `known` that `word` is most likely a slip of; `None` when none is near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = (word.chars().count() / 4).clamp(1, 5);
    let rated = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    rated.filter(|(distance, _)| *distance <= near).min().map(|(_, candidate)| candidate)
}

/// How many characters must be inserted, deleted, replaced or swapped with their neighbor (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(x != y);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// The letters and digits of `text`, at most `max` of them.
pub fn alphanumeric(text: &str, max: usize) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).take(max).collect()
}

/// The first `digits` hexadecimal digits of the SHA-256 of `parts`, which cannot be confused by moving a border.
pub fn short_hash<'a>(parts: impl IntoIterator<Item = &'a str>, digits: usize) -> String {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let hex: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["subnets", "scheme", "eip-allocations", "healthcheck-interval"];
        assert_eq!(did_you_mean("subnet", known), Some("subnets"));
        assert_eq!(did_you_mean("schmee", known), Some("scheme"));
        assert_eq!(did_you_mean("health-check-interval", known), Some("healthcheck-interval"));
        assert_eq!(did_you_mean("eip-allocation", known), Some("eip-allocations"));
        assert_eq!(did_you_mean("completely-different", known), None);
        assert_eq!(did_you_mean("", known), None);
    }

    #[test]
    fn hashes_know_where_a_part_ends() {
        assert_ne!(short_hash(["ab", "c"], 10), short_hash(["a", "bc"], 10));
        assert_eq!(short_hash(["a"], 10).len(), 10);
        assert_eq!(alphanumeric("a-b_c.d", 3), "abc");
    }
}
