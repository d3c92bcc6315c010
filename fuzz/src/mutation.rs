//! Mutations of well-formed inputs, reproducible from a number.

use holdfast_types::test_util::Sampler;

/// Longest string of random bytes.
const RANDOM_BYTES_MAX: u32 = 600;

/// Edges of numbers; as a length prefix, promises of too much.
const EDGES: [[u8; 4]; 4] = [[0; 4], [0xff; 4], [1, 0, 0, 0], [0, 0, 0, 0x80]];

/// An input for a target whose well-formed inputs `seed` gives: one of four is well-formed, one is random, the others
/// are well-formed ones with up to four mutations.
#[must_use]
pub fn input(seed: fn(u64) -> Vec<u8>, label: &str, case: u64) -> Vec<u8> {
    let mut sampler = Sampler::new(label, case);
    match case % 4 {
        0 => seed(case / 4),
        1 => random(&mut sampler),
        _ => {
            let mut bytes = seed(case / 4);
            for _ in 0..=sampler.below(4) {
                mutate(&mut bytes, &mut sampler);
            }
            bytes
        }
    }
}

fn random(sampler: &mut Sampler) -> Vec<u8> {
    let length = sampler.below(RANDOM_BYTES_MAX);
    (0..length).map(|_| sampler.bytes::<1>()[0]).collect()
}

pub(crate) fn mutate(bytes: &mut Vec<u8>, sampler: &mut Sampler) {
    let place = position(bytes, sampler);
    match sampler.below(7) {
        0 => bytes.truncate(place),
        1 => bytes.push(sampler.bytes::<1>()[0]),
        2 => bytes.insert(place, sampler.bytes::<1>()[0]),
        3 if place < bytes.len() => {
            bytes.remove(place);
        }
        4 => {
            let edge = *sampler.pick(&EDGES);
            overwrite(bytes, place, &edge);
        }
        5 => {
            let from = position(bytes, sampler);
            let piece: Vec<u8> = bytes[from..].iter().copied().take(64).collect();
            overwrite(bytes, place, &piece);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << sampler.below(8);
            }
        }
    }
}

/// A position up to and including the end.
fn position(bytes: &[u8], sampler: &mut Sampler) -> usize {
    let end = u32::try_from(bytes.len()).expect("inputs are short");
    sampler.below(end + 1) as usize
}

fn overwrite(bytes: &mut [u8], place: usize, piece: &[u8]) {
    for (to, from) in bytes[place..].iter_mut().zip(piece) {
        *to = *from;
    }
}
