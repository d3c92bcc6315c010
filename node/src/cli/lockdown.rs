//! `holdfast lockdown`: freeze the chain by vote, and let it go on by vote.

mod pending;
mod simulate;

use super::global::MissingFile;
use super::layout::{Sheet, listed, short};
use super::node_client::{NodeClient, RpcArguments};
use super::units::show_time;
use super::{Context, GlobalArguments};
use crate::cluster_secret::{self, RotationStep};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use holdfast_rpc::dto::{
    AccountName, LockdownPhase, LockdownStatus, LockdownVote, Number, QuarantineReport,
    RecoveryVote, RiskLevel, RiskStatus,
};
use holdfast_rpc::methods::{
    CommitteeParams, GetCommittee, GetHaltMatrix, GetLockdownStatus, GetPending, GetRisk,
    GetStatus, LockdownVoteParams, NoParams, VoteLockdown, VoteRecovery,
};
use pending::Comparison;
use serde_json::json;
use simulate::Rehearsal;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Who has voted, how everybody stands, and what to do next.
    Status(StatusArguments),
    /// This validator votes to freeze the chain: two thirds of the validators freeze it. The vote expires.
    Vote(VoteArguments),
    /// This validator votes to go on. It keeps voting until two thirds have agreed on the block to go on from.
    Recover(StatusArguments),
    /// What a lockdown would do now: who would be frozen, what stops, what goes on. Changes nothing.
    Simulate(StatusArguments),
    /// Which transactions wait on a node, and what another one has that it lacks.
    Pending(PendingArguments),
    /// Make the cluster secret: for one validator, whose operator hands the file to the others.
    NewSecret(SecretArguments),
    /// Change the cluster secret in three steps; each has reached every validator before the next.
    RotateSecret(RotateArguments),
}

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rpc: RpcArguments,
}

#[derive(Debug, Args)]
pub(super) struct VoteArguments {
    /// What was seen, for the other operators: at most 256 bytes.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    output: StatusArguments,
}

#[derive(Debug, Args)]
pub(super) struct PendingArguments {
    /// Another node to compare with: http://host:port
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    #[command(flatten)]
    output: StatusArguments,
}

#[derive(Debug, Args)]
pub(super) struct SecretArguments {
    /// Where to write it [default: lockdown.secret_file of the configuration].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RotateArguments {
    /// add, on one validator: make a new secret, which is accepted from now on; copy the file to all others and restart all. switch, on
    /// each: tag with the new one. finish, on each: forget the old one.
    step: RotationStep,
    #[command(flatten)]
    secret: SecretArguments,
}

pub(super) fn run(
    command: &Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::Status(arguments) => {
            let node = arguments.rpc.connect(global, context)?;
            let status = node.call::<GetLockdownStatus>(NoParams {})?;
            if arguments.json {
                return show(&status, true, node.url(), context);
            }
            let risk = node.call::<GetRisk>(NoParams {})?;
            context.print(&as_text(&status, Some(&risk), node.url()))
        }
        Command::Vote(arguments) => {
            let node = arguments.output.rpc.connect_as_admin(global, context)?;
            let params = LockdownVoteParams {
                reason: arguments.reason.clone(),
            };
            let what = "this validator did not vote to freeze the chain";
            let status = node.call_or::<VoteLockdown>(what, params)?;
            show(&status, arguments.output.json, node.url(), context)
        }
        Command::Recover(arguments) => {
            let node = arguments.rpc.connect_as_admin(global, context)?;
            let what = "this validator does not vote to go on";
            let status = node.call_or::<VoteRecovery>(what, NoParams {})?;
            show(&status, arguments.json, node.url(), context)
        }
        Command::Simulate(arguments) => {
            let node = arguments.rpc.connect(global, context)?;
            let rehearsal = rehearsal(&node)?;
            context.print(&if arguments.json {
                format!("{:#}\n", rehearsal.as_json())
            } else {
                rehearsal.as_text(node.url())
            })
        }
        Command::Pending(arguments) => {
            let comparison = pending(arguments, global, context)?;
            context.print(&if arguments.output.json {
                format!("{:#}\n", comparison.as_json())
            } else {
                comparison.as_text()
            })
        }
        Command::NewSecret(arguments) => {
            let path = arguments.path(global, context)?;
            cluster_secret::create(&path)?;
            context.print(&format!(
                "wrote {}\n\
                 next: copy it to every validator over a channel that you trust, set lockdown.secret_file there, and restart them\n",
                path.display()
            ))
        }
        Command::RotateSecret(arguments) => {
            let path = arguments.secret.path(global, context)?;
            cluster_secret::rotate(&path, arguments.step)?;
            let next = after(arguments.step);
            context.print(&format!("wrote {}\nnext: {next}\n", path.display()))
        }
    }
}

