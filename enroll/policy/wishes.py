"""What a held request wished for, as DER and back: no secret of its sender's is kept with it."""

from hashlib import sha256

from cryptography import x509

from enroll.orders import Wish
from enroll.request import CertificateRequest

# The DER of what is the same in each: version 0, the extensionRequest attribute's and the
# subjectAltName extension's type, and an algorithm and a signature that are none.
_VERSION = bytes.fromhex("020100")
_EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")
_ALTERNATIVE_NAMES = bytes.fromhex("0603551d11")
_LONGEST_SHORT = 0x7F
_NO_SIGNATURE = bytes.fromhex("300a06082a8648ce3d040302030100")


def encode_wish(request: CertificateRequest, spki: bytes) -> bytes:
    """Write names and key as an unsigned PKCS#10 structure (RFC 2986 §4)."""
    attributes = b""
    if request.subject_alternative_names:
        names = x509.SubjectAlternativeName(request.subject_alternative_names).public_bytes()
        extension = _tlv(0x30, _ALTERNATIVE_NAMES + _tlv(0x04, names))
        attributes = _tlv(0x30, _EXTENSION_REQUEST + _tlv(0x31, _tlv(0x30, extension)))
    subject = request.subject.public_bytes()
    info = _tlv(0x30, _VERSION + subject + spki + _tlv(0xA0, attributes))
    return _tlv(0x30, info + _NO_SIGNATURE)


def decode_wish(wish: Wish) -> CertificateRequest:
    """Give the request as it is to be fulfilled, its possession as far proven as it was then."""
    stored = x509.load_der_x509_csr(wish.der)
    return CertificateRequest(
        subject=stored.subject,
        subject_alternative_names=_names_in(stored),
        public_key=stored.public_key() if not wish.key_made_here else None,
        spki=wish.spki if not wish.key_made_here else b"",
        spki_sha256=wish.spki_sha256 if not wish.key_made_here else "",
        key_usage=wish.key_usage,
        der_sha256=sha256(wish.der).hexdigest(),
        key_proven=wish.key_proven,
        extended_key_usage=(
            frozenset(map(x509.ObjectIdentifier, wish.extended_key_usage))
            if wish.extended_key_usage is not None
            else None
        ),
        asks_beyond=wish.asks_beyond,
    )


def shown_names(request: CertificateRequest) -> tuple[str, ...]:
    """Write the alternative names for people, and to be compared, in an order of their own."""
    return tuple(sorted(_shown(each) for each in request.subject_alternative_names or ()))


def shown_subject(request: CertificateRequest) -> str:
    return request.subject.rfc4514_string()


def _shown(name: x509.GeneralName) -> str:
    value = name.value
    if isinstance(value, x509.Name):
        value = value.rfc4514_string()
    elif isinstance(name, x509.OtherName):
        value = f"{name.type_id.dotted_string}={name.value.hex()}"
    elif isinstance(value, x509.ObjectIdentifier):
        value = value.dotted_string
    return f"{_KINDS[type(name)]}:{value}"


_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: "dns",
    x509.RFC822Name: "email",
    x509.UniformResourceIdentifier: "uri",
    x509.IPAddress: "ip",
    x509.DirectoryName: "directory",
    x509.RegisteredID: "oid",
    x509.OtherName: "other",
}


def _names_in(stored: x509.CertificateSigningRequest) -> tuple[x509.GeneralName, ...] | None:
    try:
        extension = stored.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return None
    return tuple(extension.value)


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size <= _LONGEST_SHORT:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + content
