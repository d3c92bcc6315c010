//! `holdfast governance sign` and `combine`.

use super::file::{Message, existing};
use crate::cli::layout::Sheet;
use crate::cli::password::PasswordArguments;
use crate::cli::tx::known_chain;
use crate::cli::{Context, GlobalArguments};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::keystore::{self, KeyKind, Purpose};
use clap::Args;
use holdfast_types::{ChainId, KeyPair, PublicKey};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// File of the message.
    file: PathBuf,
    /// Encrypted key file of the governor.
    #[arg(long, value_name = "KEYSTORE")]
    key: PathBuf,
    /// Where the signed message goes; must not exist [default: the same file].
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Id of the chain that the message must be for [default: that of the genesis document, if there is one].
    #[arg(long, value_name = "HEX", conflicts_with = "genesis")]
    chain_id: Option<ChainId>,
    /// Genesis document of that chain [default: that of the home folder].
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Sign without asking. The chain has to be known.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    password: PasswordArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct CombineArguments {
    /// Copies of one message, each with other signatures.
    #[arg(required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Where the message with all signatures goes: one of the copies, or a file that does not exist.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

const NAME_CHAIN: &str = "give --chain-id HEX or --genesis FILE";

/// Signs; everything that can be wrong is looked at before anybody is asked.
pub(super) fn run(
    arguments: &Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let mut message = Message::read(&arguments.file)?;
    let path = arguments.output.as_ref().unwrap_or(&arguments.file);
    let existing = existing(path, [&arguments.file])?;
    let is_chain_known = check_chain(arguments, &message, global, context)?;
    let key_file = keystore::load_of(&arguments.key, KeyKind::Governor)?;
    let public_key = PublicKey::new(*key_file.public_key());
    let position = position(&message, &public_key, &arguments.key)?;
    let mut sheet = sheet_of(&message, "you are about to sign");
    if !is_chain_known {
        sheet.line("ATTENTION", format_args!("chain NOT CHECKED: {NAME_CHAIN}"));
    }
    context.print(&sheet.into_text())?;
    if !arguments.yes {
        agree(context)?;
    }
    let label = arguments.key.display().to_string();
    let password = arguments.password.read(context, &label, Purpose::Open)?;
    let key = keystore::unlock(&arguments.key, KeyKind::Governor, &password)?;
    let signer = KeyPair::from_secret(&key.secret());
    let (position, signature) = message.body.sign(position, &message.chain, &signer);
    message.signatures.insert(position, signature);
    message.write(path, existing)?;
    context.print(&format!(
        "signed as governor {position}; {}\n",
        next(&message, path)
    ))
}

/// True if the message is for the chain that arguments or home name, false if they name none and somebody is asked.
fn check_chain(
    arguments: &Arguments,
    message: &Message,
    global: &GlobalArguments,
    context: &Context<'_>,
) -> Result<bool, Failure> {
    let known = known_chain(
        arguments.chain_id,
        arguments.genesis.clone(),
        global,
        context,
    )?;
    match known {
        None if arguments.yes => Err(Failure::new(
            ExitCode::Usage,
            "cannot sign without knowing the chain",
            "there is no genesis document in the home, and --yes asks nobody",
            NAME_CHAIN,
        )),
        None => Ok(false),
        Some((chain, _)) if chain != message.chain => Err(Failure::new(
            ExitCode::GenesisDiffers,
            "the message is for another chain",
            format!("ours is {chain}, the message is for {}", message.chain),
            "sign only messages of your chain; name it with --genesis FILE or --chain-id HEX",
        )),
        Some(_) => Ok(true),
    }
}

/// Position of the governor, who must not have signed yet.
fn position(message: &Message, key: &PublicKey, path: &Path) -> Result<u16, Failure> {
    let found = (0u16..).zip(&message.governors).find(|(_, of)| *of == key);
    let Some((position, _)) = found else {
        return Err(Failure::new(
            ExitCode::Keystore,
            format!("{} is the key of no governor", path.display()),
            format!(
                "its public key {key} is none of the {} that may sign this message",
                message.governors.len()
            ),
            "name the key file of a governor; holdfast governance show FILE lists them",
        ));
    };
    if message.signatures.contains_key(&position) {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("governor {position} has signed this message already"),
            "each governor counts once",
            "pass the file on to another governor; holdfast governance show FILE says who is missing",
        ));
    }
    Ok(position)
}

fn agree(context: &mut Context<'_>) -> Result<(), Failure> {
    let refused = |why: &str| {
        Failure::new(
            ExitCode::Usage,
            "not signed",
            why,
            "answer yes to sign, or give --yes",
        )
    };
    if !context.prompt.is_interactive() {
        return Err(refused("there is nobody to ask"));
    }
    let agreed = context
        .prompt
        .confirm("sign this? (yes or no) ")
        .map_err(|error| refused(&error.to_string()))?;
    if agreed {
        Ok(())
    } else {
        Err(refused("the answer was not yes"))
    }
}

/// What a message orders, under a title.
pub(super) fn sheet_of(message: &Message, title: &str) -> Sheet {
    let mut sheet = Sheet::titled(format_args!(
        "{title}: {}, sequence {}",
        message.body.action.name(),
        message.body.sequence
    ));
    sheet.line("orders", message.orders().join("\n"));
    sheet.line("chain", message.chain);
    sheet.line("message id", message.id());
    sheet
}

/// What comes next for a message in the file at `path`.
pub(super) fn next(message: &Message, path: &Path) -> String {
    let path = path.display();
    match message.missing() {
        0 => format!("it has enough signatures: holdfast governance submit {path}"),
        1 => format!("1 signature is missing: pass {path} on"),
        missing => format!("{missing} signatures are missing: pass {path} on"),
    }
}

/// Puts the signatures of copies of one message together.
pub(super) fn combine(
    arguments: &CombineArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let existing = existing(&arguments.output, &arguments.files)?;
    let mut all: Option<Message> = None;
    for path in &arguments.files {
        let message = Message::read(path)?;
        let Some(first) = &mut all else {
            all = Some(message);
            continue;
        };
        let is_same = first.id() == message.id()
            && first.governors == message.governors
            && first.threshold == message.threshold;
        if !is_same {
            return Err(Failure::new(
                ExitCode::Usage,
                format!("{} is another message", path.display()),
                format!(
                    "its message id is {}, that of {} is {}, or their governors differ",
                    message.id(),
                    arguments.files[0].display(),
                    first.id()
                ),
                "combine copies of one draft only",
            ));
        }
        first.signatures.extend(message.signatures);
    }
    let message = all.expect("clap asks for at least one file");
    message.write(&arguments.output, existing)?;
    context.print(&format!(
        "{} of {} signatures in {}; {}\n",
        message.signatures.len(),
        message.threshold,
        arguments.output.display(),
        next(&message, &arguments.output)
    ))
}
