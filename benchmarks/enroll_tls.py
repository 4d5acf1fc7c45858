"""G3 and G4: what does TLS add to a durable enrollment, kept and with a new connection each?

The client shows a certificate in every handshake and enrolls by its code, so that the work behind
TLS is that of G2. Above 1.3 (kept) or 0.7 (new, beside the same app on the standard library's
`ssl`) the transport needs another look; the second bar of G4 is nginx answering a static page on a
new mTLS connection, plus G2's.

Run: python -m benchmarks.enroll_tls [rounds] [requests]
"""

import sys
import tempfile
from pathlib import Path

import trustme

from benchmarks import fleet, servers
from benchmarks.driving import Drive, drive
from benchmarks.enroll_durable import CONNECTIONS, over_unix
from benchmarks.load import Plan, pack
from benchmarks.measure import Ratio, write
from benchmarks.rotation import Rounds, Variant, rotate, sending

FRESH_CONNECTIONS = 8
GOAL_KEPT = 1.3
GOAL_FRESH_BESIDE_SSL = 0.7
GOAL_FRESH_BESIDE_NGINX = 0.9
PAGE = b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main(
    rounds: int = 5, requests: int = 1_000, *, databases: fleet.Databases = fleet.SQLITE
) -> None:
    """Drive all in rotation; each of ours enrolls devices of its own."""
    servers.use_server_core()
    count = (rounds + 1) * requests
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shown = _client_certificate(place)
        home = fleet.make_home(place / "home", databases)
        other = fleet.make_home(place / "other", databases)
        fleet.populate(home, 0, 3 * count)
        fleet.populate(other, 0, count)
        with (
            servers.enroll(home) as ours,
            servers.enroll(other, module="benchmarks.serve_on_ssl") as on_ssl,
            servers.nginx(place / "nginx") as nginx,
        ):
            variants = [
                over_unix(ours, 3 * count, requests),
                _over_tls("kept", ours, shown, (count, 3 * count), requests),
                _over_tls("fresh", ours, shown, (2 * count, 3 * count), requests, fresh=True),
                _over_tls("ssl", on_ssl, shown, (0, count), requests, fresh=True),
                _pages(nginx, shown, requests, place),
            ]
            found = rotate(variants, rounds)
    write("enroll_tls", _ratios(found), database=databases.name, **found.facts())


def _ratios(found: Rounds) -> list[Ratio]:
    return [
        found.ratio("G3 kept mTLS / unix socket", lambda c: c["kept"] / c["unix"], GOAL_KEPT),
        found.ratio(
            "G4 new mTLS connection / the same on ssl",
            lambda c: c["fresh"] / c["ssl"],
            GOAL_FRESH_BESIDE_SSL,
        ),
        found.ratio(
            "G4 new mTLS connection / (nginx's page + G2's)",
            lambda c: c["fresh"] / (c["nginx"] + c["unix"]),
            GOAL_FRESH_BESIDE_NGINX,
        ),
        found.yards("   new mTLS connection, in yards", "fresh"),
    ]


def _over_tls(
    name: str,
    served: servers.Served,
    shown: Path,
    members: tuple[int, int],
    requests: int,
    *,
    fresh: bool = False,
) -> Variant:
    """Enroll over mTLS; `members` say where this variant's begin, and how many there are."""
    first, count = members
    plan = Plan(
        requests=str(fleet.est_requests(0, count)),
        first=first,
        last=count,
        connections=FRESH_CONNECTIONS if fresh else CONNECTIONS,
        port=served.port("https"),
        certificate=str(shown),
        fresh=fresh,
    )
    return sending(name, served, plan, requests)


def _pages(served: servers.Served, shown: Path, requests: int, folder: Path) -> Variant:
    packed = folder / "pages.bin"
    packed.write_bytes(pack([PAGE] * requests))

    def run(number: int) -> Drive:
        del number
        plan = Plan(
            requests=str(packed),
            first=0,
            last=requests,
            connections=FRESH_CONNECTIONS,
            port=served.port("https"),
            certificate=str(shown),
            fresh=True,
        )
        return drive(plan, served.cpu)

    return Variant(name="nginx", drive=run)


def _client_certificate(folder: Path) -> Path:
    """Make a P-256 certificate with an intermediate, as a device's: shown, never judged."""
    root = trustme.CA(key_type=trustme.KeyType.ECDSA)
    issuing = root.create_child_ca(key_type=trustme.KeyType.ECDSA)
    leaf = issuing.issue_cert("pump-1.example", key_type=trustme.KeyType.ECDSA)
    root.cert_pem.write_to_path(folder / "client-root.pem")
    path = folder / "client.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(path)
    return path


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
