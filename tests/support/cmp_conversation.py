"""CMP in process: what a client sends and keeps, and an endpoint without a socket."""

import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from multidict import CIMultiDict
from pyasn1.codec.der import encoder
from pyasn1_modules import rfc4210

from ca.crl import make_crl
from enroll.certificates import RevocationList
from enroll.options import ServerKeyGeneration
from enroll.profiles import EnrollmentProfile, ProtocolName
from enroll.request import Operation
from enroll.stages.address import default_profile
from protocols import der
from protocols.cmp.decode import decode
from protocols.cmp.encode import directory_name
from protocols.cmp.handler import RECORDED, CMPHandler
from protocols.cmp.macs import derive_key
from protocols.cmp.messages import BodyType, PKIHeader
from protocols.cmp.nonces import SenderNonces
from protocols.cmp.protection import Protection, Signer
from protocols.cmp.support_values import CRLSource, RootUpdate
from protocols.wire import WireRequest, WireResponse
from server.backoff import Backoff
from server.exchange import ProtocolEndpoint
from server.observability.metrics import Metrics
from tests.support.cmp import a_header, a_message, check_form, integer, pbm
from tests.support.crmf import a_crm
from tests.support.csr import a_key, a_name, sequence, tlv
from tests.support.enrollment import PEER, Ask, Held, Site, an_issuer
from tests.support.fakes import START
from tests.support.key_generation import a_signer

FAIL_INFO = {
    "badAlg": 0,
    "badMessageCheck": 1,
    "badRequest": 2,
    "badCertId": 4,
    "badTime": 3,
    "badDataFormat": 5,
    "badPOP": 9,
    "certRevoked": 10,
    "certConfirmed": 11,
    "wrongIntegrity": 12,
    "badRecipientNonce": 13,
    "addInfoNotAvailable": 17,
    "badSenderNonce": 18,
    "badCertTemplate": 19,
    "signerNotTrusted": 20,
    "transactionIdInUse": 21,
    "unsupportedVersion": 22,
    "notAuthorized": 23,
    "systemUnavail": 24,
}
"""The bits of PKIFailureInfo, written once more."""


CRL_PLACE = "http://localhost:8080/crl/issuing.crl"
"""Where the test issuer's list is published."""


@cache
def a_message_signer() -> Signer:
    """Make who signs the answers, under the test issuer."""
    key, issuer = a_key("p-256", 300), an_issuer()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(a_name("Messages"))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(0xC3B)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=365))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )
    return Signer.holding(certificate, key, chain=(issuer.certificate,))


@cache
def a_revocation_list() -> RevocationList:
    """Make the list of the test issuer, with nothing on it."""
    return make_crl(
        an_issuer(),
        [],
        number=1,
        this_update=START,
        next_update=START + timedelta(days=1),
        revocation_version=0,
    )


@cache
def a_root_update() -> RootUpdate:
    """Make a change of roots; any three certificates will do."""
    issuer = an_issuer()
    signer = a_message_signer()
    return RootUpdate(
        new_with_new=issuer.der, new_with_old=issuer.chain[-1], old_with_new=signer.extra_certs[0]
    )


@dataclass
class FixedServices:
    """What a server has under CMP, as a test says."""

    profiles: Mapping[str | None, EnrollmentProfile | None]
    found: Signer | None = field(default_factory=a_message_signer)

    def profile(self, label: str | None) -> EnrollmentProfile | None:
        found = self.profiles.get(label)
        return found if found is not None and ProtocolName.CMP in found.protocols else None

    def labels(self) -> Collection[str]:
        return [each for each in self.profiles if each is not None and self.profile(each)]

    def signer(self) -> Signer | None:
        return self.found

    def ca_certificates(self) -> tuple[bytes, ...]:
        issuer = an_issuer()
        return (issuer.der, *issuer.chain)

    def root_update(self, root: bytes | None) -> RootUpdate | None:
        return a_root_update() if root in {None, a_root_update().old_with_new} else None

    def current_crl(self) -> RevocationList | None:
        return a_revocation_list()

    def revocation_list(self, source: CRLSource) -> RevocationList | None:
        name = an_issuer().certificate.subject.public_bytes()
        is_ours = CRL_PLACE in source.urls or name in source.issuers
        return a_revocation_list() if is_ours else None


