//! The mempool against the model, and its promises by themselves.

use super::fixture::{CONFIG, Draft, account, ids};
use super::model::{Model, SENDERS, compare, follow_take};
use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Insert {
        draft: Draft,
        origin: Origin,
    },
    Take {
        passed_ms: u64,
        transactions_max: usize,
        bytes_max: usize,
    },
    Requeue(Vec<usize>),
    RequeueAll,
    Executed {
        /// Numbers of transactions that are here, and whether the nonce was consumed.
        here: Vec<(usize, bool)>,
        /// Sender and distance from the account's nonce of transactions that are not.
        elsewhere: Vec<(usize, u64, bool)>,
        passed_ms: u64,
    },
    NonceChanged {
        sender: usize,
        nonce: u64,
    },
}

fn insert() -> impl Strategy<Value = Op> {
    let origin = prop_oneof![
        4 => Just(Origin::Local),
        3 => (0..2_000_u64).prop_map(|eligible_at_ms| Origin::Foreign { eligible_at_ms }),
        1 => Just(Origin::Returning),
    ];
    let draft = (
        0..SENDERS.len(),
        0..14_u64,
        prop_oneof![Just(0_usize), 0..200_usize],
        prop_oneof![2 => Just(None), 1 => (0..1_000_u64).prop_map(Some)],
        0..2_u64,
    )
        .prop_map(|(sender, nonce, memo_bytes, expires_at, variant)| Draft {
            sender: SENDERS[sender],
            nonce,
            memo_bytes,
            expires_at,
            variant,
        });
    (draft, origin).prop_map(|(draft, origin)| Op::Insert { draft, origin })
}

fn op() -> impl Strategy<Value = Op> {
    let take = (0..200_u64, 0..8_usize, 0..2_000_usize).prop_map(
        |(passed_ms, transactions_max, bytes_max)| Op::Take {
            passed_ms,
            transactions_max,
            bytes_max,
        },
    );
    let executed = (
        prop::collection::vec((0..64_usize, prop::bool::weighted(0.8)), 0..4),
        prop::collection::vec((0..SENDERS.len(), 0..3_u64, any::<bool>()), 0..2),
        0..40_u64,
    )
        .prop_map(|(here, elsewhere, passed_ms)| Op::Executed {
            here,
            elsewhere,
            passed_ms,
        });
    prop_oneof![
        12 => insert(),
        4 => take,
        1 => prop::collection::vec(0..64_usize, 0..5).prop_map(Op::Requeue),
        1 => Just(Op::RequeueAll),
        3 => executed,
        1 => (0..SENDERS.len(), 0..14_u64)
            .prop_map(|(sender, nonce)| Op::NonceChanged { sender, nonce }),
    ]
}

fn run(config: MempoolConfig, ops: &[Op]) {
    let mut pool = Mempool::new(config.clone());
    let mut model = Model::new(config);
    for op in ops {
        apply(&mut pool, &mut model, op);
        compare(&pool, &model);
    }
}

/// The transaction with this number, counted round.
fn pick(model: &Model, number: usize) -> Option<Arc<VerifiedTransaction>> {
    let item = model.items.get(number % model.items.len().max(1))?;
    Some(Arc::clone(&item.transaction))
}

fn block(
    model: &Model,
    here: &[(usize, bool)],
    elsewhere: &[(usize, u64, bool)],
) -> Vec<ExecutedTransaction> {
    let here = here.iter().filter_map(|(number, nonce_consumed)| {
        let transaction = pick(model, *number)?;
        Some(ExecutedTransaction {
            id: transaction.id(),
            sender: transaction.body().sender,
            nonce: transaction.body().nonce,
            nonce_consumed: *nonce_consumed,
        })
    });
    let elsewhere = elsewhere.iter().map(|(sender, distance, nonce_consumed)| {
        let sender = account(SENDERS[*sender]);
        ExecutedTransaction {
            id: TransactionId::new([0xee; 32]),
            sender,
            nonce: model.nonce_of(sender) + distance,
            nonce_consumed: *nonce_consumed,
        }
    });
    here.chain(elsewhere).collect()
}

