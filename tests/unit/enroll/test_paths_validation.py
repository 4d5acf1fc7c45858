"""What PKITS leaves out: device certificates, algorithms of today, and names of every form."""

import ipaddress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from enroll.policy.paths.building import Anchor, CertificateStore, TrustedPath, find_path
from enroll.policy.paths.certificate_policies import POLICY_MAPPINGS
from enroll.policy.paths.certificates import PathCertificate
from enroll.policy.paths.faults import PathError, PathFault
from enroll.policy.paths.validation import PathRules
from tests.support.chains import (
    CLIENT_AUTH,
    IDEVID_EXTENSIONS,
    SERVER_AUTH,
    Authority,
    Extensions,
    a_ca_extensions,
    a_dn,
    a_hardware_module,
)
from tests.support.csr import a_key, some_key_usage
from tests.support.fakes import START
from tests.support.openssl import make_key, make_request, openssl

LEAF = a_dn("Pump", serial_number="SN-1")
TIMESTAMPING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), False)
SERVER_AUTH_AND_MORE = (
    x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
    True,
)
UNKNOWN = x509.ObjectIdentifier("2.999.5")
GOLD, SILVER = x509.ObjectIdentifier("2.999.1"), x509.ObjectIdentifier("2.999.2")


def validated(
    leaf: x509.Certificate,
    *authorities: Authority,
    at: datetime = START,
    grace: timedelta = timedelta(0),
    policies: frozenset[x509.ObjectIdentifier] = frozenset(),
) -> TrustedPath:
    """Find the path from a leaf to the first authority, through the others."""
    root, *between = authorities
    anchor = Anchor(anchor_id="a", certificate=PathCertificate(root.certificate), policies=policies)
    return find_path(
        PathCertificate(leaf),
        [PathCertificate(each.certificate) for each in between],
        CertificateStore(anchors=(anchor,)),
        PathRules(at=at, grace=grace),
    )


def fault_of(
    leaf: x509.Certificate,
    *authorities: Authority,
    at: datetime = START,
    grace: timedelta = timedelta(0),
    policies: frozenset[x509.ObjectIdentifier] = frozenset(),
) -> PathFault:
    with pytest.raises(PathError) as caught:
        validated(leaf, *authorities, at=at, grace=grace, policies=policies)
    assert caught.value.detail
    return caught.value.fault


@pytest.mark.parametrize(
    "extensions",
    [
        a_ca_extensions(),
        ((x509.BasicConstraints(ca=True, path_length=None), True),),
        ((some_key_usage(key_encipherment=True), True),),
        ((some_key_usage(key_agreement=True), True),),
        (*IDEVID_EXTENSIONS, SERVER_AUTH),
        (*IDEVID_EXTENSIONS, TIMESTAMPING),
    ],
    ids=["ca", "ca-without-usage", "encipherment", "agreement", "server", "timestamping"],
)
def test_security_0_6_what_is_no_device_certificate_is_refused(extensions: Extensions) -> None:
    root = Authority.root()

    fault = fault_of(root.issue(LEAF, extensions=extensions), root)

    assert fault is PathFault.CERTIFICATE_PURPOSE


@pytest.mark.parametrize(
    "extensions",
    [
        (),
        IDEVID_EXTENSIONS,
        ((x509.BasicConstraints(ca=False, path_length=None), True), *IDEVID_EXTENSIONS),
        (*IDEVID_EXTENSIONS, CLIENT_AUTH),
        ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False),),
        (*IDEVID_EXTENSIONS, SERVER_AUTH_AND_MORE),
    ],
    ids=["nothing", "idevid", "not-ca", "client", "any", "both"],
)
def test_security_0_6_a_device_certificate_needs_no_alternative_name(
    extensions: Extensions,
) -> None:
    root = Authority.root()

    path = validated(root.issue(LEAF, extensions=extensions), root)

    assert path.expired_for is None