/// What comes after a step of a rotation.
const fn after(step: RotationStep) -> &'static str {
    match step {
        RotationStep::Add => {
            "copy it to every validator and restart them; then: holdfast lockdown rotate-secret switch"
        }
        RotationStep::Switch => {
            "restart this node; when all validators have switched: holdfast lockdown rotate-secret finish"
        }
        RotationStep::Finish => "restart this node",
    }
}

impl SecretArguments {
    fn path(&self, global: &GlobalArguments, context: &Context<'_>) -> Result<PathBuf, Failure> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let loaded = global.load_config(context, MissingFile::UseDefaults)?;
        let configured = loaded.config.lockdown().secret_file.clone();
        configured.ok_or_else(|| {
            Failure::new(
                ExitCode::Usage,
                "cannot tell where the cluster secret is to be",
                "lockdown.secret_file is empty, and no --file was given",
                "name it: --file FILE",
            )
        })
    }
}

fn pending(
    arguments: &PendingArguments,
    global: &GlobalArguments,
    context: &Context<'_>,
) -> Result<Comparison, Failure> {
    let of = |node: &NodeClient| -> Result<_, Failure> {
        let pending = node.call::<GetPending>(NoParams {})?;
        Ok((node.url().to_owned(), pending))
    };
    let here = of(&arguments.output.rpc.connect(global, context)?)?;
    let there = match &arguments.against {
        Some(url) => {
            let other = RpcArguments::to(url.clone());
            Some(of(&other.connect(global, context)?)?)
        }
        None => None,
    };
    Ok(Comparison { here, there })
}

fn rehearsal(node: &NodeClient) -> Result<Rehearsal, Failure> {
    let committee = node.call::<GetCommittee>(CommitteeParams { era: None })?;
    let committee = committee.ok_or_else(|| {
        Failure::new(
            ExitCode::Internal,
            "the node does not know its own committee",
            "chain_getCommittee answered null",
            "look at its log",
        )
    })?;
    let status = node.call::<GetStatus>(NoParams {})?;
    Ok(Rehearsal {
        status: node.call::<GetLockdownStatus>(NoParams {})?,
        committee,
        matrix: node.call::<GetHaltMatrix>(NoParams {})?,
        waiting: status.mempool.transactions.get(),
    })
}

fn show(
    status: &LockdownStatus,
    as_json: bool,
    url: &str,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let text = if as_json {
        format!("{:#}\n", json!(status))
    } else {
        as_text(status, None, url)
    };
    context.print(&text)
}

fn as_text(status: &LockdownStatus, risk: Option<&RiskStatus>, url: &str) -> String {
    let phase = status.phase.as_str().to_uppercase();
    let mut sheet = Sheet::titled(format_args!("{phase}  {url}"));
    sheet.line("so", in_a_sentence(status));
    if let Some(risk) = risk {
        sheet.line("risk", risk_text(risk));
    }
    if !status.has_secret {
        sheet.line(
            "NO SECRET",
            "lockdown.secret_file is empty: this node neither votes nor hears votes",
        );
    }
    if status.messages_refused.get() > 0 {
        sheet.line(
            "REFUSED",
            format_args!(
                "{} messages with the tag of another secret: compare the files of all validators",
                status.messages_refused
            ),
        );
    }
    if status.is_secret_changing {
        sheet.line("secret", "two are valid: it is being changed");
    }
    if !status.votes.is_empty() {
        sheet.line("votes", listed(status.votes.iter().map(vote_text), "\n"));
    }
    if !status.reports.is_empty() {
        sheet.line(
            "stand",
            listed(status.reports.iter().map(report_text), "\n"),
        );
    }
    if !status.recovery_votes.is_empty() {
        let votes = status.recovery_votes.iter().map(recovery_text);
        sheet.line("to go on", listed(votes, "\n"));
    }
    if let Some(agreed) = &status.agreed {
        sheet.line(
            "agreed",
            format_args!("block {} {}", agreed.height, short(agreed.id)),
        );
    }
    sheet.line("NEXT", &status.next_command);
    sheet.line("runbook", &status.runbook);
    sheet.into_text()
}

