use super::fixture::{CONFIG, Draft, account, ids, names, transaction};
use super::*;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{Signature, SignedTransaction};

fn took(transaction: &VerifiedTransaction) -> ExecutedTransaction {
    ExecutedTransaction {
        id: transaction.id(),
        sender: transaction.body().sender,
        nonce: transaction.body().nonce,
        nonce_consumed: true,
    }
}

fn refused(transaction: &VerifiedTransaction) -> ExecutedTransaction {
    ExecutedTransaction {
        nonce_consumed: false,
        ..took(transaction)
    }
}

fn pool_of(transactions: &[(&'static str, u64)]) -> Mempool {
    let mut pool = Mempool::new(CONFIG);
    for (sender, nonce) in transactions {
        let admission = pool.insert(transaction(sender, *nonce), 0, Origin::Local);
        assert_eq!(admission, Ok(Admission::Admitted), "{sender}{nonce}");
    }
    pool
}

fn take_all(pool: &mut Mempool) -> String {
    names(&pool.take(0, usize::MAX, usize::MAX))
}

#[test]
fn senders_are_served_in_turn_and_each_by_nonce() {
    let mut pool = pool_of(&[
        ("alice", 0),
        ("alice", 1),
        ("alice", 2),
        ("bob", 0),
        ("carol", 0),
        ("bob", 1),
    ]);
    assert_eq!(take_all(&mut pool), "alice0 bob0 carol0 alice1 bob1 alice2");
    assert_eq!((pool.len(), pool.in_flight_len()), (6, 6));
    assert!(!pool.has_ready(u64::MAX));
}

#[test]
fn one_sender_with_64_queued_delays_another_by_one_transaction() {
    let mut pool = Mempool::new(CONFIG);
    for nonce in 0..64 {
        pool.insert(transaction("whale", nonce), 0, Origin::Local)
            .expect("64 transactions of a sender fit");
    }
    pool.insert(transaction("minnow", 0), 0, Origin::Local)
        .expect("another sender has room");
    assert_eq!(names(&pool.take(0, 2, usize::MAX)), "whale0 minnow0");
}

#[test]
fn a_gap_holds_back_what_lies_above_it_and_only_that() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 2), ("alice", 3), ("bob", 0)]);
    assert_eq!(pool.next_nonce(&account("alice")), Some(1));
    assert_eq!(pool.gapped_len(), 2);
    assert_eq!(take_all(&mut pool), "alice0 bob0");
    pool.insert(transaction("alice", 1), 0, Origin::Local)
        .expect("the gap is filled");
    assert_eq!(pool.next_nonce(&account("alice")), Some(4));
    assert_eq!(pool.gapped_len(), 0);
    assert_eq!(take_all(&mut pool), "alice1 alice2 alice3");
}

#[test]
fn a_gap_is_closed_by_the_execution_of_another_nodes_transaction() {
    let mut pool = pool_of(&[("alice", 1)]);
    assert_eq!(take_all(&mut pool), "");
    let elsewhere = transaction("alice", 0);
    let left = pool.executed(&[took(&elsewhere)], TimestampMs(1));
    assert_eq!(left, []);
    assert_eq!(take_all(&mut pool), "alice1");
}

#[test]
fn what_was_ordered_before_a_lower_nonce_waits_again() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1)]);
    assert_eq!(take_all(&mut pool), "alice0 alice1");
    // The vertex with alice0 is left behind, the one with alice1 is committed.
    let left = pool.executed(&[refused(&transaction("alice", 1))], TimestampMs(1));
    assert_eq!(left, []);
    pool.requeue(&[transaction("alice", 0).id()]);
    assert_eq!(take_all(&mut pool), "alice0 alice1");
    let both = [("alice", 0), ("alice", 1)].map(|(name, nonce)| took(&transaction(name, nonce)));
    assert_eq!(pool.executed(&both, TimestampMs(2)).len(), 2);
}

