"""Authorities for tests: a root, an issuing CA with a key of any kind, and orders for it."""

from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.ceremony import ISSUING, Ceremony
from ca.issuers import Issuer, IssuerSet
from ca.local import LocalAuthority
from enroll.certificates import CertificateRecord, IssuanceOrder
from enroll.profiles import KeyUsageBit
from tests.support.builders import a_certificate_record
from tests.support.csr import a_key
from tests.support.fakes import START, FixedClock

PUBLIC_URL = "http://127.0.0.1:8080"
CLASSICAL = ("p-256", "p-384", "p-521", "rsa-2048", "ed25519", "ed448")
ML_DSA = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
ISSUER_KINDS = (*CLASSICAL, *ML_DSA)
KEY_KINDS = (*CLASSICAL, *ML_DSA)
A_SERIAL_NUMBER = 0x5AB3_0DD5_EEDF_00D5_1234_5678_9ABC_DEF0_1234_5678


def a_root(kind: str = "p-384") -> x509.Certificate:
    """Give the root with a key of this kind: the same one each time."""
    return _root(kind)


def an_issuer(kind: str = "p-256", root: str = "p-384") -> Issuer:
    """Give the issuing CA with a key of this kind, under the root with one of that."""
    return _issuer(kind, root)


def an_authority(issuer: Issuer | None = None, clock: FixedClock | None = None) -> LocalAuthority:
    issuer = issuer or an_issuer()
    issuers = IssuerSet(issuers={issuer.name: issuer}, roots=issuer.chain)
    return LocalAuthority(issuers, clock or FixedClock())


def an_order(**changes: Any) -> IssuanceOrder:
    """Make an order as the default profiles give it to `pump-1`."""
    made = IssuanceOrder(
        serial_number=A_SERIAL_NUMBER + 2,
        issuer=ISSUING,
        subject=x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "pump-1"),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, "SN-1"),
            ]
        ),
        subject_alternative_names=(
            x509.UniformResourceIdentifier("urn:uuid:019a0000-0000-7000-8000-000000000001"),
        ),
        public_key=a_key("p-256", 3).public_key(),
        key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE}),
        extended_key_usage=(ExtendedKeyUsageOID.CLIENT_AUTH,),
        not_valid_before=START - timedelta(minutes=5),
        not_valid_after=START + timedelta(days=90),
    )
    return replace(made, **changes)


def issue(authority: LocalAuthority, order: IssuanceOrder) -> bytes:
    """Have an order signed; software keys sign without waiting for anything."""
    try:
        authority.issue(order).send(None)
    except StopIteration as done:
        der: bytes = done.value.der
        return der
    raise AssertionError("the authority waited for something")


def a_record_of(der: bytes, **changes: Any) -> CertificateRecord:
    """Make the registry's record of a certificate."""
    certificate = x509.load_der_x509_certificate(der)
    return a_certificate_record(
        der=der,
        **{"serial_number": f"{certificate.serial_number:x}", **changes},
    )


@lru_cache
def _root(kind: str) -> x509.Certificate:
    return a_ceremony().root(a_key(kind, 1), A_SERIAL_NUMBER)


@lru_cache
def _issuer(kind: str, root: str) -> Issuer:
    key = a_key(kind, 2)
    above = _root(root)
    return Issuer(
        name=ISSUING,
        certificate=a_ceremony().issuing(key, A_SERIAL_NUMBER + 1, above, a_key(root, 1)),
        key=key,
        chain=(above.public_bytes(Encoding.DER),),
        public_http_url=PUBLIC_URL,
    )


def a_ceremony() -> Ceremony:
    return Ceremony(name="Test", now=START, public_http_url=PUBLIC_URL)
