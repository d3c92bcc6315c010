//! `holdfast run`

use super::global::MissingFile;
use super::password::PasswordArguments;
use super::{Context, GlobalArguments};
use crate::cluster_secret;
use crate::config::{Config, effective_values, render_json};
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::keystore::{self, KeyKind, Password, Purpose};
use crate::runtime::KeyPast;
use crate::runtime::sabotage::InjectedFault;
use crate::runtime::{Cluster, NodeParts, start};
use crate::signals::{StopSignals, stop_when_input_ends};
use crate::supervisor::{StopReason, Supervisor};
use crate::watchdog::ServiceManager;
use crate::{logging, panic_hook};
use clap::Args;
use holdfast_genesis::Genesis;
use holdfast_types::{KeyPair, Signer as _};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Create the sign guard if it is missing. `unknown`: sign only when a quorum of the other validators has shown what
    /// this key has signed. `never-signed`: at once; if that is not true, the validator is slashed.
    #[arg(long, value_name = "PAST", num_args = 0..=1, require_equals = true, default_missing_value = "unknown")]
    init_sign_guard: Option<KeyPast>,
    /// What was wrong with this node alone (halt status: own fault) was repaired: take part again. It halts anew if the
    /// fault is still there.
    #[arg(long)]
    repaired: bool,
    /// Stop when standard input ends: for a parent process that must not leave nodes behind.
    #[arg(long)]
    exit_with_stdin: bool,
    /// For drills: misbehave in this way, once for each SIGUSR1, past the sign guard. Refused unless the genesis document
    /// allows it, and no chain that matters does.
    #[arg(long, value_name = "FAULT")]
    inject_fault: Option<InjectedFault>,
    #[command(flatten)]
    password: PasswordArguments,
}

pub(super) fn run(
    arguments: &Arguments,
    global: &GlobalArguments,
    context: &mut Context<'_>,
) -> Result<(), Failure> {
    let loaded = global.load_config(context, MissingFile::Refuse)?;
    let settings = render_json(&effective_values(&loaded), true);
    let config = loaded.config;
    let _handle = logging::start(config.log())?;
    panic_hook::install(config.home());
    let genesis = read_genesis(&config.node().genesis_file)?;
    if let Some(fault) = arguments.inject_fault {
        fault.check(&genesis, config.validator().is_some())?;
    }
    let password = arguments
        .password
        .read(context, "the keys of this node", Purpose::Open)?;
    let parts = NodeParts {
        network_secret: secret(&config.p2p().key_file, KeyKind::Network, &password)?,
        signer: signer(&config, &password)?,
        emergency: emergency_key(&config, &genesis, &password)?,
        owner: owner_key(&config, &password)?,
        cluster: cluster(&config)?,
        init_sign_guard: arguments.init_sign_guard,
        settings,
        service_manager: service_manager(context)?,
        repaired: arguments.repaired,
        inject_fault: arguments.inject_fault,
        genesis,
        config,
    };
    drop(password);
    run_node(parts, arguments.exit_with_stdin)
}

fn service_manager(context: &Context<'_>) -> Result<Option<ServiceManager>, Failure> {
    ServiceManager::of(&context.environment).map_err(|error| {
        Failure::new(
            ExitCode::Usage,
            "cannot tell the service manager how this node is",
            format!("NOTIFY_SOCKET: {error}"),
            "start the node by its service unit, or unset NOTIFY_SOCKET",
        )
    })
}

fn run_node(parts: NodeParts, exit_with_stdin: bool) -> Result<(), Failure> {
    let supervisor = Supervisor::new();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(runtime_threads())
        .thread_name("tokio")
        .enable_all()
        .build()
        .map_err(|error| no_threads(&error))?;
    let moniker = parts.config.node().moniker.clone();
    let chain_id = parts.genesis.chain_id();
    let key = parts.signer.is_some();
    let node = runtime.block_on(async {
        let signals = StopSignals::listen().map_err(|error| no_threads(&error))?;
        let mut node = Box::pin(start(parts, &supervisor)).await?;
        let farewell = node.take_farewell();
        let said = async move {
            if let Some(farewell) = farewell {
                farewell.say().await;
            }
        };
        tokio::spawn(signals.stop_on_first_exit_on_second(supervisor.clone(), said));
        Ok::<_, Failure>(node)
    });
    let node = match node {
        Ok(node) => node,
        Err(failure) => {
            // Threads that have started already look for this.
            supervisor.stop(StopReason::Failed(failure.clone()));
            let _left = supervisor.drain(crate::supervisor::DRAIN_LIMIT);
            return Err(failure);
        }
    };
    if exit_with_stdin {
        stop_when_input_ends(std::io::stdin(), &supervisor).map_err(|error| no_threads(&error))?;
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        moniker,
        %chain_id,
        rpc = %node.rpc_address(),
        validator = key,
        "node started"
    );
    let reason = supervisor.wait();
    drop(reason);
    runtime.block_on(node.stop());
    supervisor.run_to_end()
}

/// The runtime carries the network and RPC; consensus and execution have threads of their own.
fn runtime_threads() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8))
}

