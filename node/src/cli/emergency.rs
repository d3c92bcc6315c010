//! `holdfast emergency status`

use super::layout::{Sheet, count, listed};
use super::node_client::RpcArguments;
use super::units::{show_seconds, show_time};
use super::{Context, GlobalArguments};
use crate::failure::Failure;
use clap::{Args, Subcommand};
use holdfast_rpc::dto::{
    EmergencyExit, EmergencyPhase, EmergencyRole, EmergencyRound, EmergencyStatus, ReturnState,
    ReturningValidator,
};
use holdfast_rpc::methods::{GetEmergencyStatus, NoParams};
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Where emergency consensus stands, who is missing, and what ends it.
    Status(StatusArguments),
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

pub(super) fn run(
    command: &Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let Command::Status(arguments) = command;
    let node = arguments.rpc.connect(global, context)?;
    let status = node.call::<GetEmergencyStatus>(NoParams {})?;
    let text = if arguments.json {
        format!("{:#}\n", json!(status))
    } else {
        as_text(&status, node.url())
    };
    context.print(&text)
}

fn as_text(status: &EmergencyStatus, url: &str) -> String {
    let phase = status.phase.as_str().to_uppercase().replace('_', " ");
    let mut sheet = Sheet::titled(format_args!("{phase}  {url}"));
    sheet.line("so", in_a_sentence(status));
    if let Some(round) = &status.round {
        // LIB moves on in an emergency, and the stall clock with it.
        let lasted_ms = round
            .slot
            .get()
            .saturating_mul(status.block_interval_ms.get());
        sheet.line("lasts", show_seconds(lasted_ms as f64 / 1000.0));
    } else if let (Some(clock), Some(seconds)) = (status.stall_clock_ms, status.stalled_seconds) {
        sheet.line(
            "stall clock",
            format_args!(
                "{} since {}; the timeout is {}",
                show_seconds(seconds),
                show_time(clock.get()),
                show_seconds(status.timeout_ms.get() as f64 / 1000.0)
            ),
        );
    }
    add_final(&mut sheet, status);
    add_node(&mut sheet, status);
    if let Some(round) = &status.round {
        sheet.line("round", round_text(round, status));
        sheet.line("slots", slots_text(round));
    }
    if let Some(exit) = &status.exit {
        sheet.line("exit", exit_text(exit));
    }
    if !status.validators.is_empty() {
        add_validators(&mut sheet, &status.validators);
    }
    sheet.line("NEXT", &status.next_command);
    sheet.line("runbook", &status.runbook);
    sheet.into_text()
}

/// What is, and what it means.
fn in_a_sentence(status: &EmergencyStatus) -> String {
    let left = show_seconds(status.seconds_to_activation.unwrap_or_default());
    match status.phase {
        EmergencyPhase::Unavailable => {
            "no emergency can begin on this state: it knows of no stall, or lacks the hardfork"
                .to_owned()
        }
        EmergencyPhase::Blocked => "a halt is in force: it forbids emergency blocks".to_owned(),
        EmergencyPhase::Idle => format!("the chain moves; an emergency could begin in {left}"),
        EmergencyPhase::Armed => format!(
            "nothing becomes irreversible: masters take over in {left} unless a quorum is back"
        ),
        EmergencyPhase::Due => {
            "the time is over, and no master has made a block: the chain stands".to_owned()
        }
        EmergencyPhase::Active => {
            let start = status.start_block.unwrap_or_default();
            format!("masters make the blocks since block {start}; all of it is provisional")
        }
        EmergencyPhase::ExitPending => {
            "enough validators are back: the next round ends the emergency".to_owned()
        }
        EmergencyPhase::Certifying => {
            "the emergency is over; the validators have yet to certify its last block".to_owned()
        }
    }
}

/// What nobody can take back, and what a certificate can.
fn add_final(sheet: &mut Sheet, status: &EmergencyStatus) {
    let (head, certified) = (status.head.height.get(), status.certified.height.get());
    let blocks = count(head.saturating_sub(certified), "block", "blocks");
    let open = if status.is_provisional {
        format!("{blocks} above it provisional")
    } else {
        format!("{blocks} above it wait for a certificate")
    };
    sheet.line(
        "chain",
        format_args!(
            "head {head}, LIB {}, certified (final) {certified}: {open}; {} in the fork database",
            status.lib.height, status.fork_blocks
        ),
    );
}

