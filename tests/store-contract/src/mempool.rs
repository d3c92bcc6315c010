//! The queue of transactions.

use crate::builder::transaction;
use crate::scenarios::{Pair, pop};
use crate::{ContractStore, Harness};
use holdfast_chain::ChainBatch;
use holdfast_replica::Record;
use std::sync::Arc;

/// The mempool keeps its order, holds nothing twice, and forgets what left.
pub fn the_mempool_keeps_its_order<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let insert = |number: u64| Record::MempoolInsert(Arc::new(transaction(number)));
    let ids = |numbers: &[u64]| numbers.iter().map(|n| transaction(*n).id()).collect();
    let order = [9, 3, 7, 1, 8];
    let records: Vec<_> = order.into_iter().map(insert).collect();
    assert_eq!(pair.store().commit_records(&records), Ok(()));
    let expect = |pair: &mut Pair<'_, H>, numbers: &[u64]| {
        let expected: Vec<_> = numbers.iter().copied().map(transaction).collect();
        assert_eq!(pair.store().mempool(), expected);
        pair.restart();
        assert_eq!(pair.store().mempool(), expected);
    };
    expect(&mut pair, &order);
    let records = [
        Record::MempoolRemove(ids(&[3, 1, 99])),
        insert(2),
        insert(7),
    ];
    assert_eq!(pair.store().commit_records(&records), Ok(()));
    expect(&mut pair, &[9, 7, 8, 2]);
    let records = [Record::MempoolRemove(ids(&[9, 7, 8, 2])), insert(4)];
    assert_eq!(pair.store().commit_records(&records), Ok(()));
    expect(&mut pair, &[4]);
    let records = [Record::MempoolRemove(ids(&[4]))];
    assert_eq!(pair.store().commit_records(&records), Ok(()));
    expect(&mut pair, &[]);
    assert_eq!(pair.store().commit_records(&[insert(9), insert(3)]), Ok(()));
    expect(&mut pair, &[9, 3]);
}

/// What a popped block had executed waits again in the same write.
pub fn what_is_taken_back_waits_again<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let block = pair.grow(&[5, 6]);
    let requeue = [5, 6, 5].map(|number| Arc::new(transaction(number)));
    pair.apply(ChainBatch {
        requeue: requeue.to_vec(),
        ..pop(&[block])
    });
    pair.restart();
    assert_eq!(pair.store().mempool(), [5, 6].map(transaction));
    // It leaves like all others.
    let gone = Record::MempoolRemove(vec![transaction(5).id()]);
    assert_eq!(pair.store().commit_records(&[gone]), Ok(()));
    assert_eq!(pair.store().mempool(), [6].map(transaction));
}

/// Whoever executed a block may say so after the block was taken back: what was in it stays in the queue.
pub fn what_was_executed_before_it_was_taken_back_stays<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let ids = |numbers: &[u64]| numbers.iter().map(|n| transaction(*n).id()).collect();
    let insert = |number: u64| Record::MempoolInsert(Arc::new(transaction(number)));
    let queued = [5, 6, 7].map(insert);
    assert_eq!(pair.store().commit_records(&queued), Ok(()));
    let block = pair.grow(&[5, 6]);
    pair.apply(ChainBatch {
        requeue: [5, 6].map(|n| Arc::new(transaction(n))).to_vec(),
        ..pop(&[block])
    });
    let late = Record::MempoolExecuted(ids(&[5, 6, 7]));
    assert_eq!(pair.store().commit_records(&[late]), Ok(()));
    assert_eq!(pair.store().mempool(), [5, 6].map(transaction));
    // The replica has heard of it: one waits again, the other is gone.
    let heard = [insert(5), Record::MempoolRemove(ids(&[6]))];
    assert_eq!(pair.store().commit_records(&heard), Ok(()));
    assert_eq!(pair.store().mempool(), [5].map(transaction));
    let executed = Record::MempoolExecuted(ids(&[5]));
    assert_eq!(pair.store().commit_records(&[executed]), Ok(()));
    pair.restart();
    assert_eq!(pair.store().mempool(), []);
}
