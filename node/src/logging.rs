//! Logs: one line of text for people or one JSON object for machines, to standard error, with a filter that can be
//! changed while the node runs.

use crate::config::{LogFormat, LogSettings};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use std::io::IsTerminal as _;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, reload};

/// Changes what is logged while the node runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// The filter was not changed.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("{filter:?} is not a log filter such as info,holdfast=debug: {reason}")]
    Invalid { filter: String, reason: String },
    #[error("logging has ended")]
    Ended,
}

impl LogHandle {
    /// Puts another filter in force at once.
    ///
    /// # Errors
    /// When the text is not a filter; the old one stays in force.
    pub fn set_filter(&self, filter: &str) -> Result<(), FilterError> {
        let parsed = EnvFilter::try_new(filter).map_err(|error| FilterError::Invalid {
            filter: filter.to_owned(),
            reason: error.to_string(),
        })?;
        self.filter.reload(parsed).map_err(|_| FilterError::Ended)?;
        tracing::info!(filter, "log filter changed");
        Ok(())
    }

    /// The filter in force, or nothing once logging has ended.
    #[must_use]
    pub fn filter(&self) -> Option<String> {
        self.filter.with_current(ToString::to_string).ok()
    }
}

/// Makes the process log to standard error. Works once per process.
///
/// # Errors
/// When the process logs already.
pub fn start(settings: &LogSettings) -> Result<LogHandle, Failure> {
    let colours = std::io::stderr().is_terminal();
    let (subscriber, handle) = subscriber(settings, std::io::stderr, colours)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|error| {
        Failure::new(
            ExitCode::Internal,
            "cannot start logging",
            error,
            "report this as a bug of holdfast",
        )
    })?;
    Ok(handle)
}

fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
    colours: bool,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogHandle), Failure>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            format!("{:?} is not a log filter", settings.filter),
            error,
            "write it like info,holdfast=debug",
        )
    })?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match settings.format {
        LogFormat::Text => lines.with_ansi(colours).with_target(true).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_thread_names(true)
            .boxed(),
    };
    let subscriber = Registry::default().with(filter).with(lines);
    Ok((subscriber, LogHandle { filter: handle }))
}

/// What is logged meanwhile on this thread.
#[cfg(test)]
pub(crate) fn captured(run: impl FnOnce()) -> String {
    tests::captured(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn logging(format: LogFormat, filter: &str) -> (Lines, impl Subscriber, LogHandle) {
        let lines = Lines::default();
        let writer = lines.clone();
        let settings = LogSettings {
            format,
            filter: filter.to_owned(),
        };
        let (subscriber, handle) = subscriber(&settings, move || writer.clone(), false).unwrap();
        (lines, subscriber, handle)
    }

    pub(super) fn captured(run: impl FnOnce()) -> String {
        let (lines, subscriber, _handle) = logging(LogFormat::Text, "info");
        tracing::subscriber::with_default(subscriber, run);
        lines.text()
    }

    #[test]
    fn text_lines_carry_level_message_and_fields() {
        let (lines, subscriber, _handle) = logging(LogFormat::Text, "info");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(height = 7, "block applied");
            tracing::debug!("not shown");
        });
        let text = lines.text();
        assert!(
            text.contains("INFO") && text.contains("block applied height=7"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn json_lines_are_one_object_each() {
        let (lines, subscriber, _handle) = logging(LogFormat::Json, "info");
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(height = 7, "block\napplied");
        });
        let object: serde_json::Value = serde_json::from_str(lines.text().trim_end()).unwrap();
        assert_eq!(object["level"], "WARN");
        assert_eq!(object["message"], "block\napplied");
        assert_eq!(object["height"], 7);
    }

    #[test]
    fn the_filter_changes_while_running_and_a_wrong_one_changes_nothing() {
        let (lines, subscriber, handle) = logging(LogFormat::Text, "warn");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            handle.set_filter("info").unwrap();
            tracing::info!("after");
            assert!(matches!(
                handle.set_filter("=[["),
                Err(FilterError::Invalid { .. })
            ));
            tracing::info!("still");
        });
        assert_eq!(handle.filter().as_deref(), None, "the subscriber is gone");
        let text = lines.text();
        assert!(!text.contains("before") && text.contains("after") && text.contains("still"));
    }
}
