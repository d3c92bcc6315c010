//! What is left when the chain runs again: nothing was lost, nobody was punished who behaved.

use super::outcome::Run;
use super::stage::{OBSERVER, PATIENCE, Stage};
use super::watch::until;
use crate::failure::Failure;
use holdfast_rpc::dto::Validator;
use std::time::Duration;

/// How long everything that was accepted may take to become irreversible.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// Everything that was accepted becomes irreversible, everywhere the same.
pub(super) async fn settled(stage: &mut Stage, run: &mut Run) -> Result<(), Failure> {
    let all = stage.steady.start..stage.disturbed.end;
    for number in all.clone() {
        stage.ready(number).await?;
    }
    let settled = stage.load.settle(SETTLE_LIMIT).await;
    let counts = stage.load.tracker().counts();
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
            stage.revive().await?;
            let standing = stage.cluster.status(number).await;
            let standing = stage.unless_down(standing)?;
            Ok(standing.filter(|status| status.certified.height.get() >= certified))
        })
        .await?;
    }
    let equal = until(PATIENCE, "all validators answer", async || {
        stage.revive().await?;
        let equal = stage.cluster.roots_equal().await;
        stage.unless_down(equal)
    })
    .await?;
    run.require(equal, || "the validators have different states".to_owned());
    Ok(())
}

/// Who has lost stake since `before`: the offenders, and nobody else.
pub(super) async fn slashed(
    stage: &Stage,
    run: &mut Run,
    before: &[Validator],
) -> Result<(), Failure> {
    let offenders = stage.disturbed.clone().filter(|_| stage.kind.slashes());
    let expected: Vec<String> = offenders
        .map(|number| stage.cluster.node(number).account.to_string())
        .collect();
    // Evidence that came late is executed by one of the next blocks; none comes for whom nothing is proved against.
    let waited = until(PATIENCE, "the offenders lose stake", async || {
        let slashed = lost_stake(stage, before).await?;
        Ok((slashed.len() >= expected.len()).then_some(()))
    })
    .await;
    let slashed = lost_stake(stage, before).await?;
    run.require(waited.is_ok() && slashed == expected, || {
        format!("slashed are {slashed:?}, should be {expected:?}")
    });
    run.slashed = slashed;
    Ok(())
}

async fn lost_stake(stage: &Stage, before: &[Validator]) -> Result<Vec<String>, Failure> {
    let now = stage.validators().await?;
    let has_lost = |one: &&Validator| {
        let mut now = now.iter().filter(|now| now.account == one.account);
        now.all(|now| now.stake < one.stake)
    };
    let punished = before.iter().filter(has_lost);
    Ok(punished.map(|one| one.account.to_string()).collect())
}
