//! Events of the ledger as RPC shows them.

use super::convert;
use holdfast_rpc::dto::Number;
use holdfast_types::Event;
use serde_json::{Map, Value, json};

/// Kind and fields of an event as RPC shows them.
pub(super) fn event_fields(event: &Event) -> (String, Map<String, Value>) {
    let fields = match event_object(event) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    (event_kind(event).to_owned(), fields)
}

const fn event_kind(event: &Event) -> &'static str {
    match event {
        Event::Transferred { .. } => "transferred",
        Event::AccountCreated { .. } => "account_created",
        Event::KeyUpdated { .. } => "key_updated",
        Event::ValidatorRegistered { .. } => "validator_registered",
        Event::ValidatorUpdated { .. } => "validator_updated",
        Event::Staked { .. } => "staked",
        Event::UnbondingStarted { .. } => "unbonding_started",
        Event::UnbondingCompleted { .. } => "unbonding_completed",
        Event::EraEnded { .. } => "era_ended",
        Event::IrreversibleAdvanced { .. } => "irreversible_advanced",
        Event::Slashed { .. } => "slashed",
        Event::Jailed { .. } => "jailed",
        Event::PropertiesChanged { .. } => "properties_changed",
        Event::GovernanceExecuted { .. } => "governance_executed",
        Event::ChainHalted { .. } => "chain_halted",
        Event::ChainResumed { .. } => "chain_resumed",
        Event::EmergencyActivated { .. } => "emergency_activated",
        Event::EmergencyDeactivated { .. } => "emergency_deactivated",
        Event::HardforkApplied { .. } => "hardfork_applied",
    }
}

/// The fields of an event as an object.
fn event_object(event: &Event) -> Value {
    match event {
        Event::Transferred { from, to, amount } => {
            json!({"from": from, "to": to, "amount": amount.to_string()})
        }
        Event::AccountCreated { name, creator } => json!({"name": name, "creator": creator}),
        Event::KeyUpdated { account } | Event::ValidatorRegistered { account } => {
            json!({"account": account})
        }
        Event::ValidatorUpdated {
            account,
            signing_key,
        } => json!({"account": account, "signing_key": signing_key}),
        Event::Staked {
            account,
            validator,
            amount,
        }
        | Event::UnbondingStarted {
            account,
            validator,
            amount,
        } => json!({"account": account, "validator": validator, "amount": amount.to_string()}),
        Event::UnbondingCompleted { account, amount } => {
            json!({"account": account, "amount": amount.to_string()})
        }
        Event::EraEnded { era, next_era } => json!({"era": era, "next_era": next_era}),
        Event::IrreversibleAdvanced { height } => json!({"height": height}),
        Event::Slashed {
            validator,
            era,
            amount,
            burned,
        } => {
            json!({"validator": validator, "era": era, "amount": amount.to_string(), "burned": burned.to_string()})
        }
        Event::Jailed { validator, until } => json!({"validator": validator, "until_ms": until}),
        Event::PropertiesChanged { properties } => json!({
            "transaction_fee": properties.transaction_fee.to_string(),
            "byte_fee": properties.byte_fee.to_string(),
            "account_creation_fee": properties.account_creation_fee.to_string(),
        }),
        Event::GovernanceExecuted { sequence, message } => {
            json!({"sequence": Number(*sequence), "message": convert::hash(message)})
        }
        Event::ChainHalted { halt, height } => json!({"halt": halt, "height": height}),
        Event::ChainResumed { message, era } => {
            json!({"message": convert::hash(message), "era": era})
        }
        Event::EmergencyActivated { slot, stalled_ms } => {
            json!({"slot": Number(*slot), "stalled_ms": Number(*stalled_ms)})
        }
        Event::EmergencyDeactivated { validators } => json!({"validators": validators}),
        Event::HardforkApplied { version } => json!({"version": version}),
    }
}
