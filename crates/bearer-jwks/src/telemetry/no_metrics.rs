//! Without the feature `metrics`, nothing is counted.

#![allow(clippy::unused_self, reason = "of one form with the metrics")]

use std::time::{Duration, SystemTime};

#[derive(Debug, Default)]
pub(super) struct Metrics;

impl Metrics {
    pub(super) fn succeeded(&mut self, _: SystemTime) {}

    pub(super) fn begin(&mut self, _: &str) {}

    pub(super) fn state(&mut self, _: &str, _: usize, _: bool) {}

    pub(super) fn end(&mut self, _: &str, _: bool) {}

    pub(super) fn aged(_: &str, _: Duration) {}

    pub(super) fn count_fetch(_: &str, _: &'static str, _: &'static str) {}

    pub(super) fn count_limited(_: &str, _: &'static str, _: u64) {}
}
