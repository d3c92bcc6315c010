//! What stays of a panic: a line in the log and `last-panic.txt` in the home folder.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Name of the record in the home folder.
pub const FILE_NAME: &str = "last-panic.txt";

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on every panic of the process is logged and recorded in `home`. Of several panics in one process the
/// first stands on top: it is the cause.
pub fn install(home: &Path) {
    let path = home.join(FILE_NAME);
    let seen = AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without name");
        let summary = summarize(info);
        let backtrace = Backtrace::force_capture();
        tracing::error!(thread, backtrace = %backtrace, "PANIC {summary}");
        if !tracing::enabled!(tracing::Level::ERROR) {
            eprintln!("panic in thread {thread}: {summary}");
        }
        let first = !seen.swap(true, Ordering::SeqCst);
        if let Err(error) = record(&path, first, thread, &summary, &backtrace) {
            tracing::error!(path = %path.display(), %error, "cannot record the panic");
        }
        LAST.set(Some(summary));
    }));
}

/// Takes what the last panic of this thread said, with its place in the source.
#[must_use]
pub fn take_last() -> Option<String> {
    LAST.take()
}

fn summarize(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("a value that is not text");
    match info.location() {
        Some(location) => format!("{message} (at {}:{})", location.file(), location.line()),
        None => message.to_owned(),
    }
}

fn record(
    path: &PathBuf,
    first: bool,
    thread: &str,
    summary: &str,
    backtrace: &Backtrace,
) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .append(!first)
        .truncate(first)
        .open(path)?;
    writeln!(file, "time:    {}", crate::clock::utc_now())?;
    writeln!(file, "version: holdfast {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(file, "thread:  {thread}")?;
    writeln!(file, "panic:   {summary}")?;
    writeln!(file, "{backtrace}")?;
    file.sync_all()
}
