//! Kinds of chains, with their numbers.

use crate::annotate::PLACEHOLDER_KEY;
use crate::document::{AccountEntry, FORMAT, GenesisDocument, ValidatorEntry};
use crate::rules::EMERGENCY_HALT_MS_MAX;
use crate::time::GenesisTime;
use holdfast_types::limits::COMMITTEE_MEMBERS_MAX;
use holdfast_types::parameters::{
    CeremonyParameters, DagParameters, EmergencyParameters, GovernanceParameters, HaltParameters,
    LockdownParameters, SlashingParameters, StakingParameters, StallParameters,
};
use holdfast_types::{AccountName, Amount, ChainProperties, Parameters, PublicKey, TimestampMs};

/// Base units in one whole coin.
pub const COIN: Amount = 1_000_000;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// A kind of chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// Few validators on one machine, short times.
    Devnet,
    /// 21 slots: the numbers of the emergency consensus document.
    Council21,
    /// 128 slots: the numbers of the halt and recovery document.
    Committee128,
}

/// What a new chain adds to its template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChain {
    pub chain_name: String,
    pub genesis_time: GenesisTime,
    pub notes: String,
    /// Key that produces emergency blocks.
    pub emergency_key: PublicKey,
    pub governance_keys: Vec<PublicKey>,
    /// None: the least number above half of the keys; 7 of 12.
    pub governance_threshold: Option<u16>,
    pub accounts: Vec<AccountEntry>,
    pub validators: Vec<ValidatorEntry>,
    pub treasury: Amount,
}

impl NewChain {
    /// A chain of placeholders, for the template files.
    pub(crate) fn placeholder() -> Self {
        let name = AccountName::new("validator-1");
        let account = name.unwrap_or_else(|error| unreachable!("a valid name: {error}"));
        Self {
            chain_name: "my-chain".to_owned(),
            genesis_time: GenesisTime(TimestampMs(1_798_761_600_000)),
            notes: String::new(),
            emergency_key: PLACEHOLDER_KEY,
            governance_keys: vec![PLACEHOLDER_KEY; 12],
            governance_threshold: None,
            accounts: vec![AccountEntry {
                name: account,
                key: PLACEHOLDER_KEY,
                balance: 1_000 * COIN,
            }],
            validators: vec![ValidatorEntry {
                account,
                signing_key: Some(PLACEHOLDER_KEY),
                stake: 100_000 * COIN,
                url: "https://validator.example".to_owned(),
            }],
            treasury: 0,
        }
    }
}

impl Template {
    pub const ALL: [Self; 3] = [Self::Devnet, Self::Council21, Self::Committee128];

