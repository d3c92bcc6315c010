//! The attack on the lockdown, for a short and reproducible time.

use holdfast_fuzz::attack::{self, Attack, Tallies};

#[test]
fn h11_nothing_is_taken_that_its_member_has_not_said() {
    let mut all = Tallies::default();
    for number in 0..attack::batches(60_000) {
        attack::add(&mut all, &attack::batch(number));
    }
    for (kind, tally) in Attack::ALL.iter().zip(&all) {
        let is_tagged_often = matches!(kind, Attack::Retagged | Attack::Insider | Attack::Replayed);
        assert!(tally.sent > 100 && tally.decoded > 0, "{kind:?}: {tally:?}");
        assert_eq!(
            tally.tagged * 4 > tally.sent,
            is_tagged_often,
            "{kind:?}: {tally:?}"
        );
    }
    // Each gate is reached, and what is genuine comes through.
    let [replayed, _, _, retagged, insider] = all;
    for tally in [replayed, retagged, insider] {
        assert!(
            tally.genuine > 0 && tally.genuine < tally.tagged,
            "{tally:?}"
        );
    }
    assert!(insider.news > 0, "liars may change their minds");
}
