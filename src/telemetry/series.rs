//! One metric's cells, and how they become a Prometheus family.
//!
//! Why: cells are one array indexed by label positions, so an observation is an addition at a computed place; there are
//! a few copies of the array, and a thread keeps to one of them.
//! Holds: the strides follow the definition's labels, the last one running fastest; a histogram's cells are its
//! buckets (not cumulative), then the overflow, then the sum; an index out of range is ignored, never a panic.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::labels::{StatementKind, names_a_shard};
use super::table::{BOUNDS_NANOS, Definition, Label, NO_SHARD, Shape, TOP_BUCKETS, Values};
use crate::topology::SHARDS_MAX;

/// What label values are called where they don't come from a closed enum.
#[derive(Debug)]
pub(crate) struct Names {
    /// names of the topology's shards; guarded, since a reload may append some
    shards: Mutex<Vec<String>>,
    constructs: Vec<&'static str>,
    version: String,
    /// the busiest buckets, as they are called; guarded, since each scrape finds others
    top_buckets: Mutex<Vec<String>>,
}

/// One metric.
#[derive(Debug)]
pub(crate) struct Series {
    definition: &'static Definition,
    strides: Vec<usize>,
    /// cells of one copy
    stripe: usize,
    /// one copy for a gauge, [`STRIPES`] of them for what is added up
    cells: Vec<AtomicU64>,
    names: Arc<Names>,
}

/// What Prometheus' registry asks.
pub(crate) struct SeriesCollector {
    series: Arc<Series>,
    desc: Desc,
}

/// Copies of what is added up, so that threads don't fight for cache lines: every statement of every thread would
/// otherwise write to the same few.
const STRIPES: usize = 4;

/// Stacks of threads lie at least 2 MiB apart (tokio's size, and Rust's own).
const STACK_BITS: u32 = 21;

/// A number by which threads are told apart: by where their stacks lie, which costs nothing; two that fall together are
/// as right as two that don't, only slower.
pub(crate) fn own_stripe() -> usize {
    let on_the_stack = 0_u8;
    std::ptr::from_ref(&on_the_stack).addr() >> STACK_BITS
}

/// Cells of one histogram: buckets, overflow, sum.
const HISTOGRAM_WIDTH: usize = BOUNDS_NANOS.len() + 2;

// === impl Names ===

