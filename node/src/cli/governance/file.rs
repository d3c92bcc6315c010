//! The file in which a governance message travels between the governors.

use crate::cli::layout::count;
use crate::cli::units::show_time;
use crate::durable_file::{self, Existing, read_bounded};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use holdfast_rpc::dto::Number;
use holdfast_types::limits::GOVERNANCE_BYTES_MAX;
use holdfast_types::{
    ChainId, Ed25519, GovernanceAction, GovernanceBody, GovernanceMessage, Governors, PublicKey,
    Signature, codec,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const WHAT: &str = "holdfast governance message";
/// Two digits for each byte, the words, the governors and their signatures.
const FILE_BYTES_MAX: u64 = 512 * 1024;

/// A message with what its signers have to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) chain: ChainId,
    pub(super) body: GovernanceBody,
    /// In office when the message was drafted.
    pub(super) governors: Vec<PublicKey>,
    pub(super) threshold: u16,
    /// By position of the governor; all verified.
    pub(super) signatures: BTreeMap<u16, Signature>,
}

/// The same as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageFile {
    what: String,
    format: u32,
    chain_id: ChainId,
    sequence: Number,
    action: String,
    /// What it orders, in words: made of the body, and compared with it.
    orders: Vec<String>,
    /// What is signed: hash of chain id and body.
    message_id: String,
    /// Canonical encoding of sequence number and action.
    body: String,
    threshold: u16,
    governors: Vec<PublicKey>,
    signatures: Vec<FileSignature>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSignature {
    governor: u16,
    signature: Signature,
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!("{} is not what it says", path.display()),
        why,
        "do not sign it; ask whoever sent it for the file as it was drafted, and compare the message id",
    )
}

fn is_there(path: &Path) -> Failure {
    Failure::new(
        ExitCode::Usage,
        format!("cannot write {}", path.display()),
        "the file is there already",
        "name another --output",
    )
}

/// What a message that is made of `inputs` may do with the file at `output`: take the place of an input, whose signatures
/// it holds, and of nothing else.
pub(super) fn existing<'a>(
    output: &Path,
    inputs: impl IntoIterator<Item = &'a PathBuf>,
) -> Result<Existing, Failure> {
    if !output.exists() {
        return Ok(Existing::Keep);
    }
    let place = output.canonicalize().ok();
    let is_input = |input: &PathBuf| place.is_some() && input.canonicalize().ok() == place;
    if inputs.into_iter().any(is_input) {
        Ok(Existing::Replace)
    } else {
        Err(is_there(output))
    }
}

impl Message {
    /// What is signed.
    pub(super) fn id(&self) -> String {
        hex::encode(self.body.id(&self.chain))
    }

