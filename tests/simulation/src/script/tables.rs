//! What a script shows of a network.

use crate::World;
use crate::chain::{client_account, validator_account};
use crate::message::NodeId;
use crate::world::told;
use holdfast_chain::ChainStore;
use holdfast_ledger::{account, validator};
use holdfast_replica::{RecordStore, SigningState};
use holdfast_types::{Round, Signer};

/// Where every node stands.
pub(super) fn standings(world: &World) -> Vec<String> {
    let mut lines = vec!["node  era  round  head  certified  LIB  signs".to_owned()];
    for node in 0..world.size() {
        let Some(standing) = world.standing(node) else {
            lines.push(format!("{node:>4}  is down"));
            continue;
        };
        let round = if standing.is_between_eras {
            "-".to_owned()
        } else {
            standing.round.to_string()
        };
        lines.push(format!(
            "{node:>4}  {:>3}  {round:>5}  {:>4}  {:>9}  {:>3}  {}",
            standing.era.to_string(),
            standing.head.to_string(),
            standing.certified.to_string(),
            standing.irreversible.to_string(),
            signing(world, node, &standing.signing)
        ));
    }
    lines
}

fn signing(world: &World, node: NodeId, state: &SigningState) -> String {
    let Some(running) = &world.node(node).running else {
        return String::new();
    };
    let replica = &running.replica;
    match state {
        SigningState::NoKey => "no: it follows".to_owned(),
        SigningState::Active if replica.dag().is_some_and(|dag| dag.authority().is_none()) => {
            "no: it is no member".to_owned()
        }
        SigningState::Active if replica.listens() => "not yet: it listens".to_owned(),
        SigningState::Active => "yes".to_owned(),
        SigningState::Stopped(why) => format!("no: {why}"),
    }
}

/// The clients' accounts in the state of a node.
pub(super) fn accounts(world: &World, node: NodeId) -> Vec<String> {
    let tables = world.node(node).disk.now();
    let lines = (0..world.plan.chain.clients).filter_map(|client| {
        let name = client_account(client);
        let found = account(tables, &name).ok()??;
        let (balance, nonce) = (found.balance, found.nonce);
        Some(format!("{name}  balance {balance}  next nonce {nonce}"))
    });
    lines.collect()
}

/// The validators in the state of a node.
pub(super) fn validators(world: &World, node: NodeId) -> Vec<String> {
    let tables = world.node(node).disk.now();
    let registered = world.plan.chain.validators + world.plan.chain.standby;
    (0..registered)
        .filter_map(|number| validator(tables, &validator_account(number)).ok().flatten())
        .map(|found| {
            let mut line = format!("{}  stake {}", found.owner, found.bonded.amount);
            if found.signing_key.is_none() {
                line.push_str("  has no signing key");
            }
            if found.offence_eras > 0 {
                let percent = found.offence_basis_points / 100;
                line.push_str(&format!("  jailed, lost {percent} % of its stake"));
            }
            line
        })
        .collect()
}

/// What every key must not sign any more, and what its disk has.
pub(super) fn guards(world: &World) -> Vec<String> {
    let lines = (0..world.size()).filter_map(|node| {
        world.node(node).key.as_ref()?;
        let guard = told::guard(world.node(node).disk.guard());
        let last = last_own(world, node).map_or_else(
            || "no own vertex".to_owned(),
            |round| format!("own vertices up to round {round}"),
        );
        Some(format!("node {node}: guard: {guard}; disk: {last}"))
    });
    lines.collect()
}

/// The round of the last own vertex of the running era that the disk holds.
fn last_own(world: &World, node: NodeId) -> Option<Round> {
    let node = world.node(node);
    let tables = node.disk.now();
    let era = tables.latest_era().ok()??;
    let author = era
        .committee
        .authority_of_key(&node.key.as_ref()?.public_key())?;
    let found = tables.vertex_references(era.era, Round::ZERO..Round(u64::MAX));
    let own = found.ok()?.into_iter().filter(|one| one.author == author);
    own.map(|one| one.round).max()
}

/// Who leads these rounds, as the first node that runs sees it.
pub(super) fn leaders(world: &World, first: u64, last: u64) -> Vec<String> {
    let mut running = (0..world.size()).filter_map(|node| world.node(node).running.as_ref());
    let Some(dag) = running.find_map(|running| running.replica.dag()) else {
        return vec!["no node has a DAG".to_owned()];
    };
    let leaders = (first..=last).flat_map(|round| dag.schedule().leaders(Round(round)));
    let leaders = told::list(leaders);
    vec![format!("rounds {first} to {last} are led by {leaders}")]
}
