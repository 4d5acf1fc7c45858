"""The record of CAs: its steps, who signs for whom, and what is shown to whom."""

import itertools
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from ca.authorities import Authorities, Authority, crossing
from ca.ceremony import SigningRoot, numbered
from ca.issuers import Issuer
from ca.local import LocalAuthority
from ca.succession import FIRST, AuthorityKind, AuthorityState, Phase, Succession, SuccessionError
from enroll.failures import EnrollmentError, FailureReason, Refused
from enroll.policy.paths.building import Anchor, CertificateStore, find_path
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.validation import PathRules
from tests.support.authority import (
    A_SERIAL_NUMBER,
    PUBLIC_URL,
    a_ceremony,
    a_record_of,
    a_root,
    an_issuer,
    an_order,
    issue,
)
from tests.support.csr import a_key
from tests.support.fakes import START, FixedClock
from tests.support.lint import check_certificate
from tests.support.openssl4 import why_not_verified

STEPS = ("prepare", "publish", "activate", "retire")
Step = tuple[str, bool]


def take(succession: Succession, step: Step) -> Succession:
    name, new_root = step
    if name == "prepare":
        return succession.prepare(new_root=new_root)
    after: Succession = getattr(succession, name)()
    return after


def after(*steps: str, new_root: bool = True) -> Succession:
    found = FIRST
    for name in steps:
        found = take(found, (name, new_root))
    return found


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), max_size=24))
def test_whatever_is_asked_one_ca_of_each_kind_signs_and_all_names_lead_to_it(
    steps: list[Step],
) -> None:
    succession = FIRST
    for step in steps:
        before = succession
        try:
            succession = take(succession, step)
        except Refused:
            continue
        again = take(succession, step)

        assert again == succession, "a step that is done changes nothing"
        assert Succession.decode(succession.encode()) == succession
        assert [each.name for each in succession.records][: len(before.records)] == [
            each.name for each in before.records
        ]
        for kind in AuthorityKind:
            active = succession.active(kind)
            for each in succession.of(kind, AuthorityState.SUCCEEDED, AuthorityState.RETIRED):
                assert succession.successors()[each.name] == active.name
            assert active.name not in succession.successors()


@pytest.mark.parametrize("new_root", [True, False])
def test_the_phases_come_one_after_the_other(*, new_root: bool) -> None:
    phases = [after(*STEPS[:count], new_root=new_root).phase for count in range(len(STEPS) + 1)]

    assert phases == [
        Phase.SETTLED,
        Phase.PREPARED,
        Phase.PUBLISHED,
        Phase.ACTIVATED,
        Phase.SETTLED,
    ]


@pytest.mark.parametrize(
    "document",
    [
        b'{"issuers": [{"name": "root", "kind": "root", "state": "active"}]}',
        FIRST.encode().replace(b'"issuing"', b'"root"'),
        FIRST.encode().replace(b'"above": "root"', b'"above": "root-2"'),
        FIRST.encode().replace(b',\n      "above": "root"', b""),
        FIRST.encode().replace(b'"active"', b'"published"'),
        FIRST.encode().replace(b'"issuing"', b'"../issuing"', 1),
        FIRST.encode().replace(b'"above": "root"', b'"above": []'),
        FIRST.encode().replace(b'"issuing"', b"5", 1),
        b"\xff",
        b"null",
    ],
)
def test_a_record_that_makes_no_sense_is_refused(document: bytes) -> None:
    with pytest.raises(SuccessionError):
        Succession.decode(document)


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("Test Issuing CA", 2, "Test Issuing CA 2"),
        ("Test Issuing CA 2", 3, "Test Issuing CA 3"),
        ("Line 2", 2, "Line 2 2"),
        ("Line 9", 3, "Line 9 3"),
    ],
)
def test_a_new_issuing_ca_has_the_name_of_the_old_one_and_its_number(
    name: str, number: int, expected: str
) -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )

    assert numbered(subject, number).rfc4514_string() == f"CN={expected},O=Example"


def a_rollover(*steps: str, kind: str = "p-256") -> Authorities:
    """Make the CAs with their certificates, as the steps leave them."""
    ceremony, succession = a_ceremony(), after(*steps)
    old = SigningRoot(name="root", certificate=a_root(), key=a_key("p-384", 1))
    new_key = a_key(kind, 11)
    new = SigningRoot(
        name="root-2",
        certificate=ceremony.root_named(a_root().subject, new_key, A_SERIAL_NUMBER + 10),
        key=new_key,
    )
    key = a_key(kind, 12)
    subject = numbered(an_issuer().certificate.subject, 2)
    certificates = {
        "root": old.certificate,
        "issuing": an_issuer().certificate,
        "root-2": new.certificate,
        "issuing-2": ceremony.issuing_named(subject, key, A_SERIAL_NUMBER + 11, new),
    }
    keys = {"issuing": a_key("p-256", 2), "issuing-2": key}
    roots = {"root": old, "root-2": new}
    members = {
        each.name: Authority(
            record=each,
            certificate=certificates[each.name],
            crosses=tuple(
                ceremony.cross(certificates[certified], A_SERIAL_NUMBER + 12, roots[by])
                for certified, by in crossing(succession)
                if certified == each.name and {certified, by} <= {r.name for r in succession.known}
            ),
        )
        for each in succession.known
    }
    issuers = {
        name: Issuer(
            name=name, certificate=certificates[name], key=keys[name], public_http_url=PUBLIC_URL
        )
        for name in keys
        if name in members
    }
    return Authorities(succession=succession, members=members).with_issuers(issuers)