#[test]
fn every_refusal_names_its_reason() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1)]);
    pool.executed(&[took(&transaction("alice", 0))], TimestampMs(1_000));
    let refusal = |pool: &mut Mempool, draft: &Draft| {
        pool.insert(draft.make(), 0, Origin::Local)
            .map_err(|reject| (reject.name(), reject.to_string()))
    };
    let draft = Draft {
        sender: "alice",
        nonce: 0,
        memo_bytes: 0,
        expires_at: None,
        variant: 1,
    };
    let cases = [
        (
            draft,
            "nonce_too_low",
            "nonce 0 was used already, the next one to use is 2",
        ),
        (
            Draft { nonce: 1, ..draft },
            "nonce_taken",
            "another transaction of this sender with nonce 1 waits already",
        ),
        (
            Draft { nonce: 19, ..draft },
            "nonce_too_high",
            "nonce 19 is too far ahead: the next one to use is 2, and at most 16 beyond it are kept",
        ),
        (
            Draft {
                nonce: u64::MAX,
                ..draft
            },
            "nonce_too_high",
            "nonce 18446744073709551615 is too far ahead: the next one to use is 2, and at most 16 beyond it are kept",
        ),
        (
            Draft {
                nonce: 2,
                expires_at: Some(999),
                ..draft
            },
            "expired",
            "the transaction expired at 999 ms, the last block is of 1000 ms",
        ),
    ];
    for (draft, name, message) in cases {
        assert_eq!(
            refusal(&mut pool, &draft),
            Err((name, message.to_owned())),
            "{draft:?}"
        );
    }
    let in_reach = Draft {
        nonce: 18,
        expires_at: Some(1_000),
        ..draft
    };
    assert_eq!(refusal(&mut pool, &in_reach), Ok(Admission::Admitted));
}

#[test]
fn a_stale_reading_of_the_account_nonce_does_no_harm() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1)]);
    pool.executed(&[took(&transaction("alice", 0))], TimestampMs(1));
    pool.insert(transaction("alice", 2), 0, Origin::Local)
        .expect("nonce 2 is the next one");
    assert_eq!(take_all(&mut pool), "alice1 alice2");
    // A reading that runs ahead of what was told refuses what it knows to be used.
    let reject = pool.insert(transaction("alice", 3), 5, Origin::Local);
    assert_eq!(
        reject,
        Err(MempoolReject::NonceTooLow {
            nonce: 3,
            expected: 5
        })
    );
}

#[test]
fn limits_refuse_and_free_again() {
    let size = transaction("alice", 0).encoded_bytes();
    let mut pool = Mempool::new(MempoolConfig {
        transactions_max: 4,
        bytes_max: size * 3 + size / 2,
        per_sender_max: 2,
        ..CONFIG
    });
    let mut insert = |sender, nonce| {
        pool.insert(transaction(sender, nonce), 0, Origin::Local)
            .map_err(|reject| (reject.name(), reject.is_temporary()))
    };
    assert_eq!(insert("alice", 0), Ok(Admission::Admitted));
    assert_eq!(insert("alice", 1), Ok(Admission::Admitted));
    assert_eq!(insert("alice", 2), Err(("sender_full", true)));
    assert_eq!(insert("bobby", 0), Ok(Admission::Admitted));
    assert_eq!(insert("carol", 0), Err(("mempool_full", true)));
    assert_eq!(pool.bytes(), 3 * size);
    pool.executed(&[took(&transaction("alice", 0))], TimestampMs(1));
    let admitted = pool.insert(transaction("alice", 2), 1, Origin::Local);
    assert_eq!(admitted, Ok(Admission::Admitted));
}

#[test]
fn gapped_transactions_leave_room_for_the_missing_nonce() {
    let mut pool = Mempool::new(MempoolConfig {
        per_sender_max: 8,
        ..CONFIG
    });
    for nonce in 1..5 {
        pool.insert(transaction("alice", nonce), 0, Origin::Local)
            .expect("half of the places may be gapped");
    }
    assert_eq!(
        pool.insert(transaction("alice", 5), 0, Origin::Local),
        Err(MempoolReject::GapFull {
            nonce: 5,
            expected: 0
        })
    );
    pool.insert(transaction("alice", 0), 0, Origin::Local)
        .expect("the missing nonce has room");
    pool.insert(transaction("alice", 5), 0, Origin::Local)
        .expect("nonce 5 is not gapped any more");
    assert_eq!(
        take_all(&mut pool),
        "alice0 alice1 alice2 alice3 alice4 alice5"
    );
}

