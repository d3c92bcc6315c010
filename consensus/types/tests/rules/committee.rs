//! Committees and the arithmetic of quorums.

use holdfast_types::codec::{decode, encode};
use holdfast_types::limits::COMMITTEE_MEMBERS_MAX;
use holdfast_types::test_util::{committee, key_pair, validator_account};
use holdfast_types::{AuthorityIndex, Committee, CommitteeError, Member, PublicKey, Signer};

fn member(number: u16) -> Member {
    let mut key = [0; 32];
    key[..2].copy_from_slice(&number.to_be_bytes());
    Member {
        account: validator_account(number),
        signing_key: PublicKey::new(key),
    }
}

fn of_size(size: u16) -> Committee {
    Committee::new((0..size).map(member).collect()).unwrap()
}

#[test]
fn two_quorums_meet_in_an_honest_member_for_every_size() {
    for size in 1..=u16::try_from(COMMITTEE_MEMBERS_MAX).unwrap() {
        let committee = of_size(size);
        let n = usize::from(size);
        let f = committee.max_faulty();
        let q = committee.quorum();
        assert_eq!(committee.size(), n);
        assert!(
            3 * f < n && n <= 3 * f + 3,
            "f is the largest number below a third, n = {n}"
        );
        assert_eq!(q, n - f, "the honest members alone are a quorum, n = {n}");
        assert!(
            2 * q - n > f,
            "two quorums meet in at least f + 1 members, n = {n}"
        );
        assert_eq!(committee.certified_threshold(), 2 * f + 1);
        assert!(committee.certified_threshold() <= q);
        assert_eq!(committee.validity_threshold(), f + 1);
        assert!(
            q + committee.validity_threshold() > n,
            "a quorum and any f + 1 members have one in common, n = {n}"
        );
    }
}

#[test]
fn the_sizes_of_the_documents() {
    let numbers = |size| {
        let committee = of_size(size);
        (
            committee.max_faulty(),
            committee.quorum(),
            committee.certified_threshold(),
        )
    };
    assert_eq!(numbers(1), (0, 1, 1));
    assert_eq!(numbers(4), (1, 3, 3));
    assert_eq!(numbers(5), (1, 4, 3));
    assert_eq!(numbers(21), (6, 15, 13));
    assert_eq!(numbers(128), (42, 86, 85), "43 offline members stall 128");
}

#[test]
fn two_sets_of_2f_plus_1_could_meet_in_faulty_members_only() {
    let committee = of_size(128);
    let overlap = 2 * committee.certified_threshold() - committee.size();
    assert!(
        overlap <= committee.max_faulty(),
        "which is why the quorum is n - f"
    );
}

#[test]
fn sizes_outside_the_limit_are_refused() {
    assert_eq!(
        Committee::new(Vec::new()),
        Err(CommitteeError::Size { count: 0 })
    );
    let members = (0..513).map(member).collect();
    assert_eq!(
        Committee::new(members),
        Err(CommitteeError::Size { count: 513 })
    );
}

#[test]
fn unsorted_repeated_and_key_sharing_members_are_refused() {
    let order = |numbers: [u16; 3]| Committee::new(numbers.map(member).to_vec());
    assert_eq!(
        order([0, 2, 1]),
        Err(CommitteeError::Order {
            account: validator_account(1)
        })
    );
    assert_eq!(
        order([0, 1, 1]),
        Err(CommitteeError::Order {
            account: validator_account(1)
        })
    );
    let mut members = [0, 1, 2].map(member).to_vec();
    members[2].signing_key = members[0].signing_key;
    assert_eq!(
        Committee::new(members),
        Err(CommitteeError::DuplicateKey {
            account: validator_account(2)
        })
    );
}

#[test]
fn the_decoder_refuses_what_the_constructor_refuses() {
    let encoded = |members: &Vec<Member>| encode(members);
    let decoded = |bytes: &[u8]| decode::<Committee>("a committee", bytes, 1 << 16);
    assert_eq!(
        decoded(&encoded(&vec![member(0), member(1)])).unwrap(),
        of_size(2)
    );
    assert!(decoded(&encoded(&Vec::new())).is_err());
    assert!(decoded(&encoded(&vec![member(1), member(0)])).is_err());
    assert!(decoded(&encoded(&(0..513).map(member).collect())).is_err());
}

#[test]
fn members_are_found_by_position_key_and_account() {
    let committee = committee(7);
    for authority in committee.authorities() {
        let member = committee.member(authority).unwrap();
        assert_eq!(member.signing_key, key_pair(authority.0).public_key());
        assert_eq!(
            committee.authority_of_key(&member.signing_key),
            Some(authority)
        );
        assert_eq!(
            committee.authority_of_account(&member.account),
            Some(authority)
        );
    }
    assert_eq!(committee.authorities().count(), 7);
    assert_eq!(committee.member(AuthorityIndex(7)), None);
    assert_eq!(committee.authority_of_key(&key_pair(7).public_key()), None);
    assert_eq!(committee.authority_of_account(&validator_account(7)), None);
}

#[test]
fn the_hash_covers_every_member() {
    assert_ne!(of_size(3).hash(), of_size(4).hash());
    let mut members = [0, 1, 2].map(member).to_vec();
    members[1].signing_key = PublicKey::new([9; 32]);
    assert_ne!(Committee::new(members).unwrap().hash(), of_size(3).hash());
}
