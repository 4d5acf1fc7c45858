"""Loading certificates that came over the wire, good and bad."""

from cryptography import x509


def load_certificate(octets: bytes) -> x509.Certificate | None:
    """Load a certificate in DER; None for what cannot be read as one."""
    try:
        return x509.load_der_x509_certificate(octets)
    except (ValueError, TypeError, OverflowError, x509.InvalidVersion, Warning):
        return None