fn apply(pool: &mut Mempool, model: &mut Model, op: &Op) {
    match op {
        Op::Insert { draft, origin } => {
            let nonce = model.nonce_of(account(draft.sender));
            let told = pool
                .insert(draft.make(), nonce, *origin)
                .map_err(|reject| reject.name());
            assert_eq!(told, model.insert(draft, *origin));
        }
        Op::Take {
            passed_ms,
            transactions_max,
            bytes_max,
        } => {
            model.now_ms += passed_ms;
            let taken = pool.take(model.now_ms, *transactions_max, *bytes_max);
            follow_take(model, &taken, *transactions_max, *bytes_max);
        }
        Op::Requeue(numbers) => {
            let returned: Vec<_> = numbers
                .iter()
                .filter_map(|number| pick(model, *number))
                .collect();
            pool.requeue(&ids(&returned));
            for item in &mut model.items {
                item.in_flight &= !returned.contains(&item.transaction);
            }
        }
        Op::RequeueAll => {
            pool.requeue_all();
            for item in &mut model.items {
                item.in_flight = false;
            }
        }
        Op::Executed {
            here,
            elsewhere,
            passed_ms,
        } => {
            let block = block(model, here, elsewhere);
            let time = model.block_timestamp + passed_ms;
            let mut left = pool.executed(&block, TimestampMs(time));
            let mut expected = model.executed(&block, time);
            left.sort();
            expected.sort();
            assert_eq!(left, expected);
        }
        Op::NonceChanged { sender, nonce } => {
            let sender = account(SENDERS[*sender]);
            let mut expected = Vec::new();
            model.set_nonce(sender, *nonce, &mut expected);
            let mut left = pool.account_nonce_changed(&sender, *nonce);
            left.sort();
            expected.sort();
            assert_eq!(left, expected);
        }
    }
}

fn small_config() -> impl Strategy<Value = MempoolConfig> {
    (
        4..24_usize,
        1_500..6_000_usize,
        1..10_usize,
        0..8_u64,
        1..6_u64,
    )
        .prop_map(
            |(transactions_max, bytes_max, per_sender_max, nonce_gap_max, gap_lifetime_blocks)| {
                MempoolConfig {
                    transactions_max,
                    bytes_max,
                    per_sender_max,
                    nonce_gap_max,
                    gap_lifetime_blocks,
                    foreign_delay_ms: 500,
                }
            },
        )
}

/// How many transactions each sender has, from nonce 0.
fn crowd() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..20_usize, SENDERS.len())
}

fn crowded(counts: &[usize]) -> Mempool {
    let mut pool = Mempool::new(CONFIG);
    for (sender, count) in SENDERS.into_iter().zip(counts) {
        for nonce in 0..*count {
            let draft = Draft {
                sender,
                nonce: nonce as u64,
                memo_bytes: 0,
                expires_at: None,
                variant: 0,
            };
            pool.insert(draft.make(), 0, Origin::Local)
                .expect("the crowd fits");
        }
    }
    pool
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_mempool_agrees_with_the_model(
        config in small_config(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        run(config, &ops);
    }

    /// While two senders both have something to take, neither is served twice before the other is served once.
    #[test]
    fn service_is_fair(counts in crowd(), limits in prop::collection::vec(1..10_usize, 20)) {
        let mut pool = crowded(&counts);
        let mut served = [0_usize; SENDERS.len()];
        for limit in limits {
            for transaction in pool.take(0, limit, usize::MAX) {
                let sender = SENDERS.map(account).iter().position(|name| *name == transaction.body().sender);
                served[sender.expect("a sender of the crowd")] += 1;
                for (one, count) in served.iter().zip(&counts) {
                    let most = served.iter().max().copied().unwrap_or(0);
                    prop_assert!(one == count || one + 1 >= most, "{served:?} of {counts:?}");
                }
            }
        }
    }

    /// What is put back is taken again in the order in which it was taken before, whatever came in between.
    #[test]
    fn requeue_preserves_order(
        counts in crowd(),
        limits in prop::collection::vec(1..10_usize, 1..6),
        all in any::<bool>(),
        shuffle in any::<prop::sample::Index>(),
    ) {
        let mut pool = crowded(&counts);
        let vertices: Vec<_> = limits.iter().map(|limit| pool.take(0, *limit, usize::MAX)).collect();
        let newcomer = Draft { sender: "newcomer", nonce: 0, memo_bytes: 0, expires_at: None, variant: 0 };
        pool.insert(newcomer.make(), 0, Origin::Local).expect("there is room");
        if all {
            pool.requeue_all();
        } else {
            let mut order = vertices.clone();
            order.rotate_left(shuffle.index(vertices.len()));
            for vertex in &order {
                pool.requeue(&ids(vertex));
            }
        }
        prop_assert_eq!(pool.in_flight_len(), 0);
        for (limit, vertex) in limits.iter().zip(&vertices) {
            let again = pool.take(0, vertex.len().min(*limit), usize::MAX);
            prop_assert_eq!(ids(&again), ids(vertex));
        }
    }

    #[test]
    fn equal_inputs_give_equal_outputs(ops in prop::collection::vec(op(), 1..60)) {
        let trace = || {
            let mut pool = Mempool::new(CONFIG);
            let mut model = Model::new(CONFIG);
            for op in &ops {
                apply(&mut pool, &mut model, op);
            }
            format!("{pool:?}")
        };
        prop_assert_eq!(trace(), trace());
    }
}
