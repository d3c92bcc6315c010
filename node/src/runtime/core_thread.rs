//! The core thread: all mutable consensus state of the node lives here, in the replica.
//!
//! Commands come through one bounded channel. Those that wait are taken together: their outputs are made durable with one
//! sync, and only then is anything sent (DESIGN §1, rule R1 of the replica). This is the only place with that order.

use super::board::Board;
use super::execution::ExecutionCommand;
use super::halted::HaltPicture;
use super::sabotage::Saboteur;
use crate::clock;
use crate::failure::Failure;
use crate::recorder::{Entry, Recorder};
use crate::runtime::failures;
use crate::supervisor::{StopReason, Supervisor};
use crate::watchdog::Heartbeat;
use holdfast_halt::{HaltRefusal, Mode, StallChange};
use holdfast_replica::{
    Fact, Input, Locking, Message, Now, Output, Record, Replica, SigningState, Submission,
    SubmissionResult,
};
use holdfast_rpc::Metrics;
use holdfast_storage::RecordWriter;
use holdfast_types::{EraContext, Evidence, GovernanceMessage, TransactionId, Vertex};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What the core thread can be asked.
#[derive(Debug)]
pub enum CoreCommand {
    Input(Input),
    /// Transactions that want an answer; it comes when the admitted ones are durable.
    Submit {
        submissions: Vec<Submission>,
        reply: oneshot::Sender<Vec<SubmissionResult>>,
    },
    /// A message of governance that wants an answer; it comes when what follows is durable.
    Governance {
        message: Box<GovernanceMessage>,
        reply: oneshot::Sender<Result<(), HaltRefusal>>,
    },
    /// This validator is to vote in a lockdown; the answer comes when what follows is durable.
    Lockdown {
        locking: Locking,
        reply: oneshot::Sender<Result<(), HaltRefusal>>,
    },
    /// The ids of all transactions that wait.
    Pending {
        reply: oneshot::Sender<Vec<TransactionId>>,
    },
    /// Evidence that wants an answer: whether it is new here.
    Evidence {
        evidence: Box<Evidence>,
        reply: oneshot::Sender<bool>,
    },
}

/// Who waits for what a command leads to.
#[derive(Debug)]
enum Reply {
    Nobody,
    Submissions(oneshot::Sender<Vec<SubmissionResult>>),
    Verdict(oneshot::Sender<Result<(), HaltRefusal>>),
    News(oneshot::Sender<bool>),
}

/// Commands that may wait. A full channel makes the senders wait: that is the backpressure.
pub const COMMANDS_MAX: usize = 512;
/// Commands that are taken together, so that one sync serves them all.
const COMMANDS_PER_BATCH: usize = 256;
/// The thread looks up at least this often, to notice that the node stops.
const LOOK_UP: Duration = Duration::from_millis(250);

/// Where outputs go.
#[derive(Debug)]
pub struct Outlets {
    pub messages: tokio::sync::mpsc::UnboundedSender<Message>,
    pub execution: Sender<ExecutionCommand>,
    /// Vertices and certificates that have to be verified again.
    pub verify: Sender<Reverify>,
    pub facts: Sender<Fact>,
}

/// What comes back to verification.
#[derive(Debug)]
pub enum Reverify {
    Vertices(Vec<Vertex>),
    Certificates(Vec<holdfast_types::Certificate>),
}

/// The core thread's parts.
#[derive(Debug)]
pub struct CoreThread {
    pub replica: Replica,
    pub writer: RecordWriter,
    pub commands: Receiver<CoreCommand>,
    pub outlets: Outlets,
    pub board: Board,
    /// The era that vertices are verified against.
    pub verified_era: Arc<RwLock<Arc<EraContext>>>,
    pub supervisor: Supervisor,
    pub started: Instant,
    /// What is stored of halts and evidence has changed since it was shown.
    pub halts_changed: bool,
    /// Some mode held when halts were shown last.
    pub halts_held: bool,
    pub recorder: Recorder,
    /// Entries for the recorder: those of one batch go there together.
    pub entries: Vec<Entry>,
    pub heartbeat: Heartbeat,
    pub metrics: Metrics,
    /// Only on a node that was started for a drill.
    pub saboteur: Option<Saboteur>,
}

