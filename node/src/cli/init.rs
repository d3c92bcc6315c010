//! `holdfast init`

use super::layout::Sheet;
use super::password::PasswordArguments;
use super::{Context, GlobalArguments, genesis};
use crate::config::{self, Config, Override, Sources};
use crate::durable_file::{self, Existing};
use crate::environment::Environment;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::home::Home;
use crate::keystore::{self, KdfParameters, KeyKind, Password, Purpose, UnlockedKey};
use crate::runtime::failures;
use clap::Args;
use holdfast_genesis::Genesis;
use holdfast_storage::SignGuardFile;
use holdfast_types::PublicKey;
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
    /// Make this node a validator under this account: also makes a signing key and its sign guard.
    #[arg(long, value_name = "ACCOUNT")]
    validator: Option<String>,
    /// The genesis document of the chain: checked, and copied into the home.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
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
    let plan = Plan {
        config: check_settings(&home, &arguments)?,
        genesis: match &arguments.genesis {
            Some(path) => Some(genesis::read_valid(path)?),
            None => None,
        },
        arguments,
        home,
    };
    let password =
        plan.arguments
            .password
            .read(context, "the keys of this node", Purpose::Choose)?;
    let mut made = Made::default();
    match plan.make(&password, &mut made) {
        Ok(report) => context.print(&report),
        Err(failure) => {
            made.remove();
            Err(failure)
        }
    }
}

/// What to make, checked.
struct Plan {
    home: Home,
    arguments: Arguments,
    /// As `run` will have it.
    config: Config,
    /// The genesis and its text as it was read.
    genesis: Option<(Genesis, String)>,
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

    fn write(&mut self, path: PathBuf, text: &str) -> Result<(), Failure> {
        durable_file::write(&path, text.as_bytes(), durable_file::PUBLIC, Existing::Keep)
            .map_err(|error| Failure::disk(format!("cannot write {}", path.display()), &error))?;
        self.files.push(path);
        Ok(())
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

impl Plan {
    fn make(&self, password: &Password, made: &mut Made) -> Result<String, Failure> {
        let home = &self.home;
        if !home.path().exists() {
            made.folder(home.path().to_owned())?;
        }
        made.folder(home.keys_folder())?;
        made.folder(home.data_folder())?;
        let network = make_key(home, KeyKind::Network, password, made)?;
        let signing = match self.config.validator() {
            Some(settings) => {
                let key = make_key(home, KeyKind::Validator, password, made)?;
                let key = PublicKey::new(key);
                // The key is a moment old, so nothing can have been signed with it: its guard may start empty.
                SignGuardFile::create(&settings.sign_guard_file, key)
                    .map_err(|error| failures::of_guard(&error))?;
                made.files.push(settings.sign_guard_file.clone());
                Some(key)
            }
            None => None,
        };
        if let Some((_, text)) = &self.genesis {
            made.write(home.genesis_file(), text)?;
        }
        let chosen = chosen_settings(&self.arguments)
            .into_iter()
            .map(|(key, text, _)| (key, toml::Value::from(text).to_string()))
            .collect();
        made.write(home.config_file(), &config::template(&chosen))?;
        Ok(format!(
            "{}{}",
            self.inventory(&network, signing),
            self.next_steps(signing)
        ))
    }

    fn inventory(&self, network: &[u8; 32], signing: Option<PublicKey>) -> String {
        let mut sheet = Sheet::titled(format_args!(
            "made the home of a new node in {}",
            self.home.path().display()
        ));
        sheet.file(
            "holdfast.toml",
            "the configuration; every setting is explained there",
        );
        if let Some((genesis, _)) = &self.genesis {
            sheet.file(
                "genesis.toml",
                format_args!("chain {}, id\n{}", genesis.chain_name(), genesis.chain_id()),
            );
        }
        sheet.file(
            "keys/network.json",
            format_args!(
                "network key, encrypted; peer id\n{}",
                crate::peer_id::of_public_key(network)
            ),
        );
        if let (Some(account), Some(key)) = (&self.arguments.validator, signing) {
            sheet.file(
                "keys/validator.json",
                format_args!("signing key of {account}, encrypted; public key\n{key}"),
            );
            sheet.file(
                "keys/validator.guard",
                "record of what the key signed; lives with the key, never restore an old copy",
            );
        }
        sheet.file("data/", "the database, empty");
        sheet.into_text()
    }

    fn next_steps(&self, signing: Option<PublicKey>) -> String {
        let home = self.home.path().display();
        let mut steps =
            vec!["back up the key files and the password, each in another place".to_owned()];
        if self.genesis.is_none() {
            steps.push(format!(
                "put the genesis document of the chain at {}",
                self.home.genesis_file().display()
            ));
        }
        steps.push("put the addresses of some peers into p2p.peers of holdfast.toml".to_owned());
        if let (Some(account), Some(key)) = (&self.arguments.validator, signing)
            && !self.is_in_genesis(account, key)
        {
            steps.push(format!(
                "once the node has caught up, tell the chain the signing key:\n                 holdfast tx register-validator --home {home} --from {account} --signing-key {} --key FILE\n                 (update-validator if {account} is registered already)",
                self.home.key_file(KeyKind::Validator).display()
            ));
        }
        steps.push(format!("check: holdfast config check --home {home}"));
        steps.push(format!("start: holdfast run --home {home}"));
        let mut text = String::from("next:\n");
        for (step, number) in steps.iter().zip(1..) {
            text.push_str(&format!("  {number}. {}\n", step.replace('\n', "\n     ")));
        }
        text
    }

    fn is_in_genesis(&self, account: &str, key: PublicKey) -> bool {
        self.genesis.as_ref().is_some_and(|(genesis, _)| {
            let mut validators = genesis.document().validators.iter();
            validators.any(|validator| {
                validator.account.as_str() == account && validator.signing_key == Some(key)
            })
        })
    }
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
    if arguments.genesis.is_some() {
        chosen.push(("node.genesis_file", "genesis.toml", "--genesis"));
    }
    if let Some(account) = &arguments.validator {
        chosen.push(("validator.account", account.as_str(), "--validator"));
        chosen.push(("validator.key_file", "keys/validator.json", "--validator"));
    }
    chosen
}

/// Refuses what would make a configuration that `run` refuses.
fn check_settings(home: &Home, arguments: &Arguments) -> Result<Config, Failure> {
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
    Ok(config::load(&sources)?.config)
}
