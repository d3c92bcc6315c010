//! `holdfast keys new|inspect|import|export-public|change-password`

use super::password::{NewPasswordArguments, PasswordArguments};
use super::{Context, GlobalArguments};
use crate::durable_file::read_bounded;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::keystore::{self, KdfParameters, KeyFile, KeyKind, KeystoreError, Purpose, UnlockedKey};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A secret is 64 digits; the rest is room for white space.
const SECRET_FILE_BYTES_MAX: u64 = 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a new key and write it to an encrypted key file.
    New(NewArguments),
    /// Show what key files hold; without FILE, all in the keys folder of the home.
    Inspect(InspectArguments),
    /// Write an existing ed25519 secret to an encrypted key file.
    Import(ImportArguments),
    /// Print the public key of a key file as 64 hexadecimal digits.
    ExportPublic(ExportArguments),
    /// Encrypt key files anew under another password; without FILE, all in the keys folder of the home.
    ChangePassword(ChangeArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Signs vertices and attestations.
    Validator,
    /// Signs the transactions of an account.
    Account,
    /// Identifies the node to its peers.
    Network,
    /// Signs governance messages: keep it offline, on no node.
    Governor,
    /// Signs emergency blocks, on the nodes that go on when the quorum is gone.
    Emergency,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Validator => Self::Validator,
            Kind::Account => Self::Account,
            Kind::Network => Self::Network,
            Kind::Governor => Self::Governor,
            Kind::Emergency => Self::Emergency,
        }
    }
}

#[derive(Debug, Args)]
struct Destination {
    /// What the key is for.
    kind: Kind,
    /// The key file to write; never overwrites [default: keys/<KIND>.json in the home folder].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Devnets only: a key derivation that costs nothing and protects nothing. The file is marked insecure.
    #[arg(long)]
    insecure_kdf: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    password: PasswordArguments,
}

#[derive(Debug, Args)]
pub(super) struct NewArguments {
    #[command(flatten)]
    destination: Destination,
}

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// File with the 32-byte secret as 64 hexadecimal digits; "-" for standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    #[command(flatten)]
    destination: Destination,
}

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// Key files.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also ask for the password and open each file.
    #[arg(long)]
    verify: bool,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    password: PasswordArguments,
}

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Key file [default: keys/validator.json in the home folder].
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ChangeArguments {
    /// Key files.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    password: PasswordArguments,
    #[command(flatten)]
    new_password: NewPasswordArguments,
}

pub(super) fn run(
    command: Command,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    match command {
        Command::New(arguments) => {
            let destination = arguments.destination;
            let key = UnlockedKey::generate(destination.kind.into())?;
            store(&key, "new", &destination, global, context)
        }
        Command::Import(arguments) => {
            let secret = read_secret(&arguments.secret_file)?;
            let destination = arguments.destination;
            let key = UnlockedKey::from_secret(destination.kind.into(), &secret);
            store(&key, "imported", &destination, global, context)
        }
        Command::Inspect(arguments) => inspect(&arguments, global, context),
        Command::ExportPublic(arguments) => {
            let path = match arguments.file {
                Some(path) => path,
                None => global.home(context)?.key_file(KeyKind::Validator),
            };
            let public_key = hex::encode(keystore::load(&path)?.public_key());
            context.print(&format!("{public_key}\n"))
        }
        Command::ChangePassword(arguments) => change_password(&arguments, global, context),
    }
}

fn store(
    key: &UnlockedKey,
    origin: &str,
    destination: &Destination,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let kind = key.kind();
    let path = match &destination.output {
        Some(path) => path.clone(),
        None => global.home(context)?.key_file(kind),
    };
    // Said before the password is asked for; the write itself checks again.
    if path.symlink_metadata().is_ok() {
        return Err(KeystoreError::Exists { path }.into());
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if parent.is_some_and(|parent| !parent.is_dir()) {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("cannot write {}", path.display()),
            "its folder does not exist",
            "make the home first (holdfast init), or choose another place: --output FILE",
        ));
    }
    let password =
        destination
            .password
            .read(context, &format!("the new {kind}"), Purpose::Choose)?;
    let kdf = if destination.insecure_kdf {
        tracing::warn!("INSECURE KEY FILE: --insecure-kdf is for devnets only");
        KdfParameters::INSECURE
    } else {
        KdfParameters::STANDARD
    };
    let key_file = key.seal(&password, kdf)?;
    keystore::save_new(&path, &key_file)?;
    if destination.json {
        return context.print(&format!("{:#}\n", as_json(&path, &key_file)));
    }
    let text = format!(
        "{origin} {kind}\n{}{}",
        as_text(&path, &key_file),
        advice(kind)
    );
    context.print(&text)
}

const fn advice(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Validator => {
            "next: back up the file and the password, each in another place. Run the key on one node only: two nodes\n\
             with one key sign against each other, and the chain takes a part of the stake for it.\n"
        }
        KeyKind::Account => {
            "next: back up the file and the password, each in another place. Without them nobody can move the account's\n\
             tokens.\n"
        }
        KeyKind::Governor => {
            "next: back up the file and the password, each in another place, on no node. Give the public key to whoever writes\n\
             the genesis document or drafts the next rotation of keys (holdfast governance draft rotate-keys).\n"
        }
        KeyKind::Emergency => {
            "next: give the public key to whoever writes the genesis document (holdfast genesis new --emergency-key). Put the\n\
             file on the nodes that are to go on when the quorum is gone (emergency.key_file): who holds it makes blocks alone\n\
             then, until a quorum certifies again.\n"
        }
        KeyKind::Network => {
            "next: tell your peers the peer id. A lost network key costs nothing but a new peer id.\n"
        }
    }
}

