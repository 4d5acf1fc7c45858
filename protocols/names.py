"""Names out of DER: what cryptography reads only as part of something larger."""

import warnings

from cryptography import x509

from protocols import der

_VERSION_1 = der.encode(der.INTEGER, b"\0")
_EMPTY_NAME = der.encode(der.SEQUENCE)
_EXTENSION_REQUEST = bytes.fromhex("06092a864886f70d01090e")
_SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("0603551d11")
# Any well-formed key and signature will do: they are carried, never used.
_NO_KEY = der.encode(
    der.SEQUENCE,
    der.encode(der.SEQUENCE, bytes.fromhex("06032b6570")),
    der.encode(der.BIT_STRING, bytes(33)),
)
_NO_SIGNATURE = der.encode(der.SEQUENCE, bytes.fromhex("06032b6570")) + der.encode(
    der.BIT_STRING, bytes(65)
)

# A name longer than X.520 has it is only a wish. Who sends one must not write to our log.
warnings.filterwarnings("ignore", message="Attribute's length must be", category=UserWarning)


def read_name(name: bytes) -> x509.Name:
    """Read one Name, which must have passed `check_der`. Raises ValueError."""
    try:
        return _carry(name, b"").subject
    except TypeError as error:  # A BIT STRING that is no uniqueIdentifier.
        raise ValueError(str(error)) from error


def read_general_names(names: bytes) -> tuple[x509.GeneralName, ...]:
    """Read GeneralNames, which must have passed `check_der`. Raises ValueError."""
    extension = der.encode(
        der.SEQUENCE, _SUBJECT_ALTERNATIVE_NAME, der.encode(der.OCTET_STRING, names)
    )
    attribute = der.encode(
        der.SEQUENCE,
        _EXTENSION_REQUEST,
        der.encode(der.SET, der.encode(der.SEQUENCE, extension)),
    )
    try:
        extensions = _carry(_EMPTY_NAME, attribute).extensions
    except x509.UnsupportedGeneralNameType as error:
        raise ValueError(str(error)) from error
    return tuple(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def _carry(subject: bytes, attribute: bytes) -> x509.CertificateSigningRequest:
    info = der.encode(
        der.SEQUENCE, _VERSION_1, subject, _NO_KEY, der.encode(der.CONTEXT_0, attribute)
    )
    return x509.load_der_x509_csr(der.encode(der.SEQUENCE, info, _NO_SIGNATURE))
