from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ca.builder import to_builder
from ca.issuers import Issuer
from ca.template import Splicer
from enroll.certificates import IssuanceOrder
from enroll.failures import PolicyViolation
from enroll.profiles import KeyUsageBit
from tests.support.authority import A_SERIAL_NUMBER, ISSUER_KINDS, an_issuer, an_order
from tests.support.csr import a_key
from tests.support.fakes import START

RSA_3072 = rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key()
NOBODY = x509.Name([])
# Each differs from the first in one thing that changes the shape of the certificate.
SHAPES = {
    "as the default profiles have it": an_order(),
    "another usage": an_order(key_usage=frozenset({KeyUsageBit.NON_REPUDIATION})),
    "another purpose": an_order(extended_key_usage=(ExtendedKeyUsageOID.SERVER_AUTH,)),
    "purposes in another order": an_order(
        extended_key_usage=(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    ),
    "no purpose": an_order(extended_key_usage=()),
    "another curve": an_order(public_key=a_key("p-384").public_key()),
    "another algorithm": an_order(public_key=a_key("rsa-2048").public_key()),
    "another size": an_order(public_key=RSA_3072),
    "an Edwards key": an_order(public_key=a_key("ed25519").public_key()),
    "no alternative names": an_order(subject_alternative_names=()),
    "no subject": an_order(subject=NOBODY),
}


def tbs_of(certificates: Sequence[bytes]) -> list[bytes]:
    return [x509.load_der_x509_certificate(each).tbs_certificate_bytes for each in certificates]


def built(order: IssuanceOrder, issuer: Issuer) -> bytes:
    """Give what CertificateBuilder makes of the order: the oracle."""
    made = to_builder(order, issuer).sign(issuer.key, issuer.signature_hash)
    return made.tbs_certificate_bytes


@pytest.mark.parametrize("kind", ISSUER_KINDS)
def test_each_shape_has_its_own_template(kind: str) -> None:
    issuer = an_issuer(kind)
    splicer = Splicer(issuer)
    orders = [*SHAPES.values(), *reversed(SHAPES.values())]

    spliced = [splicer.certificate(order) for order in orders]

    assert tbs_of(spliced) == [built(order, issuer) for order in orders]
    assert len(splicer.templates) == len(SHAPES)


@pytest.mark.parametrize("octets", [b"\x7f" * 20, b"\x80" * 8, b"\xff" * 19, b"\x01" + bytes(19)])
def test_a_serial_number_is_written_positive_and_short(octets: bytes) -> None:
    number = int.from_bytes(octets)
    splicer = Splicer(an_issuer())
    splicer.certificate(an_order())

    spliced = splicer.certificate(an_order(serial_number=number))

    assert x509.load_der_x509_certificate(spliced).serial_number == number
    assert tbs_of([spliced]) == [built(an_order(serial_number=number), an_issuer())]


def test_a_key_of_another_sort_but_the_same_length_takes_no_template_of_others() -> None:
    splicer = Splicer(an_issuer())
    splicer.certificate(an_order())
    (shape, template) = next(iter(splicer.templates.items()))
    odd = Splicer(an_issuer())
    key = a_key("p-384").public_key()
    odd.templates[(*shape[:3], 120, *shape[4:])] = template

    spliced = odd.certificate(an_order(public_key=key))

    assert tbs_of([spliced]) == [built(an_order(public_key=key), an_issuer())]


@pytest.mark.parametrize("most_templates", [0, 8])
def test_security_P10_octets_of_another_key_do_not_make_a_template(most_templates: int) -> None:
    splicer = Splicer(an_issuer(), most_templates)
    other = a_key("p-256", 4).public_key()
    spki = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(AssertionError, match="another key"):
        splicer.certificate(an_order(spki=spki))

    assert not splicer.templates


def test_when_templates_are_used_up_the_builder_serves_what_is_new() -> None:
    issuer = an_issuer()
    splicer = Splicer(issuer, most_templates=1)
    known, unknown = an_order(), an_order(extended_key_usage=())

    certificates = [splicer.certificate(each) for each in (known, unknown, known)]

    assert tbs_of(certificates) == [built(each, issuer) for each in (known, unknown, known)]
    assert len(splicer.templates) == 1


@pytest.mark.parametrize("most_templates", [0, 8])
def test_an_order_that_lint_refuses_leaves_no_template(most_templates: int) -> None:
    splicer = Splicer(an_issuer(), most_templates)
    order = an_order(extended_key_usage=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,))

    with pytest.raises(PolicyViolation):
        splicer.certificate(order)

    assert not splicer.templates


def test_the_key_of_the_authority_signs_nothing_but_what_was_ordered() -> None:
    issuer = an_issuer("ed25519")
    signed: list[bytes] = []

    def sign(octets: bytes) -> bytes:
        signed.append(octets)
        return issuer.signature_over(octets)

    class Watched(Issuer):
        @property
        def signature_over(self) -> Callable[[bytes], bytes]:
            return sign

    watched = Watched(
        name=issuer.name,
        certificate=issuer.certificate,
        key=issuer.key,
        public_http_url=issuer.public_http_url,
    )

    certificate = Splicer(watched).certificate(an_order())

    assert signed == tbs_of([certificate])


def test_validity_is_written_by_the_calendar_of_rfc_5280() -> None:
    begins, ends = START.replace(year=2049, month=12, day=31), START.replace(year=2050)
    order = an_order(not_valid_before=begins, not_valid_after=ends)
    splicer = Splicer(an_issuer())
    splicer.certificate(an_order())

    spliced = splicer.certificate(order)

    assert b"\x17\x0d491231120000Z\x18\x0f20501124120000Z" in spliced


def test_orders_that_begin_together_and_end_apart_keep_their_own_dates() -> None:
    splicer = Splicer(an_issuer())
    ends = [START + timedelta(days=days) for days in (1, 2, 1, 3)]

    spliced = [
        x509.load_der_x509_certificate(splicer.certificate(an_order(not_valid_after=each)))
        for each in ends
    ]

    assert [each.not_valid_after_utc for each in spliced] == ends
    assert {each.serial_number for each in spliced} == {A_SERIAL_NUMBER + 2}
