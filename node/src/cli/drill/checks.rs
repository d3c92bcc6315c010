//! What is left when the chain runs again: nothing was lost, nobody was punished who behaved.

use super::outcome::Run;
use super::stage::{OBSERVER, PATIENCE, Stage};
use super::watch::{self, until};
use crate::failure::Failure;
use holdfast_rpc::dto::{Number, Validator};
use std::time::Duration;

/// How long everything that was accepted may take to become irreversible.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Everything that was accepted becomes irreversible, everywhere the same.
pub(super) async fn settled(stage: &mut Stage, run: &mut Run) -> Result<(), Failure> {
    let all = stage.steady.start..stage.disturbed.end;
    for number in all.clone() {
        stage.cluster.ready(number).await?;
    }
    let settled = stage.load.settle(SETTLE_LIMIT).await;
    let counts = stage.load.tracker().counts();
    run.accepted = counts.submitted;
    run.irreversible = counts.irreversible;
    run.lost = counts.pending;
    run.require(settled, || {
        format!("{} accepted transfers are lost", counts.pending)
    });
    run.require(counts.rejected == 0, || {
        let why = stage.load.tracker().last_refusal().unwrap_or_default();
        format!("{} transfers were refused: {why}", counts.rejected)
    });
    let executed = stage.executed().await?;
    run.require(executed == counts.submitted, || {
        format!(
            "the nonces say {executed} transfers, {} were accepted",
            counts.submitted
        )
    });
    let certified = stage.cluster.status(OBSERVER).await?.certified.height.get();
    for number in all {
        let what = format!(
            "{} has block {certified} certified",
            stage.cluster.name(number)
        );
        until(PATIENCE, &what, async || {
            let status = stage.cluster.status(number).await?;
            Ok((status.certified.height.get() >= certified).then_some(()))
        })
        .await?;
    }
    let equal = stage.cluster.roots_equal().await?;
    run.require(equal, || "the validators have different states".to_owned());
    Ok(())
}

/// Who has lost stake since `before`: the offenders, and nobody else.
pub(super) async fn slashed(
    stage: &Stage,
    run: &mut Run,
    before: &[Validator],
) -> Result<(), Failure> {
    until(PATIENCE, "all evidence is executed", async || {
        let report = watch::report(&stage.cluster, OBSERVER).await;
        let done = report.filter(|report| report.evidence_waiting == Number(0));
        Ok(done.map(drop))
    })
    .await?;
    let now = stage.validators().await?;
    let is_punished = |one: &&Validator| {
        let mut now = now.iter().filter(|now| now.account == one.account);
        now.all(|now| now.stake < one.stake)
    };
    let punished = before.iter().filter(is_punished);
    let slashed: Vec<String> = punished.map(|one| one.account.to_string()).collect();
    let offenders = stage.disturbed.clone().filter(|_| stage.kind.slashes());
    let expected: Vec<String> = offenders
        .map(|number| stage.cluster.node(number).account.to_string())
        .collect();
    run.require(slashed == expected, || {
        format!("slashed are {slashed:?}, should be {expected:?}")
    });
    run.slashed = slashed;
    Ok(())
}
