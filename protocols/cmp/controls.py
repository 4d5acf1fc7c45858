"""The controls of a request (RFC 4211 §6): which are heard, which may be there, which may not."""

from collections.abc import Callable, Mapping

from enroll.failures import EnrollmentError, FailureReason, Malformed
from protocols import der
from protocols.cmp.decode import UTF8_STRING
from protocols.cmp.messages import BodyType
from protocols.crmf.messages import PUBLICATION_INFO, CertReqMsg

OLD_CERT_ID = bytes.fromhex("06092b0601050507050105")
_REG_TOKEN = bytes.fromhex("06092b0601050507050101")
_AUTHENTICATOR = bytes.fromhex("06092b0601050507050102")
_ARCHIVE_OPTIONS = bytes.fromhex("06092b0601050507050104")
_PROTOCOL_ENCR_KEY = bytes.fromhex("06092b0601050507050106")
_ALT_CERT_TEMPLATE = bytes.fromhex("06092b0601050507050107")
_DONT_PUBLISH, _PLEASE_PUBLISH = b"\x00", b"\x01"
_DONT_CARE = b"\x00"
_METHODS = frozenset({_DONT_CARE, b"\x01", b"\x02", b"\x03"})
# archiveRemGenPrivKey, FALSE: no archival is desired.
_NO_ARCHIVE = bytes.fromhex("820100")


def check_controls(request: CertReqMsg, kind: BodyType) -> None:
    """Refuse what contradicts the request, or asks for what nobody does here.

    Who sends the message is proven by its protection, and not by regToken or authenticator; nothing
    is published; an answer is encrypted to the key that is certified, or by which its sender was
    proven. So these controls are looked at for their form, and passed over.

    Raises Malformed, EnrollmentError (BAD_CERTIFICATE_TEMPLATE).
    """
    for control, value in request.controls.items():
        check = _CHECKS.get(control)
        if check is not None:
            check(value)
        if control in _ONLY_IN and kind is not _ONLY_IN[control]:
            raise Malformed(
                f"a control of {_ONLY_IN[control].name.lower()} is in {kind.name.lower()}",
                finding="control_misplaced",
            )


def _check_text(value: der.Element) -> None:
    if value.tag != UTF8_STRING or not value.content:
        raise Malformed("a regToken or authenticator is no UTF8String")
    value.content.decode()


def _check_publication(value: der.Element) -> None:
    """Check PKIPublicationInfo (RFC 4211 §6.3): whoever wants nothing published names no place."""
    action, *places = der.split(value.content) if value.tag == der.SEQUENCE else []
    if action.tag != der.INTEGER or action.content not in {_DONT_PUBLISH, _PLEASE_PUBLISH}:
        raise Malformed("a pkiPublicationInfo has no action")
    if places and action.content == _DONT_PUBLISH:
        raise Malformed("a pkiPublicationInfo says where, and not to publish")
    if [each.tag for each in places] not in ([], [der.SEQUENCE]):
        raise Malformed("a pkiPublicationInfo names no places where it should")
    for each in places:
        infos = der.split(each.content)
        if not infos or not all(_is_place(info) for info in infos):
            raise Malformed("a pkiPublicationInfo names a place that is none")


def _is_place(info: der.Element) -> bool:
    parts = der.split(info.content) if info.tag == der.SEQUENCE else []
    if not 1 <= len(parts) <= 2 or parts[0].tag != der.INTEGER:  # noqa: PLR2004 - a method and perhaps a place
        return False
    method, *location = parts
    return method.content in _METHODS and not (location and method.content == _DONT_CARE)


def _check_archive(value: der.Element) -> None:
    if value.whole != _NO_ARCHIVE:
        raise Malformed("private keys are not archived here", finding="archive_wanted")


def _check_encryption_key(value: der.Element) -> None:
    parts = der.split(value.content) if value.tag == der.SEQUENCE else []
    if [each.tag for each in parts] != [der.SEQUENCE, der.BIT_STRING]:
        raise Malformed("a protocolEncrKey is no SubjectPublicKeyInfo")


def _refuse_template(value: der.Element) -> None:
    """RFC 9810 §5.2.1: it is for certificates of other kinds, and then the template is empty."""
    del value
    raise EnrollmentError(
        FailureReason.BAD_CERTIFICATE_TEMPLATE,
        "altCertTemplate asks for a certificate that is none of X.509",
        finding="alt_cert_template",
        field="altCertTemplate",
    )


_ONLY_IN: Mapping[bytes, BodyType] = {_REG_TOKEN: BodyType.IR, OLD_CERT_ID: BodyType.KUR}
_CHECKS: Mapping[bytes, Callable[[der.Element], None]] = {
    _REG_TOKEN: _check_text,
    _AUTHENTICATOR: _check_text,
    PUBLICATION_INFO: _check_publication,
    _ARCHIVE_OPTIONS: _check_archive,
    _PROTOCOL_ENCR_KEY: _check_encryption_key,
    _ALT_CERT_TEMPLATE: _refuse_template,
}
