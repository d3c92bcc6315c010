//! The JSON document of one key, version 1.
//!
//! ```json
//! {
//!   "version": 1,
//!   "kind": "validator signing key",
//!   "uuid": "1b4e28ba-2fa1-41d2-883f-0016d3cca427",
//!   "public_key": "<64 hexadecimal digits>",
//!   "insecure_kdf": false,
//!   "crypto": {
//!     "kdf": { "function": "argon2id", "memory_kib": 65536, "iterations": 3, "lanes": 4, "salt": "<32 digits>" },
//!     "cipher": { "function": "chacha20poly1305", "nonce": "<24 digits>", "message": "<96 digits>" },
//!     "checksum": { "function": "sha256", "message": "<64 digits>" }
//!   }
//! }
//! ```
//!
//! `kdf` gives 32 bytes, the key of `cipher`; its plaintext is the 32-byte ed25519 secret. The associated data is the
//! borsh encoding of [`ClearFields`]; the checksum is SHA-256 over the associated data followed by the message. The
//! checksum holds no secret: it tells a damaged file from a wrong password.

use borsh::BorshSerialize;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

pub(super) const VERSION: u32 = 1;
const DOMAIN: &str = "holdfast key file v1";
const KDF_FUNCTION: &str = "argon2id";
const CIPHER_FUNCTION: &str = "chacha20poly1305";
const CHECKSUM_FUNCTION: &str = "sha256";

/// What a key is for. A key of one kind is never accepted in the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// Signs vertices and attestations.
    #[serde(rename = "validator signing key")]
    Validator,
    /// Signs the transactions of an account.
    #[serde(rename = "account key")]
    Account,
    /// Identifies the node to its peers.
    #[serde(rename = "network key")]
    Network,
    /// Signs governance messages.
    #[serde(rename = "governor key")]
    Governor,
    /// Signs emergency blocks for the committee account.
    #[serde(rename = "emergency key")]
    Emergency,
}

impl KeyKind {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validator => "validator signing key",
            Self::Account => "account key",
            Self::Network => "network key",
            Self::Governor => "governor key",
            Self::Emergency => "emergency key",
        }
    }

    /// What stands before the name: "an emergency key".
    #[must_use]
    pub const fn article(self) -> &'static str {
        match self {
            Self::Account | Self::Emergency => "an",
            Self::Validator | Self::Network | Self::Governor => "a",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Cost of one guess at the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, BorshSerialize)]
pub struct KdfParameters {
    pub memory_kib: u32,
    pub iterations: u32,
    pub lanes: u32,
}

impl KdfParameters {
    /// The second recommendation of RFC 9106: 64 MiB, three passes, four lanes.
    pub const STANDARD: Self = Self {
        memory_kib: 64 * 1024,
        iterations: 3,
        lanes: 4,
    };
    /// Costs next to nothing and protects next to nothing: for the throw-away keys of a devnet.
    pub const INSECURE: Self = Self {
        memory_kib: 64,
        iterations: 1,
        lanes: 1,
    };
    /// The least that a file may ask for without saying `insecure_kdf`: OWASP's floor for argon2id.
    const FLOOR: Self = Self {
        memory_kib: 19 * 1024,
        iterations: 2,
        lanes: 1,
    };
    /// The most that a file may ask for: beyond it, opening a file would be an attack on this machine.
    const CEILING: Self = Self {
        memory_kib: 1024 * 1024,
        iterations: 16,
        lanes: 16,
    };

    /// Whether a file with these parameters has to say `insecure_kdf`.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        self.memory_kib < Self::FLOOR.memory_kib || self.iterations < Self::FLOOR.iterations
    }

    const fn within_bounds(&self) -> bool {
        self.lanes >= 1
            && self.iterations >= 1
            && self.memory_kib >= 8 * self.lanes
            && self.memory_kib <= Self::CEILING.memory_kib
            && self.iterations <= Self::CEILING.iterations
            && self.lanes <= Self::CEILING.lanes
    }
}

/// `N` bytes, written as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize)]
pub(super) struct HexBytes<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> fmt::Debug for HexBytes<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl<const N: usize> Serialize for HexBytes<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexBytes<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| {
            serde::de::Error::custom(format!("expected {} hexadecimal digits", N * 2))
        })?;
        Ok(Self(bytes))
    }
}

/// A 32-byte secret and the 16-byte tag.
pub(super) const SEALED_BYTES: usize = 48;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    function: String,
    memory_kib: u32,
    iterations: u32,
    lanes: u32,
    salt: HexBytes<16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cipher {
    function: String,
    nonce: HexBytes<12>,
    message: HexBytes<SEALED_BYTES>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checksum {
    function: String,
    message: HexBytes<32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crypto {
    kdf: Kdf,
    cipher: Cipher,
    checksum: Checksum,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    kind: KeyKind,
    uuid: String,
    public_key: HexBytes<32>,
    insecure_kdf: bool,
    crypto: Crypto,
}

/// Everything in clear that the ciphertext vouches for, in the order in which it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClearFields {
    pub(super) kind: KeyKind,
    pub(super) uuid: String,
    pub(super) public_key: [u8; 32],
    pub(super) insecure_kdf: bool,
    pub(super) kdf: KdfParameters,
    pub(super) salt: [u8; 16],
    pub(super) nonce: [u8; 12],
}

impl ClearFields {
    /// The associated data of the cipher.
    pub(super) fn associated_data(&self) -> Vec<u8> {
        borsh::to_vec(&(
            DOMAIN,
            self.kind.name(),
            self.uuid.as_str(),
            self.public_key,
            self.insecure_kdf,
            self.kdf,
            self.salt,
            self.nonce,
        ))
        .expect("borsh writes to memory: only a failing writer fails it")
    }

    fn checksum(&self, message: &[u8; SEALED_BYTES]) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.associated_data())
            .chain_update(message)
            .finalize()
            .into()
    }
}

