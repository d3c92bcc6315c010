//! From secret to key file and back.

use super::format::{ClearFields, KdfParameters, KeyFile, KeyKind, SEALED_BYTES};
use super::password::Password;
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _};
use ed25519_dalek::SigningKey;
use rand::TryRng as _;
use rand::rngs::SysRng;
use std::fmt;
use zeroize::Zeroizing;

/// A key file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("the operating system gives no random bytes: {reason}")]
    Entropy { reason: String },
    #[error("argon2id failed: {reason}")]
    Kdf { reason: String },
}

/// A key file whose form is good could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    #[error("the password is wrong")]
    WrongPassword,
    #[error("the secret inside does not belong to the public key of the file")]
    PublicKeyDiffers,
    #[error("argon2id failed: {reason}")]
    Kdf { reason: String },
}

/// A key ready to sign; its secret is wiped from memory when this is dropped.
pub struct UnlockedKey {
    kind: KeyKind,
    signing_key: SigningKey,
}

impl UnlockedKey {
    /// A new key from the randomness of the operating system.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate(kind: KeyKind) -> Result<Self, SealError> {
        let secret = Zeroizing::new(random::<32>()?);
        Ok(Self::from_secret(kind, &secret))
    }

    #[must_use]
    pub fn from_secret(kind: KeyKind, secret: &[u8; 32]) -> Self {
        Self {
            kind,
            signing_key: SigningKey::from_bytes(secret),
        }
    }

    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.signing_key.verifying_key().to_bytes()
    }

    /// The 32-byte ed25519 secret, for the crate that signs.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing_key.to_bytes())
    }

    /// Encrypts the key with fresh salt, nonce and uuid. Weak parameters mark the file as insecure.
    ///
    /// # Errors
    /// When there is no randomness, or not enough memory for the key derivation.
    pub fn seal(&self, password: &Password, kdf: KdfParameters) -> Result<KeyFile, SealError> {
        let clear = ClearFields {
            kind: self.kind,
            uuid: uuid_v4(random::<16>()?),
            public_key: self.public_key(),
            insecure_kdf: kdf.is_weak(),
            kdf,
            salt: random()?,
            nonce: random()?,
        };
        self.seal_as(clear, password)
    }

    fn seal_as(&self, clear: ClearFields, password: &Password) -> Result<KeyFile, SealError> {
        let key = derive_key(password, &clear).map_err(|reason| SealError::Kdf { reason })?;
        let secret = self.secret();
        let payload = Payload {
            msg: secret.as_slice(),
            aad: &clear.associated_data(),
        };
        let message: [u8; SEALED_BYTES] = ChaCha20Poly1305::new((&*key).into())
            .encrypt(&clear.nonce.into(), payload)
            .ok()
            .and_then(|message| message.try_into().ok())
            .expect("32 bytes are far below the limit of the cipher and get a 16-byte tag");
        Ok(KeyFile { clear, message })
    }
}

impl fmt::Debug for UnlockedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "UnlockedKey({}, {})",
            self.kind,
            hex::encode(self.public_key())
        )
    }
}

impl KeyFile {
    /// Decrypts the key. Takes as long as the file's key derivation costs, some 0.2 s for the standard one.
    ///
    /// # Errors
    /// `WrongPassword` also stands for a file that somebody changed who knew how to fix its checksum.
    pub fn unlock(&self, password: &Password) -> Result<UnlockedKey, UnlockError> {
        let key =
            derive_key(password, &self.clear).map_err(|reason| UnlockError::Kdf { reason })?;
        let payload = Payload {
            msg: &self.message,
            aad: &self.clear.associated_data(),
        };
        let plaintext = ChaCha20Poly1305::new((&*key).into())
            .decrypt(&self.clear.nonce.into(), payload)
            .map_err(|_| UnlockError::WrongPassword)?;
        let plaintext = Zeroizing::new(plaintext);
        let secret: &[u8; 32] = plaintext
            .as_slice()
            .try_into()
            .expect("48 sealed bytes less the 16-byte tag are 32 bytes");
        let unlocked = UnlockedKey::from_secret(self.clear.kind, secret);
        if unlocked.public_key() != self.clear.public_key {
            return Err(UnlockError::PublicKeyDiffers);
        }
        Ok(unlocked)
    }
}

fn derive_key(password: &Password, clear: &ClearFields) -> Result<Zeroizing<[u8; 32]>, String> {
    let KdfParameters {
        memory_kib,
        iterations,
        lanes,
    } = clear.kdf;
    let params =
        Params::new(memory_kib, iterations, lanes, Some(32)).map_err(|error| error.to_string())?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), &clear.salt, key.as_mut_slice())
        .map_err(|error| error.to_string())?;
    Ok(key)
}

fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| SealError::Entropy {
            reason: error.to_string(),
        })?;
    Ok(bytes)
}

/// RFC 9562 version 4 from 16 random bytes.
fn uuid_v4(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex::encode(bytes);
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-")
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
