//! Chance, the same for the same seed.

use std::f64::consts::TAU;

/// Draws.
#[derive(Debug)]
pub(crate) struct Chance(fastrand::Rng);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance(fastrand::Rng::with_seed(seed))
    }

    /// Evenly from 0 to 1.
    pub(crate) fn even(&mut self) -> f64 {
        self.0.f64()
    }

    /// Evenly from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.u64(least..=most)
    }

    /// One of so many.
    pub(crate) fn one_of(&mut self, many: usize) -> usize {
        self.0.usize(..many)
    }

    pub(crate) fn happens(&mut self, share: f64) -> bool {
        self.0.f64() < share
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (size, turn) = (1.0 - self.0.f64(), self.0.f64());
        (-2.0 * size.ln()).sqrt() * (TAU * turn).cos()
    }

    /// Of a log-normal distribution with this median.
    pub(crate) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.normal()).exp()
    }

    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.f64()).ln()
    }

    /// Of an inverse Gaussian distribution, by the method of Michael, Schucany and Haas.
    pub(crate) fn inverse_gaussian(&mut self, mean: f64, shape: f64) -> f64 {
        let square = self.normal().powi(2);
        let scaled = mean * square / (2.0 * shape);
        let least = mean * (1.0 + scaled - (2.0 * scaled + scaled * scaled).sqrt());
        if self.0.f64() <= mean / (mean + least) {
            least
        } else {
            mean * mean / least
        }
    }
}

/// A number without its fraction; nothing here is negative.
#[allow(clippy::cast_sign_loss)]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}
