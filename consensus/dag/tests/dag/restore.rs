//! A core that is restored at any commit goes on as the one that ran through (FAULTS C13, F12).

use crate::harness::{Random, Vertices, core, feed, said};
use crate::random_dag::{RandomDag, Shape, tight_config};
use holdfast_dag::{AddOutcome, DagConfig, DagCore, SubDag};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{CommitRecord, Round};
use std::collections::BTreeMap;
use std::sync::Arc;

struct Live {
    dag: RandomDag,
    config: DagConfig,
    sub_dags: Vec<SubDag>,
    core: DagCore,
}

fn live(seed: u64) -> Live {
    let mut random = Random::new(seed);
    let mut shape = Shape::of(&mut random);
    shape.rounds += 10;
    let config = tight_config(&mut random);
    let dag = RandomDag::new(&shape, &mut random);
    let mut core = core(&dag.context, &config);
    let sub_dags = feed(&mut core, &dag.vertices);
    Live {
        dag,
        config,
        sub_dags,
        core,
    }
}

impl Live {
    /// From the last records before `cut`, as many as a restore needs.
    fn restored(&self, cut: usize) -> DagCore {
        let needed = usize::try_from(DagCore::commits_needed(&self.config)).expect("small");
        let records: Vec<CommitRecord> = self.sub_dags[cut.saturating_sub(needed)..cut]
            .iter()
            .map(|sub_dag| sub_dag.record.clone())
            .collect();
        DagCore::restore(
            CHAIN,
            Arc::clone(&self.dag.context),
            self.config.clone(),
            None,
            &records,
            0,
        )
    }

    fn assert_goes_on(&self, cut: usize, restored: &DagCore, committed: &[SubDag], seed: u64) {
        assert_eq!(
            said(committed),
            said(&self.sub_dags[cut..]),
            "seed {seed}, restored after {cut} of {} commits",
            self.sub_dags.len()
        );
        assert_eq!(restored.gc_round(), self.core.gc_round());
        assert_eq!(
            restored.round(),
            self.core.round(),
            "seed {seed}, cut {cut}"
        );
        // The slots of the last leader's round and of all above it.
        let mut round = self.core.last_leader_round();
        while round < self.core.last_leader_round().plus(100) {
            assert_eq!(
                restored.schedule().leaders(round),
                self.core.schedule().leaders(round),
                "seed {seed}, cut {cut}, leaders of {round}"
            );
            round = round.next();
        }
    }
}

#[test]
fn restored_at_every_commit_from_the_store() {
    for seed in 0..60 {
        let live = live(seed);
        for cut in 0..=live.sub_dags.len() {
            let mut restored = live.restored(cut);
            let stored: Vertices = live
                .dag
                .vertices
                .iter()
                .filter(|vertex| vertex.round() > restored.gc_round())
                .cloned()
                .collect();
            let committed = feed(&mut restored, &stored);
            live.assert_goes_on(cut, &restored, &committed, seed);
        }
    }
}

/// A node that synced blocks has the commits, and of the vertices only what peers send now: those above the last leader.
/// What these stand on it fetches.
#[test]
fn restored_at_every_commit_after_block_sync() {
    let mut fetched = 0;
    for seed in 100..160 {
        let live = live(seed);
        let by_reference: BTreeMap<_, _> = live
            .dag
            .vertices
            .iter()
            .map(|vertex| (vertex.reference(), vertex))
            .collect();
        for cut in 0..=live.sub_dags.len() {
            let mut restored = live.restored(cut);
            let leader_round = restored.last_leader_round();
            let sent: Vertices = live
                .dag
                .vertices
                .iter()
                .filter(|vertex| vertex.round() > leader_round)
                .cloned()
                .collect();
            let mut committed = feed(&mut restored, &sent);
            let mut now_ms = 0;
            while restored.waiting() != (0, 0) {
                now_ms += 1000;
                assert!(now_ms < 1_000_000, "seed {seed}, cut {cut}: fetching ends");
                for request in restored.fetches(now_ms) {
                    for reference in &request.references {
                        let vertex = Arc::clone(by_reference[reference]);
                        let outcome = restored.add(vertex, now_ms).outcome;
                        assert_ne!(outcome, AddOutcome::WrongGenesis);
                        fetched += 1;
                    }
                }
                committed.extend(restored.try_commit(now_ms).0);
            }
            live.assert_goes_on(cut, &restored, &committed, seed);
        }
    }
    assert!(fetched > 1000, "the test fetches: {fetched}");
}

/// The schedule after a restore from few records is the live one at every cut, through several windows.
#[test]
fn the_schedule_of_a_restored_core_is_the_live_one() {
    for seed in 200..230 {
        let live = live(seed);
        let mut running = core(&live.dag.context, &live.config);
        let mut cut = 0;
        for vertex in &live.dag.vertices {
            drop(running.add(Arc::clone(vertex), 0));
            let committed = running.try_commit(0).0.len();
            if committed == 0 {
                continue;
            }
            cut += committed;
            let restored = live.restored(cut);
            for round in running.last_leader_round().0..running.last_leader_round().0 + 50 {
                assert_eq!(
                    restored.schedule().leaders(Round(round)),
                    running.schedule().leaders(Round(round)),
                    "seed {seed}, cut {cut}, round {round}"
                );
            }
        }
    }
}
