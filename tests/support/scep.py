"""SCEP in process: messages as clients make them, answers read, an endpoint without a socket."""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from urllib.parse import quote
from urllib.request import urlopen

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ObjectIdentifier
from multidict import CIMultiDict

from enroll.options import SCEPOptions
from enroll.profiles import ProtocolName
from enroll.request import Operation
from enroll.stages.address import default_profile
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.content_info import DATA
from protocols.cms.digests import Digest
from protocols.cms.enveloped_data import encode_enveloped_data
from protocols.cms.recipients import KeyTransport
from protocols.cms.signed_data import (
    Attribute,
    Signer,
    decode_signed_data,
    encode_signed_data,
    verify,
)
from protocols.scep.attributes import (
    FAIL_INFO,
    FAIL_INFO_TEXT,
    MESSAGE_TYPE,
    PKI_STATUS,
    RECIPIENT_NONCE,
    SENDER_NONCE,
    TRANSACTION_ID,
)
from protocols.scep.handler import RECORDED, SCEPHandler
from protocols.scep.messages import RegistrationAuthority
from protocols.wire import TransportFault, WireRequest, WireResponse
from server.backoff import Backoff
from server.exchange import ProtocolEndpoint
from server.observability.metrics import Metrics
from tests.support.cms import a_lasting_party
from tests.support.csr import Key, a_csr, a_key, a_name, tlv
from tests.support.enrollment import PEER, Ask, Held, Site, an_issuer
from tests.support.fakes import START

PRINTABLE = 0x13
NONCE = bytes(range(16))


@cache
def an_ra(number: int = 0) -> RegistrationAuthority:
    """Make an RA under the test issuer: RSA-2048, for signing and for encrypting to."""
    key, issuer = a_key("rsa-2048", 100 + number), an_issuer()
    assert isinstance(key, rsa.RSAPrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(a_name("SCEP RA"))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(0x5CE9 + number)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=365))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return RegistrationAuthority.holding(certificate, key)


