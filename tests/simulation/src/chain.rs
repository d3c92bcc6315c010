//! The chain of a simulation: its accounts, validators and block 0.

use crate::keys::{Scheme, SimulatedKey};
use holdfast_chain::{ChainBatch, genesis_batch};
use holdfast_genesis::{GenesisTime, NewChain, Template, block_of_state};
use holdfast_halt::lockdown::secret::{ClusterSecret, ClusterSecrets};
use holdfast_ledger::{GenesisAccount, GenesisState, GenesisValidator};
use holdfast_types::{
    AccountName, Amount, ChainId, EraContext, GovernanceAction, GovernanceBody, GovernanceMessage,
    Parameters, Signer, TimestampMs,
};
use std::sync::Arc;

/// Wall clock at the start of every simulation.
pub const START: TimestampMs = TimestampMs(1_800_000_000_000);
const HOUR_MS: u64 = 3_600_000;
const IDLE_ROUNDS_OF_STALL: u64 = 5;
const CHAIN: ChainId = ChainId::new([0x51; 32]);
const CLIENT_BALANCE: Amount = 1_000_000_000_000;
const FIRST_CLIENT_KEY: u64 = 10_000;
const EMERGENCY_KEY: u64 = 20_000;
const FIRST_GOVERNOR_KEY: u64 = 30_000;
/// Governors of every simulated chain.
pub const GOVERNORS: u64 = 12;
/// Signatures that a message of governance needs.
pub const GOVERNANCE_THRESHOLD: u16 = 7;

/// What a chain is made of.
#[derive(Clone, Copy, Debug)]
pub struct ChainPlan {
    /// Members of the first committee.
    pub validators: usize,
    /// Registered validators without a signing key.
    pub standby: usize,
    pub clients: usize,
    pub epoch_ms: u64,
    pub gc_depth: u64,
    pub leader_timeout_ms: u64,
    /// One dissenter halts the chain, as the document says; otherwise it takes more than the f that may be faulty.
    pub one_dissenter_halts: bool,
    /// Times of emergency consensus; none: those of the template, which no simulation is long enough for.
    pub emergency: Option<EmergencyPlan>,
    /// How long votes of a lockdown are valid; none: as in the template, longer than a simulation.
    pub vote_age_ms: Option<u64>,
    /// Rounds of a DAG that has nothing to do; none: as in the template.
    pub idle_ms: Option<u64>,
    pub signatures: Scheme,
}

/// Emergency consensus in a hurry.
#[derive(Clone, Copy, Debug)]
pub struct EmergencyPlan {
    pub timeout_ms: u64,
    pub interval_ms: u64,
}

/// A chain that nodes can start from.
#[derive(Clone, Debug)]
pub struct SimulatedChain {
    pub id: ChainId,
    pub scheme: Scheme,
    pub parameters: Arc<Parameters>,
    pub era: EraContext,
    pub genesis: ChainBatch,
    /// What the validators share.
    pub cluster: ClusterSecrets,
}

/// The account of validator number `number`; names sort as their numbers do.
#[must_use]
pub fn validator_account(number: usize) -> AccountName {
    account(&format!("validator-{number:03}"))
}

/// The account of client number `number`.
#[must_use]
pub fn client_account(number: usize) -> AccountName {
    account(&format!("client-{number:03}"))
}

fn account(name: &str) -> AccountName {
    AccountName::new(name).expect("the name obeys the rule")
}

/// The signing key of validator number `number`, also the key of its account: in a simulation nobody steals it.
#[must_use]
pub fn validator_key(scheme: Scheme, number: usize) -> SimulatedKey {
    scheme.key(number as u64 + 1)
}

/// The key of a client's account.
#[must_use]
pub fn client_key(scheme: Scheme, number: usize) -> SimulatedKey {
    scheme.key(FIRST_CLIENT_KEY + number as u64)
}

/// The key of the committee account.
#[must_use]
pub fn emergency_key(scheme: Scheme) -> SimulatedKey {
    scheme.key(EMERGENCY_KEY)
}

/// The key of governor number `number`.
#[must_use]
pub fn governor_key(scheme: Scheme, number: u16) -> SimulatedKey {
    scheme.key(FIRST_GOVERNOR_KEY + u64::from(number))
}

