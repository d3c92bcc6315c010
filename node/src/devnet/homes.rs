//! The homes of a devnet: genesis document, keys, configuration and sign guard of every validator.

use super::islands::Island;
use super::ports::ReservedPorts;
use crate::cluster_secret;
use crate::config;
use crate::durable_file::{self, Existing};
use crate::failure::Failure;
use crate::home::Home;
use crate::keystore::{self, KdfParameters, KeyKind, Password, UnlockedKey};
use crate::peer_id;
use crate::runtime::failures;
use holdfast_genesis::templates::COIN;
use holdfast_genesis::{AccountEntry, Genesis, GenesisTime, NewChain, Template, ValidatorEntry};
use holdfast_storage::SignGuardFile;
use holdfast_types::hash::Purpose;
use holdfast_types::{AccountName, KeyPair, PublicKey, Signer};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The password of all key files of a devnet. They protect nothing, and say so (`insecure_kdf`).
pub const PASSWORD: &str = "devnet";
/// What each account of the load generator owns at the beginning, in base units.
const LOAD_BALANCE: u64 = 1_000 * COIN;
/// What the account of each validator owns besides its stake, in base units: enough to make another validator.
pub const OWNER_BALANCE: u64 = 200_000 * COIN;
/// What each validator stakes at the beginning, in base units: well above the minimum of the templates.
const STAKE: u64 = 200_000 * COIN;
/// Governance keys of a devnet, as many as the documents say.
const GOVERNANCE_KEYS: u16 = 12;

/// What to make.
#[derive(Clone, Debug)]
pub struct DevnetSpec {
    pub directory: PathBuf,
    pub validators: u16,
    /// Accounts with known keys, for load and for trying things out.
    pub accounts: u32,
    pub template: Template,
    pub genesis_time: GenesisTime,
    /// Length of an epoch in ms, if not that of the template.
    pub epoch_duration_ms: Option<u64>,
    /// So many of the nodes have the emergency key.
    pub masters: u16,
    /// Where each node lives; empty: all on loopback.
    pub islands: Vec<Island>,
    /// Settings of every node besides those that a devnet needs, as `section.key` and TOML text.
    pub settings: BTreeMap<String, String>,
}

/// One validator of a devnet.
#[derive(Clone, Debug)]
pub struct DevnetNode {
    pub name: String,
    /// The account that it validates for.
    pub account: AccountName,
    pub home: PathBuf,
    pub rpc: SocketAddr,
    /// Where peers reach it, with its peer id.
    pub p2p: String,
    /// Network namespace that its process belongs in; none: that of this process.
    pub namespace: Option<String>,
}

impl DevnetSpec {
    /// Address of node `position`.
    fn address(&self, position: usize) -> Ipv4Addr {
        let island = self.islands.get(position);
        island.map_or(Ipv4Addr::LOCALHOST, |island| island.address)
    }
}

impl DevnetNode {
    /// Where it answers JSON-RPC.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.rpc)
    }
}

/// A devnet on disk.
#[derive(Debug)]
pub struct Devnet {
    pub genesis: Genesis,
    pub nodes: Vec<DevnetNode>,
    /// Held until the nodes start, so that nobody else takes the ports.
    pub ports: ReservedPorts,
}

/// Key pair of load account `number`. Known to everybody: a devnet is for throwing away.
#[must_use]
pub fn account_key(number: u32) -> KeyPair {
    KeyPair::from_secret(&Purpose::GENESIS.hash_encoded(&("devnet account", number)))
}

/// Name of load account `number`.
#[must_use]
pub fn account_name(number: u32) -> AccountName {
    AccountName::new(&format!("user-{number}")).expect("the name obeys the rule")
}

fn validator_name(number: u16) -> AccountName {
    AccountName::new(&format!("validator-{number}")).expect("the name obeys the rule")
}

fn validator_key(purpose: &str, number: u16) -> [u8; 32] {
    Purpose::GENESIS.hash_encoded(&("devnet validator", purpose, number))
}

/// Owner key of validator `number`: signs the transactions of its account.
#[must_use]
pub fn owner_key(number: u16) -> KeyPair {
    KeyPair::from_secret(&validator_key("owner", number))
}