def leaf_by(authorities: Authorities, issuer: str) -> x509.Certificate:
    authority = LocalAuthority(authorities.issuer_set, FixedClock())
    return x509.load_der_x509_certificate(issue(authority, an_order(issuer=issuer)))


@pytest.mark.parametrize("kind", ["p-256", "ml-dsa-65"])
@pytest.mark.parametrize("steps", [STEPS[:2], STEPS[:3]])
def test_est_C2_the_certificates_across_roots_are_as_rfc_4210_has_them(
    steps: tuple[str, ...], kind: str
) -> None:
    update = a_rollover(*steps, kind=kind).root_update

    assert update is not None
    old_with_old, new_with_new, new_with_old, old_with_new = (
        x509.load_der_x509_certificate(each)
        for each in (
            update.old_with_old,
            update.new_with_new,
            update.new_with_old,
            update.old_with_new,
        )
    )
    assert old_with_new.not_valid_before_utc == old_with_old.not_valid_before_utc
    assert old_with_new.not_valid_after_utc == old_with_old.not_valid_after_utc
    assert new_with_old.not_valid_before_utc == new_with_new.not_valid_before_utc
    assert new_with_old.not_valid_after_utc <= old_with_old.not_valid_after_utc
    new_with_old.verify_directly_issued_by(old_with_old)
    old_with_new.verify_directly_issued_by(new_with_new)
    for each in (old_with_old, new_with_new, new_with_old, old_with_new):
        check_certificate(each.public_bytes(Encoding.DER))


@pytest.mark.parametrize("kind", ["p-256", "ml-dsa-65"])
@pytest.mark.parametrize("issuer", ["issuing", "issuing-2"])
@pytest.mark.parametrize("anchor", ["root", "root-2"])
def test_est_C2_each_chain_leads_to_either_root_by_openssl_4_and_by_ours(
    anchor: str, issuer: str, kind: str
) -> None:
    authorities = a_rollover(*STEPS[:3], kind=kind)
    leaf = leaf_by(authorities, issuer)
    above = authorities.members[issuer]
    between = [
        above.certificate,
        *map(x509.load_der_x509_certificate, authorities.above(issuer)[:-1]),
    ]
    root = authorities.members[anchor].certificate

    at = START + timedelta(days=1)
    assert why_not_verified(leaf, roots=[root], between=between, at=at) is None
    # Everything at once, in every order, roots that are not trusted among it: no search is lost.
    everything = [
        PathCertificate(x509.load_der_x509_certificate(each))
        for each in authorities.ca_certificates
    ]
    store = CertificateStore(anchors=(Anchor(anchor_id=anchor, certificate=PathCertificate(root)),))
    for order in itertools.islice(itertools.permutations(everything), 0, 720, 17):
        path = find_path(PathCertificate(leaf), list(order), store, PathRules(at=at))
        assert path.anchor.anchor_id == anchor


def test_what_is_prepared_is_not_seen_and_what_is_published_is_the_next() -> None:
    prepared, published, activated, settled = (a_rollover(*STEPS[:n]) for n in range(1, 5))

    assert set(prepared.members) == {"root", "issuing"}
    assert prepared.next_certificates == ()
    assert prepared.root_update is None
    issuing, *above = map(x509.load_der_x509_certificate, published.next_certificates)
    assert issuing == published.members["issuing-2"].certificate
    assert above[-1] == published.members["root-2"].certificate
    assert published.root.record.name == "root"
    assert activated.next_certificates == ()
    assert activated.root.record.name == "root-2"
    assert activated.root_update is not None
    assert settled.root_update is None
    assert settled.ca_certificates == (
        settled.members["issuing-2"].der,
        settled.members["root-2"].der,
    )


def test_the_authority_signs_in_the_place_of_the_ca_that_a_profile_names() -> None:
    published, activated, settled = (a_rollover(*STEPS[:n]) for n in range(2, 5))
    authority = LocalAuthority(published.issuer_set, FixedClock())
    assert authority.current("issuing") == "issuing"
    order = an_order(issuer=authority.current("issuing"))

    authority.adopt(activated.issuer_set)

    old = issue(authority, order)  # It was decided before, and is signed as it was decided.
    assert authority.current("issuing") == "issuing-2"
    record = a_record_of(old, issuer="issuing")
    authority.check_issued(record)
    new = issue(authority, an_order(issuer=authority.current("issuing")))
    authority.check_issued(a_record_of(new, issuer="issuing-2"))
    with pytest.raises(EnrollmentError):
        authority.check_issued(a_record_of(new, issuer="issuing"))

    authority.adopt(settled.issuer_set)

    with pytest.raises(EnrollmentError) as refusal:
        authority.check_issued(record)
    assert refusal.value.reason is FailureReason.SIGNER_NOT_TRUSTED


def test_a_succeeded_ca_whose_key_was_taken_away_still_vouches_for_its_certificates() -> None:
    activated = a_rollover(*STEPS[:3])
    old = a_record_of(leaf_by(activated, "issuing").public_bytes(Encoding.DER), issuer="issuing")
    without = Authorities(
        succession=activated.succession,
        members={
            name: Authority(record=each.record, certificate=each.certificate, crosses=each.crosses)
            for name, each in activated.members.items()
        },
    )
    issuer = activated.members["issuing-2"].issuer
    assert issuer is not None

    authority = LocalAuthority(without.with_issuers({"issuing-2": issuer}).issuer_set, FixedClock())

    authority.check_issued(old)
    assert authority.chain("issuing") == (
        activated.members["issuing"].der,
        *activated.above("issuing"),
    )
    assert set(without.ca_certificates) == set(activated.ca_certificates)
