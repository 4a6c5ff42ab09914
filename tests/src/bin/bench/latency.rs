//! Many durations as a few numbers.

/// Durations in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<f64>);

impl Latencies {
    /// One more; negative when the effect was seen before its cause.
    pub fn add_ms(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    /// The value that `percent` of them do not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(place - 1).copied().unwrap_or(f64::NAN)
    }
}

/// The middle of several numbers.
pub fn median(numbers: &[f64]) -> f64 {
    let latencies = Latencies(numbers.to_vec());
    latencies.percentile(50)
}
