//! A page of figures, collected first and encoded then.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Names and values of a figure's labels.
pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug)]
enum Value {
    Counter(u64),
    Seconds(f64),
    Gauge(f64),
    Histogram { buckets: Vec<(f64, u64)>, count: u64, sum: f64 },
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    figures: Vec<(Labels, Value)>,
}

/// Families of figures, in their order.
#[derive(Debug, Default)]
pub(super) struct Page(Vec<Family>);

impl Page {
    /// A counter without labels. `_total` is appended to its name.
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.counters(name, help, [(Labels::new(), value)]);
    }

    /// A counter with labels. `_total` is appended to its name.
    pub(super) fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        figures: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let figures = figures.into_iter().map(|(labels, value)| (labels, Value::Counter(value)));
        self.family(name, help, MetricType::Counter, figures.collect());
    }

    /// A counter of time, in seconds, with labels. `_total` is appended to its name.
    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        help: &'static str,
        figures: impl IntoIterator<Item = (Labels, Duration)>,
    ) {
        let figures = figures.into_iter();
        let figures = figures.map(|(labels, time)| (labels, Value::Seconds(time.as_secs_f64())));
        self.family(name, help, MetricType::Counter, figures.collect());
    }

    /// A gauge without labels; of `None` there is none.
    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: Option<f64>) {
        self.gauges(name, help, value.map(|value| (Labels::new(), value)));
    }

    /// A gauge with labels.
    pub(super) fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        figures: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let figures = figures.into_iter().map(|(labels, value)| (labels, Value::Gauge(value)));
        self.family(name, help, MetricType::Gauge, figures.collect());
    }

    /// Histograms: bounds, values up to each of them and beyond (not cumulative), and their sum.
    pub(super) fn histograms<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        figures: impl IntoIterator<Item = (Labels, &'a [f64], Vec<u64>, f64)>,
    ) {
        let figures = figures.into_iter().map(|(labels, bounds, counts, sum)| {
            let count = counts.iter().sum();
            // OpenMetrics wants the last one said.
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            let buckets = bounds.zip(counts).collect();
            (labels, Value::Histogram { buckets, count, sum })
        });
        self.family(name, help, MetricType::Histogram, figures.collect());
    }

    fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        figures: Vec<(Labels, Value)>,
    ) {
        if !figures.is_empty() {
            self.0.push(Family { name, help, kind, figures });
        }
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, kind, figures } in &self.0 {
            let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, value) in figures {
                let mut figure = family.encode_family(labels)?;
                match value {
                    Value::Counter(value) => ConstCounter::new(*value).encode(figure)?,
                    Value::Seconds(value) => ConstCounter::new(*value).encode(figure)?,
                    Value::Gauge(value) => ConstGauge::new(*value).encode(figure)?,
                    Value::Histogram { buckets, count, sum } => {
                        figure.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}
