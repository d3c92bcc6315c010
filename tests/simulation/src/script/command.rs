//! The commands of a script and how they are written.

use crate::byzantine::Fault;
use crate::disk::Loss;
use crate::message::NodeId;
use crate::node::CrashPoint;
use crate::world::DiskFault;
use std::str::FromStr;

/// What the network is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) validators: usize,
    pub(super) standby: usize,
    pub(super) followers: usize,
    pub(super) twins: usize,
    pub(super) clients: usize,
    pub(super) gc_depth: u64,
    pub(super) epoch_ms: u64,
    pub(super) timeout_ms: u64,
    pub(super) seed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Setup(Setup),
    Run(u64),
    Trace {
        for_ms: u64,
        /// None: all.
        nodes: Vec<NodeId>,
        /// First words of what is shown; none: all.
        verbs: Vec<String>,
    },
    Show,
    Accounts(NodeId),
    Validators(NodeId),
    Guards,
    Leaders(u64, u64),
    Submit {
        through: NodeId,
        from: usize,
        to: usize,
        amount: u64,
    },
    Member {
        validator: usize,
        joins: bool,
    },
    Cut(NodeId),
    Partition(Vec<Vec<NodeId>>),
    Mend,
    Crash(NodeId, Loss),
    CrashAt(NodeId, CrashPoint),
    Start(NodeId),
    Clock(NodeId, i64),
    Byzantine(NodeId, Fault),
    LoseDisk(NodeId, DiskFault),
    Twin {
        of: NodeId,
        on: NodeId,
    },
}

const LOSSES: [(&str, Loss); 3] = [
    ("everything", Loss::Everything),
    ("suffix", Loss::Suffix),
    ("nothing", Loss::Nothing),
];

const POINTS: [(&str, CrashPoint); 5] = [
    ("before-write", CrashPoint::BeforeWrite),
    ("before-sync", CrashPoint::BeforeSync),
    ("before-guard", CrashPoint::BeforeGuard),
    ("before-send", CrashPoint::BeforeSend),
    ("after-block", CrashPoint::AfterBlock),
];

const FAULTS: [(&str, Fault); 15] = [
    ("equivocator", Fault::Equivocator),
    ("silent", Fault::Silent),
    ("withholder", Fault::Withholder),
    ("wrong-root", Fault::WrongRoot),
    ("timestamp-pusher", Fault::TimestampPusher),
    ("future-flooder", Fault::FutureFlooder),
    ("inventor", Fault::Inventor),
    ("invalid", Fault::Invalid),
    ("height-liar", Fault::HeightLiar),
    ("mute-answerer", Fault::MuteAnswerer),
    ("fetch-abuser", Fault::FetchAbuser),
    ("forger", Fault::Forger),
    ("two-blocks", Fault::TwoBlocks),
    ("two-ends", Fault::TwoEnds),
    ("false-voter", Fault::FalseVoter),
];

const DISK_FAULTS: [(&str, DiskFault); 2] = [
    ("with-guard", DiskFault::DataLost),
    ("without-guard", DiskFault::AllLost),
];

impl Command {
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["validators", count, rest @ ..] => Self::Setup(setup(number(count)?, rest)?),
            ["run", time] => Self::Run(duration_ms(time)?),
            ["trace", time, rest @ ..] => trace(duration_ms(time)?, rest),
            ["show"] => Self::Show,
            ["accounts", node] => Self::Accounts(number(node)?),
            ["validators-of", node] => Self::Validators(number(node)?),
            ["guards"] => Self::Guards,
            ["leaders", first, last] => Self::Leaders(number(first)?, number(last)?),
            ["submit", through, from, "pays", to, amount] => Self::Submit {
                through: number(through)?,
                from: client(from)?,
                to: client(to)?,
                amount: number(amount)?,
            },
            ["join", validator] => Self::Member {
                validator: number(validator)?,
                joins: true,
            },
            ["leave", validator] => Self::Member {
                validator: number(validator)?,
                joins: false,
            },
            ["cut", node] => Self::Cut(number(node)?),
            ["partition", groups @ ..] => Self::Partition(parse_groups(groups)?),
            ["mend"] => Self::Mend,
            ["crash", node, "at", point] => Self::CrashAt(number(node)?, named(point, &POINTS)?),
            ["crash", node, loss] => Self::Crash(number(node)?, named(loss, &LOSSES)?),
            ["start", node] => Self::Start(number(node)?),
            ["clock", node, ahead] => Self::Clock(number(node)?, signed_duration_ms(ahead)?),
            ["byzantine", node, fault] => Self::Byzantine(number(node)?, named(fault, &FAULTS)?),
            ["lose-disk", node, what] => Self::LoseDisk(number(node)?, named(what, &DISK_FAULTS)?),
            ["twin", of, on] => Self::Twin {
                of: number(of)?,
                on: number(on)?,
            },
            _ => {
                return Err(format!(
                    "{line:?} is no command; see the documentation of script.rs"
                ));
            }
        })
    }
}