#[test]
fn gapped_transactions_of_many_senders_fill_half_the_mempool() {
    let mut pool = Mempool::new(MempoolConfig {
        transactions_max: 4,
        ..CONFIG
    });
    let mut insert = |sender, nonce| {
        pool.insert(transaction(sender, nonce), 0, Origin::Local)
            .map_err(|reject| reject.name())
    };
    assert_eq!(insert("alice", 1), Ok(Admission::Admitted));
    assert_eq!(insert("bob", 1), Ok(Admission::Admitted));
    assert_eq!(insert("carol", 1), Err("gap_full"));
    assert_eq!(insert("carol", 0), Ok(Admission::Admitted));
    assert_eq!(insert("carol", 1), Ok(Admission::Admitted));
    assert_eq!(insert("bob", 0), Err("mempool_full"));
}

#[test]
fn a_gap_that_nobody_fills_lapses_after_its_blocks() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 2), ("alice", 4)]);
    for block in 1..10 {
        assert_eq!(pool.executed(&[], TimestampMs(block)), []);
    }
    // A gap that moved starts the count anew.
    pool.insert(transaction("alice", 1), 0, Origin::Local)
        .expect("the missing nonce has room");
    for block in 10..19 {
        assert_eq!(pool.executed(&[], TimestampMs(block)), []);
    }
    let left = pool.executed(&[], TimestampMs(19));
    assert_eq!(left, [transaction("alice", 4).id()]);
    assert_eq!(take_all(&mut pool), "alice0 alice1 alice2");
    for block in 20..40 {
        assert_eq!(pool.executed(&[], TimestampMs(block)), []);
    }
}

#[test]
fn what_is_in_flight_above_a_gap_does_not_lapse() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1), ("alice", 2)]);
    assert_eq!(names(&pool.take(0, 2, usize::MAX)), "alice0 alice1");
    let mut left = pool.executed(&[refused(&transaction("alice", 0))], TimestampMs(1));
    for block in 2..100 {
        left.extend(pool.executed(&[], TimestampMs(block)));
    }
    assert_eq!(
        left,
        [transaction("alice", 0).id(), transaction("alice", 2).id()]
    );
    assert_eq!(pool.in_flight_len(), 1);
    pool.requeue_all();
    for block in 100..120 {
        left.extend(pool.executed(&[], TimestampMs(block)));
    }
    assert_eq!(left.last(), Some(&transaction("alice", 1).id()));
    assert!(pool.is_empty());
}

#[test]
fn foreign_transactions_wait_for_their_time_and_local_ones_do_not() {
    let mut pool = Mempool::new(CONFIG);
    let foreign = pool.foreign(1_000);
    assert_eq!(
        foreign,
        Origin::Foreign {
            eligible_at_ms: 1_500
        }
    );
    pool.insert(transaction("alice", 0), 0, foreign)
        .expect("there is room");
    pool.insert(transaction("alice", 1), 0, Origin::Local)
        .expect("there is room");
    pool.insert(transaction("bob", 0), 0, Origin::Local)
        .expect("there is room");
    assert_eq!(pool.next_eligible_ms(), Some(1_500));
    assert_eq!(names(&pool.take(1_499, 10, usize::MAX)), "bob0");
    assert!(!pool.has_ready(1_499));
    assert!(pool.has_ready(1_500));
    assert_eq!(names(&pool.take(1_500, 10, usize::MAX)), "alice0 alice1");
    assert_eq!(pool.next_eligible_ms(), None);
}

#[test]
fn a_foreign_transaction_that_a_client_sends_too_waits_no_longer() {
    let mut pool = Mempool::new(CONFIG);
    let one = transaction("alice", 0);
    let foreign = Origin::Foreign {
        eligible_at_ms: 9_000,
    };
    assert_eq!(
        pool.insert(Arc::clone(&one), 0, foreign),
        Ok(Admission::Admitted)
    );
    assert!(!pool.has_ready(0));
    assert_eq!(
        pool.insert(Arc::clone(&one), 0, Origin::Local),
        Ok(Admission::AlreadyKnown)
    );
    assert!(pool.has_ready(0));
    assert_eq!(pool.insert(one, 0, foreign), Ok(Admission::AlreadyKnown));
    assert_eq!(take_all(&mut pool), "alice0");
}