fn in_a_sentence(status: &LockdownStatus) -> String {
    let (quorum, members) = (status.quorum, status.members);
    let recovery = status.recovery_quorum;
    match status.phase {
        LockdownPhase::Normal if members == 0 => {
            "emergency consensus runs: nobody votes, governance can halt".to_owned()
        }
        LockdownPhase::Normal => {
            format!("nobody votes to freeze the chain; {quorum} of {members} validators can")
        }
        LockdownPhase::Voting => format!(
            "{} of {members} validators vote to freeze the chain, {} more freeze it",
            status.votes.len(),
            status.votes_missing
        ),
        LockdownPhase::Locked => {
            let since = show_time(status.locked_since_ms.unwrap_or_default().get());
            format!(
                "frozen since {since}; {recovery} of {members} validators have to vote to go on"
            )
        }
        LockdownPhase::Recovering => {
            let height = status
                .confirmed
                .as_ref()
                .map_or(Number(0), |block| block.height);
            format!("enough have voted to go on from block {height}")
        }
    }
}

/// The level, and under it what has been found, the worst first.
fn risk_text(risk: &RiskStatus) -> String {
    let mut text = risk.level.as_str().to_owned();
    if risk.level > RiskLevel::Normal {
        let _infallible = write!(text, " since {}", show_time(risk.since_ms.get()));
    }
    if let Some(from) = risk.votes_from {
        let _infallible = write!(
            text,
            "; from {} on this validator votes by itself",
            from.as_str()
        );
    }
    let mut raised: Vec<_> = risk
        .rules
        .iter()
        .filter(|rule| rule.level > RiskLevel::Normal)
        .collect();
    raised.sort_by_key(|rule| std::cmp::Reverse(rule.level));
    for rule in raised {
        let level = rule.level.as_str();
        let value = rule
            .value
            .map_or_else(|| "less now".to_owned(), |value| value.to_string());
        let _infallible = write!(text, "\n{:<26} {level}: {value}", rule.rule);
    }
    text
}

fn who(account: Option<&AccountName>, authority: u16) -> String {
    account.map_or_else(|| format!("authority {authority}"), ToString::to_string)
}

fn vote_text(vote: &LockdownVote) -> String {
    let name = who(vote.account.as_ref(), vote.authority);
    let at = show_time(vote.at_ms.get());
    // Another operator's words: nothing in them may write over this screen.
    format!("{name:<16} {at}  {}: {:?}", vote.trigger, vote.reason)
}

fn report_text(report: &QuarantineReport) -> String {
    let name = who(report.account.as_ref(), report.authority);
    let differs = match report.differs.as_deref() {
        None => "",
        Some("behind") => "  BEHIND",
        Some("other_state") => "  OTHER STATE",
        Some(_) => "  OTHER BLOCK",
    };
    format!(
        "{name:<16} block {} {}, certified {}, {} waiting{differs}",
        report.head.height,
        short(report.head.id),
        report.certified,
        report.pending
    )
}

fn recovery_text(vote: &RecoveryVote) -> String {
    let name = who(vote.account.as_ref(), vote.authority);
    let resume = if vote.resume.is_some() {
        ", as governance has ordered"
    } else {
        ""
    };
    format!(
        "{name:<16} {} {} for block {} {}{resume}",
        vote.step,
        vote.attempt,
        vote.block.height,
        short(vote.block.id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::testing::FakeBackend;
    use holdfast_rpc::{Backend as _, FeedLimits};

    fn status(votes: usize) -> LockdownStatus {
        let backend = FakeBackend::new(FeedLimits::default());
        backend.produce_block();
        backend.set_lockdown_votes(votes);
        backend.lockdown().unwrap()
    }

    #[test]
    fn the_screen_says_who_has_voted_how_all_stand_and_what_to_do() {
        let risk = FakeBackend::new(FeedLimits::default()).risk().unwrap();
        let text = as_text(&status(1), Some(&risk), "http://node");
        assert!(text.starts_with("VOTING  http://node\n"), "{text}");
        for part in [
            "1 of 4 validators vote to freeze the chain, 2 more freeze it",
            "validator-0 ",
            "operator: \"roots differ between data centres\"",
            "elevated since 2026-01-01T00:01:40",
            "equivocators_permille      elevated: 1",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = as_text(&status(3), None, "http://node");
        for part in [
            "LOCKED",
            "3 of 4 validators have to vote to go on",
            "BEHIND",
            "runbook",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let normal = as_text(&status(0), None, "http://node");
        assert!(
            normal.contains("nobody votes to freeze the chain; 3 of 4"),
            "{normal}"
        );
    }

    #[test]
    fn what_hinders_a_lockdown_is_said() {
        let hindered = LockdownStatus {
            has_secret: false,
            messages_refused: Number(7),
            members: 0,
            ..status(0)
        };
        let text = as_text(&hindered, None, "http://node");
        for part in [
            "NO SECRET",
            "7 messages with the tag",
            "emergency consensus runs",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
