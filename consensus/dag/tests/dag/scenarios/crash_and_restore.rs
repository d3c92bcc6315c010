//! A validator crashes in the middle of an era, between any two vertices. It comes back with its commits and the vertices it
//! had stored, receives the rest, and commits and proposes as one that never stopped.

use crate::harness::{Vertices, config, feed, said};
use holdfast_dag::drawing::Drawing;
use holdfast_dag::{DagConfig, DagCore, Pace, SubDag};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{AuthorityIndex, CommitRecord, Round};
use std::sync::Arc;

/// A missing leader, an indirect commit and a straggler on the way.
const TEXT: &str = "@1..2: *
    @3 -^3: *
    !first ^4
    @4 -^3: *
    @5 first(q): *
    @5 rest(q): * -^4
    @6 first(1): *
    @6 rest(1): * -^4
    @7..12: *";

const ME: AuthorityIndex = AuthorityIndex(0);

fn new_core(drawing: &Drawing, config: &DagConfig, records: &[CommitRecord]) -> DagCore {
    let context = Arc::clone(&drawing.context);
    DagCore::restore(CHAIN, context, config.clone(), Some(ME), records, 0)
}

/// As a replica does: own vertices are told to the core when they are accepted.
fn run(core: &mut DagCore, vertices: &[Arc<holdfast_types::VerifiedVertex>]) -> Vec<SubDag> {
    let mut committed = Vec::new();
    for vertex in vertices {
        drop(core.add(Arc::clone(vertex), 0));
        if vertex.author() == ME {
            core.proposed(vertex, 0);
        }
        committed.extend(core.try_commit(0).0);
    }
    committed
}

#[test]
fn crash_after_any_vertex_and_restore() {
    for size in [4, 7, 21] {
        let mut config = config(1);
        config.gc_depth = 5;
        let drawing = Drawing::new(size, TEXT);
        let mut live = new_core(&drawing, &config, &[]);
        let all = said(&run(&mut live, &drawing.vertices));
        assert_eq!(all.last().map(|last| last.leader.round), Some(Round(10)));
        let step = if size == 21 { 10 } else { 1 };
        for crash in (0..drawing.vertices.len()).step_by(step) {
            let mut before = new_core(&drawing, &config, &[]);
            let first = run(&mut before, &drawing.vertices[..crash]);
            let records: Vec<CommitRecord> = first.iter().map(|s| s.record.clone()).collect();
            let mut restored = new_core(&drawing, &config, &records);
            let stored: Vertices = drawing.vertices[..crash].to_vec();
            let mut second = feed(&mut restored, &stored);
            assert!(
                second.is_empty(),
                "the store brings no commit that was not known"
            );
            if let Some(own) = stored.iter().rfind(|vertex| vertex.author() == ME) {
                restored.set_own_last(own);
            }
            assert_eq!(
                restored.round(),
                before.round(),
                "n = {size}, crash after {crash}"
            );
            assert_eq!(
                plan(&restored),
                plan(&before),
                "n = {size}, crash after {crash}: the same proposal"
            );
            second.extend(run(&mut restored, &drawing.vertices[crash..]));
            let both = [said(&first), said(&second)].concat();
            assert_eq!(both, all, "n = {size}, crash after {crash}");
        }
    }
}

/// What the core would propose after any wait.
fn plan(core: &DagCore) -> Pace {
    core.pace(1_000_000, false)
}
