//! Carries out the commands of a script.

use super::command::{Command, Setup};
use super::tables;
use crate::chain::{ChainPlan, client_account};
use crate::client::Client;
use crate::keys::Scheme;
use crate::message::NodeId;
use crate::network::{Distance, Latency, Links, Topology};
use crate::trace::Line;
use crate::world::told::list;
use crate::{LOOK_MS, Plan, World};

/// Every message takes this long.
const LATENCY_MS: u64 = 10;
const EXECUTION_MS: u64 = 1;

/// A network that does what it is told.
#[derive(Debug, Default)]
pub(super) struct Player {
    stage: Option<Stage>,
}

#[derive(Debug)]
struct Stage {
    world: World,
    clients: Vec<Client>,
}

impl Player {
    /// What the command gave, in lines.
    pub(super) fn carry_out(&mut self, command: &Command) -> Result<Vec<String>, String> {
        if let Command::Setup(setup) = command {
            self.stage = Some(Stage::new(setup));
            return Ok(Vec::new());
        }
        let Some(stage) = &mut self.stage else {
            return Err("the first command is validators".to_owned());
        };
        stage.refuse_unknown(command)?;
        let lines = stage.carry_out(command);
        match stage.world.oracle().violation() {
            Some(what) => Err(format!("a rule of the protocol is broken: {what}")),
            None => Ok(lines),
        }
    }
}

fn plan(setup: &Setup) -> Plan {
    Plan {
        chain: ChainPlan {
            validators: setup.validators,
            standby: setup.standby,
            clients: setup.clients,
            epoch_ms: setup.epoch_ms,
            gc_depth: setup.gc_depth,
            leader_timeout_ms: setup.timeout_ms,
            one_dissenter_halts: false,
            emergency: None,
            vote_age_ms: None,
            idle_ms: None,
            signatures: Scheme::Fast,
        },
        followers: setup.followers,
        twins: setup.twins,
        masters: 0,
        links: Links {
            latency: Latency::Constant(LATENCY_MS),
            distance: Distance::Random(0),
            loss_per_mille: 0,
            duplicate_per_mille: 0,
            corrupt_per_mille: 0,
            slow_uplinks: None,
        },
        verification_ms: (0, 0),
        execution_ms: (EXECUTION_MS, EXECUTION_MS),
        client_pause_ms: None,
        look_ms: LOOK_MS,
    }
}

impl Stage {
    fn new(setup: &Setup) -> Self {
        Self {
            world: World::traced(&plan(setup), setup.seed, true),
            clients: (0..setup.clients)
                .map(|n| Client::new(n, 0, Scheme::Fast))
                .collect(),
        }
    }

    fn carry_out(&mut self, command: &Command) -> Vec<String> {
        let world = &mut self.world;
        let from = world.trace().lines().len();
        match command {
            Command::Setup(_) => return Vec::new(),
            Command::Run(for_ms) => world.run(*for_ms),
            Command::Trace {
                for_ms,
                nodes,
                verbs,
            } => {
                world.run(*for_ms);
                let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
                return told(world, from, nodes, &verbs);
            }
            Command::Show => return tables::standings(world),
            Command::Accounts(node) => return tables::accounts(world, *node),
            Command::Validators(node) => return tables::validators(world, *node),
            Command::Guards => return tables::guards(world),
            Command::Leaders(first, last) => return tables::leaders(world, *first, *last),
            Command::Submit {
                through,
                from,
                to,
                amount,
            } => self.submit(*through, *from, *to, *amount),
            Command::Member { validator, joins } => world.ask_membership(*validator, 0, *joins),
            Command::Cut(node) => {
                let groups: Vec<usize> = (0..world.size())
                    .map(|other| usize::from(other == *node))
                    .collect();
                world.cut(&Topology::Groups(groups));
            }
            Command::Partition(groups) => {
                let group_of = |node| groups.iter().position(|group| group.contains(&node));
                let groups: Vec<usize> = (0..world.size())
                    .map(|node| group_of(node).unwrap_or(groups.len() + node))
                    .collect();
                world.cut(&Topology::Groups(groups));
            }
            Command::Mend => world.mend(),
            Command::Crash(node, loss) => world.crash(*node, *loss),
            Command::CrashAt(node, point) => {
                world.crash_at(*node, *point, crate::disk::Loss::Everything);
            }
            Command::Start(node) => world.start(*node),
            Command::Clock(node, ahead_ms) => world.set_clock(*node, *ahead_ms),
            Command::Byzantine(node, fault) => world.make_byzantine(*node, *fault),
            Command::LoseDisk(node, fault) => world.damage(*node, *fault),
            Command::Twin { of, on } => world.start_twin(*of, *on, false),
        }
        // What else these commands cause is for the next trace to show.
        match command {
            Command::Run(_) => Vec::new(),
            _ => told(&self.world, from, &[], &ENDS),
        }
    }

