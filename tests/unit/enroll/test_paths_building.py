"""How a path is found: from what was sent, in any order, and what is known; within bounds."""

import itertools
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from enroll.policy.paths import building
from enroll.policy.paths.building import Anchor, CertificateStore, TrustedPath, find_path
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError, PathFault
from enroll.policy.paths.signatures import MOST_CHECKS
from enroll.policy.paths.validation import PathRules
from tests.support.chains import Authority, a_ca_extensions, a_dn
from tests.support.csr import a_key
from tests.support.fakes import START

RULES = PathRules(at=START)
LEAF = a_dn("Pump", serial_number="SN-1")


def known(
    *anchors: Authority,
    between: tuple[Authority, ...] = (),
    blocked: tuple[Authority, ...] = (),
) -> CertificateStore:
    return CertificateStore(
        anchors=tuple(
            Anchor(anchor_id=f"anchor {number}", certificate=PathCertificate(each.certificate))
            for number, each in enumerate(anchors)
        ),
        between=tuple(PathCertificate(each.certificate) for each in between),
        blocked_keys=frozenset(PathCertificate(each.certificate).spki_sha256 for each in blocked),
    )


def path_of(
    leaf: x509.Certificate, store: CertificateStore, *sent: Authority, rules: PathRules = RULES
) -> TrustedPath:
    return find_path(
        PathCertificate(leaf), [PathCertificate(each.certificate) for each in sent], store, rules
    )


def fault_of(leaf: x509.Certificate, store: CertificateStore, *sent: Authority) -> PathError:
    with pytest.raises(PathError) as caught:
        path_of(leaf, store, *sent)
    return caught.value


def test_a_chain_without_its_intermediate_is_refused_by_the_name_of_what_is_missing() -> None:
    root = Authority.root()
    between = root.ca(a_dn("Maker CA"))

    fault = fault_of(between.issue(LEAF), known(root))

    assert fault.fault is PathFault.CHAIN_INCOMPLETE
    assert "CN=Maker CA" in fault.detail


def test_a_chain_to_a_root_that_nobody_registered_is_refused_by_its_name() -> None:
    stranger = Authority.root(a_dn("Stranger Root", organization="Stranger"), number=9)
    between = stranger.ca(a_dn("Stranger CA", organization="Stranger"))

    fault = fault_of(between.issue(LEAF), known(Authority.root()), between, stranger)

    assert fault.fault is PathFault.ISSUER_NOT_TRUSTED
    assert "CN=Stranger Root" in fault.detail


def test_security_T3_an_issuer_of_the_same_name_with_another_key_is_refused() -> None:
    root = Authority.root()
    forger = Authority.root(number=9)

    fault = fault_of(forger.issue(LEAF), known(root), forger)

    assert fault.fault is PathFault.SIGNATURE_WRONG


def test_security_T3_the_same_issuer_serial_and_key_identifier_do_not_help_a_forger() -> None:
    root = Authority.root()
    good = root.issue(LEAF)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())
    forged = (
        x509.CertificateBuilder()
        .subject_name(LEAF)
        .issuer_name(good.issuer)
        .serial_number(good.serial_number)
        .public_key(a_key("p-256", 1).public_key())
        .not_valid_before(good.not_valid_before_utc)
        .not_valid_after(good.not_valid_after_utc)
        .add_extension(identifier, critical=False)
        .sign(a_key("p-256", 66), hashes.SHA256())
    )

    fault = fault_of(forged, known(root))

    assert fault.fault is PathFault.SIGNATURE_WRONG


def test_an_anchor_that_is_no_issuer_of_anything_sent_does_not_become_one() -> None:
    root = Authority.root()
    other = Authority.root(a_dn("Other Root"), number=2)

    fault = fault_of(other.issue(LEAF), known(root), root)

    assert fault.fault is PathFault.CHAIN_INCOMPLETE


def test_the_device_certificate_itself_is_no_issuer() -> None:
    self_signed = Authority.root(LEAF, number=1).certificate

    fault = fault_of(self_signed, known(Authority.root()))

    assert fault.fault is PathFault.ISSUER_NOT_TRUSTED


def test_a_device_of_the_same_maker_cannot_play_its_issuer() -> None:
    root = Authority.root()
    device = Authority(root.issue(a_dn("Pump", serial_number="SN-2")), a_key("p-256", 1))

    fault = fault_of(device.issue(LEAF), known(root), device)

    assert fault.fault is PathFault.CA_PURPOSE


def test_lifecycle_T29_no_path_passes_a_blocked_ca() -> None:
    root = Authority.root()
    between = root.ca()
    leaf = between.issue(LEAF)
    assert path_of(leaf, known(root), between).certificates

    fault = fault_of(leaf, known(root, blocked=(between,)), between)

    assert fault.fault is PathFault.ANCHOR_BLOCKED


def test_a_blocked_ca_is_blocked_by_its_key_whatever_certificate_it_shows() -> None:
    root = Authority.root()
    between = root.ca()
    renewed = root.ca(a_dn("Maker CA by another name"))

    fault = fault_of(renewed.issue(LEAF), known(root, blocked=(between,)), renewed)

    assert fault.fault is PathFault.ANCHOR_BLOCKED


def test_a_path_through_what_was_sent() -> None:
    root = Authority.root()
    between = root.ca()
    leaf = between.issue(LEAF)

    path = path_of(leaf, known(root), between)

    assert [each.certificate for each in path.certificates] == [leaf, between.certificate]
    assert path.anchor.anchor_id == "anchor 0"
    assert path.issuer.certificate == between.certificate
    assert path.expired_for is None