fn setup(validators: usize, rest: &[&str]) -> Result<Setup, String> {
    let mut setup = Setup {
        validators,
        standby: 0,
        followers: 0,
        twins: 0,
        clients: 2,
        gc_depth: 20,
        epoch_ms: 3_600_000,
        timeout_ms: 250,
        seed: 7,
    };
    let pairs = rest.chunks_exact(2);
    if let [word, ..] = pairs.remainder() {
        return Err(format!("{word:?} stands without a value"));
    }
    for pair in pairs {
        let [what, value] = pair else { continue };
        match *what {
            "standby" => setup.standby = number(value)?,
            "followers" => setup.followers = number(value)?,
            "twins" => setup.twins = number(value)?,
            "clients" => setup.clients = number(value)?,
            "gc" => setup.gc_depth = number(value)?,
            "epoch" => setup.epoch_ms = duration_ms(value)?,
            "timeout" => setup.timeout_ms = duration_ms(value)?,
            "seed" => setup.seed = number(value)?,
            _ => return Err(format!("a network has no {what:?}")),
        }
    }
    Ok(setup)
}

fn trace(for_ms: u64, rest: &[&str]) -> Command {
    let (nodes, verbs): (Vec<&str>, Vec<&str>) =
        rest.iter().partition(|word| word.parse::<NodeId>().is_ok());
    Command::Trace {
        for_ms,
        nodes: nodes.iter().filter_map(|word| word.parse().ok()).collect(),
        verbs: verbs.into_iter().map(str::to_owned).collect(),
    }
}

fn parse_groups(words: &[&str]) -> Result<Vec<Vec<NodeId>>, String> {
    words
        .split(|word| *word == "|")
        .map(|group| group.iter().map(|word| number(word)).collect())
        .collect()
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is no number"))
}

fn client(word: &str) -> Result<usize, String> {
    let count = word.strip_prefix("client-");
    number(count.ok_or_else(|| format!("{word:?} is no client; say client-0"))?)
}

fn duration_ms(word: &str) -> Result<u64, String> {
    let (digits, factor) = if let Some(digits) = word.strip_suffix("ms") {
        (digits, 1)
    } else {
        (word.strip_suffix('s').unwrap_or_default(), 1_000)
    };
    let count: Option<u64> = digits.parse().ok();
    count
        .and_then(|count| count.checked_mul(factor))
        .ok_or_else(|| format!("{word:?} is no time; say 200ms or 3s"))
}

fn signed_duration_ms(word: &str) -> Result<i64, String> {
    let wrong = || format!("{word:?} is no change of a clock; say +5s or -200ms");
    let (sign, time) = match word.split_at_checked(1) {
        Some(("+", time)) => (1, time),
        Some(("-", time)) => (-1, time),
        _ => return Err(wrong()),
    };
    let ms = i64::try_from(duration_ms(time)?).map_err(|_| wrong())?;
    Ok(sign * ms)
}

fn named<T: Copy>(word: &str, all: &[(&str, T)]) -> Result<T, String> {
    let found = all.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        format!("{word:?} is none of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        for (line, expected) in [
            ("run 2s", Command::Run(2_000)),
            ("crash 2 at before-sync", {
                Command::CrashAt(2, CrashPoint::BeforeSync)
            }),
            ("crash 1 suffix", Command::Crash(1, Loss::Suffix)),
            ("clock 1 -200ms", Command::Clock(1, -200)),
            (
                "partition 0 1 | 2",
                Command::Partition(vec![vec![0, 1], vec![2]]),
            ),
            (
                "trace 1s 0 sends 2 commits",
                Command::Trace {
                    for_ms: 1_000,
                    nodes: vec![0, 2],
                    verbs: vec!["sends".to_owned(), "commits".to_owned()],
                },
            ),
            (
                "submit 4 client-0 pays client-1 500",
                Command::Submit {
                    through: 4,
                    from: 0,
                    to: 1,
                    amount: 500,
                },
            ),
        ] {
            assert_eq!(Command::parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn a_network_is_read_with_what_differs_from_the_usual() {
        let Ok(Command::Setup(usual)) = Command::parse("validators 4") else {
            panic!("it is a network");
        };
        let expected = Setup {
            followers: 1,
            epoch_ms: 5_000,
            ..usual
        };
        assert_eq!(
            Command::parse("validators 4 followers 1 epoch 5s"),
            Ok(Command::Setup(expected))
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("run 2", "\"2\" is no time; say 200ms or 3s"),
            ("run 18446744073709551615s", "say 200ms or 3s"),
            ("clock 1 5s", "say +5s or -200ms"),
            ("crash x nothing", "\"x\" is no number"),
            ("crash 1 all", "none of everything, suffix, nothing"),
            ("validators 4 gc", "\"gc\" stands without a value"),
            ("validators 4 moons 2", "a network has no \"moons\""),
            ("submit 0 bob pays client-1 5", "\"bob\" is no client"),
            ("start", "\"start\" is no command"),
        ] {
            let error = Command::parse(line).expect_err("it is wrong");
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn all_faults_have_names() {
        for fault in Fault::ALL {
            assert!(FAULTS.iter().any(|(_, named)| named == fault), "{fault:?}");
        }
    }
}
