//! A chain of blocks on a state in memory.

use crate::audit::audit;
use holdfast_ledger::{
    Account, BlockInput, BlockOutcome, DynamicProperties, GenesisAccount, GenesisState,
    GenesisValidator, LedgerError, MemoryState, ResumeInput, Validator, execute_block,
    execute_emergency, execute_resume, genesis,
};
use holdfast_types::test_util::parameters::parameters;
pub(crate) use holdfast_types::test_util::parameters::{
    CREATION_FEE, EPOCH_MS, FEE, MIN_STAKE, UNBONDING_MS,
};
use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{
    AccountName, Action, AuthorityIndex, Committee, Evidence, FailureCode, GovernanceMessage,
    Height, KeyPair, Parameters, Receipt, ReceiptStatus, Signer, Support, TimestampMs,
    TransactionBody, VerifiedTransaction,
};

pub(crate) const START: TimestampMs = TimestampMs(1_000_000);
pub(crate) const BLOCK_MS: u64 = 1_000;
pub(crate) const BALANCE: u64 = 100_000_000;

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("a valid name")
}

/// The key pair of an account: a function of its name.
pub(crate) fn account_key(name: AccountName) -> KeyPair {
    let mut secret = [7; 32];
    for (to, from) in secret.iter_mut().zip(name.as_str().bytes()) {
        *to = from;
    }
    KeyPair::from_secret(&secret)
}

/// Validators `validator-0` … with the keys 0 …, and accounts alice, bob and carol.
pub(crate) fn genesis_state(validators: u16) -> GenesisState {
    let names: Vec<_> = (0..validators)
        .map(|number| name(&format!("validator-{number}")))
        .collect();
    let mut accounts: Vec<_> = ["alice", "bob", "carol"]
        .into_iter()
        .map(name)
        .chain(names.iter().copied())
        .map(|name| GenesisAccount {
            name,
            key: account_key(name).public_key(),
            balance: BALANCE,
        })
        .collect();
    accounts.sort_by_key(|account| account.name);
    let validators = names
        .into_iter()
        .zip(0..)
        .map(|(account, number)| GenesisValidator {
            account,
            signing_key: Some(key_pair(number).public_key()),
            stake: 2 * MIN_STAKE,
            url: b"https://validator.example".to_vec(),
        })
        .collect();
    let mut parameters = parameters();
    // Blocks come as late as a test wants them, and the chain was not stopped before them.
    parameters.stall.timeout_ms = u64::MAX;
    GenesisState {
        chain: CHAIN,
        timestamp: START,
        parameters,
        accounts,
        validators,
        treasury: 1_000,
    }
}

pub(crate) struct World {
    pub(crate) state: MemoryState,
    pub(crate) parameters: Parameters,
    pub(crate) committee: Committee,
    /// Block time of the next block less [`BLOCK_MS`].
    pub(crate) now: TimestampMs,
}

impl World {
    pub(crate) fn new(validators: u16) -> Self {
        Self::from_genesis(&genesis_state(validators))
    }

    pub(crate) fn from_genesis(state: &GenesisState) -> Self {
        let outcome = genesis(state).expect("the fixture is a valid genesis");
        let world = Self {
            state: MemoryState::from_genesis(&outcome.changes),
            parameters: state.parameters.clone(),
            committee: outcome.committee,
            now: state.timestamp,
        };
        audit(&world);
        world
    }

    pub(crate) fn properties(&self) -> DynamicProperties {
        holdfast_ledger::dynamic_properties(&self.state)
            .expect("the state reads")
            .expect("genesis is applied")
    }

    pub(crate) fn account(&self, text: &str) -> Account {
        holdfast_ledger::account(&self.state, &name(text))
            .expect("the state reads")
            .unwrap_or_else(|| panic!("account {text} exists"))
    }

    pub(crate) fn validator(&self, text: &str) -> Validator {
        holdfast_ledger::validator(&self.state, &name(text))
            .expect("the state reads")
            .unwrap_or_else(|| panic!("validator {text} exists"))
    }

    pub(crate) fn stake_of(&self, staker: &str, validator: &str) -> u64 {
        holdfast_ledger::stake_of(&self.state, &name(staker), &name(validator))
            .expect("the state reads")
    }

    /// A transaction of `sender` that would be accepted next.
    pub(crate) fn body(&self, sender: &str, action: Action) -> TransactionBody {
        let sender = name(sender);
        let account = holdfast_ledger::account(&self.state, &sender).expect("the state reads");
        TransactionBody {
            sender,
            public_key: account
                .as_ref()
                .map_or_else(|| account_key(sender).public_key(), |it| it.public_key),
            nonce: account.map_or(0, |account| account.nonce),
            fee_max: u64::MAX,
            expires_at: None,
            action,
        }
    }

    /// Executes a block `step_ms` after the last one, audits the state, and proves that the block can be undone.
    pub(crate) fn execute(
        &mut self,
        step_ms: u64,
        transactions: &[VerifiedTransaction],
        supports: &[Support],
        evidence: &[(Evidence, AccountName)],
    ) -> BlockOutcome {
        let properties = self.properties();
        self.now = self.now.plus(step_ms);
        let input = BlockInput {
            transactions,
            supports,
            evidence,
            ..self.empty_block(&properties)
        };
        let outcome =
            execute_block(&self.state, &self.parameters, &input).expect("a block executes");
        assert_eq!(outcome.receipts.len(), transactions.len());
        self.take(outcome)
    }