def test_a_path_through_what_is_known_needs_nothing_sent() -> None:
    root = Authority.root()
    between = root.ca()

    path = path_of(between.issue(LEAF), known(root, between=(between,)))

    assert len(path.certificates) == 2


def test_a_path_by_the_anchor_alone() -> None:
    root = Authority.root()

    path = path_of(root.issue(LEAF), known(root))

    assert path.issuer.certificate == root.certificate


def test_an_intermediate_may_be_the_anchor() -> None:
    root = Authority.root()
    between = root.ca()

    path = path_of(between.issue(LEAF), known(between), root)

    assert len(path.certificates) == 1


def test_what_was_sent_helps_in_any_order_and_among_anything() -> None:
    root = Authority.root()
    upper = root.ca(a_dn("Upper"), number=1)
    lower = upper.ca(a_dn("Lower"), number=2)
    stranger = Authority.root(a_dn("Stranger"), number=9)
    leaf = lower.issue(LEAF)

    for sent in itertools.permutations((upper, lower, stranger, root)):
        assert len(path_of(leaf, known(root), *sent).certificates) == 3


def test_of_two_issuers_of_one_name_the_one_that_signed_is_found() -> None:
    root = Authority.root()
    old, new = root.ca(a_dn("Maker CA"), number=1), root.ca(a_dn("Maker CA"), number=2)

    path = path_of(new.issue(LEAF), known(root), old, new)

    assert path.issuer.certificate == new.certificate


def test_where_one_path_is_dead_another_is_taken() -> None:
    root = Authority.root()
    expired = root.ca(a_dn("Maker CA"), not_after=START - timedelta(days=1))
    renewed = root.ca(a_dn("Maker CA"))

    path = path_of(expired.issue(LEAF), known(root), expired, renewed)

    assert path.issuer.certificate == renewed.certificate


def test_cas_that_certify_each_other_are_no_trap() -> None:
    root = Authority.root()
    one = root.ca(a_dn("One"), number=1)
    two = Authority.root(a_dn("Two"), number=2)
    by_two = two.ca(a_dn("One"), number=1)
    by_one = one.ca(a_dn("Two"), number=2)

    path = path_of(by_one.issue(LEAF), known(root), by_two, by_one, two, one)

    assert [each.certificate for each in path.certificates[1:]] == [
        by_one.certificate,
        one.certificate,
    ]


def test_a_new_root_reaches_the_old_one_through_its_rollover_certificate() -> None:
    old = Authority.root(number=0)
    new = Authority.root(number=5)
    new_with_old = old.ca(a_dn("Maker Root"), number=5)

    path = path_of(new.issue(LEAF), known(old), new_with_old, new)

    assert path.issuer.certificate == new_with_old.certificate


def test_a_longer_path_than_any_maker_has_is_refused() -> None:
    authority = root = Authority.root()
    chain = []
    for number in range(1, building.LONGEST_PATH + 1):
        authority = authority.ca(a_dn(f"CA {number}"), number=number)
        chain.append(authority)
    store = known(root, between=tuple(chain))

    fault = fault_of(authority.issue(LEAF), store)

    assert fault.fault is PathFault.PATH_TOO_LONG
    assert len(path_of(chain[-2].issue(LEAF), store).certificates) == building.LONGEST_PATH


def test_only_so_many_of_the_certificates_sent_are_looked_at() -> None:
    root = Authority.root()
    between = root.ca()
    strangers = [Authority.root(a_dn(f"{number}"), number=9) for number in range(10)]

    fault = fault_of(between.issue(LEAF), known(root), *strangers, between)

    assert fault.fault is PathFault.CHAIN_INCOMPLETE


def test_a_mesh_of_cas_costs_no_more_than_the_bounds_allow() -> None:
    roots = [Authority.root(a_dn(f"CA {number}"), number=number) for number in range(12)]
    mesh = tuple(
        upper.ca(lower.certificate.subject, number=number)
        for upper in roots
        for number, lower in enumerate(roots)
        if upper is not lower
    )
    store = known(Authority.root(a_dn("Elsewhere"), number=50), between=mesh)

    fault = fault_of(roots[0].issue(LEAF), store)

    assert fault.fault is PathFault.PATH_TOO_COMPLEX


def test_a_thousand_cas_of_one_name_cost_no_more_than_the_bounds_allow() -> None:
    root = Authority.root()
    many = tuple(root.ca(a_dn("Maker CA"), number=number) for number in range(1, MOST_CHECKS + 5))
    stranger = Authority.root(a_dn("Maker CA"), number=99)

    fault = fault_of(stranger.issue(LEAF), known(root, between=many))

    assert fault.fault is PathFault.PATH_TOO_COMPLEX


def test_the_key_identifier_finds_the_issuer_among_very_many_of_one_name() -> None:
    root = Authority.root()
    many = []
    for number in range(1, MOST_CHECKS + 5):
        key = a_key("p-256", 100 + number)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        many.append(
            root.ca(
                a_dn("Maker CA"),
                number=number,
                extensions=a_ca_extensions(None, (identifier, False)),
            )
        )
    last = many[-1]
    identifier = x509.SubjectKeyIdentifier.from_public_key(last.key.public_key())
    named = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)

    path = path_of(last.issue(LEAF, extensions=((named, False),)), known(root, between=tuple(many)))

    assert path.issuer.certificate == last.certificate


def test_a_wrong_key_identifier_is_no_more_than_a_bad_hint() -> None:
    root = Authority.root()
    wrong = x509.AuthorityKeyIdentifier(b"nobody's", None, None)

    path = path_of(root.issue(LEAF, extensions=((wrong, False),)), known(root))

    assert path.issuer.certificate == root.certificate
