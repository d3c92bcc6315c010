//! Whom to ask when nobody is known to have the answer.

/// `count` of the peers, others with every turn, so that over a few turns everybody is asked: those asked first may lack
/// the answer for as long as the asker does.
#[must_use]
pub fn whose_turn<P: Clone>(peers: &[P], turn: usize, count: usize) -> Vec<P> {
    let count = count.min(peers.len());
    let first = turn
        .wrapping_mul(count)
        .checked_rem(peers.len())
        .unwrap_or_default();
    let turns = peers.iter().cycle().skip(first).take(count);
    turns.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_asked_over_a_few_turns() {
        let peers = ['a', 'b', 'c', 'd', 'e'];
        let turns: Vec<String> = (0..3)
            .map(|turn| whose_turn(&peers, turn, 2).into_iter().collect())
            .collect();
        assert_eq!(turns, ["ab", "cd", "ea"]);
        assert_eq!(whose_turn(&peers, 7, 9).len(), 5);
        assert_eq!(whose_turn::<char>(&[], 1, 2), []);
    }
}
