//! Asks a node whether it is ready: one HTTP request, no client library.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest answer that is looked at in bytes.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// An answer that takes longer counts as none.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Time between two questions.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// What `/readyz` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// It answered, with this reason.
    NotReady(String),
    /// It did not answer.
    Silent(String),
}

/// Asks once.
pub async fn ask(address: SocketAddr) -> Readiness {
    match tokio::time::timeout(ANSWER_LIMIT, request(address, "/readyz")).await {
        Ok(Ok((200, _))) => Readiness::Ready,
        Ok(Ok((status, body))) => Readiness::NotReady(reason(status, &body)),
        Ok(Err(error)) => Readiness::Silent(error.to_string()),
        Err(_) => Readiness::Silent(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
    }
}

/// Asks until the answer is yes. Put a time limit around it; `last` holds the latest answer for the message then.
pub async fn wait(address: SocketAddr, last: &mut Option<Readiness>) {
    loop {
        let answer = ask(address).await;
        let ready = answer == Readiness::Ready;
        *last = Some(answer);
        if ready {
            return;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// A page of the node, such as `/metrics`, if it answers with 200.
///
/// # Errors
/// When the node does not answer, or answers with another status.
pub async fn page(address: SocketAddr, path: &str) -> io::Result<String> {
    match tokio::time::timeout(ANSWER_LIMIT, request(address, path)).await {
        Ok(Ok((200, body))) => Ok(body),
        Ok(Ok((status, _))) => Err(io::Error::other(format!("HTTP status {status}"))),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn request(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    let answer = String::from_utf8_lossy(&answer);
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let mut words = head.split(' ');
    if !words
        .next()
        .is_some_and(|version| version.starts_with("HTTP/1."))
    {
        return Err(malformed());
    }
    let status = words
        .next()
        .and_then(|status| status.parse().ok())
        .ok_or_else(malformed)?;
    Ok((status, body.to_owned()))
}

fn reason(status: u16, body: &str) -> String {
    let line = body.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        format!("HTTP status {status}")
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    /// Gives each of `answers` to one connection, then closes.
    async fn server(answers: Vec<&'static str>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn waits_until_the_node_says_yes() {
        let address = server(vec![
            "HTTP/1.1 503 Service Unavailable\r\n\r\nnode behind: 12 commits\n",
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nready",
        ])
        .await;
        assert_eq!(
            ask(address).await,
            Readiness::NotReady("node behind: 12 commits".into())
        );
        assert_eq!(
            ask(address).await,
            Readiness::NotReady("HTTP status 503".into())
        );
        let mut last = None;
        wait(address, &mut last).await;
        assert_eq!(last, Some(Readiness::Ready));
    }

    #[tokio::test]
    async fn what_is_not_http_is_silence() {
        for garbage in [
            "",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 nonsense\r\n\r\n",
            "a b\r\n\r\n",
        ] {
            let address = server(vec![garbage]).await;
            assert!(
                matches!(ask(address).await, Readiness::Silent(_)),
                "{garbage:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_silence() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(ask(address).await, Readiness::Silent(_)));
    }
}
