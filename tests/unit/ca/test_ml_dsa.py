"""ML-DSA issuers and keys (RFC 9881), judged by OpenSSL 4 and by cryptography."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enroll.failures import FailureReason, PolicyViolation
from enroll.profiles import KeyUsageBit
from tests.support.authority import (
    ISSUER_KINDS,
    ML_DSA,
    a_root,
    an_authority,
    an_issuer,
    an_order,
    issue,
)
from tests.support.csr import a_key
from tests.support.fakes import START
from tests.support.lint import check_certificate
from tests.support.openssl4 import why_not_verified

OIDS = {
    "ml-dsa-44": "2.16.840.1.101.3.4.3.17",
    "ml-dsa-65": "2.16.840.1.101.3.4.3.18",
    "ml-dsa-87": "2.16.840.1.101.3.4.3.19",
}


@pytest.mark.parametrize("kind", ML_DSA)
@pytest.mark.parametrize("key", ["p-256", *ML_DSA])
def test_openssl_4_and_pkilint_take_a_chain_of_ml_dsa(kind: str, key: str) -> None:
    issuer = an_issuer(kind, kind)
    der = issue(an_authority(issuer), an_order(public_key=a_key(key).public_key()))

    leaf = x509.load_der_x509_certificate(der)
    found = why_not_verified(leaf, roots=[a_root(kind)], between=[issuer.certificate], at=START)
    assert found is None
    for each in (a_root(kind).public_bytes(Encoding.DER), issuer.der, der):
        check_certificate(each)


@pytest.mark.parametrize("kind", ML_DSA)
def test_openssl_4_takes_an_ml_dsa_device_under_every_other_issuer(kind: str) -> None:
    order = an_order(public_key=a_key(kind).public_key())
    for other in ISSUER_KINDS:
        issuer = an_issuer(other)

        leaf = x509.load_der_x509_certificate(issue(an_authority(issuer), order))

        found = why_not_verified(leaf, roots=[a_root()], between=[issuer.certificate], at=START)
        assert found is None, (other, found)


@pytest.mark.parametrize("kind", ML_DSA)
def test_the_signature_s_algorithm_is_the_key_s_and_has_no_parameters(kind: str) -> None:
    der = issue(an_authority(an_issuer(kind)), an_order())

    certificate = x509.load_der_x509_certificate(der)
    algorithm = bytes.fromhex("300b06096086480165030403") + bytes([17 + ML_DSA.index(kind)])
    assert certificate.signature_algorithm_oid.dotted_string == OIDS[kind]
    # Once inside what is signed and once outside of it (RFC 5280 §4.1.1.2).
    assert der.count(algorithm) == 2


@pytest.mark.parametrize("bit", [KeyUsageBit.KEY_ENCIPHERMENT, KeyUsageBit.KEY_AGREEMENT])
@pytest.mark.parametrize("kind", ML_DSA)
def test_an_ml_dsa_key_is_certified_for_signatures_alone(kind: str, bit: KeyUsageBit) -> None:
    order = an_order(
        public_key=a_key(kind).public_key(),
        key_usage=frozenset({KeyUsageBit.DIGITAL_SIGNATURE, bit}),
    )

    with pytest.raises(PolicyViolation) as refusal:
        issue(an_authority(), order)

    assert refusal.value.reason is FailureReason.BAD_CERTIFICATE_TEMPLATE
    assert refusal.value.field == "keyUsage"


def test_a_certificate_of_another_ml_dsa_issuer_is_not_verified() -> None:
    issuer, other = an_issuer("ml-dsa-65", "ml-dsa-65"), an_issuer("ml-dsa-44", "ml-dsa-44")
    leaf = x509.load_der_x509_certificate(issue(an_authority(issuer), an_order()))

    found = why_not_verified(
        leaf, roots=[a_root("ml-dsa-44")], between=[other.certificate], at=START
    )

    assert found is not None
