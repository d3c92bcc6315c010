//! What RPC and metrics say of emergency consensus.

use super::NodeBackend;
use super::convert::{account_name, small};
use super::halts::block_ref;
use super::queries::VALIDATORS_MAX;
use crate::clock;
use crate::runtime::board::Standing;
use holdfast_chain::{ChainStore as _, ProductionRefusal};
use holdfast_halt::matrix::permission_in;
use holdfast_halt::{Activity, Mode};
use holdfast_ledger as ledger;
use holdfast_ledger::objects::Validator;
use holdfast_ledger::{
    EmergencyStanding, EmergencyView, LedgerError, StateStore, emergency_standing,
};
use holdfast_rpc::BackendError;
use holdfast_rpc::dto::{
    AccountName, EmergencyExit, EmergencyPhase, EmergencyRole, EmergencyRound, EmergencySlot,
    EmergencyStatus, HaltStatus, Number, ReturnState, ReturningValidator,
};
use holdfast_types::{BlockId, Height, Parameters, TimestampMs};

pub(super) const RUNBOOK: &str = "docs/runbooks/emergency-consensus.md";
/// How a validator without a signing key is marked in advice.
const NO_KEY: &str = "no_key";
/// Validators that a piece of advice names; `emergency_getStatus` lists them all.
const NAMED_MAX: usize = 8;

/// What holds, as `chain_getStatus` lists it.
pub(super) fn in_short(standing: &Standing) -> Option<HaltStatus> {
    let is_active = standing.halts.modes.contains(Mode::EmergencyConsensus);
    let since = standing.production.clock().slot_zero.unwrap_or_default();
    is_active.then(|| HaltStatus {
        kind: Mode::EmergencyConsensus.name().to_owned(),
        since_ms: Number(since.0),
        reason: PROVISIONAL.to_owned(),
    })
}

pub(super) const PROVISIONAL: &str =
    "masters make the blocks, and all of it is provisional (holdfast emergency status)";

fn view(standing: &Standing, at: TimestampMs) -> EmergencyView {
    let permission = permission_in(Activity::EmergencyBlocks, standing.halts.modes.ordered());
    EmergencyView {
        at,
        is_forbidden: !permission.allows(),
        is_provisional: standing.is_provisional,
    }
}

const fn phase(of: ledger::EmergencyPhase) -> EmergencyPhase {
    use ledger::EmergencyPhase as Phase;
    match of {
        Phase::Unavailable => EmergencyPhase::Unavailable,
        Phase::Blocked => EmergencyPhase::Blocked,
        Phase::Idle => EmergencyPhase::Idle,
        Phase::Armed => EmergencyPhase::Armed,
        Phase::Due => EmergencyPhase::Due,
        Phase::Active => EmergencyPhase::Active,
        Phase::ExitPending => EmergencyPhase::ExitPending,
        Phase::Certifying => EmergencyPhase::Certifying,
    }
}

fn failed(error: &LedgerError) -> BackendError {
    BackendError::Internal {
        cause: error.to_string(),
    }
}

impl NodeBackend {
    fn emergency_standing<S: StateStore>(
        &self,
        store: &S,
        at: TimestampMs,
    ) -> Result<EmergencyStanding, LedgerError> {
        emergency_standing(store, &self.parts.parameters, &self.parts.chain_id, at)
    }

