"""CMP for tests: messages of openssl's client, messages made here, and pyasn1-modules to judge."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc4210

from enroll.certificates import RevocationList
from enroll.credentials import SharedSecretMAC
from enroll.failures import EnrollmentError
from enroll.options import CMPOptions
from enroll.profiles import EnrollmentProfile
from enroll.result import Rejected
from protocols.cmp.encode import MEDIA_TYPE, directory_name, encode_message
from protocols.cmp.handler import CMPHandler
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType, PKIHeader, PKIMessage
from protocols.cmp.nonces import SenderNonces
from protocols.cmp.protection import Protection, Signer, derive_mac_key, mac_holds
from protocols.cmp.refusals import FaultExchange
from protocols.cmp.support_values import CRLSource, RootUpdate
from protocols.wire import WireRequest, WireResponse
from tests.support.builders import an_enrollment_profile
from tests.support.csr import Key, a_key, a_name, sequence, tlv

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus" / "cmp_message"
SECRET = b"s3cr3t"
"""What the MACs in the corpus are made of."""

SHA1 = sequence(bytes.fromhex("06052b0e03021a"))
SHA256 = sequence(bytes.fromhex("0609608648016503040201"))
SHA384 = sequence(bytes.fromhex("0609608648016503040202"))
SHA512 = sequence(bytes.fromhex("0609608648016503040203"))
HMAC_SHA1 = sequence(bytes.fromhex("06082b06010505080102"))
HMAC_SHA256 = sequence(bytes.fromhex("06082a864886f70d0209"))
HMAC_SHA512 = sequence(bytes.fromhex("06082a864886f70d020b"))
PBMAC1_OID = bytes.fromhex("06092a864886f70d01050e")
PBKDF2_OID = bytes.fromhex("06092a864886f70d01050c")
SALT = bytes(range(16))


def from_client(name: str) -> bytes:
    """Give a message that `openssl cmp` sent, out of the corpus."""
    return (CORPUS / f"seed-{name}").read_bytes()


def pbm(
    salt: bytes = SALT, owf: bytes = SHA256, iterations: int = 500, mac: bytes = HMAC_SHA256
) -> bytes:
    """Make the AlgorithmIdentifier of PasswordBasedMac."""
    parameters = sequence(tlv(0x04, salt), owf, integer(iterations), mac)
    return sequence(bytes.fromhex("06092a864886f67d07420d"), parameters)


def pbmac1(
    salt: bytes = SALT,
    iterations: int = 1000,
    *,
    length: int | None = 32,
    prf: bytes | None = HMAC_SHA256,
    mac: bytes = HMAC_SHA256,
    derivation: bytes = PBKDF2_OID,
) -> bytes:
    """Make the AlgorithmIdentifier of PBMAC1."""
    parameters = sequence(
        tlv(0x04, salt),
        integer(iterations),
        integer(length) if length is not None else b"",
        prf or b"",
    )
    return sequence(PBMAC1_OID, sequence(sequence(derivation, parameters), mac))


def integer(number: int) -> bytes:
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def a_header(**changes: object) -> PKIHeader:
    """Make a good header of a client's."""
    header = PKIHeader(
        pvno=2,
        sender=directory_name(a_name().public_bytes()),
        recipient=directory_name(a_name("CA").public_bytes()),
        message_time=datetime(2026, 11, 25, 12, tzinfo=UTC),
        sender_kid=b"pump-1",
        transaction_id=bytes(range(16)),
        sender_nonce=bytes(range(16, 32)),
    )
    return replace(header, **changes)  # type: ignore[arg-type]  # the tests name fields rightly


def a_message(
    body_type: BodyType,
    content: bytes,
    header: PKIHeader | None = None,
    *,
    protection: Protection | None = None,
    extra_certs: Sequence[bytes] = (),
) -> bytes:
    """Make a message of a body's content; by default its MAC is of the `SECRET`."""
    return encode_message(
        header or a_header(),
        tlv(body_type.tag, content),
        protection or derive_key(pbm(), SECRET),
        extra_certs,
    )


