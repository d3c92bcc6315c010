//! What the governors order, as far as the ledger obeys.
//!
//! * M1. A message takes effect if its sequence number is above that of every message before. Otherwise the block is as
//!   if it had none.
//! * M2. `RotateKeys` names the governors of the messages after it.
//! * M3. `Halt` is recorded: it has stopped the chain after the block before. If its end has come, the chain goes on by
//!   itself, in the same era, and that is recorded too.
//! * M4. `Resume` makes a block of its own ([`crate::execute_resume`]), which records the halts that end with it. Carried by
//!   any other block it does nothing.
//! * M5. The block with which the chain goes on after a lockdown carries no message. It records the lockdown of its era and its
//!   end.

use crate::block::{BlockContext, BlockInput, BlockKind, LedgerError};
use crate::keys::GovernorsKey;
use crate::overlay::Overlay;
use crate::state::StateStore;
use holdfast_types::{Event, GovernanceAction, HaltId};

/// M5.
fn record_lockdown(input: &BlockInput<'_>, events: &mut Vec<Event>) {
    let halt = HaltId::of_lockdown(input.era);
    let height = input.height.previous();
    events.push(Event::ChainHalted { halt, height });
    events.push(Event::ChainResumed {
        message: *halt.as_bytes(),
        era: input.era.next(),
    });
}

/// Obeys the message of the block, if it has one.
pub(crate) fn execute<S: StateStore + ?Sized>(
    overlay: &mut Overlay<'_, S>,
    context: &BlockContext<'_>,
    events: &mut Vec<Event>,
) -> Result<(), LedgerError> {
    let input = context.input;
    if context.kind == BlockKind::Recovery {
        record_lockdown(input, events);
        return Ok(());
    }
    let Some(message) = input.governance else {
        return Ok(());
    };
    let body = &message.body;
    let mut governors = overlay.existing(&GovernorsKey())?;
    let is_resume = matches!(body.action, GovernanceAction::Resume { .. });
    let fits = is_resume == (context.kind == BlockKind::Resume);
    if !fits || body.sequence <= governors.sequence {
        return match context.kind {
            BlockKind::Ordinary | BlockKind::Emergency { .. } | BlockKind::Recovery => Ok(()),
            // The block is nothing but this message: who makes it has verified the message.
            BlockKind::Resume => Err(LedgerError::WrongBlock {
                field: "governance message",
                expected: format!("a resume with a number above {}", governors.sequence),
                actual: format!("{} number {}", body.action.name(), body.sequence),
            }),
        };
    }
    let id = body.id(&input.chain);
    let height = input.height.previous();
    governors.sequence = body.sequence;
    match &body.action {
        GovernanceAction::Halt { until, .. } => {
            let halt = HaltId::of_message(id);
            events.push(Event::ChainHalted { halt, height });
            if *until <= input.timestamp {
                events.push(Event::ChainResumed {
                    message: id,
                    era: input.era,
                });
            }
        }
        GovernanceAction::Resume { halts, .. } => {
            let halted = halts.iter().map(|halt| Event::ChainHalted {
                halt: *halt,
                height,
            });
            events.extend(halted);
            events.push(Event::ChainResumed {
                message: id,
                era: input.era.next(),
            });
        }
        GovernanceAction::RotateKeys { keys, threshold } => {
            governors.keys.clone_from(keys);
            governors.threshold = *threshold;
        }
    }
    overlay.set(&GovernorsKey(), governors)?;
    events.push(Event::GovernanceExecuted {
        sequence: body.sequence,
        message: id,
    });
    Ok(())
}
