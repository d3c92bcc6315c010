//! The bytes of a snapshot (rules SF1 and SF2).
//!
//! A file begins with [`MAGIC`], the major and the minor version of its format (u16 each), and goes on with records: a byte
//! that says of what kind it is, the length of the content (u32), the content, and 32 bytes of BLAKE3 over the hash of the
//! record before (of the header before the first), kind, length and content. Numbers are little-endian, contents borsh.
//!
//! | kind | content | how many |
//! |---|---|---|
//! | 1 | manifest: a map of numbered fields | one, first |
//! | 2 | era: context; header and certificate of its anchor, if there | all eras from 2 on |
//! | 3 | block; receipts; events; certificate, if there | from the anchor of the era before the last to the base |
//! | 4 | keys with their values | as many as it takes, keys ascending over all of them |
//! | 5 | block above the base | in an emergency |
//! | 255 | nothing | one, last |

use super::error::SnapshotError;
use super::manifest::Manifest;
use borsh::BorshDeserialize;
use holdfast_chain::snapshot::{EraLink, ExecutedRecord};
use holdfast_types::hash::{Hash32, Purpose};
use holdfast_types::limits::BLOCK_BYTES_MAX;
use holdfast_types::{Block, codec};
use std::io::{self, Read, Write};

pub(crate) const MAGIC: &[u8; 16] = b"HOLDFASTSNAPSHOT";
pub(crate) const MAJOR: u16 = 1;
pub(crate) const MINOR: u16 = 0;

const MANIFEST: u8 = 1;
const ERA: u8 = 2;
const BLOCK: u8 = 3;
const STATE: u8 = 4;
const BLOCK_ABOVE: u8 = 5;
const END: u8 = 255;

/// Longest content of a record: a block and as many bytes of receipts.
const CONTENT_BYTES_MAX: usize = 2 * BLOCK_BYTES_MAX;

/// Keys with their values.
pub(crate) type Values = Vec<(Vec<u8>, Vec<u8>)>;

/// What a snapshot is made of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Manifest(Manifest),
    Era(Box<EraLink>),
    Block(Box<ExecutedRecord>),
    State(Values),
    BlockAbove(Box<Block>),
}

impl Record {
    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Manifest(manifest) => (MANIFEST, manifest.encode()),
            Self::Era(link) => (ERA, codec::encode(&(&link.context, &link.proof))),
            Self::Block(record) => {
                let ExecutedRecord {
                    block,
                    receipts,
                    events,
                    certificate,
                } = record.as_ref();
                let content = codec::encode(&(block, receipts, events, certificate));
                (BLOCK, content)
            }
            Self::State(values) => (STATE, codec::encode(values)),
            Self::BlockAbove(block) => (BLOCK_ABOVE, codec::encode(block.as_ref())),
        }
    }

    /// None: the kind is not known here.
    fn decode(kind: u8, content: &[u8]) -> Result<Option<Self>, String> {
        Ok(Some(match kind {
            MANIFEST => Self::Manifest(Manifest::decode(content)?),
            ERA => {
                let (context, proof) = decode("an era", content)?;
                Self::Era(Box::new(EraLink { context, proof }))
            }
            BLOCK => {
                let (block, receipts, events, certificate) = decode("a block", content)?;
                Self::Block(Box::new(ExecutedRecord {
                    block,
                    receipts,
                    events,
                    certificate,
                }))
            }
            STATE => Self::State(decode("values", content)?),
            BLOCK_ABOVE => Self::BlockAbove(Box::new(decode("a block", content)?)),
            _ => return Ok(None),
        }))
    }
}

fn decode<T: BorshDeserialize>(what: &'static str, content: &[u8]) -> Result<T, String> {
    codec::decode(what, content, CONTENT_BYTES_MAX).map_err(|error| error.to_string())
}

fn chained(before: &Hash32, kind: u8, content: &[u8]) -> Hash32 {
    let mut hasher = Purpose::SNAPSHOT.hasher();
    hasher.update(before);
    hasher.update(&[kind]);
    hasher.update(&(content.len() as u64).to_le_bytes());
    hasher.update(content);
    *hasher.finalize().as_bytes()
}