def verify_mac(message: PKIMessage, secret: bytes) -> bool:
    """Tell whether the message's MAC was made with this secret. Raises as `derive_mac_key`."""
    return mac_holds(message, derive_mac_key(message, secret))


def check_form(message: bytes, form: Any = rfc4210) -> Any:
    """Let pyasn1-modules read a message, which must be DER that it writes in the same octets.

    `form` is the module whose PKIMessage it is.
    """
    found, rest = decoder.decode(message, asn1Spec=form.PKIMessage())
    assert not rest
    assert encoder.encode(found) == message
    return found


def a_certificate(
    key: Key, name: str = "signer", *extensions: x509.ExtensionType
) -> x509.Certificate:
    """Make a certificate for a key, by a CA that nobody knows."""
    now = datetime(2026, 11, 25, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(a_name(name))
        .issuer_name(a_name("CA"))
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .public_key(key.public_key())
        .add_extension(x509.SubjectKeyIdentifier(b"its identifier"), critical=False)
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(a_key(), hashes.SHA256())


def a_signer(key: Key | None = None) -> Signer:
    key = key or a_key()
    return Signer.holding(a_certificate(key), key)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedServices:
    """Implements `protocols.cmp.services.Services`: one profile, by any label but one."""

    signs: Signer | None = None
    options: CMPOptions = field(default_factory=CMPOptions)

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        return None if label == "nobody" else an_enrollment_profile(cmp=self.options)

    def labels(self) -> Collection[str]:
        return ()

    def signer(self) -> Signer | None:
        return self.signs

    def ca_certificates(self) -> tuple[bytes, ...]:
        return (a_certificate(a_key(), "CA").public_bytes(Encoding.DER),)

    def root_update(self, root: bytes | None) -> RootUpdate | None:
        del root
        return None

    def current_crl(self) -> RevocationList | None:
        return None

    def revocation_list(self, source: CRLSource) -> RevocationList | None:
        del source
        return None


def a_handler(options: CMPOptions | None = None) -> CMPHandler:
    return CMPHandler(
        services=FixedServices(signs=a_signer(), options=options or CMPOptions()),
        nonces=SenderNonces(key=b"the key of the nonces"),
    )


def a_wire(
    body: bytes, path: str = "", method: str = "POST", media_type: str = MEDIA_TYPE
) -> WireRequest:
    """Make what a listener hands on."""
    return WireRequest(
        method=method,
        path=path,
        query="",
        headers={"Content-Type": media_type},
        body=body,
        peer_chain=(),
        peer_address="192.0.2.1",
        correlation_id="c-1",
        received_at=datetime(2026, 11, 25, 12, tzinfo=UTC),
    )


def refusal(handler: CMPHandler, wire: WireRequest) -> tuple[EnrollmentError, WireResponse] | None:
    """Give why a message is refused for what it is, and the answer; None where it is not.

    Of a MAC it is taken for granted that its sender is known.
    """
    try:
        exchange = handler.receive(wire)
    except EnrollmentError as error:
        return error, handler.refuse(wire, _rejected(error))
    if not isinstance(exchange, FaultExchange):
        return None
    credential = exchange.sender.credential
    assert isinstance(credential, SharedSecretMAC)
    assert credential.is_of(SECRET.decode())
    return exchange.request.fault, exchange.respond(_rejected(exchange.request.fault))


def _rejected(error: EnrollmentError) -> Rejected:
    return Rejected(
        reason=error.reason, correlation_id="c-1", detail=error.detail, finding=error.finding
    )


def by_signature(
    body_type: BodyType,
    content: bytes,
    *,
    signer: Signer | None = None,
    extra_certs: Sequence[bytes] | None = None,
    **changes: object,
) -> bytes:
    """Make a message that a certificate's key signs."""
    signer = signer or a_signer()
    sender = directory_name(signer.certificate.subject.public_bytes())
    header = a_header(**{"sender": sender, "sender_kid": signer.key_identifier, **changes})
    certificates = signer.extra_certs if extra_certs is None else extra_certs
    return a_message(body_type, content, header, protection=signer, extra_certs=certificates)
