//! What a flood has shown: figures, and the promises that were broken.

use super::hostile::Deeds;
use super::nodes::{Counts, Toll};
use crate::cli::bench::figures::{Report, Target};
use crate::cli::bench::stage::megabytes;
use crate::load::Latencies;

/// How many times as long as in quiet half of the transfers may take under flood.
const LATENCY_RATIO_MAX: f64 = 2.0;
/// How much a validator may grow: the queues of control messages (16 MiB), of verdicts and of the gossip router, and
/// what it keeps for its connections, with room for what the transfers cost meanwhile.
const GROWTH_MB_MAX: f64 = 256.0;
/// Processors that the flood may take of one validator.
const EXTRA_CORES_MAX: f64 = 1.0;

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    pub(super) messages_wanted: u64,
    pub(super) deeds: Deeds,
    /// Of each validator, during the flood.
    pub(super) counts: Vec<Counts>,
    pub(super) quiet: Latencies,
    pub(super) flooded: Latencies,
    pub(super) quiet_toll: Toll,
    pub(super) flood_toll: Toll,
    /// Processors that this process used meanwhile: the load and the hostile peers.
    pub(super) own_cores: f64,
    /// Memory of each validator some time after the flood.
    pub(super) memory_after: Vec<u64>,
    /// Names of the validators that show a halt.
    pub(super) halted: Vec<String>,
}

fn largest(values: &[u64]) -> u64 {
    values.iter().copied().max().unwrap_or(0)
}

impl Findings {
    fn total(&self, of: impl Fn(&Counts) -> f64) -> f64 {
        self.counts.iter().map(of).sum()
    }

    fn ratio(under_flood: u64, quiet: u64) -> f64 {
        under_flood as f64 / (quiet as f64).max(1.0)
    }

    /// How much the validator grew that grew most.
    fn growth_mb(&self) -> f64 {
        let toll = &self.flood_toll;
        let growth = toll.memory_peak.iter().zip(&toll.memory_from);
        let growth = growth.map(|(peak, from)| peak.saturating_sub(*from));
        megabytes(growth.max().unwrap_or(0))
    }

    /// Processors that the flood took of one validator, on average.
    fn extra_cores(&self) -> f64 {
        let validators = (self.counts.len() as f64).max(1.0);
        (self.flood_toll.cores() - self.quiet_toll.cores()).max(0.0) / validators
    }

    pub(super) fn add_to(&self, report: &mut Report) {
        self.add_messages(report);
        self.add_drops(report);
        self.add_latencies(report);
        self.add_memory(report);
        self.add_processors(report);
        for reason in self.broken() {
            report.promise(false, reason);
        }
    }

    fn add_messages(&self, report: &mut Report) {
        let deeds = &self.deeds;
        let seconds = self.flood_toll.seconds;
        report.figure("flood_s", "length of the flood", seconds, "s");
        report.target(
            "messages_sent",
            "junk sent by the hostile peers",
            deeds.sent as f64,
            "",
            Target::AtLeast(self.messages_wanted as f64),
        );
        let rate = deeds.sent as f64 / seconds.max(f64::MIN_POSITIVE);
        report.figure("messages_sent_per_s", "the same, per second", rate, "/s");
        let (taken, over_rate) = (self.total(|c| c.taken), self.total(|c| c.over_rate));
        let arrived = taken + over_rate;
        // The rest was on its way to a validator when that threw its sender out.
        let label = "of it received before its sender was out";
        report.figure("messages_arrived", label, arrived, "");
        let label = "received, within the rate of its sender";
        report.figure("messages_taken", label, taken, "");
        let label = "received, above that rate, not looked at";
        report.figure("messages_over_rate", label, over_rate, "");
        let label = "penalties for invalid messages";
        report.figure("messages_invalid", label, self.total(|c| c.invalid), "");
        let label = "penalties for too many useless messages";
        report.figure("messages_useless", label, self.total(|c| c.useless), "");
        let faults = self.total(|c| c.other_faults);
        report.figure("other_faults", "penalties for other reasons", faults, "");
        let [malformed, forged, out_of_date] = deeds.sent_per_connection;
        let per_connection = [
            (
                "malformed_per_connection",
                "sent by one connection, all malformed",
                malformed,
            ),
            (
                "forged_per_connection",
                "sent by one connection, all forged",
                forged,
            ),
            (
                "out_of_date_per_connection",
                "sent by one connection, all out of date",
                out_of_date,
            ),
        ];
        for (name, label, sent) in per_connection {
            report.figure(name, label, sent as f64, "");
        }
    }