impl CoreThread {
    /// Runs until the node stops. `first` is the output of the restored replica.
    pub fn run(mut self, first: Output) -> Result<(), Failure> {
        let stopping = self.supervisor.stopping();
        self.carry_out(vec![(first, Reply::Nobody)], Instant::now())?;
        while !stopping.is_cancelled() {
            let Some(commands) = self.next_commands() else {
                return Ok(());
            };
            let taken_up = Instant::now();
            let mut outputs = Vec::with_capacity(commands.len());
            for command in commands {
                let now = self.now();
                let (mut input, reply) = match command {
                    CoreCommand::Input(input) => (input, Reply::Nobody),
                    CoreCommand::Submit { submissions, reply } => {
                        (Input::Transactions(submissions), Reply::Submissions(reply))
                    }
                    CoreCommand::Governance { message, reply } => {
                        (Input::Governance(message), Reply::Verdict(reply))
                    }
                    CoreCommand::Lockdown { locking, reply } => {
                        (Input::Locking(locking), Reply::Verdict(reply))
                    }
                    CoreCommand::Pending { reply } => {
                        let ids = self.replica.mempool().ids().copied().collect();
                        // Who asked may have gone.
                        let _gone = reply.send(ids);
                        continue;
                    }
                    CoreCommand::Evidence { evidence, reply } => {
                        (Input::Evidence(vec![*evidence]), Reply::News(reply))
                    }
                };
                if let Some(saboteur) = &mut self.saboteur {
                    saboteur.before(&mut input);
                }
                Entry::of_input(now.into(), &input, &mut self.entries);
                let mut output = self.replica.step(now, input);
                if let Some(saboteur) = &mut self.saboteur {
                    saboteur.after(now, &mut output);
                }
                Entry::of_output(now.into(), &output, &mut self.entries);
                outputs.push((output, reply));
            }
            // Before anything is told: who preserves the recorder because of it finds it there.
            self.recorder.append(&mut self.entries);
            self.carry_out(outputs, taken_up)?;
            let step = &self.metrics.core.step_seconds;
            step.observe(taken_up.elapsed().as_secs_f64());
            self.heartbeat.beat();
        }
        Ok(())
    }