    /// Sets the gauges of emergency consensus.
    pub(super) fn set_emergency_gauges(&self, standing: &Standing) {
        let at = clock::wall();
        // A store that does not read stops the node elsewhere.
        let Ok(emergency) = self.emergency_standing(&self.parts.storage.view(), at) else {
            return;
        };
        let metrics = &self.parts.metrics;
        let now = emergency.phase(view(standing, at), &self.parts.parameters);
        for phase in ledger::EmergencyPhase::ALL {
            let holds = i64::from(phase == now);
            metrics.emergency.phase.with(phase.name()).set(holds);
        }
        let exit = emergency.round.map(|round| round.exit);
        let count = |of: fn(&ledger::ExitProgress) -> usize| {
            let count = exit.as_ref().map(of).unwrap_or_default();
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        let held = count(|exit| exit.slots_held);
        metrics.emergency.slots_held.set(held);
        let needed = count(|exit| exit.slots_needed);
        metrics.emergency.slots_needed.set(needed);
        let producing = count(|exit| exit.producing.len());
        metrics.emergency.validators_producing.set(producing);
        let needed = count(|exit| exit.producing_needed);
        metrics.emergency.validators_producing_needed.set(needed);
    }

    pub(super) fn emergency_status(&self) -> Result<EmergencyStatus, BackendError> {
        let standing = self.parts.board.read();
        let parameters = &self.parts.parameters;
        let at = clock::wall();
        let (emergency, validators, lib_id) = self.read_emergency(standing.lib, at)?;
        let phase = phase(emergency.phase(view(&standing, at), parameters));
        let production = &standing.production;
        let role = if production.is_master() {
            EmergencyRole::Master
        } else {
            EmergencyRole::Follower
        };
        let refusal = production.refusal();
        let stalled_ms = emergency.stall_clock.map(|clock| at.since(clock));
        let until = emergency
            .clock
            .slot_zero
            .filter(|_| !emergency.clock.is_active);
        let round = emergency.round.as_ref();
        let start_block = Some(emergency.start_block).filter(|block| *block > Height::ZERO);
        Ok(EmergencyStatus {
            phase,
            role,
            stall_clock_ms: emergency.stall_clock.map(|clock| Number(clock.0)),
            stalled_seconds: stalled_ms.map(seconds),
            timeout_ms: Number(parameters.emergency.timeout_ms),
            seconds_to_activation: until.map(|slot_zero| seconds(slot_zero.since(at))),
            start_block: start_block.map(|block| Number(block.0)),
            block_interval_ms: Number(parameters.emergency.block_interval_ms),
            round: round.map(|round| shown_round(round, &emergency, parameters)),
            exit: round.map(|round| shown_exit(round, parameters)),
            next_command: advice(phase, role, refusal, &self.missing(phase, &validators)),
            validators,
            refusal: refusal.map(|refusal| refusal.name().to_owned()),
            producer_overdue: production.is_overdue(),
            head: block_ref(standing.head, &standing.head_id),
            lib: block_ref(standing.lib, &lib_id),
            certified: block_ref(standing.certified, &standing.certified_id),
            is_provisional: standing.is_provisional,
            fork_blocks: u32::try_from(standing.fork_blocks).unwrap_or(u32::MAX),
            runbook: RUNBOOK.to_owned(),
        })
    }

    /// What the store says, of one moment: how it stands, who has come back, and the id of the block at `lib`.
    fn read_emergency(
        &self,
        lib: Height,
        at: TimestampMs,
    ) -> Result<(EmergencyStanding, Vec<ReturningValidator>, BlockId), BackendError> {
        let store = self.parts.storage.view();
        let emergency = self
            .emergency_standing(&store, at)
            .map_err(|error| failed(&error))?;
        let validators = match &emergency.round {
            Some(round) => self.returning(&store, round)?,
            None => Vec::new(),
        };
        let id = store.block_id_at(lib);
        let id = id.map_err(|error| Self::failed(&error))?;
        Ok((emergency, validators, id.unwrap_or_default()))
    }

    /// How far each validator with the stake for a slot has come back.
    fn returning<S: StateStore>(
        &self,
        store: &S,
        round: &ledger::EmergencyRound,
    ) -> Result<Vec<ReturningValidator>, BackendError> {
        let parameters = &self.parts.parameters;
        let failed = |error| Self::failed(&error);
        let properties = ledger::dynamic_properties(store).map_err(failed)?;
        let live_time = properties.map(|properties| properties.live_time(properties.timestamp));
        let registered = ledger::validators(store, 0, VALIDATORS_MAX).map_err(failed)?;
        let eligible = registered.into_iter().filter(|validator| {
            validator.owner != parameters.emergency.validator_account
                && validator.bonded.amount >= parameters.staking.min_validator_stake
        });
        let own = self.parts.validator_account.as_deref();
        let mut validators: Vec<_> = eligible
            .map(|validator| ReturningValidator {
                account: account_name(&validator.owner),
                state: return_state(&validator, round, live_time.unwrap_or_default()),
                is_this_node: own == Some(validator.owner.as_str()),
            })
            .collect();
        validators.sort_by(|a, b| a.account.cmp(&b.account));
        Ok(validators)
    }

    /// Whom the chain waits for, each with what is wrong with it if the state says so.
    fn missing(&self, phase: EmergencyPhase, validators: &[ReturningValidator]) -> Vec<String> {
        match phase {
            EmergencyPhase::Armed | EmergencyPhase::Due => {
                let missing = self.report_of_halts().resume.missing;
                missing.iter().map(AccountName::to_string).collect()
            }
            _ => validators
                .iter()
                .filter_map(|validator| {
                    let what = match validator.state {
                        ReturnState::NoKey => NO_KEY,
                        ReturnState::Silent => "silent",
                        ReturnState::Jailed | ReturnState::NoSlot | ReturnState::Producing => {
                            return None;
                        }
                    };
                    Some(format!("{} ({what})", validator.account))
                })
                .collect(),
        }
    }
}

const fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn return_state(
    validator: &Validator,
    round: &ledger::EmergencyRound,
    live_time: TimestampMs,
) -> ReturnState {
    if validator.signing_key.is_none() {
        ReturnState::NoKey
    } else if validator.jailed_until > live_time {
        ReturnState::Jailed
    } else if !round.schedule.contains(&validator.owner) {
        ReturnState::NoSlot
    } else if round.recent.contains(&validator.owner) {
        ReturnState::Producing
    } else {
        ReturnState::Silent
    }
}

fn shown_round(
    round: &ledger::EmergencyRound,
    emergency: &EmergencyStanding,
    parameters: &Parameters,
) -> EmergencyRound {
    let slot_zero = emergency.clock.slot_zero.unwrap_or_default();
    let first = round.number * u64::from(parameters.max_validators);
    let slots = (first..).zip(&round.schedule);
    EmergencyRound {
        number: Number(round.number),
        slot: Number(round.slot),
        last_block_slot: Number(round.last_slot),
        slots: slots
            .map(|(slot, holder)| EmergencySlot {
                slot: Number(slot),
                begins_ms: Number(
                    slot_zero
                        .plus(slot * parameters.emergency.block_interval_ms)
                        .0,
                ),
                holder: account_name(holder),
                is_validator: *holder != parameters.emergency.validator_account,
            })
            .collect(),
    }
}

fn shown_exit(round: &ledger::EmergencyRound, parameters: &Parameters) -> EmergencyExit {
    let exit = &round.exit;
    EmergencyExit {
        slots_held: small(exit.slots_held),
        slots_needed: small(exit.slots_needed),
        producing: exit.producing.iter().map(account_name).collect(),
        producing_needed: small(exit.producing_needed),
        blocks: parameters.emergency.exit_normal_blocks,
    }
}

/// What an operator does next.
fn advice(
    phase: EmergencyPhase,
    role: EmergencyRole,
    refusal: Option<ProductionRefusal>,
    missing: &[String],
) -> String {
    let mut named = missing[..missing.len().min(NAMED_MAX)].join(", ");
    if missing.len() > NAMED_MAX {
        named.push_str(&format!(" and {} more", missing.len() - NAMED_MAX));
    }
    let bring_back = if named.is_empty() {
        "bring back the validators that are down".to_owned()
    } else {
        format!("bring back {named}: holdfast status on their machines")
    };
    match (phase, role) {
        (EmergencyPhase::Unavailable, _) => {
            "nothing: this state knows of no stall until LIB moves for the first time".to_owned()
        }
        (EmergencyPhase::Blocked, _) => {
            "holdfast why: a halt forbids emergency blocks, and is resumed first".to_owned()
        }
        (EmergencyPhase::Idle, _) => "nothing to do".to_owned(),
        (EmergencyPhase::Armed, _) => {
            format!("{bring_back}; see to it that the masters run")
        }
        (EmergencyPhase::Due, EmergencyRole::Master) => {
            let why = refusal.map_or("none yet", ProductionRefusal::name);
            format!("this master should make the first block (refusal: {why}); {bring_back}")
        }
        (EmergencyPhase::Due, EmergencyRole::Follower) => {
            format!("start a master, a node with emergency.key_file; or {bring_back}")
        }
        (EmergencyPhase::Active, _) if named.contains(NO_KEY) => format!(
            "{bring_back}; where a validator runs without a guard: holdfast tx update-validator --signing-key KEY"
        ),
        (EmergencyPhase::Active, _) => bring_back,
        (EmergencyPhase::ExitPending, _) => {
            "wait: the first block of the next round ends it".to_owned()
        }
        (EmergencyPhase::Certifying, _) => {
            "wait for the certificate of the last block; if it does not come: holdfast why on each validator".to_owned()
        }
    }
}

#[cfg(test)]
#[path = "emergency_tests.rs"]
mod tests;