fn no_threads(error: &std::io::Error) -> Failure {
    Failure::new(
        ExitCode::Internal,
        "cannot start the node's threads",
        error,
        "raise the limit of processes and threads of this user",
    )
}

/// Reads and checks the genesis file.
pub(super) fn read_genesis(path: &Path) -> Result<Genesis, Failure> {
    let refused = |why: String| {
        Failure::new(
            ExitCode::GenesisDiffers,
            format!("cannot use the genesis file {}", path.display()),
            why,
            "get the genesis file of your chain, put it there, and check it: holdfast genesis validate FILE",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    Genesis::parse(&text).map_err(|error| refused(error.to_string()))
}

fn secret(path: &Path, kind: KeyKind, password: &Password) -> Result<Zeroizing<[u8; 32]>, Failure> {
    Ok(keystore::unlock(path, kind, password)?.secret())
}

fn signer(config: &Config, password: &Password) -> Result<Option<Arc<KeyPair>>, Failure> {
    let Some(settings) = config.validator() else {
        return Ok(None);
    };
    let secret = secret(&settings.key_file, KeyKind::Validator, password)?;
    Ok(Some(Arc::new(KeyPair::from_secret(&secret))))
}

/// The emergency key of a master: the one that the genesis document names, or its blocks would be refused.
fn emergency_key(
    config: &Config,
    genesis: &Genesis,
    password: &Password,
) -> Result<Option<Arc<KeyPair>>, Failure> {
    let Some(path) = config.emergency_key_file() else {
        return Ok(None);
    };
    let secret = secret(path, KeyKind::Emergency, password)?;
    let key = KeyPair::from_secret(&secret);
    let expected = genesis.parameters().emergency.validator_public_key;
    if key.public_key() != expected {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{} is not the emergency key of this chain", path.display()),
            format!(
                "its public key is {}, the genesis document has {expected}",
                key.public_key()
            ),
            "set emergency.key_file to the right file, or leave it empty: then this node is no master",
        ));
    }
    Ok(Some(Arc::new(key)))
}

/// The cluster secret, and what the node cannot do without one.
fn cluster(config: &Config) -> Result<Cluster, Failure> {
    let Some(path) = &config.lockdown().secret_file else {
        if config.validator().is_some() {
            tracing::warn!(
                "lockdown.secret_file is empty: this validator can neither vote to freeze the chain nor hear such votes"
            );
        }
        return Ok(Cluster::default());
    };
    Ok(Cluster::new(Some(cluster_secret::read(path)?)))
}

/// The key of the validator's account, for its guard.
fn owner_key(config: &Config, password: &Password) -> Result<Option<Arc<KeyPair>>, Failure> {
    let validator = config.validator();
    let Some(path) = validator.and_then(|validator| validator.owner_key_file.as_ref()) else {
        return Ok(None);
    };
    let secret = secret(path, KeyKind::Account, password)?;
    Ok(Some(Arc::new(KeyPair::from_secret(&secret))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Override, Sources, load};
    use crate::environment::Environment;
    use crate::incident::fixture::{genesis, key};
    use crate::keystore::{KdfParameters, UnlockedKey};

    /// The settings of a node with this emergency key file.
    fn config(home: &Path, file: &str) -> Config {
        let overrides = [Override {
            key: "emergency.key_file".to_owned(),
            text: file.to_owned(),
            flag: "--set".to_owned(),
        }];
        let sources = Sources {
            home,
            file: &home.join("holdfast.toml"),
            file_required: false,
            environment: &Environment::default(),
            overrides: &overrides,
        };
        load(&sources).unwrap().config
    }

    #[test]
    fn a_master_starts_with_the_emergency_key_of_its_chain_and_no_other() {
        let (home, genesis) = (tempfile::tempdir().unwrap(), genesis());
        let password = Password::from("devnet");
        let save = |file: &str, kind, number| {
            let key = UnlockedKey::from_secret(kind, &key(number).secret());
            let sealed = key.seal(&password, KdfParameters::INSECURE).unwrap();
            keystore::save_new(&home.path().join(file), &sealed).unwrap();
        };
        // The genesis document of the fixture names number 99.
        save("right.json", KeyKind::Emergency, 99);
        save("other.json", KeyKind::Emergency, 98);
        save("account.json", KeyKind::Account, 99);
        let start = |file| emergency_key(&config(home.path(), file), &genesis, &password);
        assert!(start("").unwrap().is_none());
        let master = start("right.json").unwrap().unwrap();
        assert_eq!(master.public_key(), key(99).public_key());
        let other = start("other.json").unwrap_err();
        assert_eq!(other.code, ExitCode::Usage);
        let path = home.path().join("other.json");
        let what = format!("{} is not the emergency key of this chain", path.display());
        assert_eq!(other.what, what);
        assert!(other.why.contains(&key(98).public_key().to_string()));
        assert!(other.why.contains(&key(99).public_key().to_string()));
        let account = start("account.json").unwrap_err();
        assert_eq!(account.code, ExitCode::Keystore);
        let why = "holds an account key, wanted is an emergency key";
        assert!(account.why.ends_with(why), "{account}");
    }
}
