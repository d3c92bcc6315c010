//! What the load does while a node does not answer.

use holdfast_rpc::ClientError;
use std::time::{Duration, Instant};

/// What to do when a node does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDown {
    /// End: no node should be down.
    End,
    /// Ask the same again until it answers: nodes are killed and started again.
    AskAgain,
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// A node that does not answer for so long does not come back.
const DOWN_LIMIT: Duration = Duration::from_secs(60);

impl WhenDown {
    /// Asks until there is an answer, or there is no more point in it.
    ///
    /// # Errors
    /// What the node answered, or why it did not.
    pub async fn ask<T, F>(self, question: impl Fn() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let deadline = Instant::now() + DOWN_LIMIT;
        loop {
            let error = match question().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let is_answer = matches!(error, ClientError::Call(_) | ClientError::Url { .. });
            if self == Self::End || is_answer || Instant::now() >= deadline {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits before a stream that has ended is opened again; false if it is not.
    pub async fn reopens(self) -> bool {
        if self == Self::End {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::{ErrorCode, RpcCallError};
    use std::cell::Cell;

    fn unreachable() -> ClientError {
        ClientError::Unreachable {
            url: "http://127.0.0.1:1".to_owned(),
            reason: "it was killed".to_owned(),
        }
    }

    #[tokio::test]
    async fn who_asks_again_gets_the_answer_of_the_node_that_came_back() {
        let asked = Cell::new(0);
        let question = || {
            asked.set(asked.get() + 1);
            let answer = if asked.get() < 4 {
                Err(unreachable())
            } else {
                Ok(asked.get())
            };
            std::future::ready(answer)
        };
        assert!(WhenDown::End.ask(question).await.is_err());
        assert_eq!(asked.get(), 1);
        assert_eq!(WhenDown::AskAgain.ask(question).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn an_answer_is_an_answer_even_if_it_is_no() {
        let asked = Cell::new(0);
        let question = || {
            asked.set(asked.get() + 1);
            let refusal = RpcCallError {
                code: ErrorCode::InvalidParams.number(),
                message: "no".to_owned(),
                data: serde_json::Map::new(),
            };
            std::future::ready(Err::<(), _>(ClientError::Call(refusal)))
        };
        assert!(WhenDown::AskAgain.ask(question).await.is_err());
        assert_eq!(asked.get(), 1);
    }
}
