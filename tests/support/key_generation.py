"""Requests for keys over EST, in process, and their answers taken apart."""

from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message

from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from ca.service import KEY_GENERATION, service_order
from enroll.channel import ChannelBinding
from enroll.decryption_keys import DecryptionKeys
from enroll.options import ESTOptions, ServerKeyGeneration
from enroll.profiles import PolicySnapshot
from protocols.cms.key_packages import KeyPackageSigner
from protocols.cms.signed_data import Signer
from protocols.wire import WireResponse
from tests.support.authority import A_SERIAL_NUMBER
from tests.support.builders import a_policy, an_enrollment_profile
from tests.support.csr import a_key, attribute, raw_csr, sequence, tlv
from tests.support.enrollment import OPERATOR, Ask, Site, by_code
from tests.support.est import post_for_key

DECRYPT_KEY_ID = "2a864886f70d0109100225"
ASYMMETRIC_DECRYPT_KEY_ID = "2a864886f70d0109100236"
SMIME_CAPABILITIES = "2a864886f70d01090f"
AES_128_CBC, AES_256_CBC = (bytes.fromhex(f"06096086480165030401{last}") for last in ("02", "2a"))
AES_128_WRAP, AES_256_WRAP = (bytes.fromhex(f"06096086480165030401{last}") for last in ("05", "2d"))
RSAES_OAEP = bytes.fromhex("06092a864886f70d010107")
SHARED = bytes(range(32))
EVERYTHING = (AES_256_CBC, AES_256_WRAP, RSAES_OAEP)


@dataclass
class FixedCipher:
    """A connection under a cipher of so many bits, without a channel binding."""

    bits: int = 256
    asked: int = field(default=0)

    def strength(self) -> int:
        self.asked += 1
        return self.bits

    def binding(self) -> ChannelBinding | None:
        return None


def key_policy(slug: str = "bootstrap", **options: object) -> PolicySnapshot:
    """Give a new installation's policy, with keys made under this profile."""
    wanted = {"server_key_generation": ServerKeyGeneration.ALLOWED, **options}
    est = ESTOptions(**wanted)  # type: ignore[arg-type]  # a test's words
    return a_policy(an_enrollment_profile(slug, est=est))


def to_shared_key(identifier: bytes, *capabilities: bytes) -> bytes:
    """Write the attributes that name a shared key, and these capabilities."""
    named = attribute(DECRYPT_KEY_ID, tlv(0x04, identifier))
    return named + capabilities_attribute(*(capabilities or EVERYTHING))


def to_certificate(identifier: bytes, *capabilities: bytes) -> bytes:
    """Write the attributes that name a certificate's key, and these capabilities."""
    named = attribute(ASYMMETRIC_DECRYPT_KEY_ID, tlv(0x04, identifier))
    return named + capabilities_attribute(*(capabilities or EVERYTHING))


def capabilities_attribute(*capabilities: bytes) -> bytes:
    return attribute(SMIME_CAPABILITIES, sequence(*[sequence(each) for each in capabilities]))


def key_identifier(certificate: x509.Certificate) -> bytes:
    found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return found.value.digest


async def a_signer(site: Site) -> KeyPackageSigner:
    """Make the key generation certificate of a site."""
    key = a_key("p-256", 7)
    order = service_order(
        KEY_GENERATION,
        key.public_key(),
        serial_number=A_SERIAL_NUMBER,
        issuer="issuing",
        now=site.clock.now(),
        not_before=site.authority.not_valid_before("issuing"),
        not_after=site.authority.not_valid_after("issuing"),
    )
    issued = await site.authority.issue(order)
    certificate = x509.load_der_x509_certificate(issued.der)
    return KeyPackageSigner(
        signer=Signer.holding(certificate, key, key_identifier=key_identifier(certificate)),
        certificates=(issued.der, *issued.chain),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A multipart answer in its two parts."""

    key: Message
    certificate: Message

    @classmethod
    def of(cls, response: WireResponse) -> "Answer":
        assert response.status == 200, response
        return cls.of_octets(response.media_type, response.body)

    @classmethod
    def of_octets(cls, media_type: str, body: bytes) -> "Answer":
        """Take an answer apart with the standard library's reader of MIME."""
        head = f"MIME-Version: 1.0\r\nContent-Type: {media_type}\r\n\r\n".encode()
        message = message_from_bytes(head + body)
        assert message.get_content_type() == "multipart/mixed"
        assert not message.defects
        parts = message.get_payload()
        assert isinstance(parts, list)
        key, certificate = parts
        assert isinstance(key, Message)
        assert isinstance(certificate, Message)
        return cls(key=key, certificate=certificate)

    @property
    def key_octets(self) -> bytes:
        return _octets(self.key)

    @property
    def issued(self) -> x509.Certificate:
        """The one certificate in the second part."""
        content = cms.ContentInfo.load(_octets(self.certificate), strict=True)["content"]
        (only,) = content["certificates"]
        return x509.load_der_x509_certificate(only.dump())

    def check_plain(self) -> None:
        """Check that the first part is the very key of the certificate, as it is."""
        assert self.key["Content-Type"] == "application/pkcs8"
        private_key = load_der_private_key(self.key_octets, None)
        assert private_key.public_key() == self.issued.public_key()


def _octets(part: Message) -> bytes:
    assert part["Content-Transfer-Encoding"] == "base64"
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


async def ask_for_key(
    site: Site,
    ask: Ask,
    *attributes: bytes,
    csr: bytes | None = None,
    bits: int | None = 256,
) -> WireResponse:
    channel = FixedCipher(bits) if bits is not None else None
    signer = await a_signer(site)
    wanted = csr or raw_csr(*attributes, subject=ask.subject.public_bytes())
    return await post_for_key(site, ask, wanted, channel=channel, signer=lambda: signer)


async def first(site: Site) -> Ask:
    await site.register()
    return by_code("pump-1", await site.code())


async def with_shared_key(site: Site, identifier: str = "0a0b", key: bytes = SHARED) -> Ask:
    ask = await first(site)
    device = await site.device()
    kept = DecryptionKeys(site.registry, site.vault, site.clock)
    await kept.add(device.device_id, identifier, key, actor=OPERATOR)
    return ask


async def nothing_happened(site: Site) -> None:
    """Check that no certificate was issued, and therefore no key told."""
    assert not await site.certificates()