/// What this node does about it.
fn add_node(sheet: &mut Sheet, status: &EmergencyStatus) {
    let role = match status.role {
        EmergencyRole::Master => "master: it has the emergency key",
        EmergencyRole::Follower => "follower: it has no emergency key",
    };
    let overdue = if status.producer_overdue {
        "; OVERDUE: slots pass, and it makes no block"
    } else {
        ""
    };
    sheet.line("this node", format_args!("{role}{overdue}"));
    if let Some(refusal) = &status.refusal {
        sheet.line("last turn", format_args!("no block: {refusal}"));
    }
}

fn round_text(round: &EmergencyRound, status: &EmergencyStatus) -> String {
    format!(
        "{}, slot {}, last block in slot {}; a slot is {}",
        round.number,
        round.slot,
        round.last_block_slot,
        show_seconds(status.block_interval_ms.get() as f64 / 1000.0)
    )
}

fn slots_text(round: &EmergencyRound) -> String {
    let slots = round.slots.iter().map(|slot| {
        let mark = if slot.slot == round.slot {
            "  <- now"
        } else {
            ""
        };
        format!("{:>6}  {}{mark}", slot.slot, slot.holder)
    });
    listed(slots, "\n")
}

fn exit_text(exit: &EmergencyExit) -> String {
    format!(
        "{} of {} validators hold slots; {} of {} made one of the last {} blocks",
        exit.slots_held,
        exit.slots_needed,
        exit.producing.len(),
        exit.producing_needed,
        exit.blocks
    )
}

/// The validators by how far they have come back, those that are furthest away first.
fn add_validators(sheet: &mut Sheet, validators: &[ReturningValidator]) {
    for (state, label) in [
        (ReturnState::NoKey, "NO KEY"),
        (ReturnState::Silent, "SILENT"),
        (ReturnState::NoSlot, "next round"),
        (ReturnState::Jailed, "jailed"),
        (ReturnState::Producing, "producing"),
    ] {
        let of_state = validators.iter().filter(|one| one.state == state);
        let names: Vec<_> = of_state
            .map(|one| {
                let mark = if one.is_this_node { "*" } else { "" };
                format!("{}{mark}", one.account)
            })
            .collect();
        if !names.is_empty() {
            sheet.line(label, names.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::testing::FakeBackend;
    use holdfast_rpc::{Backend as _, FeedLimits};

    fn status(in_emergency: bool) -> EmergencyStatus {
        let backend = FakeBackend::new(FeedLimits::default());
        for _ in 0..9 {
            backend.produce_block();
        }
        backend.certify(4);
        if in_emergency {
            backend.set_emergency(8);
        }
        backend.emergency().unwrap()
    }

    #[test]
    fn the_screen_says_what_is_who_is_missing_and_what_to_do() {
        let text = as_text(&status(true), "http://node");
        for part in [
            "ACTIVE  http://node\n",
            "  so            masters make the blocks since block 4; all of it is provisional\n",
            "  lasts         51 s\n",
            "head 9, LIB 8, certified (final) 4: 5 blocks above it provisional; 2 in the fork database\n",
            "  this node     master: it has the emergency key\n",
            "  last turn     no block: not_scheduled\n",
            "  round         2, slot 17, last block in slot 16; a slot is 3.0 s\n",
            "    17  committee  <- now\n",
            "  exit          2 of 5 validators hold slots; 1 of 5 made one of the last 7 blocks\n",
            "  NO KEY        validator-2\n",
            "  SILENT        validator-1\n",
            "  producing     validator-0*\n",
            "  NEXT          bring back validator-2",
            "  runbook       docs/runbooks/emergency-consensus.md\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_chain_that_moves_has_neither_round_nor_exit() {
        let text = as_text(&status(false), "http://node");
        assert!(text.starts_with("IDLE  http://node\n"), "{text}");
        assert!(text.contains("could begin in 59 min"), "{text}");
        assert!(text.contains("NEXT          nothing to do"), "{text}");
        assert!(text.contains("; the timeout is 60 min\n"), "{text}");
        for part in ["round", "exit", "lasts", "NO KEY", "last turn"] {
            assert!(!text.contains(part), "{part:?} is in\n{text}");
        }
    }

    #[test]
    fn a_master_that_should_produce_and_does_not_is_called_overdue() {
        let mut status = status(true);
        status.phase = EmergencyPhase::Due;
        status.producer_overdue = true;
        let text = as_text(&status, "http://node");
        assert!(text.contains("no master has made a block"), "{text}");
        assert!(text.contains("OVERDUE"), "{text}");
    }
}
