//! What to do about a transaction that was refused or failed.

/// The next step by the stable name of the reason; nothing for names that speak for themselves.
pub(super) fn next_step(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "unknown_sender" => "check --from (holdfast account show NAME)",
        "wrong_key" => {
            "sign with the account's present key: compare holdfast account show NAME and holdfast keys inspect FILE"
        }
        "nonce_too_low" => {
            "leave --nonce out to use the account's next; if this very transaction was sent before, see holdfast tx show ID"
        }
        "nonce_too_high" | "gap_full" => {
            "send the transactions with the nonces before this one first; without --nonce the account's next is used"
        }
        "nonce_taken" => {
            "wait until the transaction with this nonce is executed, or give the nonce behind it: --nonce N"
        }
        "sender_full" => {
            "wait until some transactions of this account are executed, then send this one again"
        }
        "expired" => {
            "sign it anew, with a later --expires-in; check the clock of the machine that signs"
        }
        "fee_above_maximum" => "sign it anew with a higher --fee-max; nothing was paid",
        "insufficient_balance" => {
            "see the balance (holdfast account show NAME); amount and fee together must fit"
        }
        "unknown_recipient" => {
            "check the name, or create the account first: holdfast tx create-account"
        }
        "account_exists" => "choose another name",
        "not_a_validator" => "register first: holdfast tx register-validator",
        "already_a_validator" => "change it with holdfast tx update-validator",
        "unknown_validator" => "check the name of the validator",
        "signing_key_in_use" => {
            "make a signing key of its own for each validator: holdfast keys new validator"
        }
        "stake_below_minimum" => {
            "leave at least the minimum (parameters.staking.min_validator_stake), or take everything"
        }
        "insufficient_stake" => "see the stake (holdfast account show NAME) and take less",
        "too_many_unbondings" => "wait until an unbonding is paid out",
        "bad_signature" => "sign it anew for the id of this chain (holdfast status shows it)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{FailureCode, codec};

    #[test]
    fn every_failure_that_a_person_can_cure_has_a_next_step() {
        let speak_for_themselves = [
            "amount_zero",
            "amount_overflow",
            "reserved_account",
            "value_out_of_range",
        ];
        let codes: Vec<FailureCode> = (0u8..)
            .map_while(|tag| codec::decode("a failure code", &[tag], 1).ok())
            .collect();
        assert_eq!(codes.last(), Some(&FailureCode::ValueOutOfRange));
        for code in codes {
            let known =
                next_step(code.name()).is_some() || speak_for_themselves.contains(&code.name());
            assert!(known, "{}", code.name());
        }
    }
}