/// A key file whose form is good: version known, checksum right, cost within bounds. Still locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    pub(super) clear: ClearFields,
    pub(super) message: [u8; SEALED_BYTES],
}

impl KeyFile {
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.clear.kind
    }

    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.clear.uuid
    }

    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.clear.public_key
    }

    #[must_use]
    pub const fn kdf(&self) -> KdfParameters {
        self.clear.kdf
    }

    /// The password of this file can be guessed fast; whoever loads it says so loudly.
    #[must_use]
    pub const fn is_insecure(&self) -> bool {
        self.clear.insecure_kdf
    }

    /// The document as written to disk: indented JSON with a final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = Document {
            version: VERSION,
            kind: self.clear.kind,
            uuid: self.clear.uuid.clone(),
            public_key: HexBytes(self.clear.public_key),
            insecure_kdf: self.clear.insecure_kdf,
            crypto: Crypto {
                kdf: Kdf {
                    function: KDF_FUNCTION.to_owned(),
                    memory_kib: self.clear.kdf.memory_kib,
                    iterations: self.clear.kdf.iterations,
                    lanes: self.clear.kdf.lanes,
                    salt: HexBytes(self.clear.salt),
                },
                cipher: Cipher {
                    function: CIPHER_FUNCTION.to_owned(),
                    nonce: HexBytes(self.clear.nonce),
                    message: HexBytes(self.message),
                },
                checksum: Checksum {
                    function: CHECKSUM_FUNCTION.to_owned(),
                    message: HexBytes(self.clear.checksum(&self.message)),
                },
            },
        };
        let mut json = serde_json::to_string_pretty(&document)
            .expect("the document has string keys and no floats: it always is JSON");
        json.push('\n');
        json
    }
}

/// Why a document is not taken for a key file. None of these depends on the password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("it is not a key file: {reason}")]
    NotAKeyFile { reason: String },
    #[error("it has format version {found}; this software reads version {VERSION}")]
    Version { found: u32 },
    #[error("its {part} is {found:?}; this software knows {known:?}")]
    Function {
        part: &'static str,
        found: String,
        known: &'static str,
    },
    #[error("its checksum does not match: the file was changed or damaged after it was written")]
    Checksum,
    #[error(
        "its argon2id cost is out of bounds: memory_kib {memory_kib}, iterations {iterations}, lanes {lanes}"
    )]
    CostOutOfBounds {
        memory_kib: u32,
        iterations: u32,
        lanes: u32,
    },
    #[error(
        "its argon2id cost is too low (memory_kib {memory_kib}, iterations {iterations}) and it does not say insecure_kdf"
    )]
    CostTooLow { memory_kib: u32, iterations: u32 },
}

impl FromStr for KeyFile {
    type Err = FormatError;

    fn from_str(json: &str) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        struct VersionOnly {
            version: u32,
        }
        let not_a_key_file = |error: serde_json::Error| FormatError::NotAKeyFile {
            reason: error.to_string(),
        };
        // The version comes first: a newer document may have any other fields.
        let VersionOnly { version } = serde_json::from_str(json).map_err(not_a_key_file)?;
        if version != VERSION {
            return Err(FormatError::Version { found: version });
        }
        let document: Document = serde_json::from_str(json).map_err(not_a_key_file)?;
        Self::from_document(document)
    }
}

impl KeyFile {
    fn from_document(document: Document) -> Result<Self, FormatError> {
        let Crypto {
            kdf,
            cipher,
            checksum,
        } = document.crypto;
        for (part, found, known) in [
            ("key derivation", kdf.function, KDF_FUNCTION),
            ("cipher", cipher.function, CIPHER_FUNCTION),
            ("checksum", checksum.function, CHECKSUM_FUNCTION),
        ] {
            if found != known {
                return Err(FormatError::Function { part, found, known });
            }
        }
        let parameters = KdfParameters {
            memory_kib: kdf.memory_kib,
            iterations: kdf.iterations,
            lanes: kdf.lanes,
        };
        let clear = ClearFields {
            kind: document.kind,
            uuid: document.uuid,
            public_key: document.public_key.0,
            insecure_kdf: document.insecure_kdf,
            kdf: parameters,
            salt: kdf.salt.0,
            nonce: cipher.nonce.0,
        };
        if clear.checksum(&cipher.message.0) != checksum.message.0 {
            return Err(FormatError::Checksum);
        }
        let KdfParameters {
            memory_kib,
            iterations,
            lanes,
        } = parameters;
        if !parameters.within_bounds() {
            return Err(FormatError::CostOutOfBounds {
                memory_kib,
                iterations,
                lanes,
            });
        }
        if parameters.is_weak() && !clear.insecure_kdf {
            return Err(FormatError::CostTooLow {
                memory_kib,
                iterations,
            });
        }
        Ok(Self {
            clear,
            message: cipher.message.0,
        })
    }
}