@pytest.mark.parametrize("critical", [UNKNOWN, x509.ObjectIdentifier("2.5.29.31")])
def test_a_critical_extension_that_is_not_processed_is_refused_anywhere(
    critical: x509.ObjectIdentifier,
) -> None:
    root = Authority.root()
    extension = (
        x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00")
        if critical == UNKNOWN
        else x509.CRLDistributionPoints(
            [
                x509.DistributionPoint(
                    [x509.UniformResourceIdentifier("http://crl.example/1")], None, None, None
                )
            ]
        )
    )
    between = root.ca(extensions=a_ca_extensions(None, (extension, True)))

    on_leaf = fault_of(root.issue(LEAF, extensions=((extension, True),)), root)
    on_ca = fault_of(between.issue(LEAF), root, between)

    assert on_leaf is on_ca is PathFault.CRITICAL_EXTENSION
    assert validated(root.issue(LEAF, extensions=((extension, False),)), root).certificates


@pytest.mark.parametrize(
    ("extensions", "fault"),
    [
        ((), PathFault.CA_PURPOSE),
        (((x509.BasicConstraints(ca=False, path_length=None), True),), PathFault.CA_PURPOSE),
        (
            (
                (x509.BasicConstraints(ca=True, path_length=None), True),
                (some_key_usage(digital_signature=True, crl_sign=True), True),
            ),
            PathFault.CA_PURPOSE,
        ),
        (a_ca_extensions(None, SERVER_AUTH), PathFault.CA_PURPOSE),
    ],
    ids=["nothing", "not-ca", "no-cert-sign", "server-only"],
)
def test_what_may_not_issue_to_devices_does_not(extensions: Extensions, fault: PathFault) -> None:
    root = Authority.root()
    between = root.ca(extensions=extensions)

    assert fault_of(between.issue(LEAF), root, between) is fault


@pytest.mark.parametrize(
    "extensions",
    [
        ((x509.BasicConstraints(ca=True, path_length=0), True),),
        ((x509.BasicConstraints(ca=True, path_length=0), False),),
        a_ca_extensions(0, CLIENT_AUTH),
    ],
    ids=["no-usage", "not-critical", "for-clients"],
)
def test_what_may_issue_to_devices_does(extensions: Extensions) -> None:
    root = Authority.root()
    between = root.ca(extensions=extensions)

    assert validated(between.issue(LEAF), root, between).issuer.certificate == between.certificate


def test_the_anchors_own_constraints_hold() -> None:
    closed = Authority.root(extensions=a_ca_extensions(0))
    between = closed.ca()
    named = Authority.root(
        extensions=a_ca_extensions(
            None,
            (x509.NameConstraints([x509.DirectoryName(a_dn(organization="Other"))], None), True),
        )
    )
    no_ca = Authority.root(extensions=IDEVID_EXTENSIONS)

    assert fault_of(between.issue(LEAF), closed, between) is PathFault.PATH_TOO_LONG
    assert fault_of(named.issue(LEAF), named) is PathFault.NAME_CONSTRAINTS
    assert fault_of(no_ca.issue(LEAF), no_ca) is PathFault.CA_PURPOSE
    assert validated(closed.issue(LEAF), closed).anchor.anchor_id == "a"


def test_an_expired_ca_is_refused_whatever_the_grace() -> None:
    root = Authority.root()
    ended = START - timedelta(days=1)
    between = root.ca(not_after=ended)
    anchor = Authority.root(not_after=ended)
    month = timedelta(days=30)

    assert fault_of(between.issue(LEAF), root, between, grace=month) is PathFault.CA_EXPIRED
    assert fault_of(anchor.issue(LEAF), anchor, grace=month) is PathFault.CA_EXPIRED


def test_est_T7_an_expired_certificate_is_taken_within_the_grace_and_no_longer() -> None:
    root = Authority.root()
    leaf = root.issue(LEAF, not_after=START - timedelta(days=10))
    days = timedelta(days=10)

    assert fault_of(leaf, root) is PathFault.CERTIFICATE_EXPIRED
    assert fault_of(leaf, root, grace=days - timedelta(seconds=1)) is PathFault.CERTIFICATE_EXPIRED
    assert validated(leaf, root, grace=days).expired_for == days
    assert validated(leaf, root, at=START - days, grace=days).expired_for is None