/// Folder of the governors' key files in the folder of a devnet.
pub const GOVERNORS_FOLDER: &str = "governors";

/// Writes the key file of each governor: `governors/governor-0.json` and so on.
fn write_governors(spec: &DevnetSpec) -> Result<(), Failure> {
    let folder = spec.directory.join(GOVERNORS_FOLDER);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::disk(format!("cannot make {}", folder.display()), &error))?;
    let password = Password::new(zeroize::Zeroizing::new(PASSWORD.as_bytes().to_vec()));
    for number in 0..GOVERNANCE_KEYS {
        let secret = validator_key("governance", number);
        let key = UnlockedKey::from_secret(KeyKind::Governor, &secret);
        let file = key.seal(&password, KdfParameters::INSECURE)?;
        keystore::save_new(&folder.join(format!("governor-{number}.json")), &file)?;
    }
    Ok(())
}

/// Writes everything that the nodes need to start.
pub fn create(spec: DevnetSpec) -> Result<Devnet, Failure> {
    let count = usize::from(spec.validators);
    let ports = ReservedPorts::reserve(2 * count)
        .map_err(|error| Failure::disk("no free ports on loopback", &error))?;
    let numbers = ports.numbers();
    let genesis = genesis_of(&spec)?;
    let text = genesis.document().to_toml().map_err(|error| {
        Failure::new(
            crate::exit_codes::ExitCode::Usage,
            "the genesis document cannot be written",
            error,
            "use smaller amounts",
        )
    })?;
    let network_keys: Vec<UnlockedKey> = (0..spec.validators)
        .map(|number| UnlockedKey::from_secret(KeyKind::Network, &validator_key("network", number)))
        .collect();
    let peers: Vec<String> = network_keys
        .iter()
        .zip(numbers.iter().skip(count))
        .enumerate()
        .map(|(position, (key, port))| {
            let peer = peer_id::of_public_key(&key.public_key());
            let address = spec.address(position);
            format!("/ip4/{address}/tcp/{port}/p2p/{peer}")
        })
        .collect();
    let mut nodes = Vec::with_capacity(count);
    for ((number, network_key), peer) in (0..spec.validators).zip(&network_keys).zip(&peers) {
        let position = usize::from(number);
        let (Some(rpc), Some(p2p)) = (numbers.get(position), numbers.get(count + position)) else {
            unreachable!("two ports were reserved for each validator");
        };
        let node = DevnetNode {
            name: format!("v{number}"),
            account: validator_name(number),
            home: spec.directory.join(format!("v{number}")),
            rpc: SocketAddr::from((spec.address(position), *rpc)),
            p2p: peer.clone(),
            namespace: spec
                .islands
                .get(position)
                .map(|island| island.namespace.clone()),
        };
        let maker = HomeMaker {
            spec: &spec,
            number,
            network_key,
            genesis: &text,
            peers: &peers,
            p2p_port: *p2p,
        };
        maker.make(&node)?;
        nodes.push(node);
    }
    write_governors(&spec)?;
    Ok(Devnet {
        genesis,
        nodes,
        ports,
    })
}

fn genesis_of(spec: &DevnetSpec) -> Result<Genesis, Failure> {
    let public = |purpose: &str, number: u16| {
        KeyPair::from_secret(&validator_key(purpose, number)).public_key()
    };
    let mut accounts = Vec::new();
    let mut validators = Vec::new();
    for number in 0..spec.validators {
        let account = validator_name(number);
        accounts.push(AccountEntry {
            name: account,
            key: owner_key(number).public_key(),
            balance: OWNER_BALANCE,
        });
        validators.push(ValidatorEntry {
            account,
            signing_key: Some(signing_key(number)),
            stake: STAKE,
            url: String::new(),
        });
    }
    accounts.extend((0..spec.accounts).map(|number| AccountEntry {
        name: account_name(number),
        key: account_key(number).public_key(),
        balance: LOAD_BALANCE,
    }));
    let mut document = spec.template.document(NewChain {
        chain_name: "holdfast-devnet".to_owned(),
        genesis_time: spec.genesis_time,
        notes: "a devnet: all keys are known to everybody".to_owned(),
        emergency_key: public("emergency", 0),
        governance_keys: (0..GOVERNANCE_KEYS)
            .map(|number| public("governance", number))
            .collect(),
        governance_threshold: None,
        accounts,
        validators,
        treasury: 0,
    });
    if let Some(epoch_duration_ms) = spec.epoch_duration_ms {
        document.parameters.epoch_duration_ms = epoch_duration_ms;
    }
    Genesis::check(document).map_err(|error| {
        Failure::new(
            crate::exit_codes::ExitCode::Usage,
            "the devnet's genesis document is not valid",
            error,
            "choose other numbers of validators and accounts, or another epoch length",
        )
    })
}

