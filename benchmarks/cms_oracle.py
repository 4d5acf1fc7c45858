"""Whether time tells why an envelope did not open: the four causes that nobody may tell apart.

The first figures are how far medians lie apart; the second are the distances of Kolmogorov and
Smirnov, as multiples of what chance explains at one percent. There RSA itself shows, with no code
of ours: cryptography takes half a microsecond longer when more octets come out, as bad padding has.

Run: python -m benchmarks.cms_oracle [samples]
"""

import os
import random
import statistics
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations
from math import log, sqrt
from time import perf_counter

from cryptography.hazmat.primitives.asymmetric import padding, rsa

from benchmarks.measure import ratio, write
from enroll.failures import EnrollmentError
from protocols.cms.content_ciphers import ContentEncryption
from protocols.cms.enveloped_data import open_enveloped_data
from tests.support.cms import a_key_transport, a_party, an_envelope, key_of
from tests.support.csr import tlv

KEY = bytes(range(16))
MESSAGES = 40
LEVEL = 0.01
APART = 50.0
"""Microseconds that medians may differ by: noise on any network."""


def main(samples: int = 20_000) -> None:
    """Print, for each two causes, how far their times lie apart."""
    causes = _messages()
    ours = key_of(a_party())
    times: dict[str, list[float]] = {cause: [] for cause in causes}
    for _ in range(samples):
        for cause in random.sample(list(causes), len(causes)):
            message = random.choice(causes[cause])  # noqa: S311 - an order that hides nothing
            begin = perf_counter()
            with suppress(EnrollmentError):
                open_enveloped_data(message, keys=(ours,))
            times[cause].append(perf_counter() - begin)
    by_chance = sqrt(-log(LEVEL / 2) / samples)
    medians = {cause: statistics.median(each) * 1e6 for cause, each in times.items()}
    pairs = list(combinations(causes, 2))
    write(
        "cms_oracle",
        [
            *[
                ratio(f"{one} / {other}, microseconds", [abs(medians[one] - medians[other])], APART)
                for one, other in pairs
            ],
            *[
                ratio(
                    f"{one} / {other}, by chance", [_distance(times[one], times[other]) / by_chance]
                )
                for one, other in pairs
            ],
        ],
        microseconds={cause: round(median, 1) for cause, median in medians.items()},
    )


def _messages() -> dict[str, list[bytes]]:
    public_key = a_party().certificate.public_key()
    if not isinstance(public_key, rsa.RSAPublicKey):
        raise TypeError("PKCS#1 v1.5 is RSA's")
    algorithm, encrypted = ContentEncryption.AES_128_CBC.encrypt(KEY, bytes(1_200))
    # One bit in the block before the last: the padding is wrong, and always in the same way.
    damaged = encrypted[:-17] + bytes((encrypted[-17] ^ 1,)) + encrypted[-16:]

    def transport(key: bytes) -> bytes:
        return a_key_transport(public_key.encrypt(key, padding.PKCS1v15()))

    def around(recipient: bytes, octets: bytes = encrypted) -> bytes:
        return an_envelope(recipient, algorithm=algorithm, encrypted=tlv(0x80, octets))

    makers: dict[str, Callable[[], bytes]] = {
        "wrong key": lambda: around(transport(os.urandom(16))),
        "bad RSA padding": lambda: around(a_key_transport(b"\x01" + os.urandom(255))),
        "key of wrong length": lambda: around(transport(os.urandom(24))),
        "bad content padding": lambda: around(transport(KEY), damaged),
    }
    return {cause: [make() for _ in range(MESSAGES)] for cause, make in makers.items()}


def _distance(one: list[float], other: list[float]) -> float:
    """Give the greatest distance of two distributions (Kolmogorov and Smirnov)."""
    merged = sorted([(each, 1) for each in one] + [(each, -1) for each in other])
    furthest = at = 0
    for _, step in merged:
        at += step
        furthest = max(furthest, abs(at))
    return furthest / len(one)


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:2]))
