//! The node's metrics: one registry, every name in [`names`], every label value known beforehand.
//!
//! Whoever owns a fact sets it: consensus emits facts, the node sets the gauges here, this crate sets its own under
//! `rpc`. Clones share the metrics.

mod groups;
mod labelled;
pub mod names;
mod reference;
mod rpc;

pub use groups::{
    ChainMetrics, ConsensusMetrics, CoreMetrics, EmergencyMetrics, HaltMetrics, MempoolMetrics,
    NetworkMetrics, SigningMetrics, StorageMetrics, SyncMetrics,
};
pub use labelled::{Labelled, LabelledPair};
pub use reference::metrics_reference;
pub(crate) use rpc::GaugeGuard;
pub use rpc::RpcMetrics;

use names::{Kind, MetricSpec};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, TextEncoder,
};
use std::ops::Deref;
use std::sync::Arc;

/// Brings a counter up to what is counted elsewhere.
pub fn raise(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

/// All metrics of a node.
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<MetricGroups>,
}

/// The metrics by area.
pub struct MetricGroups {
    registry: Registry,
    /// The chain: heights, eras, blocks, finality.
    pub chain: ChainMetrics,
    /// The DAG and the commit rule.
    pub consensus: ConsensusMetrics,
    /// Stalls and halts.
    pub halt: HaltMetrics,
    /// Emergency consensus.
    pub emergency: EmergencyMetrics,
    /// Transactions that wait.
    pub mempool: MempoolMetrics,
    /// Peers and messages.
    pub network: NetworkMetrics,
    /// Catching up.
    pub sync: SyncMetrics,
    /// RocksDB and the disk.
    pub storage: StorageMetrics,
    /// Signatures of this validator.
    pub signing: SigningMetrics,
    /// The core thread, execution and verification.
    pub core: CoreMetrics,
    /// This crate.
    pub rpc: RpcMetrics,
}

/// What `holdfast_build_info` says.
#[derive(Clone, Copy, Debug)]
pub struct BuildInfo<'a> {
    /// Version of the software.
    pub version: &'a str,
    /// Commit that it was built from, or `unknown`.
    pub commit: &'a str,
}

impl Metrics {
    /// Registers every metric, all series at zero.
    #[must_use]
    pub fn new(build: BuildInfo<'_>) -> Self {
        let registrar = Registrar {
            registry: Registry::new(),
        };
        registrar.add(ProcessCollector::for_self());
        registrar.build_info(build);
        let groups = MetricGroups {
            chain: ChainMetrics::new(&registrar),
            consensus: ConsensusMetrics::new(&registrar),
            halt: HaltMetrics::new(&registrar),
            emergency: EmergencyMetrics::new(&registrar),
            mempool: MempoolMetrics::new(&registrar),
            network: NetworkMetrics::new(&registrar),
            sync: SyncMetrics::new(&registrar),
            storage: StorageMetrics::new(&registrar),
            signing: SigningMetrics::new(&registrar),
            core: CoreMetrics::new(&registrar),
            rpc: RpcMetrics::new(&registrar),
            registry: registrar.registry,
        };
        Self {
            shared: Arc::new(groups),
        }
    }

    /// The metrics in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.shared.registry.gather(), &mut text)
            .expect("writing to memory does not fail, and registered families are well-formed");
        text
    }
}

impl Deref for Metrics {
    type Target = MetricGroups;

    fn deref(&self) -> &MetricGroups {
        &self.shared
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl std::fmt::Debug for MetricGroups {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MetricGroups")
    }
}

/// Makes metrics of their specs and registers them.
pub(crate) struct Registrar {
    registry: Registry,
}

const WELL_FORMED: &str = "the specs have valid names, each used once; a test builds them all";

impl Registrar {
    fn add<C: Collector + 'static>(&self, collector: C) {
        self.registry
            .register(Box::new(collector))
            .expect(WELL_FORMED);
    }

    fn keep<C: Collector + Clone + 'static>(&self, collector: C) -> C {
        self.add(collector.clone());
        collector
    }

    fn build_info(&self, build: BuildInfo<'_>) {
        let spec = &names::BUILD_INFO;
        let options = Opts::new(spec.name, spec.help)
            .const_label("version", build.version)
            .const_label("commit", build.commit);
        self.keep(IntGauge::with_opts(options).expect(WELL_FORMED))
            .set(1);
    }

    pub(crate) fn int_gauge(&self, spec: &MetricSpec) -> IntGauge {
        assert_eq!(
            (spec.kind, spec.labels.len()),
            (Kind::Gauge, 0),
            "{}",
            spec.name
        );
        self.keep(IntGauge::new(spec.name, spec.help).expect(WELL_FORMED))
    }

    pub(crate) fn gauge(&self, spec: &MetricSpec) -> Gauge {
        assert_eq!(
            (spec.kind, spec.labels.len()),
            (Kind::Gauge, 0),
            "{}",
            spec.name
        );
        self.keep(Gauge::new(spec.name, spec.help).expect(WELL_FORMED))
    }

    pub(crate) fn int_counter(&self, spec: &MetricSpec) -> IntCounter {
        assert_eq!(
            (spec.kind, spec.labels.len()),
            (Kind::Counter, 0),
            "{}",
            spec.name
        );
        self.keep(IntCounter::new(spec.name, spec.help).expect(WELL_FORMED))
    }

    pub(crate) fn counter(&self, spec: &MetricSpec) -> prometheus::Counter {
        assert_eq!(
            (spec.kind, spec.labels.len()),
            (Kind::Counter, 0),
            "{}",
            spec.name
        );
        self.keep(prometheus::Counter::new(spec.name, spec.help).expect(WELL_FORMED))
    }

    pub(crate) fn histogram(&self, spec: &MetricSpec) -> Histogram {
        assert!(spec.labels.is_empty(), "{}", spec.name);
        self.keep(Histogram::with_opts(histogram_options(spec)).expect(WELL_FORMED))
    }
}

fn histogram_options(spec: &MetricSpec) -> HistogramOpts {
    let Kind::Histogram(buckets) = spec.kind else {
        panic!(
            "{} is a histogram in the code but not in its spec",
            spec.name
        )
    };
    HistogramOpts::new(spec.name, spec.help).buckets(buckets.to_vec())
}
