//! Round trips between ten regions of the world.
//!
//! Source: IBM Cloud, "Network latency dashboards", inter-region latency, averages of 27 July to 25 August 2024
//! (github.com/ibm-cloud-docs/vpc, `_include-segments/network-latency.md`), row to column, in ms.

/// Names, in the order of the table.
pub const REGIONS: [&str; 10] = [
    "Dallas",
    "Toronto",
    "Washington DC",
    "Frankfurt",
    "London",
    "Madrid",
    "Osaka",
    "Sydney",
    "Tokyo",
    "Sao Paulo",
];

const ROUND_TRIPS_MS: [[u64; 10]; 10] = [
    [1, 34, 31, 123, 113, 119, 150, 186, 143, 146],
    [34, 1, 19, 93, 82, 108, 168, 215, 162, 129],
    [31, 19, 1, 91, 75, 87, 172, 214, 164, 118],
    [123, 93, 91, 1, 13, 29, 232, 250, 233, 198],
    [113, 83, 75, 13, 1, 27, 244, 261, 243, 188],
    [122, 106, 88, 29, 27, 1, 257, 275, 258, 209],
    [150, 169, 172, 231, 243, 257, 1, 122, 9, 293],
    [186, 214, 214, 249, 261, 275, 122, 1, 115, 328],
    [143, 162, 166, 233, 244, 256, 9, 115, 1, 284],
    [144, 128, 119, 196, 187, 208, 291, 328, 283, 1],
];

/// Region of a node: nodes are spread evenly.
const fn region(node: usize) -> usize {
    node % REGIONS.len()
}

/// How long a message travels from one node to another, in ms: half a round trip.
#[must_use]
pub fn one_way_ms(from: usize, to: usize) -> u64 {
    ROUND_TRIPS_MS[region(from)][region(to)].div_ceil(2)
}

/// The least time in which a message of `node` reaches so many of `size` nodes, itself included, in ms.
#[must_use]
pub fn reaches_ms(node: usize, count: usize, size: usize) -> u64 {
    let mut ways: Vec<u64> = (0..size)
        .map(|to| if to == node { 0 } else { one_way_ms(node, to) })
        .collect();
    ways.sort_unstable();
    ways[count - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_take_about_as_long() {
        for from in 0..20 {
            for to in 0..20 {
                assert!(one_way_ms(from, to).abs_diff(one_way_ms(to, from)) <= 2);
            }
        }
    }

    #[test]
    fn more_nodes_are_further_away() {
        assert_eq!(reaches_ms(0, 1, 128), 0);
        let ways: Vec<u64> = (1..=128).map(|count| reaches_ms(5, count, 128)).collect();
        assert!(ways.is_sorted());
    }
}
