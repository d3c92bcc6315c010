//! One POST over HTTP.

use crate::config::WebhookUrl;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::pending;
use tokio::net::TcpStream;

/// Most bytes of an answer that refuses, for the log.
const ANSWER_BYTES_MAX: usize = 200;

/// Posts JSON; whatever is not answered with success is an error.
pub(super) async fn post(url: &WebhookUrl, body: String) -> Result<(), String> {
    // An IPv6 address stands in brackets.
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, url.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = Request::post(&url.path)
        .header(HOST, format!("{}:{}", url.host, url.port))
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("holdfast/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let mut told = Vec::new();
        let mut body = answer.into_body();
        while told.len() < ANSWER_BYTES_MAX
            && let Some(Ok(frame)) = body.frame().await
        {
            told.extend(frame.into_data().unwrap_or_default());
        }
        told.truncate(ANSWER_BYTES_MAX);
        Err(format!(
            "{status}: {}",
            String::from_utf8_lossy(&told).trim()
        ))
    };
    // It is driven until the exchange is over; if it ends before, the exchange says so.
    let driven = async {
        drop(connection.await);
        pending::<Infallible>().await
    };
    tokio::select! {
        result = exchange => result,
        never = driven => match never {},
    }
}