    /// Reads a file and compares everything in it with the bytes that are signed.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let text = File::open(path)
            .and_then(|mut file| read_bounded(&mut file, FILE_BYTES_MAX))
            .map_err(|error| {
                Failure::new(
                    ExitCode::Usage,
                    format!("cannot read {}", path.display()),
                    error,
                    "name a file of holdfast governance draft",
                )
            })?;
        let file: MessageFile = serde_json::from_slice(&text).map_err(|error| {
            Failure::new(
                ExitCode::Usage,
                format!("{} is no governance message", path.display()),
                error,
                "name a file of holdfast governance draft",
            )
        })?;
        Self::check(&file).map_err(|why| refused(path, why))
    }

    fn check(file: &MessageFile) -> Result<Self, String> {
        if file.what != WHAT || file.format != FORMAT {
            return Err(format!(
                "it is a {:?} of format {}, this version reads {WHAT:?} of format {FORMAT}",
                file.what, file.format
            ));
        }
        let bytes = hex::decode(&file.body).map_err(|error| format!("the body: {error}"))?;
        let body: GovernanceBody =
            codec::decode("a governance message", &bytes, GOVERNANCE_BYTES_MAX)
                .map_err(|error| error.to_string())?;
        if codec::encode(&body) != bytes {
            return Err("the body does not read back to the same bytes".to_owned());
        }
        body.check_limits().map_err(|error| error.to_string())?;
        let message = Self {
            chain: file.chain_id,
            body,
            governors: file.governors.clone(),
            threshold: file.threshold,
            signatures: BTreeMap::new(),
        };
        if message.id() != file.message_id {
            return Err(format!(
                "its message id is {}, chain id and body make {}: one of them was changed",
                file.message_id,
                message.id()
            ));
        }
        let is_told = Number(message.body.sequence) == file.sequence
            && message.body.action.name() == file.action
            && message.orders() == file.orders;
        if !is_told {
            return Err(format!(
                "its words are not those of the body, which orders: {}",
                message.orders().join("; ")
            ));
        }
        message.with_signatures(&file.signatures)
    }

    fn with_signatures(mut self, signatures: &[FileSignature]) -> Result<Self, String> {
        for FileSignature {
            governor,
            signature,
        } in signatures
        {
            if self.signatures.insert(*governor, *signature).is_some() {
                return Err(format!("governor {governor} has signed twice"));
            }
        }
        self.verify().map_err(|error| error.to_string())?;
        Ok(self)
    }

    /// Checks every signature there is, however few.
    fn verify(&self) -> Result<(), holdfast_types::GovernanceError> {
        let governors = Governors {
            keys: self.governors.clone(),
            threshold: 0,
            sequence: 0,
        };
        self.signed()
            .verify_signatures(&self.chain, &governors, &Ed25519)
    }

    /// The message as nodes take it.
    pub(super) fn signed(&self) -> GovernanceMessage {
        GovernanceMessage {
            body: self.body.clone(),
            signatures: self.signatures.iter().map(|(at, by)| (*at, *by)).collect(),
        }
    }

    /// How many signatures are missing.
    pub(super) fn missing(&self) -> usize {
        usize::from(self.threshold).saturating_sub(self.signatures.len())
    }

    pub(super) fn write(&self, path: &Path, existing: Existing) -> Result<(), Failure> {
        let file = MessageFile {
            what: WHAT.to_owned(),
            format: FORMAT,
            chain_id: self.chain,
            sequence: Number(self.body.sequence),
            action: self.body.action.name().to_owned(),
            orders: self.orders(),
            message_id: self.id(),
            body: hex::encode(codec::encode(&self.body)),
            threshold: self.threshold,
            governors: self.governors.clone(),
            signatures: self
                .signatures
                .iter()
                .map(|(governor, signature)| FileSignature {
                    governor: *governor,
                    signature: *signature,
                })
                .collect(),
        };
        let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
        text.push('\n');
        durable_file::write(path, text.as_bytes(), durable_file::PUBLIC, existing).map_err(
            |error| match error.kind() {
                io::ErrorKind::AlreadyExists => is_there(path),
                _ => Failure::disk(format!("cannot write {}", path.display()), &error),
            },
        )
    }

    /// What it orders, in words.
    pub(super) fn orders(&self) -> Vec<String> {
        match &self.body.action {
            GovernanceAction::Halt {
                reason,
                until,
                after_height,
            } => vec![
                after_height.map_or_else(
                    || "HALT the chain at once".to_owned(),
                    |height| format!("HALT the chain after block {height}"),
                ),
                format!("until {} ({} ms)", show_time(until.0), until.0),
                reason_line(reason),
            ],
            GovernanceAction::Resume { .. } => self.orders_of_resume(),
            GovernanceAction::RotateKeys { keys, threshold } => {
                let mut lines = vec![format!(
                    "ROTATE KEYS: from the next message on {threshold} of these {} governors sign",
                    keys.len()
                )];
                let keys = keys.iter().enumerate();
                lines.extend(keys.map(|(position, key)| format!("governor {position}: {key}")));
                lines
            }
        }
    }

    fn orders_of_resume(&self) -> Vec<String> {
        let GovernanceAction::Resume {
            reason,
            era,
            height,
            block,
            state_root,
            minimum_version,
            halts,
            evidence,
        } = &self.body.action
        else {
            return Vec::new();
        };
        let mut lines = vec![
            format!("RESUME the chain: era {era} ends, the next one is built on block {height}"),
            format!("block id {block}"),
            format!("state root {state_root}"),
            format!("validators with software older than {minimum_version} stay out"),
        ];
        lines.extend(halts.iter().map(|halt| format!("ends the halt {halt}")));
        lines.push(format!(
            "{} executed before the next committee is computed",
            count(
                evidence.len() as u64,
                "piece of evidence is",
                "pieces of evidence are"
            )
        ));
        let offenders = evidence.iter();
        lines.extend(offenders.map(|item| {
            format!(
                "punishes the validator with number {} of era {}",
                item.offender(),
                item.era()
            )
        }));
        lines.push(reason_line(reason));
        lines
    }
}

/// Quoted, with everything escaped that could make a terminal show something else.
fn reason_line(reason: &[u8]) -> String {
    format!("reason: {:?}", String::from_utf8_lossy(reason))
}