    /// A block at `now` with nothing in it.
    pub(crate) fn empty_block(&self, properties: &DynamicProperties) -> BlockInput<'_> {
        BlockInput {
            chain: CHAIN,
            height: properties.height.next(),
            era: properties.era,
            timestamp: self.now,
            committee: &self.committee,
            transactions: &[],
            supports: &[],
            evidence: &[],
            governance: None,
        }
    }

    /// A block with a governance message.
    pub(crate) fn govern(&mut self, message: &GovernanceMessage) -> BlockOutcome {
        let properties = self.properties();
        self.now = self.now.plus(BLOCK_MS);
        let input = BlockInput {
            governance: Some(message),
            ..self.empty_block(&properties)
        };
        let outcome =
            execute_block(&self.state, &self.parameters, &input).expect("a block executes");
        self.take(outcome)
    }

    /// The block that resumes the chain `step_ms` after the last one.
    pub(crate) fn try_resume<'m>(
        &mut self,
        step_ms: u64,
        message: impl Into<Option<&'m GovernanceMessage>>,
        evidence: &[(Evidence, AccountName)],
    ) -> Result<BlockOutcome, LedgerError> {
        let properties = self.properties();
        let input = ResumeInput {
            chain: CHAIN,
            height: properties.height.next(),
            era: properties.era,
            timestamp: self.now.plus(step_ms),
            committee: &self.committee,
            message: message.into(),
            evidence,
        };
        let outcome = execute_resume(&self.state, &self.parameters, &input)?;
        self.now = self.now.plus(step_ms);
        Ok(self.take(outcome))
    }

    /// The block of `producer` in the slot at `at`, if it has one there.
    pub(crate) fn try_emergency(
        &mut self,
        at: TimestampMs,
        producer: &str,
        transactions: &[VerifiedTransaction],
        evidence: &[(Evidence, AccountName)],
    ) -> Result<BlockOutcome, LedgerError> {
        let properties = self.properties();
        let input = BlockInput {
            timestamp: at,
            transactions,
            evidence,
            ..self.empty_block(&properties)
        };
        let outcome = execute_emergency(&self.state, &self.parameters, &input, name(producer))?;
        self.now = at;
        Ok(self.take(outcome))
    }

    fn take(&mut self, outcome: BlockOutcome) -> BlockOutcome {
        let before = self.state.clone();
        self.state.apply(&outcome.changes);
        self.state.undo(&outcome.undo).expect("memory reads");
        assert_eq!(self.state, before, "undo restores values and tree");
        self.state.apply(&outcome.changes);
        if let Some(end) = &outcome.era_end {
            self.committee = end.committee.clone();
        }
        audit(self);
        outcome
    }

    /// A block of transactions [`BLOCK_MS`] after the last one.
    pub(crate) fn block(&mut self, transactions: &[VerifiedTransaction]) -> BlockOutcome {
        self.execute(BLOCK_MS, transactions, &[], &[])
    }

    /// A block with one transaction; its receipt.
    pub(crate) fn act(&mut self, sender: &str, action: Action) -> Receipt {
        let transaction = verified(self.body(sender, action));
        let mut outcome = self.block(&[transaction]);
        outcome.receipts.remove(0)
    }

    /// As [`Self::act`], for what must succeed.
    pub(crate) fn must(&mut self, sender: &str, action: Action) -> Receipt {
        let receipt = self.act(sender, action);
        assert_eq!(receipt.status, ReceiptStatus::Success);
        receipt
    }

    /// As [`Self::act`], for what must fail after the fee was paid: no effect but fee and nonce.
    pub(crate) fn must_fail(&mut self, sender: &str, action: Action, code: FailureCode) {
        let before = self.account(sender);
        let receipt = self.act(sender, action);
        assert_eq!(receipt.status, ReceiptStatus::Failed(code));
        assert_eq!(receipt.events, []);
        let after = self.account(sender);
        let expected = Account {
            balance: before.balance - receipt.fee,
            nonce: before.nonce + 1,
            ..before
        };
        assert_eq!(after, expected);
        assert!(receipt.fee > 0);
    }

    /// Blocks without transactions up to the end of the epoch, which is returned.
    pub(crate) fn end_epoch(&mut self) -> BlockOutcome {
        let end = self.properties().epoch_start.plus(EPOCH_MS);
        self.execute(end.since(self.now).max(1), &[], &[], &[])
    }

    /// A raise of every member's support.
    pub(crate) fn supports(&self, height: Height) -> Vec<Support> {
        self.committee
            .authorities()
            .map(|authority| Support { authority, height })
            .collect()
    }

    pub(crate) fn authority(&self, text: &str) -> AuthorityIndex {
        self.committee
            .authority_of_account(&name(text))
            .expect("a member")
    }
}

/// A transaction as it comes out of a verified vertex. The signature is not looked at again.
pub(crate) fn verified(body: TransactionBody) -> VerifiedTransaction {
    let transaction = body.sign(&CHAIN, &account_key(name("alice")));
    let id = transaction.body.id(&CHAIN);
    VerifiedTransaction::trust(id, transaction)
}

pub(crate) fn transfer(to: &str, amount: u64) -> Action {
    Action::Transfer {
        to: name(to),
        amount,
        memo: Vec::new(),
    }
}

pub(crate) fn failed(receipt: &Receipt) -> FailureCode {
    match receipt.status {
        ReceiptStatus::Failed(code) => code,
        ReceiptStatus::Success => panic!("the transaction failed"),
    }
}
