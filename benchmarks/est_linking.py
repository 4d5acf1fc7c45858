"""What does linking identity and proof of possession add to an enrollment on a new connection?

Every request is signed when its connection stands, once without a challengePassword and once with
the connection's channel binding, on TLS 1.3 and on TLS 1.2; only the server's CPU counts. Above
1.05 the way from the connection to the comparison needs another look.

Run: python -m benchmarks.est_linking [rounds] [requests]
"""

import sys
import tempfile
import time
from pathlib import Path

from OpenSSL import SSL

from benchmarks import fleet, servers
from benchmarks.driving import BenchmarkFailed, Drive
from benchmarks.fleet import Member
from benchmarks.measure import Ratio, write
from benchmarks.rotation import Rounds, Variant, rotate
from tests.support.csr import a_csr, a_name
from tests.support.enrollment import a_new_key
from tests.support.tls_client import TLSClient, tls_client

GOAL = 1.05
PATH = "/.well-known/est/simpleenroll"
VERSIONS = {"1.3": SSL.TLS1_3_VERSION, "1.2": SSL.TLS1_2_VERSION}


def main(rounds: int = 15, requests: int = 300) -> None:
    """Drive all four in rotation; each enrolls devices of its own."""
    servers.use_server_core()
    count = (rounds + 1) * requests
    with tempfile.TemporaryDirectory() as folder:
        home = fleet.make_home(Path(folder) / "home")
        fleet.populate(home, 0, 4 * count)
        with servers.enroll(home) as served:
            variants = [
                _enrolling(
                    served, home.root_certificate, version, number * count, requests, linked=linked
                )
                for number, (version, linked) in enumerate(
                    (version, linked) for version in VERSIONS for linked in (False, True)
                )
            ]
            found = rotate(variants, rounds)
    ratios = [_ratio(found, version) for version in VERSIONS]
    write("est_linking", ratios, **found.facts())


def _ratio(found: Rounds, version: str) -> Ratio:
    linked, plain = f"linked {version}", f"plain {version}"
    return found.ratio(f"linked / not, TLS {version}", lambda c: c[linked] / c[plain], GOAL)


def _enrolling(
    served: servers.Served, root: Path, version: str, first: int, requests: int, *, linked: bool
) -> Variant:
    def run(number: int) -> Drive:
        begin = first + number * requests
        cpu, own, start = served.cpu(), time.process_time(), time.perf_counter()
        for each in range(begin, begin + requests):
            with tls_client(served.addresses["https"], root, version=VERSIONS[version]) as client:
                _enroll(client, Member(number=each), version, linked=linked)
        seconds = time.perf_counter() - start
        return Drive(
            requests=requests,
            seconds=seconds,
            server_cpu=served.cpu() - cpu,
            generator_cpu=time.process_time() - own,
            p50=seconds / requests,
            p99=seconds / requests,
        )

    return Variant(name=f"{'linked' if linked else 'plain'} {version}", drive=run)


def _enroll(client: TLSClient, member: Member, version: str, *, linked: bool) -> None:
    binding = client.tls_exporter if version == "1.3" else client.tls_unique
    der = a_csr(
        a_new_key(),
        subject=a_name(member.name),
        challenge_password=binding if linked else None,
    )
    status, body = client.post(PATH, der, user=f"{member.name}:{member.code}")
    if status != 200:
        raise BenchmarkFailed(f"answer {status}: {body[:200]!r}")


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:3]))
