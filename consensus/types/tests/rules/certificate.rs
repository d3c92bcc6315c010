//! Certificates: a quorum of a committee, each member once, every signature valid.

use holdfast_types::test_util::{CHAIN, committee, key_pair, samples};
use holdfast_types::{
    AttestationBody, AuthorityIndex, Certificate, CertificateError, ChainId, Committee, Ed25519,
    Era, Height, Signature,
};

fn body() -> AttestationBody {
    AttestationBody {
        era: Era(1),
        height: Height(9),
        ..samples("certificate", 1).next().unwrap()
    }
}

fn signed_by(authorities: &[u16]) -> Certificate {
    let body = body();
    let signatures = authorities
        .iter()
        .map(|&number| {
            let authority = AuthorityIndex(number);
            (
                authority,
                body.sign(authority, &CHAIN, &key_pair(number)).signature,
            )
        })
        .collect();
    Certificate { body, signatures }
}

fn verdict(certificate: &Certificate, committee: &Committee) -> Result<(), CertificateError> {
    certificate.verify(&CHAIN, committee, &Ed25519)
}

#[test]
fn a_quorum_and_more_than_a_quorum_prove() {
    assert_eq!(verdict(&signed_by(&[0]), &committee(1)), Ok(()));
    assert_eq!(verdict(&signed_by(&[0, 2, 3]), &committee(4)), Ok(()));
    assert_eq!(verdict(&signed_by(&[0, 1, 2, 3]), &committee(4)), Ok(()));
    assert_eq!(verdict(&signed_by(&[0, 1, 2, 4, 6]), &committee(7)), Ok(()));
}

#[test]
fn fewer_than_a_quorum_prove_nothing() {
    let refused = |certificate, size| verdict(&certificate, &committee(size));
    assert_eq!(
        refused(signed_by(&[0, 1]), 4),
        Err(CertificateError::NoQuorum {
            actual: 2,
            quorum: 3
        })
    );
    assert_eq!(
        refused(signed_by(&[]), 1),
        Err(CertificateError::NoQuorum {
            actual: 0,
            quorum: 1
        })
    );
    // 2f + 1 of 5 is 3, the quorum is 4.
    assert_eq!(
        refused(signed_by(&[0, 1, 2]), 5),
        Err(CertificateError::NoQuorum {
            actual: 3,
            quorum: 4
        })
    );
}

#[test]
fn signers_are_sorted_distinct_members() {
    let bad = |number| {
        Err(CertificateError::BadSigner {
            authority: AuthorityIndex(number),
        })
    };
    assert_eq!(
        verdict(&signed_by(&[0, 1, 1]), &committee(4)),
        bad(1),
        "a member counts once"
    );
    assert_eq!(
        verdict(&signed_by(&[0, 2, 1]), &committee(4)),
        bad(1),
        "there is one order"
    );
    assert_eq!(
        verdict(&signed_by(&[0, 1, 4]), &committee(4)),
        bad(4),
        "4 is no member of 0..4"
    );
    assert_eq!(verdict(&signed_by(&[0, 1, 2, 3, 4]), &committee(4)), bad(4));
    assert_eq!(
        verdict(&signed_by(&[0, 1, u16::MAX]), &committee(4)),
        bad(u16::MAX)
    );
}

#[test]
fn every_signature_counts() {
    for position in 0..4 {
        let mut certificate = signed_by(&[0, 1, 2, 3]);
        certificate.signatures[position].1 = Signature::new([1; 64]);
        assert_eq!(
            verdict(&certificate, &committee(4)),
            Err(CertificateError::BadSignature),
            "signature {position}, beyond the quorum or not"
        );
    }
    let mut swapped = signed_by(&[0, 1, 2]);
    let first = swapped.signatures[0].1;
    swapped.signatures[0].1 = swapped.signatures[1].1;
    swapped.signatures[1].1 = first;
    assert_eq!(
        verdict(&swapped, &committee(4)),
        Err(CertificateError::BadSignature)
    );
}

#[test]
fn a_certificate_is_of_one_body_chain_and_committee() {
    let certificate = signed_by(&[0, 1, 2]);
    let fields: [fn(&mut AttestationBody); 5] = [
        |body| body.era = body.era.next(),
        |body| body.height = body.height.next(),
        |body| body.block = holdfast_types::BlockId::new([1; 32]),
        |body| body.commit = holdfast_types::CommitDigest::new([1; 32]),
        |body| body.state_root = holdfast_types::StateRoot::new([1; 32]),
    ];
    for change in fields {
        let mut changed = certificate.clone();
        change(&mut changed.body);
        assert_ne!(changed.body, certificate.body);
        assert_eq!(
            verdict(&changed, &committee(4)),
            Err(CertificateError::BadSignature)
        );
    }
    assert_eq!(
        certificate.verify(&ChainId::new([8; 32]), &committee(4), &Ed25519),
        Err(CertificateError::BadSignature)
    );
    let mut others = committee(5).members().to_vec();
    others.remove(0);
    let others = Committee::new(others).unwrap();
    assert_eq!(
        verdict(&certificate, &others),
        Err(CertificateError::BadSignature)
    );
}
