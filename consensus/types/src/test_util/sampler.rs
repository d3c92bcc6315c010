//! A reproducible source of bytes for samples.

use std::fmt;

/// Bytes that depend on a label and a case number alone: no random number library can change them under a pinned
/// format.
pub struct Sampler {
    bytes: blake3::OutputReader,
}

impl Sampler {
    #[must_use]
    pub fn new(label: &str, case: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("holdfast test sampler v1");
        hasher.update(&case.to_le_bytes());
        hasher.update(label.as_bytes());
        Self {
            bytes: hasher.finalize_xof(),
        }
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.bytes.fill(&mut bytes);
        bytes
    }

    /// A number below `bound`, which is small: the slight bias of the remainder does not matter.
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::from_le_bytes(self.bytes()) % bound
    }

    /// One of `items`.
    ///
    /// # Panics
    /// If there are none, or more than `u32::MAX`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let count = u32::try_from(items.len()).expect("lists of samples are short");
        &items[self.below(count) as usize]
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sampler(at {})", self.bytes.position())
    }
}
