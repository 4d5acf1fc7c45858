"""EST's fullcmc in process: a site's requests in CMC, signed, and the answers taken apart.

A device with a certificate signs with that and asks by PKCS#10; one without signs with its new key
and asks by CRMF. A code is the shared secret of an identity proof.
"""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from multidict import CIMultiDict

from ca.service import MESSAGE_SIGNER, service_order
from protocols.cmc.messages import PKI_DATA, PKI_RESPONSE
from protocols.cmc.responder import Responder
from protocols.cms.signed_data import Signer, decode_signed_data, encode_signed_data, verify
from protocols.wire import WireRequest, WireResponse
from tests.support.cmc import (
    Answer,
    Control,
    a_pki_data,
    crm,
    identification,
    identity_proof_v2,
    read_response,
    tcr,
)
from tests.support.crmf import a_crm
from tests.support.csr import Key, a_name, sequence
from tests.support.enrollment import (
    PEER,
    Ask,
    Held,
    Site,
    a_new_key,
    an_authority,
    by_code,
    open_site,
)
from tests.support.est import endpoint
from tests.support.fakes import START, FixedClock

CMC_REQUEST = "application/pkcs7-mime; smime-type=CMC-request"
CMC_RESPONSE = "application/pkcs7-mime; smime-type=CMC-response"
CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
CHANGE_SUBJECT = "1.3.6.1.5.5.7.7.36"
_RESPONDER: list[Responder] = []


async def serve_full_cmc(site: Site) -> None:
    """Switch fullcmc on in every profile."""
    known = (await site.policy()).enrollment_profiles
    changes = {slug: {"est": replace(each.est, fullcmc=True)} for slug, each in known.items()}
    await site.change_policy(**changes)  # type: ignore[arg-type]  # a test's words


async def post(site: Site, ask: Ask, controls: Sequence[Control] = ()) -> WireResponse:
    """Ask over fullcmc, with these controls beside those that the ask needs."""
    return await send(site, a_message(ask, controls), profile=ask.profile, held=ask.held)


async def send(
    site: Site,
    message: bytes,
    *,
    profile: str | None = None,
    held: Held | None = None,
    media_type: str = CMC_REQUEST,
) -> WireResponse:
    wire = WireRequest(
        method="POST",
        path=f"{profile}/fullcmc" if profile else "fullcmc",
        query="",
        headers=CIMultiDict({"Content-Type": media_type}),
        body=b64encode(message),
        peer_chain=(held.der,) if held is not None else (),
        peer_address=PEER,
        correlation_id="c0ffee",
        received_at=site.clock.now(),
        target="",
    )
    responder = await a_responder()
    return await (await endpoint(site, lambda: responder))(wire)


async def a_responder() -> Responder:
    """Have the CA of all sites make the certificate that signs messages, once."""
    if not _RESPONDER:
        key = a_new_key()
        order = service_order(
            MESSAGE_SIGNER,
            key.public_key(),
            serial_number=2**150,
            issuer="issuing",
            now=START,
            not_before=START - timedelta(days=1),
            not_after=START + timedelta(days=1),
        )
        issued = await an_authority(FixedClock()).issue(order)
        certificate = x509.load_der_x509_certificate(issued.der)
        _RESPONDER.append(
            Responder(
                signer=Signer.holding(certificate, key),
                certificates=(issued.der, issued.chain[0]),
            )
        )
    return _RESPONDER[0]


def a_message(ask: Ask, controls: Sequence[Control] = ()) -> bytes:
    """Make the Full PKI Request that an ask is in CMC."""
    wanted = tcr(ask.csr) if ask.held is not None else crm(_by_crmf(ask))
    secrets: list[Control] = []
    if ask.code is not None:
        name = ask.reference or ""
        secrets = [identification(name), identity_proof_v2(ask.code, name, wanted)]
    content = a_pki_data(wanted, controls=(*secrets, *controls))
    return signed_by(ask.held, content) if ask.held else signed_by_own_key(ask.key, content)


def signed_by(held: Held, content: bytes) -> bytes:
    """Sign with a certificate's key, and send the certificate along."""
    signer = Signer.holding(held.certificate, held.key)
    return encode_signed_data(PKI_DATA, content, signer=signer, certificates=(held.der,))


def signed_by_own_key(key: Key, content: bytes) -> bytes:
    """Sign with a key that has no certificate yet, named by its identifier (RFC 5272 §3.2)."""
    signer = Signer.holding(self_signed(key), key, key_identifier=key_identifier(key).digest)
    return encode_signed_data(PKI_DATA, content, signer=signer)


def key_identifier(key: Key) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def self_signed(key: Key, name: str = "pump-1") -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(a_name(name))
        .issuer_name(a_name(name))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=1))
        .add_extension(key_identifier(key), critical=False)
        .sign(key, hashes.SHA256())
    )


def answered(response: WireResponse) -> Answer:
    """Take a Full PKI Response apart, and verify who signed it."""
    assert response.media_type == CMC_RESPONSE
    signed_data = decode_signed_data(b64decode(response.body))
    assert signed_data.content_type == PKI_RESPONSE
    signer = verify(signed_data)
    assert signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value == (
        x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")])
    )
    assert signed_data.content is not None
    return read_response(signed_data.content)


def certificates(response: WireResponse) -> set[bytes]:
    found = pkcs7.load_der_pkcs7_certificates(b64decode(response.body))
    return {each.public_bytes(Encoding.DER) for each in found}


def on_a_site(test: Callable[[Site], Awaitable[None]]) -> None:
    """Run a test on a new site that serves fullcmc."""

    async def run() -> None:
        site = await open_site()
        await serve_full_cmc(site)
        await test(site)

    asyncio.run(run())


async def check_refused(
    site: Site, answer: WireResponse, status: int, info: int, *parts: int, finding: str
) -> None:
    """Check what the answer says, and what the attempt holds."""
    said = answered(answer)
    attempt = (await site.attempts())[0]
    assert (answer.status, said.status, said.fail_info, said.body_parts) == (
        status,
        2,
        info,
        parts,
    ), attempt.detail
    assert attempt.finding == finding
    assert attempt.operation == "fullcmc"
    assert said.words is not None
    assert "c0ffee" in said.words
    assert len(await site.certificates()) <= 1


async def with_a_code(site: Site) -> Ask:
    """Register a device, and ask by a code that it has."""
    await site.register()
    return by_code("pump-1", await site.code())


def _by_crmf(ask: Ask) -> bytes:
    extensions: list[x509.ExtensionType] = [key_identifier(ask.key)]
    if ask.key_usage is not None:
        extensions.append(ask.key_usage)
    change = [] if ask.change_subject is None else [ask.change_subject.public_bytes()]
    if ask.change_names:
        change.append(x509.SubjectAlternativeName(ask.change_names).public_bytes())
    return a_crm(
        ask.key,
        subject=ask.subject,
        names=ask.names,
        extensions=extensions,
        controls=[(CHANGE_SUBJECT, sequence(*change))] if change else (),
    )
