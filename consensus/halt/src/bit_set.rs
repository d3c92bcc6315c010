//! Small sets of the variants of an enum.

/// A set of `$item`, whose variants are at most eight and listed in `$item::ALL`: one byte, also when encoded. A byte with
/// a bit that stands for no variant does not decode.
macro_rules! bit_set {
    ($(#[$doc:meta])* $name:ident of $item:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            bits: u8,
        }

        impl $name {
            pub const EMPTY: Self = Self { bits: 0 };

            const fn bit(item: $item) -> u8 {
                1u8.unbounded_shl(item as u32)
            }

            /// The set of one item.
            #[must_use]
            pub const fn of(item: $item) -> Self {
                Self { bits: Self::bit(item) }
            }

            pub const fn insert(&mut self, item: $item) {
                self.bits |= Self::bit(item);
            }

            pub const fn remove(&mut self, item: $item) {
                self.bits &= !Self::bit(item);
            }

            #[must_use]
            pub const fn contains(self, item: $item) -> bool {
                self.bits & Self::bit(item) != 0
            }

            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.bits == 0
            }

            /// The items in their order.
            pub fn iter(self) -> impl Iterator<Item = $item> + use<> {
                $item::ALL.into_iter().filter(move |item| self.contains(*item))
            }

            /// One bit per item, the first the lowest.
            #[must_use]
            pub const fn bits(self) -> u8 {
                self.bits
            }

            /// The set with these bits; none if one of them stands for nothing.
            #[must_use]
            pub fn from_bits(bits: u8) -> Option<Self> {
                let known: Self = $item::ALL.into_iter().collect();
                (bits & !known.bits == 0).then_some(Self { bits })
            }
        }

        impl FromIterator<$item> for $name {
            fn from_iter<I: IntoIterator<Item = $item>>(items: I) -> Self {
                let mut set = Self::EMPTY;
                for item in items {
                    set.insert(item);
                }
                set
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.debug_set().entries(self.iter()).finish()
            }
        }

        impl borsh::BorshSerialize for $name {
            fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
                self.bits.serialize(writer)
            }
        }

        impl borsh::BorshDeserialize for $name {
            fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
                let bits = u8::deserialize_reader(reader)?;
                Self::from_bits(bits).ok_or_else(|| {
                    let message = format!("{bits:#010b} is no set of {}", stringify!($item));
                    std::io::Error::new(std::io::ErrorKind::InvalidData, message)
                })
            }
        }
    };
}

pub(crate) use bit_set;
