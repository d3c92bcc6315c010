//! The live table of a devnet: redrawn in place on a terminal, one line per interval otherwise.

use std::fmt::Write as _;
use std::time::Duration;

/// How a node is doing, as its supervisor sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeState {
    Starting,
    Up,
    /// Runs but is not ready, for this reason.
    NotReady(String),
    /// Not running, for this reason.
    Down(String),
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFigures {
    pub height: u64,
    pub lib: u64,
    pub certified: u64,
    pub round: u64,
    /// Transactions in blocks since the node started.
    pub transactions: u64,
    /// Submission to irreversible.
    pub finality_ms_p50: Option<u64>,
    pub finality_ms_p99: Option<u64>,
    pub peers: u32,
}

/// One node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSample {
    pub name: String,
    pub state: NodeState,
    /// Nothing while the node does not answer.
    pub figures: Option<NodeFigures>,
    pub resident_bytes: Option<u64>,
}

/// Where the table goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Redraw in place; lines are cut to this many columns, since a wrapped line would break the redraw.
    Terminal { columns: u16 },
    /// One line per call.
    Lines,
}

impl Target {
    /// A terminal if standard output is one.
    #[must_use]
    pub fn of_stdout() -> Self {
        rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .filter(|size| size.ws_col > 0)
            .map_or(Self::Lines, |size| Self::Terminal {
                columns: size.ws_col,
            })
    }
}

/// Turns samples into text; keeps the last samples to tell rates.
#[derive(Debug)]
pub struct Table {
    target: Target,
    last: Option<(Duration, Vec<NodeSample>)>,
    drawn_lines: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rates {
    rounds_per_s: Option<f64>,
    transactions_per_s: Option<f64>,
}

const HEADER: &str =
    "node state      height      LIB certified rounds/s   tx/s p50ms p99ms peers  MiB";

impl Table {
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self {
            target,
            last: None,
            drawn_lines: 0,
        }
    }

    /// The text to write now. `elapsed` is the time since the devnet started.
    #[must_use]
    pub fn draw(&mut self, elapsed: Duration, samples: Vec<NodeSample>) -> String {
        let rates: Vec<Rates> = samples
            .iter()
            .map(|sample| self.rates_of(elapsed, sample))
            .collect();
        let text = match self.target {
            Target::Terminal { columns } => self.redraw(elapsed, &samples, &rates, columns),
            Target::Lines => summary_line(elapsed, &samples, &rates),
        };
        self.last = Some((elapsed, samples));
        text
    }

    fn rates_of(&self, elapsed: Duration, sample: &NodeSample) -> Rates {
        let rates = || {
            let (then, samples) = self.last.as_ref()?;
            let old = samples
                .iter()
                .find(|old| old.name == sample.name)?
                .figures
                .as_ref()?;
            let new = sample.figures.as_ref()?;
            let seconds = elapsed.checked_sub(*then)?.as_secs_f64();
            // A counter that went back belongs to a node that restarted: no rate for one interval.
            let rate = |new: u64, old: u64| {
                let delta = new.checked_sub(old).filter(|_| seconds > 0.0)?;
                Some(delta as f64 / seconds)
            };
            Some(Rates {
                rounds_per_s: rate(new.round, old.round),
                transactions_per_s: rate(new.transactions, old.transactions),
            })
        };
        rates().unwrap_or_default()
    }

    fn redraw(
        &mut self,
        elapsed: Duration,
        samples: &[NodeSample],
        rates: &[Rates],
        columns: u16,
    ) -> String {
        let up = samples
            .iter()
            .filter(|sample| sample.state == NodeState::Up)
            .count();
        let mut lines = vec![
            format!(
                "{} s, {up} of {} up; Ctrl-C stops all",
                elapsed.as_secs(),
                samples.len()
            ),
            HEADER.to_owned(),
        ];
        lines.extend(
            samples
                .iter()
                .zip(rates)
                .map(|(sample, rates)| row(sample, *rates)),
        );
        for sample in samples {
            if let NodeState::NotReady(reason) | NodeState::Down(reason) = &sample.state {
                lines.push(format!("{}: {reason}", sample.name));
            }
        }
        let mut text = String::new();
        if self.drawn_lines > 0 {
            // Up to the first line of the last drawing, then clear from there.
            let _infallible = write!(text, "\x1b[{}A\x1b[J", self.drawn_lines);
        }
        for line in &lines {
            text.extend(line.chars().take(usize::from(columns)).map(without_control));
            text.push('\n');
        }
        self.drawn_lines = lines.len();
        text
    }
}