#[test]
fn what_was_eligible_stays_so_when_the_clock_steps_back() {
    let mut pool = Mempool::new(CONFIG);
    for nonce in 0..2 {
        let foreign = Origin::Foreign {
            eligible_at_ms: 1_000,
        };
        pool.insert(transaction("alice", nonce), 0, foreign)
            .expect("there is room");
    }
    assert_eq!(names(&pool.take(1_000, 1, usize::MAX)), "alice0");
    assert_eq!(names(&pool.take(10, 1, usize::MAX)), "alice1");
}

#[test]
fn execution_removes_the_transaction_and_those_whose_nonce_it_used() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1), ("bob", 0)]);
    pool.take(0, 10, usize::MAX);
    let other = Draft {
        sender: "alice",
        nonce: 0,
        memo_bytes: 3,
        expires_at: None,
        variant: 7,
    }
    .make();
    let left = pool.executed(
        &[took(&other), took(&transaction("bob", 0))],
        TimestampMs(1),
    );
    assert_eq!(
        left,
        [transaction("alice", 0).id(), transaction("bob", 0).id()]
    );
    assert_eq!(pool.len(), 1);
    assert!(pool.contains(&transaction("alice", 1).id()));
    assert!(pool.get(&transaction("bob", 0).id()).is_none());
    assert_eq!(pool.next_nonce(&account("bob")), None);
}

#[test]
fn a_transaction_that_failed_before_its_nonce_was_used_leaves_a_gap() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1), ("alice", 2)]);
    assert_eq!(names(&pool.take(0, 2, usize::MAX)), "alice0 alice1");
    let left = pool.executed(&[refused(&transaction("alice", 0))], TimestampMs(1));
    assert_eq!(left, [transaction("alice", 0).id()]);
    assert_eq!(pool.next_nonce(&account("alice")), Some(0));
    assert_eq!(take_all(&mut pool), "");
    let again = Draft {
        sender: "alice",
        nonce: 0,
        memo_bytes: 0,
        expires_at: None,
        variant: 9,
    };
    pool.insert(again.make(), 0, Origin::Local)
        .expect("the nonce is free");
    assert_eq!(take_all(&mut pool), "alice0 alice2");
}

#[test]
fn transactions_expire_at_the_time_of_a_block_also_in_flight() {
    let mut pool = Mempool::new(CONFIG);
    for (sender, expires_at) in [("alice", 5), ("bob", 6), ("carol", 7)] {
        let draft = Draft {
            sender,
            nonce: 0,
            memo_bytes: 0,
            expires_at: Some(expires_at),
            variant: 0,
        };
        pool.insert(draft.make(), 0, Origin::Local)
            .expect("there is room");
    }
    let flying = pool.take(0, 1, usize::MAX);
    assert_eq!(names(&flying), "alice0");
    assert_eq!(pool.executed(&[], TimestampMs(5)), []);
    assert_eq!(pool.executed(&[], TimestampMs(7)).len(), 2);
    assert_eq!((pool.len(), pool.in_flight_len()), (1, 0));
    pool.requeue(&ids(&flying));
    assert_eq!(take_all(&mut pool), "carol0");
}

#[test]
fn what_is_put_back_is_served_before_what_came_later() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1), ("bob", 0), ("carol", 0)]);
    let first = pool.take(0, 2, usize::MAX);
    let second = pool.take(0, 2, usize::MAX);
    assert_eq!(names(&first), "alice0 bob0");
    assert_eq!(names(&second), "carol0 alice1");
    pool.insert(transaction("dave", 0), 0, Origin::Local)
        .expect("there is room");
    // Whatever the order in which the vertices are given up.
    pool.requeue(&ids(&second));
    pool.requeue(&ids(&first));
    assert_eq!(take_all(&mut pool), "alice0 bob0 carol0 alice1 dave0");
}

#[test]
fn a_lower_nonce_that_comes_back_goes_before_the_higher_ones() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1), ("alice", 2)]);
    let first = pool.take(0, 1, usize::MAX);
    pool.take(0, 1, usize::MAX);
    pool.requeue(&ids(&first));
    assert_eq!(take_all(&mut pool), "alice0 alice2");
}

