//! What RPC says of the risk, and this validator's vote because of it.

use super::NodeBackend;
use super::lockdown::{RUNBOOK, VoteAnswer, vote_to_lock};
use holdfast_halt::risk::{self, Judgement, RuleStanding};
use holdfast_rpc::BackendError;
use holdfast_rpc::dto::{Number, RiskLevel, RiskRule, RiskStatus};
use holdfast_types::LockdownTrigger;
use holdfast_types::limits::LOCKDOWN_REASON_BYTES_MAX;

impl NodeBackend {
    pub(super) fn risk_status(&self) -> RiskStatus {
        let picture = self.parts.board.read().risk;
        RiskStatus {
            level: level(picture.level),
            since_ms: Number(picture.since.0),
            votes_from: self.parts.votes_from.map(level),
            rules: picture.rules.iter().map(rule).collect(),
            runbook: RUNBOOK.to_owned(),
        }
    }

    /// This validator votes to freeze the chain because of what the risk analyzer has found.
    pub(in crate::runtime) fn vote_on_risk(
        &self,
        reasons: &str,
    ) -> Result<VoteAnswer, BackendError> {
        let mut end = reasons.len().min(LOCKDOWN_REASON_BYTES_MAX);
        while !reasons.is_char_boundary(end) {
            end -= 1;
        }
        let reason = reasons.get(..end).unwrap_or_default();
        let vote = vote_to_lock(LockdownTrigger::Risk, reason);
        self.begin_vote(vote)
    }
}

const fn level(level: risk::RiskLevel) -> RiskLevel {
    match level {
        risk::RiskLevel::Normal => RiskLevel::Normal,
        risk::RiskLevel::Elevated => RiskLevel::Elevated,
        risk::RiskLevel::High => RiskLevel::High,
        risk::RiskLevel::Critical => RiskLevel::Critical,
    }
}

fn rule(standing: &RuleStanding) -> RiskRule {
    let rule = standing.rule;
    let [elevated, high, critical] = rule.thresholds.map(|threshold| threshold.map(Number));
    RiskRule {
        rule: rule.signal.name().to_owned(),
        level: level(standing.level),
        value: standing.value.map(Number),
        judged_by: match rule.judgement {
            Judgement::Rise => "rise",
            Judgement::Lasting => "lasting",
            Judgement::Runway => "runway",
        }
        .to_owned(),
        window_seconds: Number(rule.window_ms / 1_000),
        elevated,
        high,
        critical,
    }
}
