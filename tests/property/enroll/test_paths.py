"""Our path validation and cryptography's agree wherever cryptography's has an opinion."""

from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.x509 import verification
from hypothesis import given, settings
from hypothesis import strategies as st

from enroll.policy.paths.building import Anchor, CertificateStore, find_path
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError
from enroll.policy.paths.validation import PROCESSED, PathRules
from tests.support.chains import Authority, Extensions, a_ca_extensions, a_dn
from tests.support.csr import some_key_usage
from tests.support.fakes import START

DOMAINS = st.sampled_from(["example", "a.example", "b.a.example", "b.example", "xa.example"])
ODD_VALUES = [
    bytes.fromhex(each)
    for each in (
        "3000",
        "30030101ff",
        "30060101ff020100",
        "30060101ff0201ff",
        "3003020100",
        "03020780",
        "0303000000",
        "020100",
        "0201ff",
        "30053003810178",
        "3003860178",
        "30053003860130",
        "30068704c0000201",
        "300da00b3009870700000000ff0000",
        "a0023000",
        "30088001008101ff",
        "300630040602" + "2a03",
        "3006a404300230003000",
    )
]
SUBTREES = st.none() | st.lists(DOMAINS, min_size=1, max_size=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What a CA's certificate says."""

    is_ca: bool
    may_sign: bool
    path_length: int | None
    permitted: list[str] | None
    excluded: list[str] | None

    def extensions(self) -> Extensions:
        found: list[tuple[x509.ExtensionType, bool]] = [
            (
                x509.BasicConstraints(
                    ca=self.is_ca, path_length=self.path_length if self.is_ca else None
                ),
                True,
            ),
            (some_key_usage(key_cert_sign=self.may_sign, crl_sign=True), True),
        ]
        if self.permitted or self.excluded:
            found.append((x509.NameConstraints(_dns(self.permitted), _dns(self.excluded)), True))
        return found


LEVELS = st.builds(
    Level,
    is_ca=st.sampled_from([True, True, True, False]),
    may_sign=st.sampled_from([True, True, True, False]),
    path_length=st.none() | st.integers(0, 3),
    permitted=SUBTREES,
    excluded=st.none() | st.none() | SUBTREES,
)


@given(levels=st.lists(LEVELS, min_size=1, max_size=4), names=st.lists(DOMAINS, max_size=2))
@settings(max_examples=150, deadline=None)
def test_a_path_is_valid_here_exactly_if_it_is_for_cryptography(
    levels: list[Level], names: list[str]
) -> None:
    root = Authority.root(number=0)
    authority, chain = root, []
    for number, level in enumerate(levels, 1):
        authority = authority.ca(a_dn(f"CA {number}"), number=number, extensions=level.extensions())
        chain.append(authority.certificate)
    leaf = authority.issue(a_dn("Pump"), names=[x509.DNSName(each) for each in names])

    ours = _ours(leaf, chain, root.certificate)
    theirs = _theirs(leaf, chain, root.certificate)

    assert ours == theirs


@pytest.mark.filterwarnings("ignore::UserWarning")
@given(
    oid=st.sampled_from(sorted(PROCESSED, key=lambda each: each.dotted_string)),
    value=st.binary(max_size=24) | st.sampled_from(ODD_VALUES),
    critical=st.booleans(),
    on_leaf=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_no_extension_does_more_than_be_refused(
    oid: x509.ObjectIdentifier, value: bytes, *, critical: bool, on_leaf: bool
) -> None:
    root = Authority.root(number=0)
    odd = (x509.UnrecognizedExtension(oid, value), critical)
    usual = [each for each in a_ca_extensions() if each[0].oid != oid]
    between = root.ca(a_dn("CA"), extensions=usual if on_leaf else [*usual, odd])
    leaf = between.issue(a_dn("Pump"), extensions=[odd] if on_leaf else [])

    accepted = _ours(leaf, [between.certificate], root.certificate)

    assert isinstance(accepted, bool), "and nothing was raised but PathError"


def _ours(leaf: x509.Certificate, chain: list[x509.Certificate], root: x509.Certificate) -> bool:
    store = CertificateStore(anchors=(Anchor(anchor_id="a", certificate=PathCertificate(root)),))
    try:
        find_path(PathCertificate(leaf), map(PathCertificate, chain), store, PathRules(at=START))
    except PathError:
        return False
    return True


def _theirs(leaf: x509.Certificate, chain: list[x509.Certificate], root: x509.Certificate) -> bool:
    criticality = verification.Criticality.AGNOSTIC
    authorities = (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, criticality, _check_ca)
        .require_present(x509.KeyUsage, criticality, _check_usage)
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([root]))
        .time(START)
        .extension_policies(
            ca_policy=authorities, ee_policy=verification.ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, chain)
    except verification.VerificationError:
        return False
    return True


def _check_ca(
    policy: verification.Policy, certificate: x509.Certificate, found: x509.BasicConstraints
) -> None:
    del policy, certificate
    if not found.ca:
        raise ValueError("no CA")


def _check_usage(
    policy: verification.Policy, certificate: x509.Certificate, found: x509.KeyUsage
) -> None:
    del policy, certificate
    if not found.key_cert_sign:
        raise ValueError("may not sign")


def _dns(domains: list[str] | None) -> list[x509.DNSName] | None:
    return [x509.DNSName(each) for each in domains] if domains else None
