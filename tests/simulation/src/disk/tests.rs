//! What fails, and what a crash leaves.

use super::{Call, Disk, DiskError, Failure, Kind, Loss, Stored, Write};
use crate::Profile;
use crate::chain::{SimulatedChain, client_account, validator_key};
use crate::client::Client;
use crate::keys::Scheme;
use crate::random::Random;
use holdfast_chain::ChainStore;
use holdfast_ledger::StateStore;
use holdfast_replica::{Record, SignGuard, SignGuardRecord};
use holdfast_types::{ChainId, Era, Height, Round, Signer, TransactionId, VerifiedTransaction};
use std::collections::BTreeSet;
use std::sync::Arc;

const CHAIN: ChainId = ChainId::new([7; 32]);

fn disk() -> Disk {
    let profile = Profile::named("calm").expect("the profile exists");
    let chain = SimulatedChain::new(&profile.plan(&mut Random::new(0)).chain);
    let guard = SignGuard::empty(validator_key(Scheme::Fast, 0).public_key());
    Disk::new(chain.genesis, Some(guard.record().clone()))
}

fn write(disk: &mut Disk) -> Result<(), DiskError> {
    let records = [Record::MempoolRemove(Vec::new())];
    disk.write(Write::Records(records.as_slice().into()))
}

fn raised(disk: &Disk) -> SignGuardRecord {
    let mut record = disk.guard().cloned().expect("there is a guard");
    record.vertex = Some((Era(1), Round(9)));
    record
}

const fn failure(call: Call, after: u64, is_done: bool) -> Failure {
    Failure {
        call,
        after,
        is_done,
    }
}

#[test]
fn the_call_of_that_number_fails_and_no_other() {
    let mut disk = disk();
    disk.fail(failure(Call::Write, 2, false));
    assert_eq!(write(&mut disk), Ok(()));
    assert_eq!(disk.sync(), Ok(()));
    assert_eq!(write(&mut disk), Ok(()));
    assert_eq!(write(&mut disk), Err(DiskError::Failed));
    assert_eq!(write(&mut disk), Ok(()));
}

#[test]
fn what_failed_may_be_done_all_the_same() {
    for is_done in [false, true] {
        let mut disk = disk();
        disk.fail(failure(Call::Write, 0, is_done));
        assert_eq!(write(&mut disk), Err(DiskError::Failed));
        assert_eq!(disk.unsynced.len(), usize::from(is_done));

        disk.fail(failure(Call::Guard, 0, is_done));
        let record = raised(&disk);
        assert_eq!(disk.raise_guard(&[&record]), Err(DiskError::Failed));
        assert_eq!(disk.guard() == Some(&record), is_done);

        disk.fail(failure(Call::Sync, 0, is_done));
        assert_eq!(write(&mut disk), Ok(()));
        assert_eq!(disk.sync(), Err(DiskError::Failed));
        assert_eq!(disk.unsynced.is_empty(), is_done);
    }
}

#[test]
fn a_full_disk_takes_nothing_and_keeps_what_it_has() {
    let mut disk = disk();
    let synced = disk.synced.len();
    assert_eq!(write(&mut disk), Ok(()));
    disk.set_full(true);
    let record = raised(&disk);
    assert_eq!(write(&mut disk), Err(DiskError::Full));
    assert_eq!(disk.raise_guard(&[&record]), Err(DiskError::Full));
    assert_eq!(disk.sync(), Ok(()));
    disk.crash(Loss::Everything, &mut Random::new(0));
    assert_eq!(disk.synced.len(), synced + 1);
    assert!(disk.is_full(), "a restart makes no room");
    disk.set_full(false);
    assert_eq!(write(&mut disk), Ok(()));
}

/// A transaction that the mempool keeps; the client's next one.
fn queue(disk: &mut Disk, client: &mut Client) -> TransactionId {
    let open = client.transfer(&CHAIN, client_account(1), 5).clone();
    let verified = VerifiedTransaction::verify(open.transaction, &CHAIN, &Scheme::Fast).unwrap();
    let records = [Record::MempoolInsert(Arc::new(verified))];
    assert_eq!(
        disk.write(Write::Records(records.as_slice().into())),
        Ok(())
    );
    open.id
}

#[test]
fn a_torn_write_is_lost_with_all_after_it_and_nothing_that_was_synced() {
    let mut lengths = BTreeSet::new();
    for seed in 0..40 {
        let (mut disk, mut client) = (disk(), Client::new(0, 0, Scheme::Fast));
        let synced: Vec<_> = (0..2).map(|_| queue(&mut disk, &mut client)).collect();
        assert_eq!(disk.sync(), Ok(()));
        let others: Vec<_> = (0..3).map(|_| queue(&mut disk, &mut client)).collect();
        disk.crash(Loss::Torn, &mut Random::new(seed));
        assert!(synced.iter().all(|id| disk.now().queues(id)));
        let kept = others.iter().take_while(|id| disk.now().queues(id)).count();
        assert!(others[kept..].iter().all(|id| !disk.now().queues(id)));
        lengths.insert(kept);
    }
    assert_eq!(lengths, BTreeSet::from([0, 1, 2]), "one is damaged");
}

#[test]
fn what_is_damaged_does_not_read_until_it_is_written_again() {
    let mut disk = disk();
    assert!(disk.now().block_at(Height::ZERO).unwrap().is_some());
    disk.damage(&Stored::Block(Height::ZERO));
    assert!(disk.now().block_at(Height::ZERO).is_err());
    assert!(disk.now().blocks_from(Height::ZERO, 1).is_err());
    assert!(disk.now().head().is_ok(), "the head is a record of its own");
    // A restart reads the same bytes.
    assert_eq!(write(&mut disk), Ok(()));
    disk.crash(Loss::Everything, &mut Random::new(0));
    assert!(disk.now().block_at(Height::ZERO).is_err());
}

#[test]
fn a_flipped_bit_hits_a_record_that_is_there() {
    let mut random = Random::new(3);
    let mut disk = disk();
    let Some(Stored::Value(key)) = disk.flip(Kind::Value, &mut random) else {
        panic!("genesis has values");
    };
    assert!(disk.now().value(&key).is_err());
    let others = disk.now().state().filter(|(other, _)| **other != key);
    let others: Vec<_> = others.map(|(key, _)| key.clone()).collect();
    assert!(others.iter().all(|key| disk.now().value(key).is_ok()));
    assert_eq!(disk.flip(Kind::Certificate, &mut random), None);
}
