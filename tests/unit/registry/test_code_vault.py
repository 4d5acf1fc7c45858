"""The vault of one-time codes: digests that nobody can make or read without the registry's key."""

import hashlib
import hmac

import pytest
from cryptography.exceptions import InvalidTag

from enroll.credentials import new_one_time_code
from registry.code_vault import MASTER_OCTETS, NONCE_OCTETS, RegistrySecrets
from tests.support.fakes import SeededRandomness

MASTER = bytes(range(MASTER_OCTETS))
CODE = "ABCD-EFGH-IJKL-MNOP-QRST"


@pytest.fixture
def vault() -> RegistrySecrets:
    return RegistrySecrets(MASTER)


@pytest.mark.parametrize("length", [0, 16, MASTER_OCTETS - 1, MASTER_OCTETS + 1, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 octets"):
        RegistrySecrets(bytes(length))


def test_a_wrapped_code_is_bound_to_its_id(vault: RegistrySecrets) -> None:
    wrapped = vault.wrap("code-1", CODE)

    with pytest.raises(InvalidTag):
        vault.unwrap("code-2", wrapped)


def test_a_wrapped_code_opens_with_no_other_key(vault: RegistrySecrets) -> None:
    wrapped = vault.wrap("code-1", CODE)

    with pytest.raises(InvalidTag):
        RegistrySecrets(MASTER[::-1]).unwrap("code-1", wrapped)


@pytest.mark.parametrize("octet", [0, NONCE_OCTETS - 1, NONCE_OCTETS, -1])
def test_a_wrapped_code_that_was_changed_does_not_open(vault: RegistrySecrets, octet: int) -> None:
    wrapped = bytearray(vault.wrap("code-1", CODE))
    wrapped[octet] ^= 1

    with pytest.raises(InvalidTag):
        vault.unwrap("code-1", bytes(wrapped))


@pytest.mark.parametrize("length", [0, 1, NONCE_OCTETS, NONCE_OCTETS + 15])
def test_a_wrapped_code_that_was_cut_does_not_open(vault: RegistrySecrets, length: int) -> None:
    with pytest.raises((InvalidTag, ValueError)):
        vault.unwrap("code-1", vault.wrap("code-1", CODE)[:length])


@pytest.mark.parametrize(
    "other", ["ABCD-EFGH-IJKL-MNOP-QRSU", "ABCD-EFGH-IJKL-MNOP", "", "ABCD_EFGH_IJKL_MNOP_QRST"]
)
def test_another_code_has_another_digest(vault: RegistrySecrets, other: str) -> None:
    assert vault.digest(other) != vault.digest(CODE)


def test_the_digest_of_a_code_is_of_this_registry_alone(vault: RegistrySecrets) -> None:
    others = RegistrySecrets(MASTER[::-1])

    assert vault.digest(CODE) != others.digest(CODE)
    assert vault.digest(CODE) != hashlib.sha256(CODE.encode()).digest()
    assert vault.digest(CODE) != hmac.digest(MASTER, CODE.encode(), "sha256")


def test_secrets_of_different_purposes_have_different_digests(vault: RegistrySecrets) -> None:
    same = CODE.replace("-", "")

    assert vault.digest(same) != vault.access_digest(same)
    assert vault.seal_key not in {MASTER, vault.digest(same), vault.access_digest(same)}


@pytest.mark.parametrize(
    "typed",
    [
        "abcd-efgh-ijkl-mnop-qrst",
        "ABCDEFGHIJKLMNOPQRST",
        "abcdefgh ijkl-mnop-qrst",
        " ABCD EFGH IJKL MNOP QRST ",
    ],
)
def test_a_code_may_be_typed_without_hyphens_and_in_any_case(
    vault: RegistrySecrets, typed: str
) -> None:
    assert vault.digest(typed) == vault.digest(CODE)


@pytest.mark.parametrize("text", ["\x00", "Straße", "\u0130", "💧" * 1_000, "\ud800", "%00"])
def test_whatever_is_shown_as_a_code_has_a_digest(vault: RegistrySecrets, text: str) -> None:
    assert len(vault.digest(text)) == 32


def test_an_access_key_is_taken_as_it_is_written(vault: RegistrySecrets) -> None:
    assert vault.access_digest("Secret-1") != vault.access_digest("secret1")
    assert vault.access_digest("Secret-1") == RegistrySecrets(MASTER).access_digest("Secret-1")


def test_a_wrapped_code_opens_again(vault: RegistrySecrets) -> None:
    code = new_one_time_code(SeededRandomness().octets(13))

    wrapped = vault.wrap("code-1", code)

    assert RegistrySecrets(MASTER).unwrap("code-1", wrapped) == code
    assert code.encode() not in wrapped


def test_a_code_is_never_wrapped_the_same_way_twice(vault: RegistrySecrets) -> None:
    assert vault.wrap("code-1", CODE) != vault.wrap("code-1", CODE)