async def an_endpoint(site: Site, *, burst: int = 0, signs_keys: bool = True) -> ProtocolEndpoint:
    """Make an endpoint as every worker has it: nothing in it remembers a message."""
    policy = await site.policy()
    profiles: dict[str | None, EnrollmentProfile | None] = {None: default_profile(policy)}
    profiles.update(policy.enrollment_profiles.items())
    handler = CMPHandler(services=FixedServices(profiles), nonces=SenderNonces(key=bytes(32)))
    if signs_keys and any(_makes_keys(each) for each in policy.enrollment_profiles.values()):
        key_package_signer = await a_signer(site)
        handler.key_package_signer = lambda: key_package_signer
    return ProtocolEndpoint(
        name=ProtocolName.CMP,
        handler=handler,
        pipeline=site.new_pipeline(),
        backoff=Backoff(burst=burst, per_second=1, monotonic=time.monotonic),
        metrics=Metrics(),
        is_operation=RECORDED.__contains__,
    )


def _makes_keys(profile: EnrollmentProfile) -> bool:
    return profile.est.server_key_generation is ServerKeyGeneration.ALLOWED


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer of CMP: its header, and its body as pyasn1-modules reads it."""

    octets: bytes
    kind: BodyType
    header: PKIHeader
    body: Any
    extra_certs: tuple[bytes, ...]

    @property
    def status(self) -> int:
        return int(self._status_info["status"])

    @property
    def fail_info(self) -> set[int]:
        bits = self._status_info["failInfo"]
        return {number for number, bit in enumerate(bits) if bit} if bits.isValue else set()

    @property
    def cert_req_id(self) -> int:
        return int(self.body["response"][0]["certReqId"])

    @property
    def encrypted(self) -> bytes:
        """Give what is in place of a certificate: an EncryptedKey."""
        pair = self.body["response"][0]["certifiedKeyPair"]
        (tagged,) = der.split(encoder.encode(pair["certOrEncCert"]["encryptedCert"]))
        return tagged.content

    @property
    def certificate(self) -> bytes:
        pair = self.body["response"][0]["certifiedKeyPair"]
        (tagged,) = der.split(encoder.encode(pair["certOrEncCert"]["certificate"]))
        return tagged.content

    @property
    def _status_info(self) -> Any:
        if self.kind is BodyType.ERROR:
            return self.body["pKIStatusInfo"]
        if self.kind is BodyType.RP:
            return self.body["status"][0]
        return self.body["response"][0]["status"]


def read(answer: WireResponse, form: Any = rfc4210) -> Answered:
    assert answer.status == 200, answer
    assert answer.media_type == "application/pkixcmp"
    message = decode(answer.body)
    found = check_form(answer.body, form)
    return Answered(
        octets=answer.body,
        kind=message.body_type,
        header=message.header,
        body=found["body"].getComponent(),
        extra_certs=message.extra_certs,
    )


@dataclass(kw_only=True)
class Client:
    """A client in the middle of one exchange: what it proves itself by, and what it heard last.

    `form` is the module of pyasn1 that reads what it hears.
    """

    site: Site
    protection: Protection
    header: PKIHeader
    path: str = ""
    extra_certs: tuple[bytes, ...] = ()
    heard: Answered | None = None
    form: Any = rfc4210

    async def send(self, kind: BodyType, content: bytes, **changes: object) -> Answered:
        return read(await self.post(self.message(kind, content, **changes)), self.form)

    def message(self, kind: BodyType, content: bytes, **changes: object) -> bytes:
        header = replace(self.header, sender_nonce=os.urandom(16))
        if self.heard is not None:
            header = replace(header, recip_nonce=self.heard.header.sender_nonce)
        header = replace(header, **changes)  # type: ignore[arg-type]  # a test's words
        return a_message(
            kind, content, header, protection=self.protection, extra_certs=self.extra_certs
        )

    async def post(self, message: bytes, path: str | None = None) -> WireResponse:
        """Post it to whichever worker: each has an endpoint of its own."""
        endpoint = await an_endpoint(self.site)
        wire = a_wire(message, self.path if path is None else path)
        return await endpoint(replace(wire, received_at=self.site.clock.now()))

    async def ask(self, ask: Ask, kind: BodyType | None = None, **changes: object) -> Answered:
        """Ask for a certificate, and keep the answer."""
        self.heard = None
        self.heard = await self.send(kind or kind_of(ask), content_of(ask), **changes)
        return self.heard

    async def confirm(
        self,
        *,
        cert_hash: bytes | None = None,
        number: int | None = None,
        status: int | None = None,
        **changes: object,
    ) -> Answered:
        """Send certConf for what was heard."""
        assert self.heard is not None
        if cert_hash is None:
            cert_hash = x509.load_der_x509_certificate(self.heard.certificate).fingerprint(
                hashes.SHA256()
            )
        number = self.heard.cert_req_id if number is None else number
        info = sequence(integer(status)) if status is not None else b""
        content = sequence(sequence(tlv(0x04, cert_hash), integer(number), info))
        return await self.send(BodyType.CERT_CONF, content, **changes)


def a_wire(body: bytes, path: str = "", *, media_type: str = "application/pkixcmp") -> WireRequest:
    return WireRequest(
        method="POST",
        path=path,
        query="",
        headers=CIMultiDict({"Content-Type": media_type}),
        body=body,
        peer_chain=(),
        peer_address=PEER,
        correlation_id="c0ffee",
        received_at=START,
    )


def by_secret(
    site: Site,
    reference: str,
    secret: str,
    profile: str | None = None,
    *,
    algorithm: bytes | None = None,
) -> Client:
    """Make a client that knows a secret."""
    return Client(
        site=site,
        protection=derive_key(algorithm or pbm(), secret.encode()),
        header=a_header(sender_kid=reference.encode(), transaction_id=os.urandom(16)),
        path=f"p/{profile}" if profile is not None else "",
    )


def by_held(site: Site, held: Held, profile: str | None = None) -> Client:
    """Make a client that signs with a certificate."""
    signer = Signer.holding(held.certificate, held.key)
    return Client(
        site=site,
        protection=signer,
        header=a_header(
            sender=directory_name(held.certificate.subject.public_bytes()),
            sender_kid=signer.key_identifier,
            transaction_id=os.urandom(16),
        ),
        path=f"p/{profile}" if profile is not None else "",
        extra_certs=signer.extra_certs,
    )


def client_for(site: Site, ask: Ask) -> Client:
    """Make the client that shows what the ask shows: the secret first."""
    if ask.reference is not None and ask.code is not None:
        return by_secret(site, ask.reference, ask.code, ask.profile)
    assert ask.held is not None
    return by_held(site, ask.held, ask.profile)


def kind_of(ask: Ask) -> BodyType:
    if ask.operation is Operation.RENEWAL:
        return BodyType.KUR
    return BodyType.IR if ask.held is None else BodyType.CR


def content_of(ask: Ask) -> bytes:
    """Word an ask as CertReqMessages."""
    extensions: list[x509.ExtensionType] = []
    if ask.key_usage is not None:
        extensions.append(ask.key_usage)
    if ask.purposes:
        extensions.append(x509.ExtendedKeyUsage(ask.purposes))
    return sequence(
        a_crm(ask.key, number=0, subject=ask.subject, names=ask.names, extensions=extensions)
    )