def test_no_grace_makes_a_certificate_valid_before_its_time() -> None:
    root = Authority.root()
    leaf = root.issue(LEAF, not_before=START + timedelta(seconds=1))

    fault = fault_of(leaf, root, grace=timedelta(days=10))

    assert fault is PathFault.CERTIFICATE_NOT_YET_VALID


def test_that_it_expired_is_not_said_of_a_certificate_that_is_not_good() -> None:
    root, stranger = Authority.root(), Authority.root(number=9)
    leaf = stranger.issue(LEAF, not_after=START - timedelta(days=10))

    assert fault_of(leaf, root) is PathFault.SIGNATURE_WRONG


@pytest.mark.parametrize("kind", ["rsa-1024", "p-224", "secp256k1"])
def test_a_key_that_is_too_weak_signs_nothing_and_proves_nothing(kind: str) -> None:
    root = Authority.root()
    weak = Authority.root(kind=kind)

    as_anchor = fault_of(weak.issue(LEAF), weak)
    as_device = fault_of(root.issue(LEAF, key=a_key(kind, 1)), root)

    assert as_anchor is as_device is PathFault.ALGORITHM_NOT_ALLOWED


def test_a_signature_over_a_short_hash_is_refused() -> None:
    root = Authority.root(kind="rsa-2048")

    fault = fault_of(root.issue(LEAF, digest=hashes.SHA224()), root)

    assert fault is PathFault.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("digest", ["-sha1", "-md5"])
def test_a_signature_over_a_broken_hash_is_refused(tmp_path: Path, digest: str) -> None:
    key = make_key(tmp_path / "ca.key", "rsa-2048")
    subject = ("-subj", "/CN=Root", "-days", "9000")
    openssl("req", "-x509", "-new", "-key", key, *subject, "-out", tmp_path / "ca.pem")
    request = make_request(tmp_path / "leaf.der", make_key(tmp_path / "leaf.key"))
    by = ("-CA", tmp_path / "ca.pem", "-CAkey", key, "-CAcreateserial", "-days", "9000")
    der = openssl("x509", "-req", "-in", request, "-inform", "DER", *by, digest, "-outform", "DER")
    root = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    leaf = x509.load_der_x509_certificate(der)

    fault = fault_of(leaf, Authority(root, a_key("rsa-2048")), at=leaf.not_valid_before_utc)

    assert fault is PathFault.ALGORITHM_NOT_ALLOWED


@pytest.mark.parametrize("kind", ["p-256", "p-384", "p-521", "rsa-2048", "ed25519", "ed448"])
def test_every_algorithm_of_today_is_taken(kind: str) -> None:
    root = Authority.root(kind=kind)

    path = validated(root.issue(LEAF, key=a_key(kind, 1)), root)

    assert path.anchor.certificate.certificate == root.certificate


def test_a_root_of_tomorrow_is_taken() -> None:
    key = mldsa.MLDSA65PrivateKey.generate()
    name = a_dn("ML-DSA Root")
    root = Authority(
        Authority(Authority.root(name).certificate, key).issue(
            name, key=key, extensions=a_ca_extensions()
        ),
        key,
    )

    assert validated(root.issue(LEAF), root).issuer.certificate == root.certificate


def test_a_signature_of_one_kind_by_a_key_of_another_is_refused() -> None:
    elliptic, rsa_root = Authority.root(), Authority.root(kind="rsa-2048")
    edwards = Authority.root(kind="ed25519")

    assert fault_of(rsa_root.issue(LEAF), elliptic) is PathFault.SIGNATURE_WRONG
    assert fault_of(edwards.issue(LEAF), elliptic) is PathFault.SIGNATURE_WRONG
    assert fault_of(elliptic.issue(LEAF), edwards) is PathFault.SIGNATURE_WRONG
    assert fault_of(elliptic.issue(LEAF), rsa_root) is PathFault.SIGNATURE_WRONG


def test_rsa_pss_is_taken() -> None:
    root = Authority.root(kind="rsa-2048")
    assert isinstance(root.key, rsa.RSAPrivateKey)
    leaf = _pss(root, root.key)

    assert validated(leaf, root).certificates