fn as_text(path: &Path, key_file: &KeyFile) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        let _infallible = writeln!(text, "  {label:<11} {value}");
    };
    line("file", &path.display().to_string());
    line("public key", &hex::encode(key_file.public_key()));
    if key_file.kind() == KeyKind::Network {
        line(
            "peer id",
            &crate::peer_id::of_public_key(key_file.public_key()).to_string(),
        );
    }
    line("uuid", key_file.uuid());
    let KdfParameters {
        memory_kib,
        iterations,
        lanes,
    } = key_file.kdf();
    let warning = if key_file.is_insecure() {
        "  INSECURE, for devnets only"
    } else {
        ""
    };
    line(
        "encryption",
        &format!(
            "argon2id, {memory_kib} KiB, {iterations} passes, {lanes} lanes; chacha20poly1305{warning}"
        ),
    );
    text
}

fn as_json(path: &Path, key_file: &KeyFile) -> Value {
    let KdfParameters {
        memory_kib,
        iterations,
        lanes,
    } = key_file.kdf();
    let mut value = json!({
        "file": path.display().to_string(),
        "kind": key_file.kind().name(),
        "public_key": hex::encode(key_file.public_key()),
        "uuid": key_file.uuid(),
        "insecure_kdf": key_file.is_insecure(),
        "kdf": { "memory_kib": memory_kib, "iterations": iterations, "lanes": lanes },
    });
    if key_file.kind() == KeyKind::Network {
        value["peer_id"] = crate::peer_id::of_public_key(key_file.public_key())
            .to_string()
            .into();
    }
    value
}

fn inspect(
    arguments: &InspectArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let paths = files_or_all(&arguments.files, global, context)?;
    let mut key_files = Vec::new();
    for path in &paths {
        key_files.push((path, keystore::load(path)?));
    }
    if arguments.verify {
        let password = arguments
            .password
            .read(context, &label_of(&paths), Purpose::Open)?;
        for (path, key_file) in &key_files {
            keystore::unlock(path, key_file.kind(), &password)?;
        }
    }
    if arguments.json {
        let list: Vec<_> = key_files
            .iter()
            .map(|(path, file)| as_json(path, file))
            .collect();
        return context.print(&format!("{:#}\n", Value::from(list)));
    }
    let mut text = String::new();
    for (path, key_file) in &key_files {
        let opened = if arguments.verify {
            ", opened with the password"
        } else {
            ""
        };
        let _infallible = write!(
            text,
            "{}{opened}\n{}",
            key_file.kind(),
            as_text(path, key_file)
        );
    }
    context.print(&text)
}

fn change_password(
    arguments: &ChangeArguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let paths = files_or_all(&arguments.files, global, context)?;
    let old = arguments
        .password
        .read(context, &label_of(&paths), Purpose::Open)?;
    // All files are opened before the first is written: a wrong password changes none of them.
    let mut keys = Vec::new();
    for path in &paths {
        let key_file = keystore::load(path)?;
        keys.push((
            path,
            keystore::unlock(path, key_file.kind(), &old)?,
            key_file.kdf(),
        ));
    }
    let new = arguments
        .new_password
        .read(context, "the same keys from now on")?;
    let mut sealed = Vec::new();
    for (path, key, kdf) in &keys {
        sealed.push((path, key.seal(&new, *kdf)?));
    }
    for (path, key_file) in &sealed {
        keystore::save_replacing(path, key_file)?;
        context.print(&format!("changed the password of {}\n", path.display()))?;
    }
    context.print("next: destroy the backups that the old password opens, and make new ones.\n")
}

/// The files that were named, else every key file in the home.
fn files_or_all(
    named: &[PathBuf],
    global: &GlobalArguments,
    context: &Context<'_>,
) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let folder = global.home(context)?.keys_folder();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        })
        .map_err(|error| {
            Failure::new(
                ExitCode::Keystore,
                format!("cannot list the keys in {}", folder.display()),
                error,
                "name the key files, or the home with --home",
            )
        })?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    paths.sort();
    if paths.is_empty() {
        return Err(Failure::new(
            ExitCode::Keystore,
            "there is nothing to look at",
            format!("no key file (*.json) in {}", folder.display()),
            "make a key with holdfast keys new, or name the key files",
        ));
    }
    Ok(paths)
}

fn label_of(paths: &[PathBuf]) -> String {
    match paths {
        [path] => path.display().to_string(),
        _ => format!("{} key files", paths.len()),
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let refuse = |why: String| {
        Failure::new(
            ExitCode::Keystore,
            format!("cannot import a secret from {}", path.display()),
            why,
            "give the 32-byte ed25519 secret (seed) as 64 hexadecimal digits",
        )
    };
    let bytes = if path == Path::new("-") {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_FILE_BYTES_MAX as usize));
        io::stdin()
            .take(SECRET_FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    } else {
        File::open(path)
            .and_then(|mut file| read_bounded(&mut file, SECRET_FILE_BYTES_MAX))
            .map(Zeroizing::new)
    };
    let bytes = bytes.map_err(|error| refuse(error.to_string()))?;
    if bytes.trim_ascii().starts_with(b"{") {
        return Err(refuse(
            "it is a JSON document, not a bare secret; a holdfast key file needs no import: copy it".into(),
        ));
    }
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(bytes.trim_ascii(), secret.as_mut_slice())
        .map_err(|_| refuse("it does not hold 64 hexadecimal digits".into()))?;
    Ok(secret)
}
