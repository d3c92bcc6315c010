//! `holdfast init`

use super::password::PasswordArguments;
use super::{Context, GlobalArguments};
use crate::config::{self, Override, Sources};
use crate::durable_file::{self, Existing};
use crate::environment::Environment;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::home::Home;
use crate::keystore::{self, KdfParameters, KeyKind, Password, Purpose, UnlockedKey};
use clap::Args;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

const PRIVATE_FOLDER: u32 = 0o700;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name shown to peers.
    #[arg(long, value_name = "NAME")]
    moniker: Option<String>,
    /// Make this node a validator under this account: also makes a signing key.
    #[arg(long, value_name = "ACCOUNT")]
    validator: Option<String>,
    #[command(flatten)]
    password: PasswordArguments,
}

pub(super) fn run(
    arguments: Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let home = global.home(context)?;
    refuse_used_home(home.path())?;
    check_settings(&home, &arguments)?;
    let password = arguments
        .password
        .read(context, "the keys of this node", Purpose::Choose)?;
    let mut made = Made::default();
    match make(&home, &arguments, &password, &mut made) {
        Ok(report) => context.print(&report),
        Err(failure) => {
            made.remove();
            Err(failure)
        }
    }
}

fn refuse_used_home(home: &Path) -> Result<(), Failure> {
    let refuse = |why: String| {
        Err(Failure::new(
            ExitCode::Usage,
            format!("will not make a home in {}", home.display()),
            why,
            "choose another folder with --home DIR; a node that was set up there is started with: holdfast run",
        ))
    };
    let entries = match std::fs::read_dir(home) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return refuse(error.to_string()),
    };
    for entry in entries {
        let name = match entry {
            Ok(entry) => entry.file_name(),
            Err(error) => return refuse(error.to_string()),
        };
        // The root of an ext4 volume is never quite empty.
        if name != "lost+found" {
            return refuse(format!("it is not empty: it holds {}", name.display()));
        }
    }
    Ok(())
}

/// What was made so far, so that a failure leaves the folder as it was.
#[derive(Default)]
struct Made {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Made {
    fn folder(&mut self, path: PathBuf) -> Result<(), Failure> {
        let parents = path.ancestors().skip(1).find(|parent| parent.exists());
        match DirBuilder::new()
            .mode(PRIVATE_FOLDER)
            .recursive(true)
            .create(&path)
        {
            Ok(()) => {
                let new = path
                    .ancestors()
                    .take_while(|folder| Some(*folder) != parents);
                let new: Vec<_> = new.map(Path::to_owned).collect();
                self.folders.extend(new.into_iter().rev());
                Ok(())
            }
            Err(error) => Err(Failure::disk(
                format!("cannot make {}", path.display()),
                &error,
            )),
        }
    }

    fn remove(&self) {
        // What cannot be removed stays; the failure that is reported matters more.
        for file in &self.files {
            let _left_behind = std::fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _not_empty = std::fs::remove_dir(folder);
        }
    }
}

fn make(
    home: &Home,
    arguments: &Arguments,
    password: &Password,
    made: &mut Made,
) -> Result<String, Failure> {
    if !home.path().exists() {
        made.folder(home.path().to_owned())?;
    }
    made.folder(home.keys_folder())?;
    made.folder(home.data_folder())?;
    let network = make_key(home, KeyKind::Network, password, made)?;
    let validator = match &arguments.validator {
        Some(account) => Some((account, make_key(home, KeyKind::Validator, password, made)?)),
        None => None,
    };
    let path = home.config_file();
    let chosen = chosen_settings(arguments)
        .into_iter()
        .map(|(key, text, _)| (key, toml::Value::from(text).to_string()))
        .collect();
    let text = config::template(&chosen);
    durable_file::write(&path, text.as_bytes(), durable_file::PUBLIC, Existing::Keep)
        .map_err(|error| Failure::disk(format!("cannot write {}", path.display()), &error))?;
    made.files.push(path);
    let signing_key = validator.map_or_else(String::new, |(account, public_key)| {
        format!(
            "  keys/validator.json  signing key of {account}, encrypted; public key\n{:23}{}\n",
            "",
            hex::encode(public_key)
        )
    });
    let shown = home.path().display();
    Ok(format!(
        "made the home of a new node in {shown}\n\
         \x20 holdfast.toml        the configuration; every setting is explained there\n\
         \x20 keys/network.json    network key, encrypted; peer id\n{:23}{}\n\
         {signing_key}\
         \x20 data/                the database, empty\n\
         next:\n\
         \x20 1. back up keys/ and the password, each in another place\n\
         \x20 2. put the genesis document of the chain at {shown}/genesis.json\n\
         \x20 3. put the addresses of some peers into p2p.peers of holdfast.toml\n\
         \x20 4. check: holdfast config check --home {shown}\n",
        "",
        crate::peer_id::of_public_key(&network),
    ))
}

fn make_key(
    home: &Home,
    kind: KeyKind,
    password: &Password,
    made: &mut Made,
) -> Result<[u8; 32], Failure> {
    let key = UnlockedKey::generate(kind)?;
    let path = home.key_file(kind);
    keystore::save_new(&path, &key.seal(password, KdfParameters::STANDARD)?)?;
    made.files.push(path);
    Ok(key.public_key())
}

/// Settings that differ from the template, and the flag that asks for each.
fn chosen_settings(arguments: &Arguments) -> Vec<(&'static str, &str, &'static str)> {
    let mut chosen = Vec::new();
    if let Some(moniker) = &arguments.moniker {
        chosen.push(("node.moniker", moniker.as_str(), "--moniker"));
    }
    if let Some(account) = &arguments.validator {
        chosen.push(("validator.account", account.as_str(), "--validator"));
        chosen.push(("validator.key_file", "keys/validator.json", "--validator"));
    }
    chosen
}

/// Refuses what would make a configuration that `run` refuses.
fn check_settings(home: &Home, arguments: &Arguments) -> Result<(), Failure> {
    let overrides: Vec<Override> = chosen_settings(arguments)
        .into_iter()
        .map(|(key, text, flag)| Override {
            key: key.to_owned(),
            text: text.to_owned(),
            flag: flag.to_owned(),
        })
        .collect();
    let sources = Sources {
        home: home.path(),
        file: &home.config_file(),
        file_required: false,
        environment: &Environment::default(),
        overrides: &overrides,
    };
    config::load(&sources)?;
    Ok(())
}
