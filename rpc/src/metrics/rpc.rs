//! The metrics of this crate.

use super::labelled::{Labelled, LabelledPair};
use super::{Registrar, names};
use crate::codes::ErrorCode;
use crate::dto::SubscriptionKind;
use prometheus::{Histogram, IntCounter, IntGauge};
use std::time::Duration;

/// The metrics of this crate.
#[derive(Debug)]
pub struct RpcMetrics {
    calls: LabelledPair<IntCounter>,
    call_seconds: Labelled<Histogram>,
    pub(crate) refused: Labelled<IntCounter>,
    connections: IntGauge,
    websockets: IntGauge,
    subscriptions: Labelled<IntGauge>,
    pub(crate) subscription_gaps: Labelled<IntCounter>,
}

impl RpcMetrics {
    pub(super) fn new(registrar: &Registrar) -> Self {
        Self {
            calls: registrar.counter_pair(&names::RPC_CALLS),
            call_seconds: registrar.labelled_histogram(&names::RPC_CALL_SECONDS),
            refused: registrar.labelled_counter(&names::RPC_REFUSED),
            connections: registrar.int_gauge(&names::RPC_CONNECTIONS),
            websockets: registrar.int_gauge(&names::RPC_WEBSOCKETS),
            subscriptions: registrar.labelled_gauge(&names::RPC_SUBSCRIPTIONS),
            subscription_gaps: registrar.labelled_counter(&names::RPC_SUBSCRIPTION_GAPS),
        }
    }

    /// Counts a call of the method with this index (none: of no known method).
    pub(crate) fn call_answered(
        &self,
        method: Option<usize>,
        code: Option<ErrorCode>,
        time: Duration,
    ) {
        // The first value of the label is `OK`; the codes follow in their order.
        let code = code.map_or(0, |code| code as usize + 1);
        self.calls.at(method, code).inc();
        self.call_seconds.at(method).observe(time.as_secs_f64());
    }

    /// Counts what was no call at all.
    pub(crate) fn call_refused(&self, code: ErrorCode) {
        self.calls.at(None, code as usize + 1).inc();
    }

    /// How many requests were refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: &str) -> u64 {
        self.refused.with(reason).get()
    }

    pub(crate) fn count_connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    pub(crate) fn count_websocket(&self) -> GaugeGuard {
        GaugeGuard::new(&self.websockets)
    }

    pub(crate) fn count_subscription(&self, kind: SubscriptionKind) -> GaugeGuard {
        GaugeGuard::new(self.subscriptions.with(kind.as_str()))
    }
}

/// Counts something in a gauge as long as it lives.
#[derive(Debug)]
pub(crate) struct GaugeGuard(IntGauge);

impl GaugeGuard {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}