/// Reasons come from other processes: a control character in them would break the terminal.
fn without_control(character: char) -> char {
    if character.is_control() {
        ' '
    } else {
        character
    }
}

fn row(sample: &NodeSample, rates: Rates) -> String {
    let state = match &sample.state {
        NodeState::Starting => "starting",
        NodeState::Up => "up",
        NodeState::NotReady(_) => "waiting",
        NodeState::Down(_) => "down",
    };
    let figure = |pick: fn(&NodeFigures) -> u64| or_dash(sample.figures.as_ref().map(pick));
    let finality =
        |pick: fn(&NodeFigures) -> Option<u64>| or_dash(sample.figures.as_ref().and_then(pick));
    format!(
        "{:<4} {:<8} {:>8} {:>8} {:>9} {:>8} {:>6} {:>5} {:>5} {:>5} {:>4}",
        sample.name,
        state,
        figure(|figures| figures.height),
        figure(|figures| figures.lib),
        figure(|figures| figures.certified),
        or_dash(rates.rounds_per_s.map(|rate| format!("{rate:.1}"))),
        or_dash(rates.transactions_per_s.map(|rate| format!("{rate:.0}"))),
        finality(|figures| figures.finality_ms_p50),
        finality(|figures| figures.finality_ms_p99),
        figure(|figures| u64::from(figures.peers)),
        or_dash(sample.resident_bytes.map(mebibytes)),
    )
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

const fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1024 * 1024)
}

/// `key=value` pairs, so that both people and scripts can read a log of them. Heights are those of the node that is
/// furthest behind, finality and memory those of the worst; rates are of the fastest, since all execute the same.
fn summary_line(elapsed: Duration, samples: &[NodeSample], rates: &[Rates]) -> String {
    let figures = || samples.iter().filter_map(|sample| sample.figures.as_ref());
    let lowest = |pick: fn(&NodeFigures) -> u64| or_dash(figures().map(pick).min());
    let slowest = |pick: fn(&NodeFigures) -> Option<u64>| or_dash(figures().filter_map(pick).max());
    let fastest = |pick: fn(&Rates) -> Option<f64>, digits: usize| {
        let rate = rates.iter().filter_map(pick).max_by(f64::total_cmp);
        or_dash(rate.map(|rate| format!("{rate:.digits$}")))
    };
    let up = samples
        .iter()
        .filter(|sample| sample.state == NodeState::Up)
        .count();
    let mut line = format!(
        "t={}s up={up}/{} height={} lib={} certified={} rounds_per_s={} tx_per_s={} finality_ms_p50={} \
         finality_ms_p99={} peers={} rss_mib_max={}",
        elapsed.as_secs(),
        samples.len(),
        lowest(|figures| figures.height),
        lowest(|figures| figures.lib),
        lowest(|figures| figures.certified),
        fastest(|rates| rates.rounds_per_s, 1),
        fastest(|rates| rates.transactions_per_s, 0),
        slowest(|figures| figures.finality_ms_p50),
        slowest(|figures| figures.finality_ms_p99),
        lowest(|figures| u64::from(figures.peers)),
        or_dash(
            samples
                .iter()
                .filter_map(|sample| sample.resident_bytes)
                .max()
                .map(mebibytes)
        ),
    );
    for sample in samples {
        match &sample.state {
            NodeState::Starting | NodeState::Up => {}
            NodeState::NotReady(reason) => {
                let _infallible = write!(line, " {}=not-ready({reason:?})", sample.name);
            }
            NodeState::Down(reason) => {
                let _infallible = write!(line, " {}=down({reason:?})", sample.name);
            }
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
