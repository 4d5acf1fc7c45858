"""Whether a certificate is what was asked for: what grantedWithMods tells (RFC 9810 §5.2.3)."""

from collections.abc import Iterable

from cryptography import x509

from enroll.profiles import KeyUsageBit
from enroll.request import CertificateRequest


def is_modified(wanted: CertificateRequest, given: x509.Certificate) -> bool:
    """Tell whether anything was asked for that is not so; what was left open is no wish."""
    return (
        wanted.asks_beyond
        or (bool(wanted.subject.rdns) and wanted.subject != given.subject)
        or _is_other(wanted.subject_alternative_names, _names_in(given))
        or _is_other(wanted.key_usage, _usages_in(given))
        or _is_other(wanted.extended_key_usage, _purposes_in(given))
    )


def _is_other(wish: Iterable[object] | None, found: Iterable[object]) -> bool:
    return wish is not None and set(wish) != set(found)


def _names_in(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()


def _usages_in(certificate: x509.Certificate) -> Iterable[KeyUsageBit]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    bits = {
        KeyUsageBit.DIGITAL_SIGNATURE: usage.digital_signature,
        KeyUsageBit.NON_REPUDIATION: usage.content_commitment,
        KeyUsageBit.KEY_ENCIPHERMENT: usage.key_encipherment,
        KeyUsageBit.KEY_AGREEMENT: usage.key_agreement,
    }
    return [each for each, is_there in bits.items() if is_there]


def _purposes_in(certificate: x509.Certificate) -> Iterable[x509.ObjectIdentifier]:
    try:
        return certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
