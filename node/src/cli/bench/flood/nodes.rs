//! What the validators say of the flood: their metrics, and what the system says of their processes.

use super::junk::TOPICS;
use crate::devnet::readiness;
use crate::load::Cluster;
use holdfast_halt::Mode;
use holdfast_network::Penalty;
use std::time::Duration;

/// What one validator had counted at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// Messages of the flooded topics that were within the rate of their sender.
    pub(super) taken: f64,
    /// Messages beyond the rate of their sender, of any topic.
    pub(super) over_rate: f64,
    /// Messages that were judged invalid.
    pub(super) invalid: f64,
    /// Messages that were of no use, beyond what is allowed of them.
    pub(super) useless: f64,
    /// Faults of peers besides.
    pub(super) other_faults: f64,
    pub(super) disconnects: f64,
    pub(super) bans: f64,
    pub(super) halts: f64,
    /// Members of the committee that it is connected to.
    pub(super) committee_peers: f64,
}

impl Counts {
    /// Reads them from the page of a validator.
    fn of_page(page: &str) -> Self {
        let value = |series: &str| {
            let line = page.lines().find_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                (name == series).then_some(value)
            });
            line.and_then(|value| value.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        let fault = |penalty: Penalty| {
            let reason = penalty.name();
            value(&format!(
                "holdfast_network_peer_faults_total{{reason=\"{reason}\"}}"
            ))
        };
        let all_faults: f64 = Penalty::ALL.map(fault).iter().sum();
        let over_rate = fault(Penalty::RateExceeded);
        let invalid = fault(Penalty::InvalidMessage);
        let useless = fault(Penalty::UselessMessage);
        let taken = TOPICS.map(|topic| {
            let topic = topic.name();
            value(&format!(
                "holdfast_network_messages_total{{direction=\"in\",topic=\"{topic}\"}}"
            ))
        });
        let halts = Mode::ALL.map(|mode| {
            let kind = mode.kind();
            value(&format!("holdfast_halts_total{{kind=\"{kind}\"}}"))
        });
        Self {
            taken: taken.iter().sum(),
            over_rate,
            invalid,
            useless,
            other_faults: all_faults - over_rate - invalid - useless,
            disconnects: value("holdfast_network_disconnects_total"),
            bans: value("holdfast_network_bans_total"),
            halts: halts.iter().sum(),
            committee_peers: value("holdfast_network_peers{class=\"committee\"}"),
        }
    }

    /// What has come since, of what is counted; of what is a number now, the number.
    fn since(self, earlier: Self) -> Self {
        Self {
            taken: self.taken - earlier.taken,
            over_rate: self.over_rate - earlier.over_rate,
            invalid: self.invalid - earlier.invalid,
            useless: self.useless - earlier.useless,
            other_faults: self.other_faults - earlier.other_faults,
            disconnects: self.disconnects - earlier.disconnects,
            bans: self.bans - earlier.bans,
            halts: self.halts - earlier.halts,
            committee_peers: self.committee_peers,
        }
    }
}

/// Of each validator; nothing of one that does not answer.
pub(super) async fn counts(cluster: &Cluster) -> Vec<Option<Counts>> {
    let mut counts = Vec::with_capacity(cluster.len());
    for number in 0..cluster.len() {
        let page = readiness::page(cluster.node(number).rpc, "/metrics").await;
        counts.push(page.ok().map(|page| Counts::of_page(&page)));
    }
    counts
}

/// What each validator has counted between two moments, as far as it answered at both.
pub(super) fn between(from: &[Option<Counts>], to: &[Option<Counts>]) -> Vec<Counts> {
    from.iter()
        .zip(to)
        .map(|(from, to)| match (from, to) {
            (Some(from), Some(to)) => to.since(*from),
            _ => Counts::default(),
        })
        .collect()
}

/// Processor time and memory of each validator over a phase.
#[derive(Clone, Debug, Default)]
pub(super) struct Toll {
    pub(super) seconds: f64,
    pub(super) processor_time: Vec<Duration>,
    pub(super) memory_from: Vec<u64>,
    pub(super) memory_peak: Vec<u64>,
    /// The fewest members that a validator was connected to; nothing if none was ever asked.
    pub(super) committee_peers_min: Vec<Option<u64>>,
    pub(super) started: Vec<Duration>,
}

impl Toll {
    pub(super) fn start(cluster: &Cluster) -> Self {
        let usage = cluster.usage();
        let memory: Vec<u64> = usage.iter().map(|node| node.resident_bytes).collect();
        Self {
            seconds: 0.0,
            processor_time: vec![Duration::ZERO; usage.len()],
            memory_peak: memory.clone(),
            memory_from: memory,
            committee_peers_min: vec![None; usage.len()],
            started: usage.iter().map(|node| node.processor_time).collect(),
        }
    }

    /// Looks at the processes, `elapsed` after the start.
    pub(super) fn look(&mut self, cluster: &Cluster, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        for (number, usage) in cluster.usage().into_iter().enumerate() {
            self.processor_time[number] = usage.processor_time.saturating_sub(self.started[number]);
            self.memory_peak[number] = self.memory_peak[number].max(usage.resident_bytes);
        }
    }

    /// Notes how many members each validator is connected to.
    pub(super) fn note(&mut self, counts: &[Option<Counts>]) {
        for (least, counts) in self.committee_peers_min.iter_mut().zip(counts) {
            if let Some(counts) = counts {
                let now = counts.committee_peers as u64;
                *least = Some(least.map_or(now, |least| least.min(now)));
            }
        }
    }

    /// Processors that all validators used together.
    pub(super) fn cores(&self) -> f64 {
        let total: Duration = self.processor_time.iter().sum();
        total.as_secs_f64() / self.seconds.max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE holdfast_network_messages_total counter
holdfast_network_messages_total{direction=\"in\",topic=\"halt\"} 5
holdfast_network_messages_total{direction=\"in\",topic=\"governance\"} 2
holdfast_network_messages_total{direction=\"in\",topic=\"vertices\"} 900
holdfast_network_messages_total{direction=\"out\",topic=\"halt\"} 70
holdfast_network_peer_faults_total{reason=\"rate_exceeded\"} 1000
holdfast_network_peer_faults_total{reason=\"invalid_message\"} 8
holdfast_network_peer_faults_total{reason=\"useless_message\"} 4
holdfast_network_peer_faults_total{reason=\"oversized\"} 3
holdfast_network_peers{class=\"committee\"} 3
holdfast_network_bans_total 2
holdfast_halts_total{kind=\"hard\"} 1
";

    #[test]
    fn a_page_of_metrics_is_read_by_series() {
        let counts = Counts::of_page(PAGE);
        let expected = Counts {
            taken: 7.0,
            over_rate: 1_000.0,
            invalid: 8.0,
            useless: 4.0,
            other_faults: 3.0,
            bans: 2.0,
            halts: 1.0,
            committee_peers: 3.0,
            ..Counts::default()
        };
        assert_eq!(counts, expected);
        let later = Counts {
            bans: 5.0,
            committee_peers: 1.0,
            ..counts
        };
        let since = between(&[Some(counts), None], &[Some(later), Some(later)]);
        assert_eq!((since[0].bans, since[0].taken), (3.0, 0.0));
        assert_eq!(since[0].committee_peers, 1.0);
        assert_eq!(since[1], Counts::default());
    }
}