    /// Stable name, as the command line knows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Devnet => "devnet",
            Self::Council21 => "council21",
            Self::Committee128 => "committee128",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|template| template.name() == name)
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Devnet => "a few validators on one machine, with short times",
            Self::Council21 => "21 validators, emergency consensus after an hour without progress",
            Self::Committee128 => "128 validators, epochs of three hours, 7 of 12 govern",
        }
    }

    /// The text of the shipped template file: a document with placeholders for keys.
    ///
    /// # Panics
    /// Never: a template holds no number that TOML cannot write.
    #[must_use]
    pub fn file(self) -> String {
        self.document(NewChain::placeholder())
            .to_toml()
            .expect("the numbers of a template fit into TOML")
    }

    /// The document of a new chain, not checked yet.
    #[must_use]
    pub fn document(self, chain: NewChain) -> GenesisDocument {
        let governance = governance(chain.governance_keys, chain.governance_threshold);
        let mut parameters = self.parameters(chain.emergency_key, governance);
        if self == Self::Devnet {
            make_room(&mut parameters, chain.validators.len());
        }
        GenesisDocument {
            format: FORMAT,
            chain_name: chain.chain_name,
            genesis_time: chain.genesis_time,
            notes: chain.notes,
            treasury: chain.treasury,
            parameters,
            accounts: chain.accounts,
            validators: chain.validators,
        }
    }

    fn parameters(self, emergency_key: PublicKey, governance: GovernanceParameters) -> Parameters {
        let max_validators = match self {
            Self::Devnet => 8,
            Self::Council21 => 21,
            Self::Committee128 => 128,
        };
        Parameters {
            max_validators,
            epoch_duration_ms: match self {
                Self::Devnet => 10 * MINUTE_MS,
                Self::Council21 | Self::Committee128 => 10_800 * SECOND_MS,
            },
            fork_db_max: 2_400,
            fault_injection_allowed: self == Self::Devnet,
            dag: self.dag(),
            stall: StallParameters {
                timeout_ms: 5 * SECOND_MS,
                rounds: 5,
                escalation_ms: match self {
                    Self::Devnet => 30 * SECOND_MS,
                    Self::Council21 | Self::Committee128 => HOUR_MS,
                },
            },
            halt: HaltParameters {
                equivocation_cluster: 10,
                root_divergence_min_dissenters: 1,
                emergency_halt_max_ms: EMERGENCY_HALT_MS_MAX,
            },
            emergency: self.emergency(emergency_key, max_validators),
            lockdown: LockdownParameters {
                vote_max_age_ms: 300 * SECOND_MS,
                vote_max_ahead_ms: 5 * SECOND_MS,
                quorum_numerator: 2,
                quorum_denominator: 3,
                recovery_timeout_ms: 10 * MINUTE_MS,
            },
            governance,
            staking: self.staking(),
            slashing: self.slashing(),
            ceremony: CeremonyParameters {
                dkg_max_failures: 3,
            },
            properties: ChainProperties {
                transaction_fee: COIN / 1_000,
                byte_fee: 1,
                account_creation_fee: COIN / 10,
            },
        }
    }

    const fn dag(self) -> DagParameters {
        DagParameters {
            min_round_interval_ms: 50,
            idle_round_interval_ms: SECOND_MS,
            // One machine answers at once; between continents a round trip alone takes a quarter of a second.
            leader_timeout_ms: match self {
                Self::Devnet => 250,
                Self::Council21 | Self::Committee128 => SECOND_MS,
            },
            leaders_per_round: 1,
            gc_depth: 60,
            max_clock_drift_ms: SECOND_MS,
        }
    }

    fn emergency(self, key: PublicKey, max_validators: u16) -> EmergencyParameters {
        EmergencyParameters {
            timeout_ms: match self {
                Self::Devnet => MINUTE_MS,
                Self::Council21 | Self::Committee128 => 3_600 * SECOND_MS,
            },
            validator_account: AccountName::new("committee")
                .unwrap_or_else(|error| unreachable!("a valid name: {error}")),
            validator_public_key: key,
            // One round of the schedule.
            exit_normal_blocks: u32::from(max_validators),
            exit_threshold_percent: match self {
                // 3 of 8 slots: a quorum of the four validators that a development network usually has.
                Self::Devnet => 40,
                Self::Council21 | Self::Committee128 => 75,
            },
            irreversible_support_min_run: 3,
            block_interval_ms: match self {
                Self::Devnet => SECOND_MS,
                Self::Council21 | Self::Committee128 => 3 * SECOND_MS,
            },
        }
    }

    const fn staking(self) -> StakingParameters {
        StakingParameters {
            min_validator_stake: 100_000 * COIN,
            unbonding_ms: match self {
                Self::Devnet => HOUR_MS,
                Self::Council21 | Self::Committee128 => 30 * DAY_MS,
            },
            unbondings_max: 32,
        }
    }

    const fn slashing(self) -> SlashingParameters {
        let is_devnet = matches!(self, Self::Devnet);
        SlashingParameters {
            equivocation_basis_points: 1_000,
            equivocation_max_basis_points: 5_000,
            bad_root_basis_points: 1_000,
            bad_root_max_basis_points: 5_000,
            bad_attestation_basis_points: 500,
            invalid_vertex_basis_points: 500,
            downtime_basis_points_per_round: 5,
            downtime_max_basis_points_per_epoch: 1_000,
            dkg_failure_basis_points: 500,
            escrow_ms: if is_devnet { 10 * MINUTE_MS } else { DAY_MS },
            jail_first_ms: if is_devnet { 20 * MINUTE_MS } else { DAY_MS },
            jail_second_ms: if is_devnet { HOUR_MS } else { 7 * DAY_MS },
            evidence_max_age_ms: if is_devnet { HOUR_MS } else { 21 * DAY_MS },
            reporter_basis_points: 2_000,
            treasury_basis_points: 3_000,
            reports_per_epoch_max: 5,
        }
    }
}

/// The governance of `keys`.
fn governance(keys: Vec<PublicKey>, threshold: Option<u16>) -> GovernanceParameters {
    let majority = u16::try_from(keys.len() / 2 + 1).unwrap_or(u16::MAX);
    GovernanceParameters {
        keys,
        threshold: threshold.unwrap_or(majority),
    }
}

/// Slots for twice as many validators as a development network begins with, so that others can join.
fn make_room(parameters: &mut Parameters, validators: usize) {
    let wanted = validators.saturating_mul(2).min(COMMITTEE_MEMBERS_MAX);
    let slots = u16::try_from(wanted).unwrap_or(u16::MAX);
    if slots > parameters.max_validators {
        parameters.max_validators = slots;
        parameters.emergency.exit_normal_blocks = u32::from(slots);
    }
}
