//! Round trips counted and timed, and the JSON that reports them.

use std::time::Duration;

use crate::system::Usage;

/// The time of every round trip.
#[derive(Default)]
pub struct Latencies {
    nanoseconds: Vec<u64>,
    progressed: bool,
}

impl Latencies {
    /// Adds one round trip.
    pub fn record(&mut self, time: Duration) {
        self.nanoseconds.push(time.as_nanos().try_into().unwrap_or(u64::MAX));
        self.progressed = true;
    }

    /// Forgets the warm-up.
    pub fn clear(&mut self) {
        self.nanoseconds.clear();
    }

    /// Whether anything was recorded since the last question.
    pub fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progressed)
    }

    /// The given quantile in microseconds; sorts in place.
    fn quantile(&mut self, quantile: f64) -> f64 {
        self.nanoseconds.sort_unstable();
        let last = self.nanoseconds.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let index = (last as f64 * quantile) as usize;
        #[expect(clippy::cast_precision_loss)]
        self.nanoseconds.get(index).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
    }
}

/// One JSON object; the server's share is in it only if its process was given.
pub fn report(
    latencies: &mut Latencies,
    elapsed: Duration,
    server: Option<Usage>,
    lost: u64,
) -> String {
    let count = latencies.nanoseconds.len();
    let mut fields = vec![
        format!("\"round_trips\": {count}"),
        format!("\"seconds\": {:.6}", elapsed.as_secs_f64()),
        format!("\"lost\": {lost}"),
    ];
    if count > 0 {
        fields.push(format!("\"p50_us\": {:.3}", latencies.quantile(0.5)));
        fields.push(format!("\"p99_us\": {:.3}", latencies.quantile(0.99)));
    }
    if let Some(usage) = server {
        fields.push(format!("\"server_cpu_seconds\": {:.9}", usage.cpu.as_secs_f64()));
        fields.push(format!("\"server_sleeps\": {}", usage.sleeps));
    }
    format!("{{{}}}", fields.join(", "))
}
