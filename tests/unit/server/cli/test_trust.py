"""`enroll trust`: add, list, show, set, remove, revoke and unpin."""

import json
from pathlib import Path

import pytest
from cryptography import x509

from tests.architecture.source import ROOT
from tests.support.installation import Installation

MAKER = ROOT / "openssl-fixtures" / "devices"
MAKER_ROOT = str(MAKER / "maker-root.pem")


@pytest.fixture
def chain(tmp_path: Path) -> str:
    """Give a file with a maker's CAs, the lower one first."""
    names = ("maker-intermediate", "maker-root")
    path = tmp_path / "chain.pem"
    path.write_bytes(b"".join((MAKER / f"{name}.pem").read_bytes() for name in names))
    return str(path)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("add", "nowhere.pem", "--purpose", "idevid"), 2, "nowhere.pem"),
        (("add", MAKER_ROOT), 2, "--purpose"),
        (("add", MAKER_ROOT, "--purpose", "all"), 2, "all"),
        (("add", str(MAKER / "idevid.pem"), "--purpose", "idevid"), 2, "not a CA's"),
        (("add", MAKER_ROOT, "--purpose", "idevid", "--pattern", "SN-*"), 2, "FIELD=GLOB"),
        (("add", MAKER_ROOT, "--purpose", "idevid", "--profile", "nowhere"), 2, "nowhere"),
        (("show", "nobody"), 3, "trust list"),
        (("set", "nobody", "blocked=true"), 3, "trust list"),
        (("remove", "nobody", "--yes"), 3, "trust list"),
        (("revoke", str(MAKER / "idevid.pem"), "--reason", "bored", "--yes"), 2, "--reason"),
        (("revoke", str(MAKER / "idevid.pem"), "--reason", "superseded", "--yes"), 4, "anchor"),
        (("unpin", "nobody", "--reason", "repair", "--yes"), 3, "device list"),
    ],
)
def test_interface_what_cannot_be_done_ends_with_its_code_and_says_why(
    installation: Installation, words: tuple[str, ...], code: int, said: str
) -> None:
    done = installation.call("trust", *words)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_est_T19_the_servers_own_ca_is_refused(installation: Installation) -> None:
    done = installation.call("trust", "add", str(installation.root), "--purpose", "idevid")

    assert done.returncode == 4
    assert installation.json("trust", "list") == []


def test_a_name_is_given_once(installation: Installation) -> None:
    installation.run("trust", "add", MAKER_ROOT, "--purpose", "idevid")

    assert installation.call("trust", "add", MAKER_ROOT, "--purpose", "idevid").returncode == 4


def test_what_cannot_be_undone_wants_a_word(installation: Installation) -> None:
    installation.run("trust", "add", MAKER_ROOT, "--purpose", "idevid", "--name", "maker")

    assert installation.call("trust", "remove", "maker").returncode == 2
    assert len(installation.json("trust", "list")) == 1


@pytest.mark.parametrize("purpose", ["idevid", "auth-ca", "import", "ra"])
def test_interface_an_anchor_is_added_and_shown(
    installation: Installation, purpose: str, chain: str
) -> None:
    added = installation.json("trust", "add", chain, "--purpose", purpose)

    shown = installation.json("trust", "show", "Example Works Root")
    root = x509.load_pem_x509_certificate(Path(MAKER_ROOT).read_bytes())
    assert x509.load_pem_x509_certificate(shown.pop("pem").encode()) == root
    assert shown == added
    assert installation.json("trust", "list") == [added]
    assert (added["purpose"], added["blocked"]) == (purpose, False)
    assert [each["subject"] for each in added["intermediates"]] == [
        "CN=Example Works Devices,O=Example Works"
    ]
    taken = purpose in {"idevid", "auth-ca"}
    assert added["accepted_by"] == (["bootstrap"] if taken else [])


def test_an_anchor_keeps_the_conditions_that_it_was_given(installation: Installation) -> None:
    added = installation.json(
        *("trust", "add", MAKER_ROOT, "--purpose", "auth-ca", "--name", "maker"),
        *("--pattern", "serialNumber=SN-*", "--pattern", "CN=pump-?"),
        *("--profile", "bootstrap", "--manufacturer", "ACME", "--policy", "2.999.1"),
    )

    assert added["patterns"] == ["serialNumber=SN-*", "CN=pump-?"]
    assert (added["profiles"], added["manufacturer"]) == (["bootstrap"], "ACME")
    assert (added["policies"], added["shared"]) == (["2.999.1"], False)


def test_set_changes_what_was_said_and_no_more(installation: Installation) -> None:
    before = installation.json(
        "trust", "add", MAKER_ROOT, "--purpose", "auth-ca", "--name", "maker"
    )

    after = installation.json("trust", "set", "maker", "blocked=true", "patterns=CN=a*,CN=b*")

    assert after == {**before, "blocked": True, "patterns": ["CN=a*", "CN=b*"], "shared": False}
    assert installation.call("trust", "set", "maker").returncode == 2
    assert installation.call("trust", "set", "maker", "purpose=ra").returncode == 2


def test_intermediates_are_brought_later(installation: Installation) -> None:
    installation.run("trust", "add", MAKER_ROOT, "--purpose", "idevid", "--name", "maker")
    file = str(MAKER / "maker-intermediate.pem")

    changed = installation.json("trust", "set", "maker", "--intermediates", file)

    assert len(changed["intermediates"]) == 1


def test_an_anchor_is_removed(installation: Installation) -> None:
    installation.run("trust", "add", MAKER_ROOT, "--purpose", "idevid", "--name", "maker")

    installation.run("trust", "remove", "maker", "--yes")

    assert installation.json("trust", "list") == []


def test_who_shares_a_certificate_is_told(installation: Installation) -> None:
    done = installation.call("trust", "add", MAKER_ROOT, "--purpose", "auth-ca")

    assert "shared" in done.stderr


def test_a_certificate_is_revoked_before_it_was_shown(
    installation: Installation, chain: str
) -> None:
    installation.run("trust", "add", chain, "--purpose", "idevid")
    words = ("trust", "revoke", str(MAKER / "idevid.pem"), "--reason", "keycompromise", "--yes")

    revoked = installation.json(*words)

    assert (revoked["class"], revoked["status"]) == ("third_party", "revoked")
    assert revoked["reason"] == "keyCompromise"
    assert installation.call(*words).returncode == 4


def test_every_change_of_trust_is_in_the_audit_log(installation: Installation) -> None:
    installation.run("trust", "add", MAKER_ROOT, "--purpose", "idevid", "--name", "maker")
    installation.run("trust", "set", "maker", "blocked=true")
    installation.run("trust", "remove", "maker", "--yes")

    exported = installation.json("audit", "export")

    facts = [json.loads(each["facts"]) for each in exported if each["name"] == "policy.changed"]
    assert [each["change"] for each in facts] == ["added", "changed", "removed"]
    assert [each["blocked"] for each in facts] == [False, True, True]


def test_a_device_with_nothing_pinned_cannot_be_untied(installation: Installation) -> None:
    installation.run("device", "add", "pump-1", "--no-code")

    done = installation.call("trust", "unpin", "pump-1", "--reason", "repair", "--yes")

    assert done.returncode == 4
