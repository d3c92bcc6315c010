//! One file per scenario, drawn in text, each opening with the scenario in prose (STYLE E13).

mod crash_and_restore;
mod direct_commit;
mod direct_skip;
mod equivocating_leader;
mod indirect_commit;
mod indirect_skip;
mod late_vertices;
mod missing_leader;
mod several_leaders;
