//! A bounded cache in two generations.

use std::collections::HashMap;

/// What an entry costs besides its bytes: hash table slot, two allocations.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// Bytes that a cached value holds.
pub(crate) trait Weight {
    fn weight(&self) -> usize;
}

impl Weight for Vec<u8> {
    fn weight(&self) -> usize {
        self.len()
    }
}

impl<T: Weight> Weight for Option<T> {
    fn weight(&self) -> usize {
        self.as_ref().map_or(0, Weight::weight)
    }
}

/// Keeps what was used lately. When the young generation is full it becomes the old one, and the old one is dropped;
/// what is read from the old one moves to the young one. Cheaper than a list of uses, and as good for hot keys.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    young: HashMap<Vec<u8>, V>,
    old: HashMap<Vec<u8>, V>,
    young_bytes: usize,
    old_bytes: usize,
    generation_bytes_max: usize,
}

impl<V: Weight> Cache<V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            old_bytes: 0,
            generation_bytes_max: bytes_max / 2,
        }
    }

    pub(crate) fn get(&mut self, key: &[u8]) -> Option<&V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.old_bytes -= entry_bytes(&key, &value);
            self.insert(key, value);
        }
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn insert(&mut self, key: Vec<u8>, value: V) {
        if let Some((key, value)) = self.old.remove_entry(&key) {
            self.old_bytes -= entry_bytes(&key, &value);
        }
        let key_bytes = key.len();
        self.young_bytes += entry_bytes(&key, &value);
        if let Some(before) = self.young.insert(key, value) {
            self.young_bytes -= key_bytes + before.weight() + ENTRY_OVERHEAD_BYTES;
        }
        if self.young_bytes > self.generation_bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }
}

fn entry_bytes<V: Weight>(key: &[u8], value: &V) -> usize {
    key.len() + value.weight() + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8, usize),
        Get(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (any::<u8>(), 0..300usize).prop_map(|(key, length)| Step::Insert(key, length)),
            any::<u8>().prop_map(Step::Get),
        ]
    }

    proptest! {
        /// Whatever the cache still has is the latest value, and it never outgrows its bound.
        #[test]
        fn holds_latest_values_within_bounds(steps in prop::collection::vec(step(), 0..400)) {
            const BYTES_MAX: usize = 8_000;
            const LARGEST_ENTRY: usize = 1 + 300 + ENTRY_OVERHEAD_BYTES;
            let mut cache = Cache::new(BYTES_MAX);
            let mut model: HashMap<u8, Vec<u8>> = HashMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(key, length) => {
                        let value = vec![number as u8; length];
                        cache.insert(vec![key], value.clone());
                        model.insert(key, value);
                    }
                    Step::Get(key) => {
                        if let Some(value) = cache.get(&[key]) {
                            prop_assert_eq!(Some(value), model.get(&key));
                        }
                    }
                }
                let counted: usize = [&cache.young, &cache.old]
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| entry_bytes(key, value))
                    .sum();
                prop_assert_eq!(cache.bytes(), counted);
                prop_assert!(cache.bytes() <= BYTES_MAX + LARGEST_ENTRY);
            }
        }
    }

    #[test]
    fn what_is_used_stays() {
        let mut cache = Cache::new(40 * (ENTRY_OVERHEAD_BYTES + 2));
        cache.insert(vec![0], vec![7]);
        for number in 1..200 {
            cache.insert(vec![number], vec![0]);
            assert_eq!(cache.get(&[0]), Some(&vec![7]), "after {number} others");
        }
        assert_eq!(cache.get(&[1]), None);
    }
}