    fn submit(&mut self, through: NodeId, from: usize, to: usize, amount: u64) {
        let chain = self.world.chain_id();
        let open = self.clients[from].transfer(&chain, client_account(to), amount);
        self.world.submit(through, open.transaction.clone());
    }

    /// An error if the command names what the network does not have.
    fn refuse_unknown(&self, command: &Command) -> Result<(), String> {
        let (nodes, clients): (&[NodeId], &[usize]) = match command {
            Command::Setup(_)
            | Command::Run(_)
            | Command::Show
            | Command::Guards
            | Command::Leaders(..)
            | Command::Mend => (&[], &[]),
            Command::Trace { nodes, .. } => (nodes, &[]),
            Command::Partition(groups) => (&groups.concat(), &[]),
            Command::Submit {
                through, from, to, ..
            } => (&[*through], &[*from, *to]),
            Command::Twin { of, on } => (&[*of, *on], &[]),
            Command::Member {
                validator: node, ..
            }
            | Command::Accounts(node)
            | Command::Validators(node)
            | Command::Cut(node)
            | Command::Crash(node, _)
            | Command::CrashAt(node, _)
            | Command::Start(node)
            | Command::Clock(node, _)
            | Command::Byzantine(node, _)
            | Command::LoseDisk(node, _) => (&[*node], &[]),
        };
        if let Some(node) = nodes.iter().find(|node| **node >= self.world.size()) {
            return Err(format!("there is no node {node}"));
        }
        match clients.iter().find(|one| **one >= self.clients.len()) {
            Some(client) => Err(format!("there is no client-{client}")),
            None => Ok(()),
        }
    }
}

/// What a process does at its two ends, and what becomes of its disk.
const ENDS: [&str; 3] = ["starts", "dies", "gets"];

/// Lines of the trace from number `from` on, of these nodes and with these first words; empty is all. What several nodes
/// do in one moment is one line.
fn told(world: &World, from: usize, nodes: &[NodeId], verbs: &[&str]) -> Vec<String> {
    let is_wanted = |line: &&Line| {
        let verb = line.told.text.split(' ').next().unwrap_or_default();
        (nodes.is_empty() || nodes.contains(&line.node))
            && (verbs.is_empty() || verbs.contains(&verb))
    };
    let mut merged: Vec<(u64, Vec<NodeId>, &str)> = Vec::new();
    for line in world.trace().lines()[from..].iter().filter(is_wanted) {
        let same = merged
            .iter_mut()
            .rev()
            .take_while(|(at_ms, ..)| *at_ms == line.at_ms)
            .find(|(_, by, text)| *text == line.told.text && !by.contains(&line.node));
        match same {
            Some((_, by, _)) => by.push(line.node),
            None => merged.push((line.at_ms, vec![line.node], &line.told.text)),
        }
    }
    let width = 2 * world.size();
    merged
        .into_iter()
        .map(|(at_ms, mut by, text)| {
            by.sort_unstable();
            format!("{at_ms:>6} ms  {:<width$} {text}", list(by))
        })
        .collect()
}
