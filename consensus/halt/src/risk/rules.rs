//! The rules of the risk analyzer, as data (rule RA1).

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RiskSignal {
    /// Validators that have signed two vertices in one round, in thousandths of f + 1.
    Equivocations,
    /// Validators that have attested two blocks of one height, in thousandths of f + 1.
    RootMismatches,
    /// Pieces of evidence that wait for a block.
    Evidence,
    /// Messages of peers that broke a rule.
    InvalidMessages,
    /// This clock against the median of the committee's, in thousandths of what others accept.
    ClockOffset,
    /// Members that have not been heard, in thousandths of those without which the chain still moves.
    MembersMissing,
    /// Time since the last block, in thousandths of that after which the chain counts as stalled.
    CommitDelay,
    /// Bytes that are free where the database is.
    DiskFree,
    /// Memory of this process, in thousandths of it and what the machine has left.
    Memory,
}

impl RiskSignal {
    pub const COUNT: usize = 9;

    /// Stable name for RPC, metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equivocations => "equivocators_permille",
            Self::RootMismatches => "contradictors_permille",
            Self::Evidence => "evidence",
            Self::InvalidMessages => "invalid_messages",
            Self::ClockOffset => "clock_offset_permille",
            Self::MembersMissing => "members_missing_permille",
            Self::CommitDelay => "commit_delay_permille",
            Self::DiskFree => "disk_runway_seconds",
            Self::Memory => "memory_permille",
        }
    }
}

/// How the readings of a window are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A counter: how much it has risen (RA2).
    Rise,
    /// A reading that has to last (RA3).
    Lasting,
    /// What is left of something, which lasts for so many seconds (RA4). Few are worse.
    Runway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskRule {
    pub signal: RiskSignal,
    pub judgement: Judgement,
    pub window_ms: u64,
    /// From where on it is elevated, high, critical.
    pub thresholds: [Option<u64>; 3],
}

const MINUTE_MS: u64 = 60_000;
const DAY_SECONDS: u64 = 86_400;

const fn rule(
    signal: RiskSignal,
    judgement: Judgement,
    window_ms: u64,
    thresholds: [Option<u64>; 3],
) -> RiskRule {
    RiskRule {
        signal,
        judgement,
        window_ms,
        thresholds,
    }
}

/// One for each signal, in their order.
pub const RULES: [RiskRule; RiskSignal::COUNT] = {
    use Judgement::{Lasting, Rise, Runway};
    use RiskSignal as S;
    [
        rule(
            S::Equivocations,
            Rise,
            10 * MINUTE_MS,
            [Some(1), Some(500), Some(1_000)],
        ),
        rule(
            S::RootMismatches,
            Rise,
            10 * MINUTE_MS,
            [Some(1), Some(500), Some(1_000)],
        ),
        rule(S::Evidence, Lasting, 0, [Some(5), Some(20), None]),
        rule(
            S::InvalidMessages,
            Rise,
            MINUTE_MS,
            [Some(60), Some(600), None],
        ),
        rule(
            S::ClockOffset,
            Lasting,
            MINUTE_MS / 2,
            [Some(500), Some(1_000), None],
        ),
        rule(
            S::MembersMissing,
            Lasting,
            MINUTE_MS / 2,
            [Some(500), Some(1_000), None],
        ),
        rule(S::CommitDelay, Lasting, 0, [Some(500), Some(1_000), None]),
        rule(
            S::DiskFree,
            Runway,
            60 * MINUTE_MS,
            [Some(DAY_SECONDS), Some(DAY_SECONDS / 6), None],
        ),
        rule(S::Memory, Lasting, MINUTE_MS, [Some(700), Some(900), None]),
    ]
};
