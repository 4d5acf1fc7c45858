"""Which certificates go along in a message, for whoever verifies it to complete a path."""

from functools import lru_cache

from cryptography import x509

_KEPT = 16
"""How many chains are remembered: there is one above all that a CA issues."""


@lru_cache(maxsize=_KEPT)
def without_roots(certificates: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Leave out what signed itself: nobody trusts a root because it came along (RFC 9483 §3.3).

    A root's certificate by another root stays, which has one name twice too where roots keep
    theirs: by that alone does who knows only one of them get to the other.
    """
    found = [(each, x509.load_der_x509_certificate(each)) for each in certificates]
    return tuple(octets for octets, each in found if not is_by_itself(each))


def is_by_itself(certificate: x509.Certificate) -> bool:
    """Tell by names and key identifiers. Whether it signed itself is not looked at."""
    if certificate.subject != certificate.issuer:
        return False
    try:
        above = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return True
    return above.key_identifier in {None, own.digest}
