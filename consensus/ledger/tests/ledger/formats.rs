//! What is stored, and what a fixed history gives: both may only change on purpose.

use crate::slashing::equivocation;
use crate::world::{EPOCH_MS, World, name, transfer, verified};
use holdfast_ledger::objects::{
    Account, DynamicProperties, EmergencyProducer, EmergencyRecord, Penalty, PunishedSlot,
    ReversibleTimestamps, StakePosition, StateObject, Supports, Unbonding, Validator,
    ValidatorName,
};
use holdfast_ledger::pool::Pool;
use holdfast_pinned::Formats;
use holdfast_types::test_util::{Sample, Sampler};
use holdfast_types::{Action, Era, Governors};
use std::fmt::Debug;
use std::path::Path;

const CASES: u64 = 256;

/// Samples of an object, whose encoding has been seen to survive.
fn samples<T: StateObject + Debug>(
    label: &'static str,
    draw: fn(&mut Sampler) -> T,
) -> impl Iterator<Item = T> {
    (0..CASES).map(move |case| {
        let sample = draw(&mut Sampler::new(label, case));
        let bytes = sample.encode();
        assert_eq!(bytes[0], T::VERSION);
        assert_eq!(T::decode(&bytes).as_ref(), Ok(&sample));
        sample
    })
}

/// A function that draws every field of an object.
macro_rules! draw {
    ($name:ident { $($field:ident),* $(,)? } $($pool:ident),*) => {
        |sampler| $name {
            $($field: Sample::sample(sampler),)*
            $($pool: draw_pool(sampler),)*
        }
    };
}

fn draw_emergency(sampler: &mut Sampler) -> EmergencyRecord {
    let producers = (0..sampler.below(4)).map(|_| EmergencyProducer {
        account: Sample::sample(sampler),
        run: Sample::sample(sampler),
        last_slot: Sample::sample(sampler),
        last_supported: Sample::sample(sampler),
    });
    let producers = producers.collect();
    let halves: (u64, u64) = (Sample::sample(sampler), Sample::sample(sampler));
    EmergencyRecord {
        slot_zero: Sample::sample(sampler),
        last_slot: Sample::sample(sampler),
        round: Sample::sample(sampler),
        schedule: Sample::sample(sampler),
        producers,
        recent: Sample::sample(sampler),
        filled: u128::from(halves.0) << 64 | u128::from(halves.1),
    }
}

fn draw_pool(sampler: &mut Sampler) -> Pool {
    Pool {
        amount: Sample::sample(sampler),
        shares: Sample::sample(sampler),
        generation: Sample::sample(sampler),
    }
}

fn formats() -> Formats {
    let mut formats = Formats::default();
    macro_rules! add {
        ($name:ident { $($field:ident),* $(,)? } $($pool:ident),*) => {
            let label = stringify!($name);
            formats.add(label, samples::<$name>(label, draw!($name { $($field),* } $($pool),*)));
        };
    }
    add!(Account {
        public_key,
        balance,
        nonce,
        unbondings
    });
    add!(DynamicProperties {
        height,
        timestamp,
        era,
        committee,
        epoch,
        epoch_start,
        lib,
        lib_timestamp,
        stall_clock,
        emergency_consensus_active,
        emergency_consensus_start_block,
        halted_ms,
        total_supply,
        treasury,
        properties,
        hardfork_version,
        validators,
        candidates,
        unbonding_first,
        unbonding_next,
        penalty_first,
        penalty_next,
    });
    let label = "EmergencyRecord";
    formats.add(label, samples::<EmergencyRecord>(label, draw_emergency));
    add!(Governors {
        keys,
        threshold,
        sequence
    });
    add!(Penalty {
        validator,
        percent,
        expires_at
    });
    add!(PunishedSlot { validator, height });
    add!(ReversibleTimestamps { first, timestamps });
    add!(StakePosition { shares, generation });
    add!(Supports { heights });
    add!(Unbonding {
        account,
        validator,
        shares,
        generation,
        completes_at
    });
    add!(Validator {
        owner, signing_key, url, registered_at, jailed_until, offence_eras, offence_era, offence_basis_points,
        penalty_percent, property_vote, hardfork_vote, index, candidate_index,
    } bonded, unbonding);
    add!(ValidatorName { name });
    formats
}

#[test]
fn formats_are_as_pinned() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance.toml");
    formats().compare(&path);
}

/// State roots of a short history that touches every kind of object.
#[test]
fn a_fixed_history_has_the_pinned_roots() {
    let mut world = World::new(4);
    let genesis = holdfast_ledger::state_root(&world.state).expect("it reads");
    let mut roots = vec![genesis.expect("it is stored").to_string()];
    let validator = name("validator-1");
    let blocks = [
        vec![("alice", transfer("bob", 5)), ("bob", transfer("alice", 7))],
        vec![(
            "alice",
            Action::Stake {
                validator,
                amount: 900,
            },
        )],
        vec![(
            "alice",
            Action::Unstake {
                validator,
                amount: 400,
            },
        )],
        vec![("carol", crate::validators::register(None))],
    ];
    for block in blocks {
        let transactions: Vec<_> = block
            .into_iter()
            .map(|(sender, action)| verified(world.body(sender, action)))
            .collect();
        let supports = world.supports(world.properties().height);
        roots.push(
            world
                .execute(1_000, &transactions, &supports, &[])
                .state_root
                .to_string(),
        );
    }
    let evidence = [(equivocation(Era(1), 1, 9), validator)];
    roots.push(
        world
            .execute(1_000, &[], &[], &evidence)
            .state_root
            .to_string(),
    );
    roots.push(
        world
            .execute(EPOCH_MS, &[], &[], &[])
            .state_root
            .to_string(),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/state_roots.txt");
    holdfast_pinned::check_file(&path, &format!("{}\n", roots.join("\n")));
}
