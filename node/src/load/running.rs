//! A load that runs beside whoever started it.

use super::sender::LoadPlan;
use super::tracker::Tracker;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use holdfast_rpc::ClientError;
use std::fmt::Display;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Lanes that send and a follower that sees what becomes of it. Dropping it ends them.
#[derive(Debug)]
pub struct RunningLoad {
    tracker: Tracker,
    sending: CancellationToken,
    following: CancellationToken,
    tasks: JoinSet<Result<(), ClientError>>,
}

fn broken(why: impl Display) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "the load generator was stopped by a node",
        why,
        "look at the node.log of each node (--directory DIR keeps them)",
    )
}

impl RunningLoad {
    /// Signs `ahead` transfers of every account, then starts to send. The node at `observer` says what is irreversible.
    pub async fn start(plan: &LoadPlan, observer: String, ahead: usize) -> Result<Self, Failure> {
        let tracker = Tracker::default();
        let lanes = plan.lanes(&tracker).map_err(broken)?;
        let mut signing = JoinSet::new();
        for lane in lanes {
            signing.spawn(lane.signed_ahead(ahead));
        }
        let mut lanes = Vec::new();
        while let Some(lane) = signing.join_next().await {
            lanes.push(lane.map_err(broken)?.map_err(broken)?);
        }
        let (sending, following) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(
            tracker
                .clone()
                .follow(observer, plan.when_down, following.clone()),
        );
        for lane in lanes {
            tasks.spawn(lane.run(sending.clone()));
        }
        Ok(Self {
            tracker,
            sending,
            following,
            tasks,
        })
    }

    #[must_use]
    pub const fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Fails if a part of the load has ended by itself.
    pub fn check(&mut self) -> Result<(), Failure> {
        match self.tasks.try_join_next() {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(broken(error)),
            Some(Err(error)) => Err(broken(error)),
        }
    }

    /// Stops sending and waits until everything that was accepted is irreversible, or the limit is over: whether it is.
    pub async fn settle(&self, limit: Duration) -> bool {
        self.sending.cancel();
        tokio::time::timeout(limit, self.tracker.settled())
            .await
            .is_ok()
    }

    /// Ends everything.
    pub async fn stop(mut self) {
        self.sending.cancel();
        self.following.cancel();
        // How they end does not matter any more.
        while self.tasks.join_next().await.is_some() {}
    }
}
