"""What a 401 asks for: WWW-Authenticate, one scheme a line (RFC 9110 §11.6.1)."""

from datetime import datetime

from enroll.options import ESTOptions, HTTPScheme
from protocols.est.digest import ALGORITHMS, QUALITY, REALM
from protocols.est.nonces import Nonces

NAME = "WWW-Authenticate"
BASIC = (NAME, f'Basic realm="{REALM}", charset="UTF-8"')
_ALGORITHMS = {scheme: algorithm for algorithm, scheme in ALGORITHMS.items()}


def challenges(
    options: ESTOptions, nonces: Nonces, at: datetime, *, stale: bool
) -> tuple[tuple[str, str], ...]:
    """Offer the schemes in the profile's order: libest reads the first line and no other.

    All of one answer share a nonce. `stale` tells a client to answer anew without asking anybody.
    """
    nonce = nonces.make(at) if options.takes_digest else ""
    return tuple(
        BASIC if scheme is HTTPScheme.BASIC else _digest(scheme, options, nonce, stale=stale)
        for scheme in options.http_authentication
    )


def _digest(scheme: HTTPScheme, options: ESTOptions, nonce: str, *, stale: bool) -> tuple[str, str]:
    algorithm = _ALGORITHMS[scheme]
    if options.quote_digest_algorithm:
        algorithm = f'"{algorithm}"'
    again = ", stale=true" if stale else ""
    return NAME, (
        f'Digest realm="{REALM}", nonce="{nonce}", qop="{QUALITY}", algorithm={algorithm}, '
        f"charset=UTF-8{again}"
    )
