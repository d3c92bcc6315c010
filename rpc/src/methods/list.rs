//! The definitions of all methods, in the order of the reference.

use super::definition::{Method, Transport};
use super::params::{
    AccountParams, BlockParams, CommitteeParams, EvidenceParams, GovernanceParams, HaltIdParams,
    HaltSubscribeParams, HeaderParams, HeightParams, HistoryParams, LockdownVoteParams, NoParams,
    SendParams, SubscribeParams, TransactionIdParams, UnsubscribeParams,
};
use crate::codes::ErrorCode;
use crate::dto::{
    Account, Block, BlockHeader, Certificate, Committee, EmergencyStatus, EvidenceItem,
    EvidenceReceipt, GovernanceState, GovernanceSummary, HaltMatrix, HaltProof, HaltReport,
    JournalEntry, LockdownStatus, NodeInfo, Peer, PendingTransactions, Receipt, RiskStatus, Sent,
    Status, Transaction, Validator,
};
use serde_json::{Map, Value};

macro_rules! methods {
    ($(
        $(#[doc = $doc:literal])*
        $method:ident = $name:literal ($params:ty) -> $output:ty {
            summary: $summary:literal,
            description: $description:literal,
            $(errors: [$($error:ident),*],)?
            $(transport: $transport:ident,)?
        }
    )*) => {
        /// The name of every method in order, as the metric label `method` lists them.
        pub(crate) const METHOD_NAMES: &[&str] = &[$($name),*];

        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $method;

            impl Method for $method {
                const NAME: &'static str = $name;
                const SUMMARY: &'static str = $summary;
                const DESCRIPTION: &'static str = $description;
                $(const ERRORS: &'static [ErrorCode] = &[$(ErrorCode::$error),*];)?
                $(const TRANSPORT: Transport = Transport::$transport;)?
                type Params = $params;
                type Output = $output;
            }
        )*
    };
}

methods! {
    /// `chain_getStatus`.
    GetStatus = "chain_getStatus" (NoParams) -> Status {
        summary: "Where the chain and this node stand.",
        description: "The figures of one moment: head, what is final, era and round, halts in force, queue, peers.",
    }

    /// `chain_getBlock`.
    GetBlock = "chain_getBlock" (BlockParams) -> Option<Block> {
        summary: "A block with its transactions.",
        description: "By height the block on this node's best branch. Null if this node does not know it. A block whose JSON is longer than the node's reply limit gives `REPLY_TOO_LARGE`: ask for detail `ids`.",
        errors: [Pruned, ReplyTooLarge],
    }

    /// `chain_getHeader`.
    GetHeader = "chain_getHeader" (HeaderParams) -> Option<BlockHeader> {
        summary: "The header of a block.",
        description: "Null if this node does not know the block.",
        errors: [Pruned],
    }

    /// `chain_getTransaction`.
    GetTransaction = "chain_getTransaction" (TransactionIdParams) -> Option<Transaction> {
        summary: "A transaction, decoded.",
        description: "Also one that is queued on this node and in no block yet. Null if this node does not know it.",
        errors: [Pruned],
    }

    /// `chain_getReceipt`.
    GetReceipt = "chain_getReceipt" (TransactionIdParams) -> Option<Receipt> {
        summary: "The result of an executed transaction, and how final it is.",
        description: "Null if no block that this node knows has executed the transaction. A receipt whose `finality` is `irreversible` never changes.",
        errors: [Pruned],
    }

    /// `chain_getAccount`.
    GetAccount = "chain_getAccount" (AccountParams) -> Option<Account> {
        summary: "An account, on request with a Merkle proof.",
        description: "As of the head; with a proof as of the block that the proof names, whose certificate vouches for the state root. Null if there is no such account.",
        errors: [NodeBehind],
    }

    /// `chain_getValidators`.
    GetValidators = "chain_getValidators" (NoParams) -> Vec<Validator> {
        summary: "All registered validators.",
        description: "Sorted by account, as of the head.",
    }

    /// `chain_getCommittee`.
    GetCommittee = "chain_getCommittee" (CommitteeParams) -> Option<Committee> {
        summary: "The committee of an era.",
        description: "Null if this node does not know the era.",
        errors: [Pruned],
    }

    /// `chain_getCertificate`.
    GetCertificate = "chain_getCertificate" (HeightParams) -> Option<Certificate> {
        summary: "The certificate of a block.",
        description: "Not every block has one: a block is final as soon as it or any descendant is certified. Null if this node has none for the height.",
        errors: [Pruned],
    }

    /// `chain_getParameters`.
    GetParameters = "chain_getParameters" (NoParams) -> Map<String, Value> {
        summary: "The consensus parameters.",
        description: "As in the genesis document.",
    }

    /// `chain_sendTransaction`.
    SendTransaction = "chain_sendTransaction" (SendParams) -> Sent {
        summary: "Queues a signed transaction.",
        description: "The reply comes when this node has verified the transaction and durably queued it, or, with `wait`, when it is committed or irreversible (in an emergency nothing becomes irreversible: the error `EMERGENCY_PROVISIONAL` comes as soon as the transaction has `finality` `emergency`, and says in which block). If the wait runs out, `timed_out` is true and the transaction stays queued. Sending the same transaction again is harmless. While the chain is stalled or halted it is queued all the same, and `chain_state` says so; only a lockdown rejects it (`LOCKDOWN`). To send many, use batches: their entries are verified together.\n\nA receipt with `status` `failed` is a success of this call: the chain has executed the transaction and says why it had no effect.",
        errors: [ChainHalted, NodeBehind, EmergencyProvisional, Lockdown, MempoolFull, TransactionRejected, NotPrimaryStore, RateLimited],
    }

    /// `chain_subscribe`.
    Subscribe = "chain_subscribe" (SubscribeParams) -> String {
        summary: "Subscribes to blocks, receipts, finality, halts or the lockdown.",
        description: "The result is the id of the subscription. Notifications have the method `chain_subscription` and the params `{subscription, result}`, where `result` is a `Notification`. Events come in order. After a lost connection hand back the last cursor as `from`. If events are missing (a slow client, an old cursor, a restarted or different node) the next notification is a `gap` that says which; fetch the blocks in between and go on.",
        errors: [TooManySubscriptions],
        transport: WebSocket,
    }

    /// `chain_unsubscribe`.
    Unsubscribe = "chain_unsubscribe" (UnsubscribeParams) -> bool {
        summary: "Ends a subscription.",
        description: "True if this connection had it.",
        transport: WebSocket,
    }

    /// `halt_getStatus`.
    GetHaltStatus = "halt_getStatus" (NoParams) -> HaltReport {
        summary: "What stops the chain, and who is ready to go on.",
        description: "Halts in force, the fault of this node, the soft stall with its reasons, the figures behind them, what each validator says of itself, and what to do next.",
    }

    /// `halt_getHistory`.
    GetHaltHistory = "halt_getHistory" (HistoryParams) -> Vec<JournalEntry> {
        summary: "The halt journal: everything that halted and resumed this node.",
        description: "Each entry names the hash of the one before. Empty past the end.",
    }

    /// `halt_getMatrix`.
    GetHaltMatrix = "halt_getMatrix" (NoParams) -> HaltMatrix {
        summary: "What every activity does in every mode, and what holds now.",
        description: "The matrix that every gate of the node asks. If several modes hold, the most restrictive answer counts; a soft stall closes no gate.",
    }

    /// `halt_getProof`.
    GetHaltProof = "halt_getProof" (HaltIdParams) -> Option<HaltProof> {
        summary: "What a halt in force stands on.",
        description: "Decoded, and in its canonical encoding for whoever verifies it. Null if no halt in force here has this id.",
    }

    /// `halt_subscribe`.
    SubscribeHalts = "halt_subscribe" (HaltSubscribeParams) -> String {
        summary: "Subscribes to every change of what is known of halts.",
        description: "The same as `chain_subscribe` with the kind `halts`; `chain_unsubscribe` ends it.",
        errors: [TooManySubscriptions],
        transport: WebSocket,
    }

    /// `emergency_getStatus`.
    GetEmergencyStatus = "emergency_getStatus" (NoParams) -> EmergencyStatus {
        summary: "Where emergency consensus stands, and what is missing for its end.",
        description: "How long until it can begin, whose the slots of the running round are, which validators have come back, why this node made no block last, what is final and what is provisional, and what to do next.",
    }

    /// `lockdown_getStatus`.
    GetLockdownStatus = "lockdown_getStatus" (NoParams) -> LockdownStatus {
        summary: "Whether the validators have frozen the chain, or vote to.",
        description: "Who has voted to freeze the chain and why, how many are missing, who has voted to go on with what, how each validator stands and who has what others lack, and what to do next.",
    }

    /// `lockdown_getPending`.
    GetPending = "lockdown_getPending" (NoParams) -> PendingTransactions {
        summary: "The ids of the transactions that wait on this node.",
        description: "What the reports of frozen validators give as a count and a Merkle root: where two differ, this says in what.",
        errors: [ReplyTooLarge],
    }

    /// `lockdown_subscribe`.
    SubscribeLockdown = "lockdown_subscribe" (HaltSubscribeParams) -> String {
        summary: "Subscribes to every change of what is known of the lockdown.",
        description: "Each notification has all of `lockdown_getStatus`. The same as `chain_subscribe` with the kind `lockdown`; `chain_unsubscribe` ends it.",
        errors: [TooManySubscriptions],
        transport: WebSocket,
    }

    /// `lockdown_vote`.
    VoteLockdown = "lockdown_vote" (LockdownVoteParams) -> LockdownStatus {
        summary: "This validator votes to freeze the chain.",
        description: "Two thirds of the validators freeze it: no block is made and transactions are rejected until as many have voted to go on. The vote expires. The reply comes when it is durable.",
        errors: [AuthRequired, LockdownRefused],
        transport: Admin,
    }

    /// `lockdown_recover`.
    VoteRecovery = "lockdown_recover" (NoParams) -> LockdownStatus {
        summary: "This validator votes to go on after a lockdown.",
        description: "It executes what was decided before, names the block that it has, and votes until two thirds agree on one. The wish is kept over a restart.",
        errors: [AuthRequired, LockdownRefused],
        transport: Admin,
    }

    /// `governance_getState`.
    GetGovernanceState = "governance_getState" (NoParams) -> GovernanceState {
        summary: "The governors, and what they have ordered.",
        description: "Keys, threshold, sequence numbers, messages that wait for the chain, the halt and the resume in progress.",
    }

    /// `governance_submit`.
    SubmitGovernance = "governance_submit" (GovernanceParams) -> GovernanceSummary {
        summary: "Takes a governance message.",
        description: "The signatures of the governors are the authority: anybody may submit it, in any state of the chain. The reply comes when the message and what follows from it here are durable.",
        errors: [GovernanceRejected],
    }

    /// `evidence_submit`.
    SubmitEvidence = "evidence_submit" (EvidenceParams) -> EvidenceReceipt {
        summary: "Takes evidence of misbehaviour.",
        description: "In every state of the chain, from anybody. The reply comes when new evidence is durable. An offence is punished once, whoever reports it.",
        errors: [EvidenceRejected],
    }

    /// `evidence_list`.
    ListEvidence = "evidence_list" (NoParams) -> Vec<EvidenceItem> {
        summary: "Evidence that waits for a block.",
        description: "By offence, each once.",
        errors: [ReplyTooLarge],
    }

    /// `node_getInfo`.
    GetInfo = "node_getInfo" (NoParams) -> NodeInfo {
        summary: "What this node is.",
        description: "Version, chain, peer id, and whether it validates and signs.",
    }

    /// `node_getRisk`.
    GetRisk = "node_getRisk" (NoParams) -> RiskStatus {
        summary: "What this node sees that may become a reason to freeze the chain.",
        description: "Each rule of the risk analyzer with its window, thresholds and level. It decides nothing for others; this validator votes by itself only if its configuration says so.",
    }

    /// `node_getPeers`.
    GetPeers = "node_getPeers" (NoParams) -> Vec<Peer> {
        summary: "The connected peers.",
        description: "With direction, latency, score and class.",
    }

    /// `rpc.discover`.
    Discover = "rpc.discover" (NoParams) -> Map<String, Value> {
        summary: "This interface as an OpenRPC document.",
        description: "Also at `GET /openrpc.json`.",
    }
}