fn signing_key(number: u16) -> PublicKey {
    KeyPair::from_secret(&validator_key("signing", number)).public_key()
}

struct HomeMaker<'a> {
    spec: &'a DevnetSpec,
    number: u16,
    network_key: &'a UnlockedKey,
    genesis: &'a str,
    peers: &'a [String],
    p2p_port: u16,
}

impl HomeMaker<'_> {
    fn make(&self, node: &DevnetNode) -> Result<(), Failure> {
        let home = Home::at(node.home.clone());
        for folder in [home.keys_folder(), home.data_folder()] {
            std::fs::create_dir_all(&folder).map_err(|error| {
                Failure::disk(format!("cannot make {}", folder.display()), &error)
            })?;
        }
        let password = Password::new(zeroize::Zeroizing::new(PASSWORD.as_bytes().to_vec()));
        let signing =
            UnlockedKey::from_secret(KeyKind::Validator, &validator_key("signing", self.number));
        let owner = UnlockedKey::from_secret(KeyKind::Account, &owner_key(self.number).secret());
        let emergency =
            UnlockedKey::from_secret(KeyKind::Emergency, &validator_key("emergency", 0));
        let master = self.is_master().then_some((&emergency, KeyKind::Emergency));
        let keys = [
            (&signing, KeyKind::Validator),
            (self.network_key, KeyKind::Network),
            (&owner, KeyKind::Account),
        ];
        for (key, kind) in keys.into_iter().chain(master) {
            let file = key.seal(&password, KdfParameters::INSECURE)?;
            keystore::save_new(&home.key_file(kind), &file)?;
        }
        let secret = home.keys_folder().join("cluster.secret");
        cluster_secret::create_known(&secret, &validator_key("cluster", 0))?;
        write(&home.path().join("genesis.toml"), self.genesis)?;
        write(&home.config_file(), &self.configuration(node))?;
        let guard = home.key_file(KeyKind::Validator).with_extension("guard");
        SignGuardFile::create(&guard, signing_key(self.number))
            .map(drop)
            .map_err(|error| failures::of_guard(&error))
    }

    /// The first nodes have the emergency key.
    const fn is_master(&self) -> bool {
        self.number < self.spec.masters
    }

    fn configuration(&self, node: &DevnetNode) -> String {
        let text = |value: &str| toml::Value::from(value).to_string();
        let listen = format!("/ip4/{}/tcp/{}", node.rpc.ip(), self.p2p_port);
        let mut settings: BTreeMap<String, String> = [
            ("node.moniker", text(&node.name)),
            ("node.genesis_file", text("genesis.toml")),
            ("rpc.listen", text(&node.rpc.to_string())),
            ("p2p.listen", toml::Value::from(vec![listen]).to_string()),
            (
                "p2p.peers",
                toml::Value::from(self.peers.to_vec()).to_string(),
            ),
            ("p2p.allow_private_addresses", "true".to_owned()),
            (
                "validator.account",
                text(validator_name(self.number).as_str()),
            ),
            ("validator.key_file", text("keys/validator.json")),
            ("validator.owner_key_file", text("keys/account.json")),
            ("lockdown.secret_file", text("keys/cluster.secret")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        if self.is_master() {
            let file = text("keys/emergency.json");
            settings.insert("emergency.key_file".to_owned(), file);
        }
        settings.extend(self.spec.settings.clone());
        let chosen = settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        config::template(&chosen)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    durable_file::write(path, text.as_bytes(), durable_file::PUBLIC, Existing::Keep)
        .map_err(|error| Failure::disk(format!("cannot write {}", path.display()), &error))
}