    fn add_drops(&self, report: &mut Report) {
        let deeds = &self.deeds;
        if let Some(first_drop) = deeds.first_drop {
            let ms = first_drop.as_secs_f64() * 1_000.0;
            report.figure(
                "first_drop_ms",
                "until the first sender was thrown out",
                ms,
                "ms",
            );
        }
        let (connections, drops) = (deeds.connections as f64, deeds.drops as f64);
        report.figure(
            "hostile_connections",
            "hostile connections let in",
            connections,
            "",
        );
        report.figure(
            "hostile_drops",
            "of them thrown out by the validator",
            drops,
            "",
        );
        let refused = deeds.refused as f64;
        report.figure(
            "hostile_refused",
            "hostile connections not let in",
            refused,
            "",
        );
        let bans = self.total(|c| c.bans);
        report.figure("bans", "of them with a ban", bans, "");
        let disconnects = self.total(|c| c.disconnects);
        report.figure("disconnects", "all connections that ended", disconnects, "");
        let least = self.flood_toll.committee_peers_min.iter().flatten().min();
        if let Some(least) = least {
            let least = *least as f64;
            let label = "fewest validators that one was connected to";
            report.figure("committee_peers_min", label, least, "");
        }
    }

    fn add_latencies(&self, report: &mut Report) {
        let (quiet, flooded) = (&self.quiet, &self.flooded);
        let times = [
            (
                "quiet_finality_ms_p50",
                "finality in quiet, p50",
                quiet.p50_ms,
            ),
            (
                "quiet_finality_ms_p99",
                "finality in quiet, p99",
                quiet.p99_ms,
            ),
            (
                "flood_finality_ms_p50",
                "finality under flood, p50",
                flooded.p50_ms,
            ),
            (
                "flood_finality_ms_p99",
                "finality under flood, p99",
                flooded.p99_ms,
            ),
        ];
        for (name, label, ms) in times {
            report.figure(name, label, ms as f64, "ms");
        }
        report.target(
            "finality_ratio_p50",
            "finality, flood to quiet, p50",
            Self::ratio(flooded.p50_ms, quiet.p50_ms),
            "times",
            Target::AtMost(LATENCY_RATIO_MAX),
        );
        let ratio = Self::ratio(flooded.p99_ms, quiet.p99_ms);
        let label = "finality, flood to quiet, p99";
        report.figure("finality_ratio_p99", label, ratio, "times");
    }

    fn add_memory(&self, report: &mut Report) {
        let toll = &self.flood_toll;
        let memory = [
            (
                "rss_mb_before",
                "memory of the largest validator, before",
                &toll.memory_from,
            ),
            ("rss_mb_peak", "the same, at its peak", &toll.memory_peak),
            ("rss_mb_after", "the same, afterwards", &self.memory_after),
        ];
        for (name, label, bytes) in memory {
            report.figure(name, label, megabytes(largest(bytes)), "MB");
        }
        report.target(
            "growth_mb_max",
            "the validator that grew most, by",
            self.growth_mb(),
            "MB",
            Target::AtMost(GROWTH_MB_MAX),
        );
    }

    fn add_processors(&self, report: &mut Report) {
        let validators = (self.counts.len() as f64).max(1.0);
        let quiet = self.quiet_toll.cores() / validators;
        report.figure(
            "quiet_cores",
            "processors of a validator, in quiet",
            quiet,
            "cores",
        );
        let flooded = self.flood_toll.cores() / validators;
        report.figure("flood_cores", "the same, under flood", flooded, "cores");
        report.target(
            "extra_cores",
            "the flood took of a validator",
            self.extra_cores(),
            "cores",
            Target::AtMost(EXTRA_CORES_MAX),
        );
        // Each message goes to one validator, so what all of them spent is what one spends on so many.
        let extra = self.extra_cores() * validators * self.flood_toll.seconds;
        report.figure(
            "cpu_s_per_100k",
            "processor time for 100 000 junk sent",
            extra / (self.deeds.sent as f64 / 1e5).max(f64::MIN_POSITIVE),
            "s",
        );
        let own = self.own_cores;
        report.figure(
            "own_cores",
            "processors of load and hostile peers",
            own,
            "cores",
        );
    }

