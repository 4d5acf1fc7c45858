from hashlib import sha256
from pathlib import Path

import pytest
from asn1crypto import cms
from cryptography.x509 import ObjectIdentifier

from enroll.failures import EnrollmentError, FailureReason
from protocols import der
from protocols.cms.content_info import DATA
from protocols.cms.digests import Digest
from protocols.cms.signatures import Scheme
from protocols.cms.signed_data import Attribute, Signer, encode_signed_data
from tests.support.cms import Party, a_party
from tests.support.openssl import openssl

CONTENT = b"what is signed\n" * 20
TRANSACTION = Attribute(
    type=ObjectIdentifier("2.16.840.1.113733.1.9.7"), values=(der.encode(0x13, b"transaction-1"),)
)
PKI_DATA = ObjectIdentifier("1.3.6.1.5.5.7.12.2")
SIGNERS = [
    ("rsa-2048", Digest.SHA1, False),
    ("rsa-2048", Digest.SHA256, False),
    ("rsa-2048", Digest.SHA384, False),
    ("rsa-2048", Digest.SHA512, False),
    ("rsa-2048", Digest.SHA256, True),
    ("rsa-2048", Digest.SHA512, True),
    ("p-256", Digest.SHA256, False),
    ("p-384", Digest.SHA384, False),
    ("p-521", Digest.SHA512, False),
]


def verified_by_openssl(message: bytes, party: Party, folder: Path, *words: str) -> bytes:
    certificate, _ = party.files(folder)
    return openssl(
        "cms", "-verify", "-inform", "DER", "-CAfile", certificate, "-purpose", "any",
        "-no_check_time", "-binary", *words, given=message,
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "digest", "pss"), SIGNERS)
@pytest.mark.parametrize("by_key_identifier", [False, True])
def test_openssl_verifies_what_is_signed(
    kind: str, digest: Digest, *, pss: bool, by_key_identifier: bool, tmp_path: Path
) -> None:
    party = a_party(kind)
    signer = party.signer(
        digest, pss=pss, key_identifier=party.key_identifier if by_key_identifier else None
    )

    message = encode_signed_data(
        DATA, CONTENT, signer=signer, signed_attributes=(TRANSACTION,), certificates=(party.der,)
    )

    assert verified_by_openssl(message, party, tmp_path) == CONTENT


def test_a_signature_by_ed25519_stands_over_the_attributes_with_sha_512() -> None:
    party = a_party("ed25519")

    message = encode_signed_data(DATA, CONTENT, signer=party.signer(), certificates=(party.der,))

    (signer_info,) = cms.ContentInfo.load(message, strict=True)["content"]["signer_infos"]
    assert signer_info["digest_algorithm"]["algorithm"].native == "sha512"
    assert signer_info["signature_algorithm"]["algorithm"].native == "ed25519"
    octets = signer_info["signed_attrs"].untag().dump()
    party.certificate.public_key().verify(signer_info["signature"].native, octets)  # type: ignore[call-arg, union-attr]  # an Ed25519 key


def test_asn1crypto_reads_what_was_written() -> None:
    party = a_party()

    message = encode_signed_data(
        DATA,
        CONTENT,
        signer=party.signer(),
        signed_attributes=(TRANSACTION,),
        certificates=(a_party("p-256").der, party.der),
    )

    read = cms.ContentInfo.load(message, strict=True)
    assert read.dump(force=True) == message
    signed_data = read["content"]
    assert signed_data["version"].native == "v1"
    assert [each.dump() for each in signed_data["certificates"]] == [
        a_party("p-256").der,
        party.der,
    ]
    (signer_info,) = signed_data["signer_infos"]
    assert signer_info["version"].native == "v1"
    assert signer_info["sid"].chosen["serial_number"].native == 0xC0FFEE
    attributes = {each["type"].dotted: each["values"] for each in signer_info["signed_attrs"]}
    assert attributes["1.2.840.113549.1.9.3"][0].native == "data"
    assert attributes["1.2.840.113549.1.9.4"][0].native == sha256(CONTENT).digest()
    assert attributes[TRANSACTION.type.dotted_string][0].dump() == TRANSACTION.values[0]
    encoded = [each.dump() for each in signer_info["signed_attrs"]]
    assert encoded == sorted(encoded)


def test_the_values_of_an_attribute_stand_in_the_order_of_der() -> None:
    first, second = der.encode(0x13, b"a"), der.encode(0x13, b"b")

    written = Attribute(type=TRANSACTION.type, values=(second, first)).encode()

    assert written.endswith(der.encode(der.SET, first, second))


@pytest.mark.parametrize(
    ("content_type", "key_identifier", "versions"),
    [
        (DATA, None, ("v1", "v1")),
        (DATA, b"key", ("v3", "v3")),
        (PKI_DATA, None, ("v3", "v1")),
        (PKI_DATA, b"key", ("v3", "v3")),
    ],
)
def test_the_versions_follow_rfc_5652(
    content_type: ObjectIdentifier, key_identifier: bytes | None, versions: tuple[str, str]
) -> None:
    signer = a_party("p-256").signer(key_identifier=key_identifier)

    message = encode_signed_data(content_type, b"\x05\x00", signer=signer)

    signed_data = cms.ContentInfo.load(message)["content"]
    found = (signed_data["version"].native, signed_data["signer_infos"][0]["version"].native)
    assert found == versions


def test_scep_50_a_content_can_be_absent(tmp_path: Path) -> None:
    party = a_party()

    message = encode_signed_data(DATA, None, signer=party.signer(), certificates=(party.der,))

    content = cms.ContentInfo.load(message)["content"]["encap_content_info"]["content"]
    assert content.native is None
    assert verified_by_openssl(message, party, tmp_path, "-content", "/dev/null") == b""


def test_a_key_that_is_elsewhere_can_sign(tmp_path: Path) -> None:
    party = a_party("p-256")
    asked: list[bytes] = []

    def elsewhere(octets: bytes) -> bytes:
        asked.append(octets)
        return party.signer().sign(octets)

    signer = Signer(
        certificate=party.certificate, scheme=Scheme.ECDSA, digest=Digest.SHA256, sign=elsewhere
    )
    message = encode_signed_data(DATA, CONTENT, signer=signer, certificates=(party.der,))

    assert len(asked) == 1
    assert verified_by_openssl(message, party, tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("scheme", "digest"), [(Scheme.ED25519, Digest.SHA256), (Scheme.RSA_PSS, Digest.SHA1)]
)
def test_digest_and_scheme_that_may_not_be_together_make_no_signer(
    scheme: Scheme, digest: Digest
) -> None:
    with pytest.raises(EnrollmentError) as refused:
        Signer(certificate=a_party().certificate, scheme=scheme, digest=digest, sign=bytes)

    assert refused.value.reason is FailureReason.UNSUPPORTED_ALGORITHM


def test_a_key_that_signs_no_cms_makes_no_signer() -> None:
    party = a_party("ed448")

    with pytest.raises(EnrollmentError) as refused:
        party.signer()

    assert refused.value.reason is FailureReason.UNSUPPORTED_ALGORITHM
