//! A histogram of values.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts values up to each of `N` bounds, and those above the last.
pub struct Histogram<const N: usize> {
    bounds: &'static [f64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    /// In millionths, because there is no atomic floating-point type.
    sum: AtomicU64,
}

/// The counts of a histogram.
pub struct Counted<const N: usize> {
    /// Each bound, and how many values are at most that.
    pub up_to: [(f64, u64); N],
    /// The number of values.
    pub count: u64,
    /// The sum of the values.
    pub sum: f64,
}

const MILLION: f64 = 1e6;

impl<const N: usize> Histogram<N> {
    /// Creates an empty histogram with bounds in ascending order.
    pub const fn new(bounds: &'static [f64; N]) -> Self {
        Histogram {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value. A negative value counts as zero.
    pub fn observe(&self, figure: f64) {
        let figure = figure.max(0.0);
        let fits = self.bounds.iter().zip(&self.counts).find(|(bound, _)| figure <= **bound);
        fits.map_or(&self.above, |(_, count)| count).fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; saturates"
        )]
        let millionths = (figure * MILLION) as u64;
        self.sum.fetch_add(millionths, Ordering::Relaxed);
    }

    /// Returns the counts so far. The total is the sum of the buckets, even while other threads count.
    pub fn counted(&self) -> Counted<N> {
        let mut count = 0;
        let mut up_to = [(0.0, 0); N];
        for ((place, bound), part) in up_to.iter_mut().zip(self.bounds).zip(&self.counts) {
            count += part.load(Ordering::Relaxed);
            *place = (*bound, count);
        }
        #[expect(clippy::cast_precision_loss, reason = "a sum of seconds")]
        let sum = self.sum.load(Ordering::Relaxed) as f64 / MILLION;
        Counted { up_to, count: count + self.above.load(Ordering::Relaxed), sum }
    }

    /// Resets all counts.
    pub fn clear(&self) {
        self.counts.iter().chain([&self.above, &self.sum]).for_each(|part| part.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_counts_values_up_to_its_bound() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        [-1.0, 0.1, 0.5, 2.5].into_iter().for_each(|figure| histogram.observe(figure));
        let counted = histogram.counted();
        assert_eq!((counted.up_to, counted.count), ([(0.1, 2), (1.0, 3)], 4));
        assert!((counted.sum - 3.1).abs() < 1e-9);
        histogram.clear();
        assert_eq!((histogram.counted().count, histogram.counted().sum), (0, 0.0));
    }
}
