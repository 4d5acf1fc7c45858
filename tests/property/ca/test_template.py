"""Splice and builder give the same octets, whatever is ordered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from ca.builder import sign, to_builder
from ca.template import Splicer
from enroll.certificates import IssuanceOrder
from enroll.profiles import KeyUsageBit
from tests.support.authority import ISSUER_KINDS, an_issuer, an_order

_PRINTABLE = "ABCXYZabcxyz0189 '()+,-./:=?"
_PRINTABLE_TYPES = (NameOID.SERIAL_NUMBER, NameOID.DN_QUALIFIER)
_UTF8_TYPES = (
    NameOID.COMMON_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.LOCALITY_NAME,
    NameOID.STATE_OR_PROVINCE_NAME,
    NameOID.USER_ID,
)


def _edwards_25519(seed: int) -> CertificatePublicKeyTypes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32)).public_key()


def _edwards_448(seed: int) -> CertificatePublicKeyTypes:
    return ed448.Ed448PrivateKey.from_private_bytes(seed.to_bytes(57)).public_key()


def _on(curve: ec.EllipticCurve) -> Callable[[int], CertificatePublicKeyTypes]:
    return lambda seed: ec.derive_private_key(seed + 1, curve).public_key()


def _rsa_of(bits: int) -> Callable[[int], CertificatePublicKeyTypes]:
    def key(seed: int) -> CertificatePublicKeyTypes:
        # Any odd number of the size will do where nobody signs with it.
        modulus = (1 << (bits - 1)) | (pow(seed + 2, 97, 1 << (bits - 1))) | 1
        return rsa.RSAPublicNumbers(65537, modulus).public_key()

    return key


_KEYS: Mapping[str, Callable[[int], CertificatePublicKeyTypes]] = {
    "p-256": _on(ec.SECP256R1()),
    "p-384": _on(ec.SECP384R1()),
    "p-521": _on(ec.SECP521R1()),
    "ed25519": _edwards_25519,
    "ed448": _edwards_448,
    "rsa-2048": _rsa_of(2048),
    "rsa-3072": _rsa_of(3072),
    "rsa-4096": _rsa_of(4096),
}
_FITTING_USAGE = {
    "p": [KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION, KeyUsageBit.KEY_AGREEMENT],
    "e": [KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION],
    "r": [KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION, KeyUsageBit.KEY_ENCIPHERMENT],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sort:
    """What two orders have in common that are to share a template."""

    key_kind: str
    key_usage: frozenset[KeyUsageBit]
    extended_key_usage: tuple[x509.ObjectIdentifier, ...]
    has_subject: bool
    has_names: bool


@st.composite
def _sorts(draw: st.DrawFn) -> _Sort:
    kind = draw(st.sampled_from(sorted(_KEYS)))
    purposes = st.sampled_from(
        [
            ExtendedKeyUsageOID.CLIENT_AUTH,
            ExtendedKeyUsageOID.SERVER_AUTH,
            x509.ObjectIdentifier("1.3.6.1.4.1.99999.1.2.3"),
            x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
        ]
    )
    has_subject = draw(st.booleans())
    return _Sort(
        key_kind=kind,
        key_usage=draw(st.frozensets(st.sampled_from(_FITTING_USAGE[kind[0]]), min_size=1)),
        extended_key_usage=tuple(draw(st.lists(purposes, unique=True, max_size=3))),
        has_subject=has_subject,
        has_names=not has_subject or draw(st.booleans()),
    )


def _attributes() -> st.SearchStrategy[x509.NameAttribute[str]]:
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.one_of(
        st.builds(
            x509.NameAttribute,
            st.sampled_from(_PRINTABLE_TYPES),
            st.text(_PRINTABLE, min_size=1, max_size=64),
        ),
        st.builds(
            x509.NameAttribute,
            st.sampled_from(_UTF8_TYPES),
            st.text(letters, min_size=1, max_size=64).filter(lambda text: len(text.encode()) <= 64),
        ),
        st.builds(
            x509.NameAttribute, st.just(NameOID.COUNTRY_NAME), st.sampled_from(["DE", "US", "ZZ"])
        ),
        st.builds(
            x509.NameAttribute,
            st.just(NameOID.DOMAIN_COMPONENT),
            st.text("abc-09", min_size=1, max_size=63),
        ),
    )


def _subjects() -> st.SearchStrategy[x509.Name]:
    rdns = st.lists(_attributes(), min_size=1, max_size=3, unique_by=lambda each: each.oid).map(
        x509.RelativeDistinguishedName
    )
    return st.lists(rdns, min_size=1, max_size=6).map(x509.Name)


def _names() -> st.SearchStrategy[x509.GeneralName]:
    label = st.text("abcxyz0189-", min_size=1, max_size=63)
    return st.one_of(
        label.map(x509.DNSName),
        label.map(lambda text: x509.UniformResourceIdentifier(f"urn:dev:{text}")),
        label.map(lambda text: x509.RFC822Name(f"{text}@example.com")),
        st.integers(0, 2**32 - 1).map(lambda number: x509.IPAddress(IPv4Address(number))),
        st.integers(0, 2**128 - 1).map(lambda number: x509.IPAddress(IPv6Address(number))),
    )


def _moments() -> st.SearchStrategy[datetime]:
    anywhere = st.datetimes(datetime(2026, 1, 1), datetime(2090, 1, 1))  # noqa: DTZ001 - the zone comes next
    turn = st.integers(-3, 3).map(
        lambda seconds: datetime(2050, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 - as above
    )
    zones = st.sampled_from(
        [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))]
    )
    return st.builds(
        lambda at, zone: at.replace(tzinfo=UTC).astimezone(zone), anywhere | turn, zones
    )


@st.composite
def _orders(draw: st.DrawFn, sort: _Sort) -> IssuanceOrder:
    begins, ends = sorted(draw(st.lists(_moments(), min_size=2, max_size=2)))
    return an_order(
        # Of any length in octets, with the highest bit set or not.
        serial_number=draw(
            st.integers(64, 159).flatmap(lambda n: st.integers(1 << n - 1, (1 << n) - 1))
        ),
        subject=draw(_subjects()) if sort.has_subject else x509.Name([]),
        subject_alternative_names=tuple(
            draw(st.lists(_names(), min_size=1, max_size=32)) if sort.has_names else ()
        ),
        public_key=_KEYS[sort.key_kind](draw(st.integers(0, 2**200))),
        key_usage=sort.key_usage,
        extended_key_usage=sort.extended_key_usage,
        not_valid_before=begins,
        not_valid_after=ends,
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data(), sort=_sorts(), kind=st.sampled_from(ISSUER_KINDS))
def test_a_spliced_certificate_is_the_built_one_octet_for_octet(
    data: st.DataObject, sort: _Sort, kind: str
) -> None:
    issuer = an_issuer(kind)
    splicer = Splicer(issuer)
    first, second = data.draw(_orders(sort)), data.draw(_orders(sort))

    splicer.certificate(first)
    spliced = x509.load_der_x509_certificate(splicer.certificate(second))

    built = to_builder(second, issuer).sign(issuer.key, issuer.signature_hash)
    assert spliced.tbs_certificate_bytes == built.tbs_certificate_bytes
    assert len(splicer.templates) == 1, "one of the two was not spliced"
    spliced.verify_directly_issued_by(issuer.certificate)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), sort=_sorts(), kind=st.sampled_from(["rsa-2048", "ed25519", "ed448"]))
def test_where_signatures_repeat_the_whole_certificate_is_the_same(
    data: st.DataObject, sort: _Sort, kind: str
) -> None:
    issuer = an_issuer(kind)
    splicer = Splicer(issuer)
    order = data.draw(_orders(sort))

    certificate = splicer.certificate(order)

    assert certificate == sign(order, issuer)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), sort=_sorts())
def test_the_octets_of_a_key_give_the_certificate_that_the_key_gives(
    data: st.DataObject, sort: _Sort
) -> None:
    splicer = Splicer(an_issuer("ed25519"))
    first, second = data.draw(_orders(sort)), data.draw(_orders(sort))
    spki = second.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    splicer.certificate(first)

    by_octets = splicer.certificate(replace(second, spki=spki))

    assert by_octets == splicer.certificate(second) == sign(second, an_issuer("ed25519"))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), sorts=st.lists(_sorts(), min_size=3, max_size=8))
def test_orders_of_many_shapes_do_not_mix(data: st.DataObject, sorts: list[_Sort]) -> None:
    issuer = an_issuer()
    splicer = Splicer(issuer)
    orders = [data.draw(_orders(sort)) for sort in (*sorts, *reversed(sorts))]

    spliced = [x509.load_der_x509_certificate(splicer.certificate(order)) for order in orders]

    for certificate, order in zip(spliced, orders, strict=True):
        built = to_builder(order, issuer).sign(issuer.key, issuer.signature_hash)
        assert certificate.tbs_certificate_bytes == built.tbs_certificate_bytes


@settings(max_examples=20, deadline=None)
@given(data=st.data(), sort=_sorts())
def test_where_no_template_may_be_kept_the_builder_serves(data: st.DataObject, sort: _Sort) -> None:
    issuer = an_issuer()
    splicer = Splicer(issuer, most_templates=0)
    order = data.draw(_orders(sort))

    certificate = x509.load_der_x509_certificate(splicer.certificate(order))

    built = to_builder(order, issuer).sign(issuer.key, issuer.signature_hash)
    assert certificate.tbs_certificate_bytes == built.tbs_certificate_bytes
    assert not splicer.templates