impl Names {
    pub(crate) fn new(constructs: &[&'static str], version: &str) -> Names {
        let mut constructs = constructs.to_vec();
        constructs.sort_unstable();
        constructs.dedup();
        Names {
            shards: Mutex::new(Vec::new()),
            constructs,
            version: version.to_owned(),
            top_buckets: Mutex::default(),
        }
    }

    /// Names the busiest buckets by their place among them.
    pub(crate) fn name_top_buckets(&self, names: Vec<String>) {
        *self.top_buckets.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Names shards in the order of their ids, an empty name for one that isn't shown; what is beyond [`SHARDS_MAX`] is left out.
    pub(crate) fn name_shards(&self, shards: impl Iterator<Item = String>) {
        let named = shards.take(SHARDS_MAX).collect();
        *self.shards.lock().unwrap_or_else(PoisonError::into_inner) = named;
    }

    pub(crate) fn shards(&self) -> Vec<String> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The place of a construct; those that nobody listed share the last one.
    pub(crate) fn construct(&self, id: &str) -> usize {
        self.constructs.binary_search(&id).unwrap_or(self.constructs.len())
    }

    pub(crate) fn constructs(&self) -> usize {
        self.constructs.len()
    }
}

// === impl Series ===

impl Series {
    pub(crate) fn new(definition: &'static Definition, names: Arc<Names>) -> Series {
        let widths: Vec<usize> = definition
            .labels
            .iter()
            .map(|l| l.values.width(names.constructs()))
            .collect();
        let mut strides = vec![0; widths.len()];
        let mut stride = match definition.shape {
            Shape::Counter | Shape::Gauge => 1,
            Shape::Histogram => HISTOGRAM_WIDTH,
        };
        for (place, width) in strides.iter_mut().zip(&widths).rev() {
            *place = stride;
            stride *= width;
        }
        let copies = match definition.shape {
            Shape::Gauge => 1,
            Shape::Counter | Shape::Histogram => STRIPES,
        };
        Series {
            definition,
            strides,
            stripe: stride,
            cells: (0..stride * copies).map(|_| AtomicU64::new(0)).collect(),
            names,
        }
    }

    /// Adds to a counter.
    pub(crate) fn add(&self, at: &[usize], amount: u64) {
        self.add_at(self.own_stripe() + self.offset(at), amount);
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, at: &[usize], value: u64) {
        if let Some(cell) = self.cells.get(self.offset(at)) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// Reads a counter or gauge.
    pub(crate) fn get(&self, at: &[usize]) -> u64 {
        self.sum_at(self.offset(at))
    }

    /// Adds one observation to a histogram: two additions.
    pub(crate) fn observe(&self, at: &[usize], nanos: u64) {
        let offset = self.own_stripe() + self.offset(at);
        let bucket = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        self.add_at(offset + bucket, 1);
        self.add_at(offset + HISTOGRAM_WIDTH - 1, nanos);
    }

    /// A histogram's buckets (the last is the overflow) and the sum of its observations.
    pub(crate) fn buckets(&self, at: &[usize]) -> (Vec<u64>, u64) {
        let offset = self.offset(at);
        let mut values: Vec<u64> = (0..HISTOGRAM_WIDTH).map(|cell| self.sum_at(offset + cell)).collect();
        let sum = values.pop().unwrap_or(0);
        (values, sum)
    }

    fn add_at(&self, offset: usize, amount: u64) {
        if let Some(cell) = self.cells.get(offset) {
            cell.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// A cell over all stripes.
    fn sum_at(&self, offset: usize) -> u64 {
        let copies = self.cells.iter().skip(offset).step_by(self.stripe.max(1));
        copies.map(|cell| cell.load(Ordering::Relaxed)).sum()
    }

    fn offset(&self, at: &[usize]) -> usize {
        debug_assert_eq!(at.len(), self.strides.len(), "{}", self.definition.name);
        at.iter().zip(&self.strides).map(|(index, stride)| index * stride).sum()
    }

    /// Where the calling thread's copy of the cells begins.
    fn own_stripe(&self) -> usize {
        own_stripe() % STRIPES * self.stripe
    }

    /// One Prometheus metric per combination of label values that can be expected or has been seen.
    fn metrics(&self) -> Vec<Metric> {
        let shards = self.names.shards();
        let mut metrics = Vec::new();
        let mut at = Vec::new();
        self.visit(&shards, &mut at, &mut metrics);
        metrics
    }

    fn visit(&self, shards: &[String], at: &mut Vec<usize>, metrics: &mut Vec<Metric>) {
        let Some(label) = self.definition.labels.get(at.len()) else {
            metrics.extend(self.metric(shards, at));
            return;
        };
        for index in 0..label.values.width(self.names.constructs()) {
            if self.value_of(label, index, shards).is_some() {
                at.push(index);
                self.visit(shards, at, metrics);
                at.pop();
            }
        }
    }

    fn metric(&self, shards: &[String], at: &[usize]) -> Option<Metric> {
        let mut metric = match self.definition.shape {
            Shape::Counter => {
                let value = self.get(at);
                if value == 0 && !self.is_expected(at) {
                    return None;
                }
                let mut counter = Counter::default();
                counter.set_value(self.in_unit(value));
                let mut metric = Metric::default();
                metric.set_counter(counter);
                metric
            }
            Shape::Gauge => {
                if !self.is_expected(at) {
                    return None;
                }
                let mut gauge = Gauge::default();
                gauge.set_value(self.in_unit(self.get(at)));
                Metric::from_gauge(gauge)
            }
            Shape::Histogram => {
                let (buckets, sum) = self.buckets(at);
                let count: u64 = buckets.iter().sum();
                if count == 0 && !self.is_expected(at) {
                    return None;
                }
                let mut metric = Metric::default();
                metric.set_histogram(self.histogram(&buckets, count, sum));
                metric
            }
        };
        let pairs = self.definition.labels.iter().zip(at).filter_map(|(label, index)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value(self.value_of(label, *index, shards)?);
            Some(pair)
        });
        metric.set_label(pairs.collect());
        Some(metric)
    }

    fn histogram(&self, buckets: &[u64], count: u64, sum: u64) -> Histogram {
        let mut cumulative = 0;
        let bounded = BOUNDS_NANOS.iter().zip(buckets).map(|(bound, in_bucket)| {
            cumulative += in_bucket;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(self.in_unit(*bound));
            bucket.set_cumulative_count(cumulative);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(bounded.collect());
        histogram.set_sample_count(count);
        histogram.set_sample_sum(self.in_unit(sum));
        histogram
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus' numbers are doubles; 2^53 ns are 104 days of sum"
    )]
    fn in_unit(&self, value: u64) -> f64 {
        value as f64 / self.definition.unit.divisor()
    }

    fn value_of(&self, label: &Label, index: usize, shards: &[String]) -> Option<String> {
        match label.values {
            Values::Closed(list) => list.get(index).map(|text| (*text).to_owned()),
            Values::Shards if index == NO_SHARD => Some("*".to_owned()),
            Values::Shards => shards.get(index).filter(|name| !name.is_empty()).cloned(),
            Values::Constructs if index == self.names.constructs() => Some("other".to_owned()),
            Values::Constructs => self.names.constructs.get(index).map(|id| (*id).to_owned()),
            Values::TopBuckets if index == TOP_BUCKETS => Some("other".to_owned()),
            Values::TopBuckets => {
                let names = self.names.top_buckets.lock().unwrap_or_else(PoisonError::into_inner);
                names.get(index).cloned()
            }
            Values::Version => (index == 0).then(|| self.names.version.clone()),
        }
    }

    /// Whether a series is shown at zero: a statement of one shard names it, one of several doesn't; a pool has a shard.
    fn is_expected(&self, at: &[usize]) -> bool {
        let mut kind = None;
        let mut shard = None;
        for (label, index) in self.definition.labels.iter().zip(at) {
            match label.values {
                Values::Shards => shard = Some(*index),
                Values::Closed(list) if list == StatementKind::LABELS => kind = StatementKind::from_index(*index),
                Values::Closed(_) | Values::Constructs | Values::TopBuckets | Values::Version => {}
            }
        }
        match (kind, shard) {
            (Some(kind), Some(shard)) => names_a_shard(kind) == (shard != NO_SHARD),
            (None, Some(shard)) => shard != NO_SHARD || self.definition.shape == Shape::Counter,
            (_, None) => true,
        }
    }
}

// === impl SeriesCollector ===

impl SeriesCollector {
    pub(crate) fn new(series: Arc<Series>) -> Result<SeriesCollector, prometheus::Error> {
        let definition = series.definition;
        let labels = definition.labels.iter().map(|label| label.name.to_owned()).collect();
        let desc = Desc::new(
            definition.name.to_owned(),
            definition.help.to_owned(),
            labels,
            Default::default(),
        )?;
        Ok(SeriesCollector { series, desc })
    }
}

impl Collector for SeriesCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let definition = self.series.definition;
        let mut family = MetricFamily::default();
        family.set_name(definition.name.to_owned());
        family.set_help(definition.help.to_owned());
        family.set_field_type(match definition.shape {
            Shape::Counter => MetricType::COUNTER,
            Shape::Gauge => MetricType::GAUGE,
            Shape::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(self.series.metrics());
        vec![family]
    }
}
