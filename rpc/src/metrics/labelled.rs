//! Metrics with labels whose values are all known beforehand, so that no caller can multiply the series.

use super::names::{Kind, MetricSpec, OTHER};
use super::{Registrar, WELL_FORMED, histogram_options};
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

/// A metric with one label. A value that the spec does not list counts as `other`.
pub struct Labelled<M> {
    values: &'static [&'static str],
    /// One per value, and one for `other`, which is the last.
    series: Vec<M>,
}

/// A metric with two labels. A value that the spec does not list counts as `other`.
pub struct LabelledPair<M> {
    second_values: &'static [&'static str],
    rows: Labelled<Vec<M>>,
}

impl<M> Labelled<M> {
    /// The series of a label value.
    #[must_use]
    pub fn with(&self, value: &str) -> &M {
        let index = position(self.values, value);
        &self.series[index]
    }

    /// The series of the label value at an index of the spec; none: `other`.
    pub(super) fn at(&self, index: Option<usize>) -> &M {
        &self.series[index.unwrap_or(self.values.len())]
    }

    /// Each label value with its series, `other` excepted.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &M)> {
        self.values.iter().copied().zip(&self.series)
    }
}

impl<M> LabelledPair<M> {
    /// The series of two label values.
    #[must_use]
    pub fn with(&self, first: &str, second: &str) -> &M {
        &self.rows.with(first)[position(self.second_values, second)]
    }

    pub(super) fn at(&self, first: Option<usize>, second: usize) -> &M {
        &self.rows.at(first)[second]
    }
}

/// Index of a value; behind the last if it is not listed.
fn position(values: &[&str], value: &str) -> usize {
    values
        .iter()
        .position(|known| *known == value)
        .unwrap_or(values.len())
}

fn with_other(values: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    values.iter().copied().chain([OTHER])
}

impl<M> std::fmt::Debug for Labelled<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Labelled")
            .field(&self.values)
            .finish()
    }
}

impl<M> std::fmt::Debug for LabelledPair<M> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("LabelledPair")
            .field(&self.rows.values)
            .field(&self.second_values)
            .finish()
    }
}

impl Registrar {
    pub(crate) fn labelled_gauge(&self, spec: &MetricSpec) -> Labelled<IntGauge> {
        assert_eq!(spec.kind, Kind::Gauge, "{}", spec.name);
        let vector = IntGaugeVec::new(Opts::new(spec.name, spec.help), &[spec.labels[0].name]);
        self.labelled(spec, vector.expect(WELL_FORMED))
    }

    pub(crate) fn labelled_counter(&self, spec: &MetricSpec) -> Labelled<IntCounter> {
        assert_eq!(spec.kind, Kind::Counter, "{}", spec.name);
        let vector = IntCounterVec::new(Opts::new(spec.name, spec.help), &[spec.labels[0].name]);
        self.labelled(spec, vector.expect(WELL_FORMED))
    }

    pub(crate) fn labelled_histogram(&self, spec: &MetricSpec) -> Labelled<Histogram> {
        let vector = HistogramVec::new(histogram_options(spec), &[spec.labels[0].name]);
        self.labelled(spec, vector.expect(WELL_FORMED))
    }

    pub(crate) fn counter_pair(&self, spec: &MetricSpec) -> LabelledPair<IntCounter> {
        assert_eq!(
            (spec.kind, spec.labels.len()),
            (Kind::Counter, 2),
            "{}",
            spec.name
        );
        let [first, second] = [spec.labels[0], spec.labels[1]];
        let vector =
            IntCounterVec::new(Opts::new(spec.name, spec.help), &[first.name, second.name]);
        let vector = self.keep(vector.expect(WELL_FORMED));
        let row = |value| {
            with_other(second.values)
                .map(|other| vector.with_label_values(&[value, other]))
                .collect()
        };
        let rows = Labelled {
            values: first.values,
            series: with_other(first.values).map(row).collect(),
        };
        LabelledPair {
            second_values: second.values,
            rows,
        }
    }

    fn labelled<B>(&self, spec: &MetricSpec, vector: MetricVec<B>) -> Labelled<B::M>
    where
        B: MetricVecBuilder + 'static,
        MetricVec<B>: Collector,
    {
        assert_eq!(spec.labels.len(), 1, "{}", spec.name);
        let vector = self.keep(vector);
        let values = spec.labels[0].values;
        let series = with_other(values)
            .map(|value| vector.with_label_values(&[value]))
            .collect();
        Labelled { values, series }
    }
}
