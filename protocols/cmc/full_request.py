"""A Full PKI Request (RFC 5272 §3.2): signed, by a certificate's key or by the request's own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cryptography import x509

from enroll.credentials import Credential, SharedSecretMAC, SignerCertificate
from enroll.failures import EnrollmentError, FailureReason, Malformed
from enroll.request import CertificateRequest
from protocols.cmc.certification_request import Wanted, link, read_wanted
from protocols.cmc.controls import hear, read_controls
from protocols.cmc.decode import decode_pki_data
from protocols.cmc.faults import CMCFault
from protocols.cmc.messages import PKI_DATA, WHOLE_MESSAGE, Heard, PKIData
from protocols.cms.identifiers import names
from protocols.cms.signed_data import SignedData, decode_signed_data, verify, verify_by_key
from protocols.limits import DERLimits, check_der

MAXIMUM_CERTIFICATES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FullRequest:
    """A message whose form, signature and proof of possession are good; who sent it is unproven.

    `number` is the body part of the certification request, `proof_number` that of the proof of
    identity, which stands for the whole message where a certificate signed it.
    """

    certificate_request: CertificateRequest
    credentials: tuple[Credential, ...] = field(repr=False)
    number: int
    proof_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A message read and not judged: who signed what, and what its answer has to give back."""

    signed_data: SignedData
    data: PKIData
    heard: Heard


def open_message(message: bytes, limits: DERLimits) -> Opened:
    """Read a message, DER. Nothing in it is verified. Raises Malformed."""
    check_der(message, limits)
    signed_data = decode_signed_data(message, limits)
    if signed_data.content_type != PKI_DATA or signed_data.content is None:
        raise Malformed("the SignedData holds no PKIData", finding="no_pki_data")
    data = decode_pki_data(signed_data.content, limits)
    return Opened(signed_data=signed_data, data=data, heard=hear(data))


def judge(opened: Opened, limits: DERLimits, known: Sequence[x509.Certificate] = ()) -> FullRequest:
    """Verify the signature, and read what is wanted.

    The signer's certificate is in the message or among the `known`; without one, the request's own
    key has signed. Raises CMCFault.
    """
    shown = _load(opened.signed_data.certificates)
    signer = _signer(opened.signed_data, (*shown, *known))
    if signer is not None:
        _verify(opened.signed_data, signer)
    controls = read_controls(opened.data)
    wanted = read_wanted(opened.data, limits)
    if signer is None:
        _verify_by_own_key(opened.signed_data, wanted)
    proof = link(wanted, controls, opened.data)
    credentials: list[Credential] = []
    if proof is not None:
        credentials.append(
            SharedSecretMAC(username=proof.identification, matches=proof.is_made_with)
        )
    if signer is not None:
        above = (each for each in shown if each != signer)
        credentials.append(SignerCertificate(chain=(signer, *above)))
    return FullRequest(
        certificate_request=wanted.request,
        credentials=tuple(credentials),
        number=wanted.number,
        proof_number=controls.proof_number or WHOLE_MESSAGE,
    )


def _load(certificates: Iterable[bytes]) -> tuple[x509.Certificate, ...]:
    """Read the certificates that came along, those that can be read."""
    found = []
    for each in tuple(certificates)[:MAXIMUM_CERTIFICATES]:
        try:
            found.append(x509.load_der_x509_certificate(each))
        except (ValueError, TypeError, OverflowError, x509.InvalidVersion, Warning):
            continue
    return tuple(found)


def _signer(
    signed_data: SignedData, certificates: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    return next((each for each in certificates if names(signed_data.signer.identifier, each)), None)


def _verify(signed_data: SignedData, signer: x509.Certificate) -> None:
    try:
        verify(signed_data, certificate=signer)
    except EnrollmentError as error:
        raise CMCFault.about((WHOLE_MESSAGE,), error) from error


def _verify_by_own_key(signed_data: SignedData, wanted: Wanted) -> None:
    """Verify by the key that the request is for (RFC 5272 §3.2, a to c)."""
    if wanted.key_identifier is None:
        raise CMCFault(
            FailureReason.BAD_MESSAGE_CHECK,
            "the signer's certificate is not in the message, and the request names no key "
            "identifier by which its own key could sign",
            (WHOLE_MESSAGE,),
            finding="signer_certificate_missing",
        )
    key = wanted.request.public_key
    assert key is not None  # noqa: S101 - its possession was proven; for the type checker
    try:
        verify_by_key(signed_data, key, wanted.key_identifier)
    except EnrollmentError as error:
        raise CMCFault.about((WHOLE_MESSAGE,), error) from error
