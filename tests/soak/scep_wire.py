"""Mutated messages and queries of SCEP over HTTP to a server of its own: nothing falls or drags."""

from collections.abc import Callable
from random import Random
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import rsa

from protocols.scep.messages import PKI_MESSAGE, RegistrationAuthority
from tests.soak.experiment import Outcome, Progress
from tests.soak.over_http import MakeRequest, send_over_http
from tests.soak.scep import BY_GET, FAILED, answered
from tests.soak.scep_mutations import scep_mutant, scep_query
from tests.soak.scep_seeds import Seed, callers_of, seeds_of
from tests.soak.wire import Request
from tests.support.csr import a_key
from tests.support.installation import Installation, Running
from tests.support.scep import the_ra_at

REQUESTS, SLICE = 100_000, 600
SEED = 20_261_127
_MOUNTS = ("/scep", "/scep", "/scep", "/SCEP", "/cgi-bin/pkiclient.exe", "/certsrv/mscep/mscep.dll")
_TYPES = (PKI_MESSAGE, PKI_MESSAGE, "application/octet-stream", "text/plain", "")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def measure(*, short: bool, progress: Progress) -> Outcome:
    """Serve, send them all one after another, and judge."""
    return send_over_http(
        _prepare,
        seed=SEED,
        total=SLICE if short else REQUESTS,
        answered=answered,
        failed=FAILED,
        progress=progress,
    )


def _prepare(installation: Installation) -> Callable[[Running], MakeRequest]:
    callers = callers_of(installation)

    def served(server: Running) -> MakeRequest:
        seeds = seeds_of(callers, _authority(server))
        return lambda random: _request(random, random.choice(seeds))

    return served


def _authority(server: Running) -> RegistrationAuthority:
    """Give the RA by its certificate; its key stays with the server."""
    key = a_key("rsa-2048", 9)
    assert isinstance(key, rsa.RSAPrivateKey)
    return RegistrationAuthority.holding(the_ra_at(server.http), key)


def _request(random: Random, seed: Seed) -> Request:
    message = scep_mutant(random, seed)
    path = f"{random.choice(_MOUNTS)}/{seed.path}".rstrip("/")
    if random.random() < BY_GET:
        query = quote(scep_query(random, message), safe=_PRINTABLE)
        return Request(method="GET", path=f"{path}?{query}", headers={}, body=None)
    if random.random() < 0.8:
        path += "?operation=PKIOperation"
    return Request(
        method="POST",
        path=path,
        headers={"Content-Type": random.choice(_TYPES)},
        body=message,
    )