def _pss(root: Authority, key: rsa.RSAPrivateKey) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(LEAF)
        .issuer_name(root.certificate.subject)
        .serial_number(77)
        .public_key(a_key("p-256", 1).public_key())
        .not_valid_before(START - timedelta(days=1))
        .not_valid_after(START + timedelta(days=1))
        .sign(
            key,
            hashes.SHA256(),
            rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
        )
    )


def test_brainpool_curves_of_meter_makers_are_taken() -> None:
    key = ec.generate_private_key(ec.BrainpoolP256R1())
    name = a_dn("Meter Root")
    lender = Authority(Authority.root(name).certificate, key)
    root = Authority(lender.issue(name, key=key, extensions=a_ca_extensions()), key)

    assert validated(root.issue(LEAF, key=key), root).certificates


def test_a_certificate_that_names_two_algorithms_is_refused() -> None:
    root = Authority.root()
    der = bytearray(root.issue(LEAF).public_bytes(Encoding.DER))
    ecdsa_sha256, ecdsa_sha384 = (
        bytes.fromhex("06082a8648ce3d040302"),
        bytes.fromhex("06082a8648ce3d040303"),
    )
    first = der.index(ecdsa_sha256)
    der[first : first + len(ecdsa_sha256)] = ecdsa_sha384

    fault = fault_of(x509.load_der_x509_certificate(bytes(der)), root)

    assert fault is PathFault.ALGORITHM_NOT_ALLOWED


def test_an_altered_certificate_is_refused() -> None:
    root = Authority.root()
    der = root.issue(LEAF).public_bytes(Encoding.DER).replace(b"SN-1", b"SN-2")

    assert fault_of(x509.load_der_x509_certificate(der), root) is PathFault.SIGNATURE_WRONG