@cache
def self_signed(key: Key, name: str = "SCEP SIGNER") -> Held:
    """Make the certificate that a client signs with before it has any."""
    subject = a_name(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return Held(der=certificate.public_bytes(Encoding.DER), key=key)


def printable(text: str) -> bytes:
    return tlv(PRINTABLE, text.encode())


@dataclass(frozen=True, kw_only=True)
class Message:
    """A pkiMessage before it is sealed and signed; what is odd about it stands in the test."""

    signer: Held
    content: bytes
    kind: int | str = 19
    transaction_id: bytes = printable("t-1")
    nonce: bytes | None = NONCE
    digest: Digest = Digest.SHA256
    pss: bool = False
    content_encryption: ContentEncryption = ContentEncryption.AES_256_CBC
    oaep: Digest | None = None
    ra: RegistrationAuthority = field(default_factory=an_ra)
    inner_type: ObjectIdentifier = DATA
    outer_type: ObjectIdentifier = DATA
    others: Sequence[bytes] = ()
    with_signer: bool = True
    spoil: Callable[[bytes], bytes] = lambda envelope: envelope
    """What happens to the envelope before it is signed."""

    @property
    def envelope(self) -> bytes:
        return encode_enveloped_data(
            self.content,
            recipient=KeyTransport(certificate=self.ra.certificate, oaep=self.oaep),
            content_type=self.inner_type,
            content_encryption=self.content_encryption,
        )

    @property
    def attributes(self) -> list[Attribute]:
        found = [
            Attribute(type=MESSAGE_TYPE, values=(printable(str(self.kind)),)),
            Attribute(type=TRANSACTION_ID, values=(self.transaction_id,)),
        ]
        if self.nonce is not None:
            found.append(Attribute(type=SENDER_NONCE, values=(tlv(0x04, self.nonce),)))
        return [each for each in found if each.values != (b"",)]

    def encode(self) -> bytes:
        signer = Signer.holding(
            self.signer.certificate, self.signer.key, digest=self.digest, pss=self.pss
        )
        own = (self.signer.der,) if self.with_signer else ()
        return encode_signed_data(
            self.outer_type,
            self.spoil(self.envelope),
            signer=signer,
            signed_attributes=self.attributes,
            certificates=(*own, *self.others),
        )


def a_pkcs_req(key: Key | None = None, code: str | None = None, **details: object) -> Message:
    """Make a PKCSReq under a self-signed certificate of the request's own key."""
    key = key or a_key("rsa-2048")
    message = Message(signer=self_signed(key), content=a_csr(key, challenge_password=code))
    return replace(message, **details)  # type: ignore[arg-type]  # a test's words


def a_renewal(held: Held, key: Key | None = None, **details: object) -> Message:
    """Make a RenewalReq under the certificate that is held."""
    csr = a_csr(key or a_key("rsa-2048", 1), subject=held.certificate.subject)
    message = Message(signer=held, content=csr, kind=17)
    return replace(message, **details)  # type: ignore[arg-type]  # a test's words


@dataclass(frozen=True, slots=True, kw_only=True)
class CertRep:
    """An answer, its signature verified."""

    status: str
    fail_info: str | None
    text: str | None
    transaction_id: bytes
    recipient_nonce: bytes
    sender_nonce: bytes
    signer: x509.Certificate
    digest_algorithm: bytes
    envelope: bytes | None


def read_answer(answer: WireResponse) -> CertRep:
    """Read a CertRep, as a client must."""
    assert answer.status == 200, answer
    assert answer.media_type == "application/x-pki-message"
    signed_data = decode_signed_data(answer.body)
    signer = verify(signed_data, allowed=frozenset(Digest))
    found = signed_data.signer.attributes
    assert _text(found, MESSAGE_TYPE) == "3"
    return CertRep(
        status=_text(found, PKI_STATUS) or "",
        fail_info=_text(found, FAIL_INFO),
        text=_text(found, FAIL_INFO_TEXT),
        transaction_id=found[TRANSACTION_ID][0],
        recipient_nonce=found[RECIPIENT_NONCE][0][2:],
        sender_nonce=found[SENDER_NONCE][0][2:],
        signer=signer,
        digest_algorithm=signed_data.signer.digest_algorithm,
        envelope=signed_data.content,
    )


def _text(
    found: Mapping[ObjectIdentifier, tuple[bytes, ...]], kind: ObjectIdentifier
) -> str | None:
    values = found.get(kind)
    return values[0][2:].decode() if values else None


@dataclass
class FixedServices:
    """What a server has under SCEP, as a test says."""

    by_label: Mapping[str | None, SCEPOptions] = field(
        default_factory=lambda: {None: SCEPOptions()}
    )
    authorities: tuple[RegistrationAuthority, ...] = field(default_factory=lambda: (an_ra(),))
    lists: dict[bytes, bytes] = field(default_factory=dict)
    next_ca_message: bytes | None = None

    def options(self, label: str | None) -> SCEPOptions | None:
        return self.by_label.get(label)

    def registration_authorities(self) -> tuple[RegistrationAuthority, ...]:
        return self.authorities

    def ca_certificates(self) -> tuple[bytes, ...]:
        issuer = an_issuer()
        return (issuer.der, *issuer.chain)

    def next_ca(self) -> bytes | None:
        return self.next_ca_message

    def revocation_list(self, issuer: bytes) -> bytes | None:
        return self.lists.get(issuer)


def a_scep_wire(
    path: str = "",
    *,
    method: str = "POST",
    query: str = "operation=PKIOperation",
    body: bytes = b"",
    fault: TransportFault | None = None,
) -> WireRequest:
    return WireRequest(
        method=method,
        path=path,
        query=query,
        headers=CIMultiDict(),
        body=body,
        peer_chain=(),
        peer_address=PEER,
        correlation_id="c0ffee",
        received_at=START,
        fault=fault,
    )


def by_get(message: bytes, path: str = "") -> WireRequest:
    text = quote(b64encode(message).decode(), safe="")
    return a_scep_wire(path, method="GET", query=f"operation=PKIOperation&message={text}")


async def send(
    site: Site,
    message: bytes,
    path: str = "",
    *,
    services: FixedServices | None = None,
    burst: int = 0,
) -> WireResponse:
    """Post a message to a site's endpoint."""
    endpoint = await an_endpoint(site, services, burst=burst)
    wire = replace(a_scep_wire(path, body=message), received_at=site.clock.now())
    return await endpoint(wire)


async def an_endpoint(
    site: Site, services: FixedServices | None = None, *, burst: int = 0
) -> ProtocolEndpoint:
    policy = await site.policy()
    reached: dict[str | None, SCEPOptions] = {
        slug: each.scep
        for slug, each in policy.enrollment_profiles.items()
        if ProtocolName.SCEP in each.protocols
    }
    default = default_profile(policy)
    if default is not None:
        reached[None] = default.scep
    return ProtocolEndpoint(
        name=ProtocolName.SCEP,
        handler=SCEPHandler(services or FixedServices(by_label=reached)),
        pipeline=site.pipeline,
        backoff=Backoff(burst=burst, per_second=1, monotonic=time.monotonic),
        metrics=Metrics(),
        is_operation=RECORDED.__contains__,
    )


def message_of(ask: Ask) -> Message:
    """Word what a device wants: the certificate that is held signs, or the new key's own."""
    csr = replace(ask, challenge_password=ask.code).csr
    if ask.held is None:
        return Message(signer=self_signed(ask.key), content=csr)
    kind = 17 if ask.operation is Operation.RENEWAL else 19
    return Message(signer=ask.held, content=csr, kind=kind)


def opened_by(reply: CertRep, held: Held) -> list[x509.Certificate]:
    """Open the envelope of an answer with the key of whoever asked, by cryptography."""
    assert reply.envelope is not None
    assert isinstance(held.key, rsa.RSAPrivateKey)
    found = pkcs7.pkcs7_decrypt_der(reply.envelope, held.certificate, held.key, [])
    return pkcs7.load_der_pkcs7_certificates(found)


def the_ra_at(address: str) -> x509.Certificate:
    """Ask a server for the certificate that messages are sealed to."""
    with urlopen(f"http://{address}/scep?operation=GetCACert", timeout=10) as answer:
        found = pkcs7.load_der_pkcs7_certificates(answer.read())
    return next(each for each in found if isinstance(each.public_key(), rsa.RSAPublicKey))


@cache
def a_lasting_ra() -> RegistrationAuthority:
    """Give an RA that is the same in every run, so that a corpus may be sealed to it."""
    party = a_lasting_party("rsa2048.pem")
    assert isinstance(party.key, rsa.RSAPrivateKey)
    return RegistrationAuthority.holding(party.certificate, party.key)


@cache
def a_lasting_signer() -> Held:
    party = a_lasting_party("rsa2048.pem")
    assert isinstance(party.key, rsa.RSAPrivateKey)
    return Held(der=party.der, key=party.key)