#[test]
fn blocks_taken_back_return_their_transactions() {
    let mut pool = pool_of(&[("alice", 0), ("alice", 1), ("alice", 2)]);
    pool.take(0, 2, usize::MAX);
    let (zero, one) = (transaction("alice", 0), transaction("alice", 1));
    pool.executed(&[took(&zero), took(&one)], TimestampMs(1));
    assert_eq!(pool.account_nonce_changed(&account("alice"), 0), []);
    assert_eq!(pool.next_nonce(&account("alice")), Some(0));
    assert_eq!(take_all(&mut pool), "");
    for transaction in [&one, &zero] {
        pool.insert(Arc::clone(transaction), 0, Origin::Returning)
            .expect("its nonce is free again");
    }
    assert_eq!(take_all(&mut pool), "alice0 alice1 alice2");
    let left = pool.account_nonce_changed(&account("alice"), 2);
    assert_eq!(left, ids(&[zero, one]));
    assert_eq!((pool.len(), pool.in_flight_len()), (1, 1));
}

#[test]
fn what_returns_is_refused_by_no_limit() {
    let mut pool = Mempool::new(MempoolConfig {
        transactions_max: 1,
        per_sender_max: 1,
        ..CONFIG
    });
    for nonce in [0, 1, 90] {
        pool.insert(transaction("alice", nonce), 0, Origin::Returning)
            .expect("it was admitted before");
    }
    assert_eq!(
        pool.insert(transaction("alice", 90), 91, Origin::Local),
        Ok(Admission::AlreadyKnown)
    );
    let dead = pool.insert(transaction("bob", 3), 4, Origin::Returning);
    assert_eq!(
        dead,
        Err(MempoolReject::NonceTooLow {
            nonce: 3,
            expected: 4
        })
    );
}

#[test]
fn what_does_not_fit_keeps_its_place_and_lets_smaller_ones_by() {
    let small = transaction("aaa", 0).encoded_bytes();
    let mut pool = Mempool::new(CONFIG);
    let big = Draft {
        sender: "big",
        nonce: 0,
        memo_bytes: small,
        expires_at: None,
        variant: 0,
    };
    pool.insert(transaction("aaa", 0), 0, Origin::Local)
        .expect("there is room");
    pool.insert(big.make(), 0, Origin::Local)
        .expect("there is room");
    for sender in ["bbb", "ccc"] {
        pool.insert(transaction(sender, 0), 0, Origin::Local)
            .expect("there is room");
    }
    assert_eq!(names(&pool.take(0, 10, 2 * small)), "aaa0 bbb0");
    assert_eq!(names(&pool.take(0, 1, 2 * small)), "big0");
}

#[test]
fn what_never_fits_does_not_block_the_rest() {
    let mut pool = Mempool::new(CONFIG);
    let senders: Vec<String> = (0..PASSED_OVER_MAX + 1)
        .map(|number| format!("big{number}"))
        .collect();
    for sender in &senders {
        let draft = Draft {
            sender: "unused",
            nonce: 0,
            memo_bytes: 200,
            expires_at: None,
            variant: 0,
        };
        let mut body = draft.make().body().clone();
        body.sender = account(sender);
        let big = VerifiedTransaction::trust(
            body.id(&CHAIN),
            SignedTransaction {
                body,
                signature: Signature::new([0; 64]),
            },
        );
        pool.insert(Arc::new(big), 0, Origin::Local)
            .expect("there is room");
    }
    pool.insert(transaction("small", 0), 0, Origin::Local)
        .expect("there is room");
    let size = transaction("small", 0).encoded_bytes();
    assert_eq!(names(&pool.take(0, 10, size)), "");
    assert_eq!(names(&pool.take(0, 10, size)), "small0");
    assert_eq!(pool.take(0, 100, usize::MAX).len(), senders.len());
}

#[test]
fn the_oldest_is_the_first_that_was_admitted() {
    let mut pool = pool_of(&[("bob", 0), ("alice", 0)]);
    assert_eq!(
        pool.oldest().map(|one| one.id()),
        Some(transaction("bob", 0).id())
    );
    pool.executed(&[took(&transaction("bob", 0))], TimestampMs(1));
    assert_eq!(
        pool.oldest().map(|one| one.id()),
        Some(transaction("alice", 0).id())
    );
    pool.executed(&[took(&transaction("alice", 0))], TimestampMs(2));
    assert!(pool.oldest().is_none());
}