    /// Waits for a command or a deadline; none when all senders are gone.
    fn next_commands(&self) -> Option<Vec<CoreCommand>> {
        let now = self.now();
        let wait = self.replica.next_wake_ms(now).map_or(LOOK_UP, |deadline| {
            Duration::from_millis(deadline.saturating_sub(now.monotonic_ms)).min(LOOK_UP)
        });
        let first = match self.commands.recv_timeout(wait) {
            Ok(command) => command,
            Err(RecvTimeoutError::Timeout) => CoreCommand::Input(Input::Tick),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let mut commands = vec![first];
        while commands.len() < COMMANDS_PER_BATCH
            && let Ok(command) = self.commands.try_recv()
        {
            commands.push(command);
        }
        Some(commands)
    }

    /// Makes everything durable, shows it, then lets it out.
    fn carry_out(
        &mut self,
        outputs: Vec<(Output, Reply)>,
        taken_up: Instant,
    ) -> Result<(), Failure> {
        let records: Vec<Record> = outputs
            .iter()
            .flat_map(|(output, _)| &output.persist)
            .cloned()
            .collect();
        if !records.is_empty() {
            let begun = Instant::now();
            self.writer
                .commit(&records)
                .map_err(|error| failures::of_storage(&error))?;
            let write = &self.metrics.storage.write_seconds;
            write.observe(begun.elapsed().as_secs_f64());
        }
        self.halts_changed |= records.iter().any(|record| {
            matches!(
                record,
                Record::Halts(_) | Record::Evidence(_) | Record::EvidenceRemove(_)
            )
        });
        // Who was answered finds there what came of it.
        self.update_board();
        for (output, reply) in outputs {
            self.time_detection(&output, taken_up);
            self.let_out(output, reply);
        }
        Ok(())
    }

    /// How long it took to notice what stops the chain.
    fn time_detection(&self, output: &Output, taken_up: Instant) {
        for fact in &output.facts {
            let (mode, time) = match fact {
                Fact::HaltBegan { mode, .. } => (*mode, taken_up.elapsed()),
                Fact::Stall(StallChange::Began { .. }) => {
                    let since_ms = self.replica.halts().stall().map(|stall| stall.since_ms);
                    let now_ms = self.now().monotonic_ms;
                    let waited_ms = since_ms.map_or(0, |since| now_ms.saturating_sub(since));
                    (Mode::SoftStall, Duration::from_millis(waited_ms))
                }
                _ => continue,
            };
            let series = self.metrics.halt.detect_seconds.with(mode.kind());
            series.observe(time.as_secs_f64());
        }
    }

    fn let_out(&self, mut output: Output, reply: Reply) {
        answer(&mut output, reply);
        if let Some(context) = output.era_started {
            *self
                .verified_era
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = context;
        }
        // A receiver is gone only while the node stops, and then nobody needs what it would have received.
        for message in output.send {
            let _stopping = self.outlets.messages.send(message);
        }
        if !output.execute.is_empty() {
            let commits = ExecutionCommand::Commits(output.execute);
            let _stopping = self.outlets.execution.send(commits);
        }
        if let Some(era) = output.yield_to_lockdown {
            let command = ExecutionCommand::YieldToLockdown(era);
            let _stopping = self.outlets.execution.send(command);
        }
        if !output.certificates.is_empty() {
            let certificates = ExecutionCommand::Certificates(output.certificates);
            let _stopping = self.outlets.execution.send(certificates);
        }
        if !output.verify.is_empty() {
            let _stopping = self.outlets.verify.send(Reverify::Vertices(output.verify));
        }
        if !output.verify_certificates.is_empty() {
            let certificates = Reverify::Certificates(output.verify_certificates);
            let _stopping = self.outlets.verify.send(certificates);
        }
        if let Some(request) = output.resume {
            let _stopping = self
                .outlets
                .execution
                .send(ExecutionCommand::Resume(request));
        }
        if let Some(hold) = output.hold {
            let _stopping = self.outlets.execution.send(ExecutionCommand::Hold(hold));
        }
        if let Some(votes) = output.end_votes {
            let votes = ExecutionCommand::EndVotes(votes);
            let _stopping = self.outlets.execution.send(votes);
        }
        if !output.offer.is_empty() {
            let offer = ExecutionCommand::Offer(output.offer);
            let _stopping = self.outlets.execution.send(offer);
        }
        if let Some(turn) = output.produce {
            let produce = ExecutionCommand::Produce(turn);
            let _stopping = self.outlets.execution.send(produce);
        }
        for fact in output.facts {
            if let Fact::Doppelganger { era, round } = &fact {
                let failure = failures::doppelganger(*era, *round);
                self.supervisor.stop(StopReason::Failed(failure));
            }
            let _stopping = self.outlets.facts.send(fact);
        }
    }

    fn update_board(&mut self) {
        let replica = &self.replica;
        let halts = replica.halts();
        let holds = !halts.modes().is_empty();
        // Once more after the end of the last mode.
        let is_shown = self.halts_changed || holds || self.halts_held;
        let picture = is_shown.then(|| {
            let last = (!self.halts_changed).then(|| self.board.halts());
            Arc::new(HaltPicture::of(replica, self.now(), last.as_deref()))
        });
        self.halts_changed = false;
        self.halts_held = holds;
        let dag = replica.dag();
        let round = dag.map(holdfast_dag::DagCore::round).unwrap_or_default();
        let complete = round.previous();
        // Without a quorum the last complete round is one from before: who is there now has a vertex in the round after it.
        let looked_at = if halts.modes().contains(Mode::SoftStall) {
            round
        } else {
            complete
        };
        let active = dag.map_or(0, |dag| dag.vertices().authors(looked_at));
        let certified_vertices = dag.map_or(0, |dag| dag.certified_vertices(complete.previous()));
        let vertices_pending = dag.map_or(0, |dag| dag.waiting().0);
        let signing_stopped = match replica.signing() {
            SigningState::Stopped(reason) => Some(reason.clone()),
            SigningState::Active if replica.listens() => Some(
                "the sign guard may not know all that this key has signed: waiting until a quorum of the other validators has shown what it has".to_owned(),
            ),
            SigningState::NoKey | SigningState::Active => None,
        };
        self.board.update(|standing| {
            standing.context = Arc::clone(replica.context());
            standing.between_eras = replica.is_between_eras();
            standing.round = round;
            standing.active_committee = active;
            standing.certified_vertices = certified_vertices;
            standing.vertices_pending = vertices_pending;
            standing.mempool_transactions = replica.mempool().len();
            standing.mempool_bytes = replica.mempool().bytes();
            standing.signing_stopped = signing_stopped;
            standing.production.clone_from(replica.production());
            if let Some(picture) = picture {
                standing.halts = picture;
            }
        });
    }

    fn now(&self) -> Now {
        now(self.started)
    }
}

/// Tells who waits. Whoever asked may have gone away; what was asked for is done all the same.
fn answer(output: &mut Output, reply: Reply) {
    let _gone = match reply {
        Reply::Nobody => true,
        Reply::Submissions(reply) => {
            let results = std::mem::take(&mut output.submissions);
            reply.send(results).is_ok()
        }
        Reply::Verdict(reply) => {
            let verdict = output.verdicts.pop();
            verdict.is_some_and(|verdict| reply.send(verdict).is_ok())
        }
        Reply::News(reply) => {
            let is_new = output
                .persist
                .iter()
                .any(|record| matches!(record, Record::Evidence(_)));
            reply.send(is_new).is_ok()
        }
    };
}

/// The time, as the replica wants it.
#[must_use]
pub fn now(started: Instant) -> Now {
    Now {
        monotonic_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        wall: clock::wall(),
    }
}

/// How others reach the core thread.
#[derive(Clone, Debug)]
pub struct CoreHandle {
    commands: SyncSender<CoreCommand>,
}

impl CoreHandle {
    #[must_use]
    pub const fn new(commands: SyncSender<CoreCommand>) -> Self {
        Self { commands }
    }

    /// Waits for a place. Not for async code.
    pub fn input(&self, input: Input) {
        // The core thread is gone only while the node stops.
        let _stopping = self.commands.send(CoreCommand::Input(input));
    }

    /// False if there is no place. For async code, and for what is better dropped than waited with.
    #[must_use]
    pub fn try_command(&self, command: CoreCommand) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Waits for a place. Not for async code.
    pub fn command(&self, command: CoreCommand) {
        let _stopping = self.commands.send(command);
    }
}
