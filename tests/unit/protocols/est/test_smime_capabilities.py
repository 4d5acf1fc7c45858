"""Which encryption is chosen of what a client says that it takes."""

from collections.abc import Callable
from functools import partial

import pytest

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.digests import Digest
from protocols.cms.key_agreement import KeyAgreementScheme
from protocols.cms.key_transport import encode_algorithm
from protocols.cms.key_wrap import KeyWrap
from protocols.est.smime_capabilities import MOST, Capabilities, read_capabilities
from tests.support.csr import oid, sequence, tlv
from tests.support.key_generation import (
    AES_128_CBC,
    AES_128_WRAP,
    AES_256_CBC,
    AES_256_WRAP,
    RSAES_OAEP,
)

AES_128_GCM = bytes.fromhex("060960864801650304 0106")
AES_192_CBC = bytes.fromhex("060960864801650304 0116")
SHA256_NULL = bytes.fromhex("300d 0609608648016503040201 0500")
SHA512 = bytes.fromhex("300b 0609608648016503040203")
MGF1 = "2a864886f70d010108"
P_256_SCHEME, P_384_SCHEME = oid("2b8104010b01"), oid("2b8104010b02")
SHA1_SCHEME = oid("2b81051086483f0002")


def taking(*capabilities: bytes) -> Capabilities:
    (value,) = der.split(sequence(*capabilities))
    return read_capabilities(value)


def taking_oids(*oids: bytes) -> Capabilities:
    return taking(*[sequence(each) for each in oids])


def oaep(digest: bytes, mask: bytes, *more: bytes) -> bytes:
    parameters = sequence(tlv(0xA0, digest), tlv(0xA1, sequence(oid(MGF1), mask)), *more)
    return sequence(RSAES_OAEP, parameters)


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        ((AES_128_CBC, AES_256_CBC), ContentEncryption.AES_256_CBC),
        ((AES_128_CBC, AES_192_CBC), ContentEncryption.AES_192_CBC),
        ((AES_128_GCM, AES_128_CBC), ContentEncryption.AES_128_CBC),
        ((AES_128_WRAP,), ContentEncryption.AES_256_CBC),
    ],
)
def test_est_K3_the_strongest_content_cipher_in_common_is_chosen(
    named: tuple[bytes, ...], chosen: ContentEncryption
) -> None:
    assert taking_oids(*named).content_encryption() is chosen


@pytest.mark.parametrize(
    ("capability", "digest"),
    [
        (sequence(RSAES_OAEP), Digest.SHA256),
        (sequence(RSAES_OAEP, sequence()), Digest.SHA1),
        (oaep(SHA256_NULL, SHA256_NULL), Digest.SHA256),
        (oaep(SHA512, SHA512), Digest.SHA512),
        (encode_algorithm(Digest.SHA384), Digest.SHA384),
    ],
)
def test_est_K9_oaep_is_done_as_its_parameters_say(capability: bytes, digest: Digest) -> None:
    assert taking(capability).oaep_digest() is digest


@pytest.mark.parametrize(
    ("capabilities", "wrap"),
    [
        ((sequence(AES_128_WRAP), sequence(AES_256_WRAP)), KeyWrap.AES_256),
        ((sequence(P_256_SCHEME, sequence(AES_128_WRAP)),), KeyWrap.AES_128),
        ((sequence(P_256_SCHEME), sequence(AES_256_WRAP)), KeyWrap.AES_256),
        (
            (
                sequence(P_384_SCHEME, sequence(AES_256_WRAP)),
                sequence(P_256_SCHEME, sequence(AES_128_WRAP)),
            ),
            KeyWrap.AES_128,
        ),
    ],
)
def test_est_K9_agreement_is_done_with_a_wrap_that_goes_with_its_scheme(
    capabilities: tuple[bytes, ...], wrap: KeyWrap
) -> None:
    assert taking(*capabilities).agreement_wrap(KeyAgreementScheme.STD_DH_SHA256_KDF) is wrap


def agreement(capabilities: Capabilities) -> object:
    return capabilities.agreement_wrap(KeyAgreementScheme.STD_DH_SHA256_KDF)


NOTHING_IN_COMMON: dict[str, tuple[Capabilities, Callable[[Capabilities], object]]] = {
    "AES-GCM alone": (taking_oids(AES_128_GCM), Capabilities.content_encryption),
    "no OAEP": (taking_oids(AES_256_CBC, AES_256_WRAP), Capabilities.oaep_digest),
    "two digests": (taking(oaep(SHA256_NULL, SHA512)), Capabilities.oaep_digest),
    "a label": (
        taking(oaep(SHA512, SHA512, tlv(0xA2, sequence(oid("2a03"))))),
        Capabilities.oaep_digest,
    ),
    "no mask": (taking(sequence(RSAES_OAEP, sequence(tlv(0xA1)))), Capabilities.oaep_digest),
    "odd mask": (
        taking(sequence(RSAES_OAEP, sequence(tlv(0xA1, tlv(0x04, b"\x30\x80"))))),
        Capabilities.oaep_digest,
    ),
    "odd parameters": (taking(sequence(RSAES_OAEP, b"\x05\x00")), Capabilities.oaep_digest),
    "another scheme": (taking(sequence(P_384_SCHEME, sequence(AES_256_WRAP))), agreement),
    "an old scheme": (taking(sequence(SHA1_SCHEME), sequence(AES_256_WRAP)), agreement),
    "no wrap": (taking_oids(AES_256_CBC), agreement),
    "a shorter wrap": (
        taking_oids(AES_128_WRAP),
        partial(Capabilities.check_wrap, wrap=KeyWrap.AES_256),
    ),
    "nothing": (taking(), agreement),
}


@pytest.mark.parametrize("name", NOTHING_IN_COMMON)
def test_est_K3_without_anything_in_common_nothing_is_chosen(name: str) -> None:
    capabilities, choose = NOTHING_IN_COMMON[name]

    with pytest.raises(EnrollmentError) as caught:
        choose(capabilities)

    assert caught.value.reason is FailureReason.UNSUPPORTED_ALGORITHM
    assert caught.value.field == "smimeCapabilities"


@pytest.mark.parametrize(
    "value",
    [
        tlv(0x31),
        sequence(tlv(0x04, b"no pair")),
        sequence(sequence()),
        sequence(sequence(tlv(0x04, b"no identifier"))),
        sequence(sequence(AES_256_CBC, b"\x05\x00", b"\x05\x00")),
        sequence(*[sequence(AES_256_CBC)] * (MOST + 1)),
    ],
)
def test_what_is_no_list_of_capabilities_is_malformed(value: bytes) -> None:
    (element,) = der.split(value)

    with pytest.raises(Malformed):
        read_capabilities(element)