impl SimulatedChain {
    /// A message of governance that enough governors have signed.
    #[must_use]
    pub fn governance(&self, sequence: u64, action: GovernanceAction) -> GovernanceMessage {
        let body = GovernanceBody { sequence, action };
        let sign = |number| body.sign(number, &self.id, &governor_key(self.scheme, number));
        GovernanceMessage {
            signatures: (0..GOVERNANCE_THRESHOLD).map(sign).collect(),
            body,
        }
    }

    /// # Panics
    /// If the plan makes no valid chain.
    #[must_use]
    pub fn new(plan: &ChainPlan) -> Self {
        let state = state(plan);
        let parameters = Arc::new(state.parameters.clone());
        let block = block_of_state(&state).expect("the plan makes a valid chain");
        Self {
            id: CHAIN,
            scheme: plan.signatures,
            parameters,
            era: block.era.clone(),
            genesis: genesis_batch(block.id, block.block, block.changes, block.era),
            cluster: ClusterSecrets::new(cluster_secret(), None),
        }
    }
}

fn cluster_secret() -> ClusterSecret {
    let bytes: Vec<u8> = (0..32).collect();
    ClusterSecret::new(&bytes).expect("32 bytes are enough")
}

fn parameters(plan: &ChainPlan) -> Parameters {
    let emergency_key = |number| plan.signatures.key(number).public_key();
    let document = Template::Devnet.document(NewChain {
        chain_name: "simulation".to_owned(),
        genesis_time: GenesisTime(START),
        notes: String::new(),
        emergency_key: emergency_key(EMERGENCY_KEY),
        governance_keys: (0..GOVERNORS)
            .map(|number| emergency_key(FIRST_GOVERNOR_KEY + number))
            .collect(),
        governance_threshold: Some(GOVERNANCE_THRESHOLD),
        accounts: Vec::new(),
        validators: Vec::new(),
        treasury: 0,
    });
    let mut parameters = document.parameters;
    let registered = plan.validators + plan.standby;
    parameters.max_validators = u16::try_from(registered).expect("a simulation is small");
    parameters.epoch_duration_ms = plan.epoch_ms;
    parameters.dag.gc_depth = plan.gc_depth;
    if let Some(emergency) = plan.emergency {
        parameters.emergency.timeout_ms = emergency.timeout_ms;
        parameters.emergency.block_interval_ms = emergency.interval_ms;
        // No chain that waits for as long as those that matter has it.
        parameters.fault_injection_allowed &= emergency.timeout_ms < HOUR_MS;
        // As the document has it: no two parts of the network can end an emergency without each other.
        parameters.emergency.exit_threshold_percent = 75;
        parameters.emergency.exit_normal_blocks = u32::from(parameters.max_validators).max(7);
    }
    if let Some(idle_ms) = plan.idle_ms {
        parameters.dag.idle_round_interval_ms = idle_ms;
        // A stall is what is longer than a few of these.
        parameters.stall.timeout_ms = IDLE_ROUNDS_OF_STALL * idle_ms;
    }
    parameters.dag.leader_timeout_ms = plan.leader_timeout_ms;
    if let Some(age_ms) = plan.vote_age_ms {
        parameters.lockdown.vote_max_age_ms = age_ms;
    }
    let faulty = u16::try_from((plan.validators - 1) / 3).expect("a simulation is small");
    parameters.halt.root_divergence_min_dissenters = if plan.one_dissenter_halts {
        1
    } else {
        faulty + 1
    };
    parameters
}

fn state(plan: &ChainPlan) -> GenesisState {
    let parameters = parameters(plan);
    let registered = plan.validators + plan.standby;
    let scheme = plan.signatures;
    let client = |number| (client_account(number), client_key(scheme, number));
    let owner = |number| (validator_account(number), validator_key(scheme, number));
    let clients = (0..plan.clients).map(client);
    let owners = (0..registered).map(owner);
    let accounts = clients.chain(owners).map(|(name, key)| GenesisAccount {
        name,
        key: key.public_key(),
        balance: CLIENT_BALANCE,
    });
    let validators = (0..registered).map(|number| GenesisValidator {
        account: validator_account(number),
        signing_key: (number < plan.validators).then(|| validator_key(scheme, number).public_key()),
        stake: 2 * parameters.staking.min_validator_stake,
        url: b"https://validator.example".to_vec(),
    });
    GenesisState {
        chain: CHAIN,
        timestamp: START,
        accounts: accounts.collect(),
        validators: validators.collect(),
        treasury: 1_000,
        parameters,
    }
}