/// Writes the records of a snapshot, one by one.
pub(crate) struct SnapshotWriter<W> {
    inner: W,
    hash: Hash32,
}

impl<W: Write> SnapshotWriter<W> {
    /// Writes the header.
    pub(crate) fn new(mut inner: W) -> io::Result<Self> {
        let header = header(MAJOR, MINOR);
        inner.write_all(&header)?;
        Ok(Self {
            inner,
            hash: Purpose::SNAPSHOT.hash(&header),
        })
    }

    pub(crate) fn write(&mut self, record: &Record) -> io::Result<()> {
        let (kind, content) = record.encode();
        self.put(kind, &content)
    }

    /// Closes the snapshot.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.put(END, &[])?;
        self.inner.flush()
    }

    fn put(&mut self, kind: u8, content: &[u8]) -> io::Result<()> {
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        self.hash = chained(&self.hash, kind, content);
        self.inner.write_all(&[kind])?;
        self.inner.write_all(&length.to_le_bytes())?;
        self.inner.write_all(content)?;
        self.inner.write_all(&self.hash)
    }
}

fn header(major: u16, minor: u16) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&major.to_le_bytes());
    header.extend_from_slice(&minor.to_le_bytes());
    header
}

/// Reads the records of a snapshot, one by one.
pub(crate) struct SnapshotReader<R> {
    inner: R,
    hash: Hash32,
    minor: u16,
    /// Number of the record that is read, from 1.
    record: u64,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the header.
    pub(crate) fn new(mut inner: R) -> Result<Self, SnapshotError> {
        let mut found = [0; MAGIC.len()];
        let mut versions = [[0; 2]; 2];
        let [major, minor] = &mut versions;
        for part in [&mut found[..], &mut major[..], &mut minor[..]] {
            inner.read_exact(part).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => SnapshotError::NotASnapshot,
                _ => SnapshotError::Io(error),
            })?;
        }
        let [major, minor] = versions.map(u16::from_le_bytes);
        if found != *MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        if major != MAJOR {
            let (found, known) = (major, MAJOR);
            return Err(SnapshotError::NewerFormat { found, known });
        }
        Ok(Self {
            inner,
            hash: Purpose::SNAPSHOT.hash(&header(major, minor)),
            minor,
            record: 0,
        })
    }

    /// The next record that is known; none after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, SnapshotError> {
        loop {
            let (kind, content) = self.take()?;
            if kind == END {
                return self.end(&content).map(|()| None);
            }
            let record = Record::decode(kind, &content).map_err(|reason| self.damaged(reason))?;
            if record.is_some() {
                return Ok(record);
            }
            let is_later = self.minor > MINOR;
            if !is_later {
                return Err(self.damaged(format!("there are no records of kind {kind}")));
            }
        }
    }

    pub(crate) fn damaged(&self, reason: impl Into<String>) -> SnapshotError {
        SnapshotError::Damaged {
            record: self.record,
            reason: reason.into(),
        }
    }

    fn take(&mut self) -> Result<(u8, Vec<u8>), SnapshotError> {
        self.record += 1;
        let [kind] = self.bytes::<1>()?;
        let length = u32::from_le_bytes(self.bytes()?);
        if length as usize > CONTENT_BYTES_MAX {
            return Err(self.damaged(format!("it claims to be {length} bytes long")));
        }
        // What is not there is not allocated either.
        let mut content = Vec::new();
        let source = &mut self.inner;
        source.take(u64::from(length)).read_to_end(&mut content)?;
        if content.len() != length as usize {
            return Err(self.damaged("the file ends within it"));
        }
        let expected = chained(&self.hash, kind, &content);
        if self.bytes()? != expected {
            return Err(self.damaged("its hash is another one"));
        }
        self.hash = expected;
        Ok((kind, content))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        match self.inner.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("the file ends within it"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn end(&mut self, content: &[u8]) -> Result<(), SnapshotError> {
        let mut more = [0];
        if !content.is_empty() || self.inner.read(&mut more)? != 0 {
            return Err(self.damaged("something follows the end"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