@pytest.mark.parametrize(
    ("base", "inside", "outside"),
    [
        (x509.DNSName("a.example"), x509.DNSName("x.A.example"), x509.DNSName("xa.example")),
        (x509.DNSName(".a.example"), x509.DNSName("x.a.example"), x509.DNSName("a.example")),
        (
            x509.IPAddress(ipaddress.ip_network("192.0.2.0/28")),
            x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
            x509.IPAddress(ipaddress.ip_address("192.0.2.16")),
        ),
        (
            x509.IPAddress(ipaddress.ip_network("2001:db8::/64")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        ),
        (
            x509.RFC822Name("a.example"),
            x509.RFC822Name("x@A.example"),
            x509.RFC822Name("x@b.a.example"),
        ),
        (
            x509.RFC822Name("x@a.example"),
            x509.RFC822Name("x@A.EXAMPLE"),
            x509.RFC822Name("X@a.example"),
        ),
        (
            x509.UniformResourceIdentifier(".a.example"),
            x509.UniformResourceIdentifier("coaps://u@x.a.example:5684/y"),
            x509.UniformResourceIdentifier("coaps://a.example/"),
        ),
        (
            x509.UniformResourceIdentifier("a.example"),
            x509.UniformResourceIdentifier("https://A.example"),
            x509.UniformResourceIdentifier("urn:dev:mac:0024befffe804ff1"),
        ),
        (
            x509.UniformResourceIdentifier("a.example"),
            x509.UniformResourceIdentifier("https://a.example/"),
            x509.UniformResourceIdentifier("https://[2001:db8::1]/a.example"),
        ),
        (
            x509.DirectoryName(x509.Name(list(a_dn(organization="Maker")))),
            x509.DirectoryName(a_dn("Any", organization="maker ")),
            x509.DirectoryName(a_dn("Any", organization="Other")),
        ),
    ],
    ids=["dns", "dns-dot", "ipv4", "ipv6", "mail", "mailbox", "uri", "uri-urn", "uri-ip", "dn"],
)
def test_alternative_names_stay_within_what_the_ca_may_name(
    base: x509.GeneralName, inside: x509.GeneralName, outside: x509.GeneralName
) -> None:
    root = Authority.root()
    only = root.ca(extensions=a_ca_extensions(None, (x509.NameConstraints([base], None), True)))
    never = root.ca(extensions=a_ca_extensions(None, (x509.NameConstraints(None, [base]), True)))

    assert validated(only.issue(LEAF, names=[inside]), root, only).certificates
    assert fault_of(only.issue(LEAF, names=[outside]), root, only) is PathFault.NAME_CONSTRAINTS
    assert fault_of(only.issue(LEAF, names=[inside, outside]), root, only) is (
        PathFault.NAME_CONSTRAINTS
    )
    assert fault_of(never.issue(LEAF, names=[inside]), root, never) is PathFault.NAME_CONSTRAINTS
    assert validated(only.issue(LEAF), root, only).certificates, "no such name, nothing to violate"


def test_constraints_on_names_that_nobody_understands_are_not_passed_over() -> None:
    root = Authority.root()
    constraint = x509.NameConstraints([a_hardware_module(b"HW-")], None)
    other_type = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01x")
    only = root.ca(extensions=a_ca_extensions(None, (constraint, True)))

    refused = fault_of(only.issue(LEAF, names=[a_hardware_module()]), root, only)

    assert refused is PathFault.NAME_CONSTRAINTS
    assert validated(only.issue(LEAF, names=[other_type]), root, only).certificates


def test_an_address_in_the_subject_is_held_to_constraints_on_addresses() -> None:
    root = Authority.root()
    constraint = x509.NameConstraints([x509.RFC822Name("a.example")], None)
    only = root.ca(extensions=a_ca_extensions(None, (constraint, True)))

    assert fault_of(only.issue(a_dn(email="x@b.example")), root, only) is (
        PathFault.NAME_CONSTRAINTS
    )
    assert validated(only.issue(a_dn(email="x@a.example")), root, only).certificates


def test_too_many_names_under_too_many_constraints_are_not_compared() -> None:
    root = Authority.root()
    constraint = x509.NameConstraints(
        [x509.DNSName(f"{each}.example") for each in range(500)], None
    )
    only = root.ca(extensions=a_ca_extensions(None, (constraint, True)))
    names = [x509.DNSName("499.example")] * 100

    assert fault_of(only.issue(LEAF, names=names), root, only) is PathFault.PATH_TOO_COMPLEX


def policies(*oids: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.CertificatePolicies([x509.PolicyInformation(each, None) for each in oids]), False


def test_an_anchor_may_demand_a_certificate_policy() -> None:
    root = Authority.root()
    between = root.ca(extensions=a_ca_extensions(None, policies(GOLD)))
    gold = between.issue(LEAF, extensions=(policies(GOLD),))
    silver = between.issue(LEAF, extensions=(policies(SILVER),))
    wanted = frozenset({GOLD})

    assert validated(gold, root, between, policies=wanted).certificates
    assert fault_of(silver, root, between, policies=wanted) is PathFault.CERTIFICATE_POLICIES
    assert fault_of(between.issue(LEAF), root, between, policies=wanted) is (
        PathFault.CERTIFICATE_POLICIES
    )


def test_too_many_policies_are_not_looked_at() -> None:
    root = Authority.root()
    many = [x509.ObjectIdentifier(f"2.999.{each}") for each in range(101)]

    assert fault_of(root.issue(LEAF, extensions=(policies(*many),)), root) is (
        PathFault.PATH_TOO_COMPLEX
    )


@pytest.mark.parametrize("mappings", [b"", b"\x30\x00", b"\x30\x80\x00\x00", b"\x05\x00"])
def test_policy_mappings_that_cannot_be_read_are_refused(mappings: bytes) -> None:
    root = Authority.root()
    extension = x509.UnrecognizedExtension(POLICY_MAPPINGS, mappings)
    between = root.ca(extensions=a_ca_extensions(None, (extension, True)))

    assert fault_of(between.issue(LEAF), root, between) is PathFault.CERTIFICATE_UNREADABLE


def test_an_extension_that_cannot_be_read_is_refused() -> None:
    root = Authority.root()
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\x05\x00")

    assert fault_of(root.issue(LEAF, extensions=((broken, False),)), root) is (
        PathFault.CERTIFICATE_UNREADABLE
    )
