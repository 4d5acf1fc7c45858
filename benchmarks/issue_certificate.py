"""What does it cost to issue a certificate by splicing, and what by CertificateBuilder?

A P-256 issuer and eight extensions, without codec, pipeline or registry. The splice earns its place
in ca/template.py while it saves more than a third of what the builder takes, signature included.

Run: python -m benchmarks.issue_certificate [rounds] [certificates]
"""

import statistics
import sys
from collections.abc import Callable
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.measure import cpu_per, ratio, write, yard
from benchmarks.servers import use_server_core
from ca.builder import sign
from ca.linting import lint
from ca.template import Splicer
from tests.support.authority import an_authority, an_issuer, an_order, issue
from tests.support.fakes import START

GOAL = 2 / 3
YARD = "yard: P-256 sign and verify"
SIGNATURE = "P-256 signature alone"
BUILT = "built: CertificateBuilder"
SPLICED = "spliced from a template"
LINTED = "lint of the order"
ISSUED = "LocalAuthority.issue: lint, splice, chain"


def main(rounds: int = 9, certificates: int = 2_000) -> None:
    """Measure in rotation, so that all meet the same noise."""
    use_server_core()
    tasks = _tasks()
    seen: dict[str, list[float]] = {name: [] for name in (YARD, *tasks)}
    for _ in range(rounds):
        seen[YARD].append(yard())
        for name, task in tasks.items():
            seen[name].append(cpu_per(task, certificates))
    for name, seconds in seen.items():
        print(f"{name:<58} {statistics.median(seconds) * 1e6:8.1f} us")
    yards, built = seen[YARD], seen[BUILT]
    write(
        "issue_certificate",
        [
            ratio(
                "a spliced certificate, in built ones",
                [one / other for one, other in zip(seen[SPLICED], built, strict=True)],
                GOAL,
            ),
            *(
                ratio(
                    f"{name}, in yards",
                    [one / other for one, other in zip(seen[name], yards, strict=True)],
                )
                for name in (ISSUED, BUILT, SPLICED, SIGNATURE)
            ),
        ],
        microseconds={name: statistics.median(each) * 1e6 for name, each in seen.items()},
    )


def _tasks() -> dict[str, Callable[[], object]]:
    authority, issuer, bare = an_authority(), an_issuer(), an_order()
    # A request brings the octets of its key along.
    spki = bare.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    order = replace(bare, spki=spki)
    splicer = Splicer(issuer)
    unsigned = x509.load_der_x509_certificate(splicer.certificate(order)).tbs_certificate_bytes
    return {
        SIGNATURE: lambda: issuer.signature_over(unsigned),
        BUILT: lambda: sign(order, issuer),
        SPLICED: lambda: splicer.certificate(order),
        LINTED: lambda: lint(order, issuer, START),
        ISSUED: lambda: issue(authority, order),
    }


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:3]))