    /// The promises that were not kept.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let (quiet, flooded) = (self.quiet.p50_ms, self.flooded.p50_ms);
        if Self::ratio(flooded, quiet) > LATENCY_RATIO_MAX {
            broken.push(format!(
                "half of the transfers took up to {flooded} ms under flood, and {quiet} ms in quiet"
            ));
        }
        let growth = self.growth_mb();
        if growth > GROWTH_MB_MAX {
            broken.push(format!(
                "a validator grew by {growth:.0} MB; at most {GROWTH_MB_MAX:.0} are allowed"
            ));
        }
        let cores = self.extra_cores();
        if cores > EXTRA_CORES_MAX {
            broken.push(format!(
                "the flood took {cores:.1} processors of a validator"
            ));
        }
        // Peers that nobody lets in do no harm, and nobody has to drop them.
        if self.deeds.drops == 0 && self.deeds.connections > 0 {
            let connections = self.deeds.connections;
            broken.push(format!(
                "no hostile peer was dropped; {connections} were let in"
            ));
        }
        for name in &self.halted {
            broken.push(format!("{name} halted or stalled"));
        }
        let others = self.counts.len().saturating_sub(1) as u64;
        for (number, least) in self.flood_toll.committee_peers_min.iter().enumerate() {
            if least.is_some_and(|least| least < others) {
                let least = least.unwrap_or_default();
                broken.push(format!(
                    "v{number} was connected to {least} of {others} other validators at some time"
                ));
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn latencies(p50_ms: u64) -> Latencies {
        Latencies {
            p50_ms,
            p99_ms: 2 * p50_ms,
            max_ms: 3 * p50_ms,
        }
    }

    fn toll(seconds: f64, processor_seconds: u64) -> Toll {
        Toll {
            seconds,
            processor_time: vec![Duration::from_secs(processor_seconds); 2],
            memory_from: vec![100_000_000, 120_000_000],
            memory_peak: vec![150_000_000, 130_000_000],
            committee_peers_min: vec![Some(1), Some(1)],
            ..Toll::default()
        }
    }

    fn good() -> Findings {
        Findings {
            messages_wanted: 200_000,
            deeds: Deeds {
                sent: 200_000,
                connections: 9,
                drops: 8,
                first_drop: Some(Duration::from_millis(30)),
                ..Deeds::default()
            },
            counts: vec![
                Counts {
                    taken: 1_000.0,
                    over_rate: 50.0,
                    bans: 4.0,
                    committee_peers: 1.0,
                    ..Counts::default()
                };
                2
            ],
            quiet: latencies(100),
            flooded: latencies(150),
            quiet_toll: toll(10.0, 1),
            flood_toll: toll(20.0, 6),
            memory_after: vec![110_000_000, 125_000_000],
            ..Findings::default()
        }
    }

    #[test]
    fn the_figures_are_those_of_all_validators() {
        let mut report = Report::new("flood", "holdfast bench flood".to_owned());
        good().add_to(&mut report);
        let json = report.as_json();
        for (name, value) in [
            ("messages_arrived", 2_100.0),
            ("bans", 8.0),
            ("first_drop_ms", 30.0),
            ("finality_ratio_p50", 1.5),
            ("growth_mb_max", 50.0),
            ("rss_mb_before", 120.0),
            ("rss_mb_peak", 150.0),
            ("committee_peers_min", 1.0),
        ] {
            assert_eq!(json["figures"][name], value, "{name}");
        }
        // 0.3 instead of 0.1 processors each for 20 s are 8 s in all, for twice a hundred thousand messages.
        let per_message = json["figures"]["cpu_s_per_100k"].as_f64().unwrap();
        assert!((per_message - 4.0).abs() < 1e-9, "{per_message}");
        assert_eq!(json["broken"], serde_json::json!([]));
        assert!(report.verdict(true).is_ok());
    }

    #[test]
    fn each_broken_promise_has_its_reason() {
        type Change = fn(&mut Findings);
        let cases: [(Change, &str); 6] = [
            (|f| f.flooded = latencies(201), "201 ms under flood"),
            (|f| f.flood_toll.memory_peak[0] = 400_000_000, "by 300 MB"),
            (|f| f.flood_toll = toll(20.0, 60), "2.9 processors"),
            (|f| f.deeds.drops = 0, "no hostile peer was dropped"),
            (|f| f.halted = vec!["v1".to_owned()], "v1 halted"),
            (
                |f| f.flood_toll.committee_peers_min[1] = Some(0),
                "v1 was connected to 0 of 1",
            ),
        ];
        for (change, expected) in cases {
            let mut findings = good();
            change(&mut findings);
            let broken = findings.broken();
            assert_eq!(broken.len(), 1, "{broken:?}");
            assert!(broken[0].contains(expected), "{broken:?}");
        }
    }
}
