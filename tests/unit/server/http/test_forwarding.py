"""What proxies write of their clients, read in each form; the RFC's own example first."""

import time
from base64 import b64encode
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.http.forwarding import (
    LARGEST_CERTIFICATE,
    UnreadableHeaderError,
    decode_byte_sequence,
    decode_byte_sequences,
    decode_der,
    decode_der_chain,
    decode_escaped_pem,
    last_forwarded_for,
    last_x_forwarded_for,
)
from tests.support.wire import a_certificate

LEAF, ABOVE = a_certificate("pump-1"), a_certificate("issuing")
PEM = x509.load_der_x509_certificate(LEAF).public_bytes(Encoding.PEM).decode()
RFC_9440_EXAMPLE = (
    ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMM"
    "EkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkw"
    "EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M"
    "6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAO"
    "BgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoG"
    "CCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk"
    "0wmuydBVoU4hBVZ1yhk=:"
)


def encoded(der: bytes) -> str:
    return b64encode(der).decode()


def test_security_T4_the_example_of_rfc_9440_is_read() -> None:
    found = x509.load_der_x509_certificate(decode_byte_sequence(RFC_9440_EXAMPLE))

    assert found.subject.rfc4514_string() == "CN=BC"


def test_each_form_gives_the_certificate() -> None:
    assert decode_byte_sequence(f":{encoded(LEAF)}:") == LEAF
    assert decode_byte_sequence(f":{encoded(LEAF).rstrip('=')}:") == LEAF
    assert decode_escaped_pem(quote(PEM)) == LEAF
    assert decode_der(encoded(LEAF)) == LEAF


def test_each_chain_gives_its_certificates_in_order() -> None:
    written = f":{encoded(LEAF)}:, :{encoded(ABOVE)}:"

    assert decode_byte_sequences(written) == (LEAF, ABOVE)
    assert decode_der_chain(encoded(LEAF + ABOVE)) == (LEAF, ABOVE)


BAD_SEQUENCES = {
    "empty": "",
    "nothing inside": "::",
    "no colons": encoded(LEAF),
    "half a colon": f":{encoded(LEAF)}",
    "with parameters": f":{encoded(LEAF)}:;a=1",
    "two": f":{encoded(LEAF)}::{encoded(LEAF)}:",
    "a line break": f":{encoded(LEAF)[:9]}\n{encoded(LEAF)[9:]}:",
    "another alphabet": f":{encoded(LEAF).replace('+', '-')}_:",
    "padding in between": f":{encoded(LEAF)[:8]}=={encoded(LEAF)[8:]}:",
    "not DER": f":{encoded(b'certificate')}:",
    "more than one": f":{encoded(LEAF + LEAF)}:",
    "cut": f":{encoded(LEAF[:-1])}:",
    "indefinite length": f":{encoded(bytes([0x30, 0x80]) + LEAF[4:])}:",
    "huge length": f":{encoded(bytes([0x30, 0x84, 1, 0, 0, 0]) + LEAF)}:",
    "a letter": f":{encoded(b'0')}:",
    "not ASCII": ":\xe9:",
}


@pytest.mark.parametrize("text", BAD_SEQUENCES.values(), ids=BAD_SEQUENCES)
def test_security_T4_what_is_no_byte_sequence_of_a_certificate_is_refused(text: str) -> None:
    with pytest.raises(UnreadableHeaderError):
        decode_byte_sequence(text)


@pytest.mark.parametrize(
    "text",
    [
        f":{encoded(LEAF)}:,",
        f":{encoded(LEAF)}:,,:{encoded(LEAF)}:",
        ",".join([f":{encoded(LEAF)}:"] * 11),
        f"(:{encoded(LEAF)}:)",
    ],
    ids=["trailing comma", "empty member", "too many", "inner list"],
)
def test_security_T4_what_is_no_list_of_byte_sequences_is_refused(text: str) -> None:
    with pytest.raises(UnreadableHeaderError):
        decode_byte_sequences(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%",
        quote("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        quote(PEM + PEM),
        quote(PEM.replace("CERTIFICATE", "PRIVATE KEY")),
        quote(PEM.replace("END", "DNE")),
        quote("prefix" + PEM),
        quote(PEM.replace("M", "!", 1)),
    ],
    ids=["empty", "percent", "nothing", "two", "a key", "no end", "prefix", "no base64"],
)
def test_security_T4_what_is_no_escaped_certificate_is_refused(text: str) -> None:
    with pytest.raises(UnreadableHeaderError):
        decode_escaped_pem(text)


@pytest.mark.parametrize(
    "octets",
    [LEAF + b"\0", LEAF[:-1], b"", b"\x30", LEAF * 12],
    ids=["more", "cut", "empty", "a letter", "too many"],
)
def test_security_T4_what_is_no_chain_in_der_is_refused_or_empty(octets: bytes) -> None:
    if not octets:
        assert decode_der_chain("") == ()
        return
    with pytest.raises(UnreadableHeaderError):
        decode_der_chain(encoded(octets))


def test_a_certificate_beyond_all_size_is_refused() -> None:
    length = LARGEST_CERTIFICATE
    huge = bytes([0x30, 0x82]) + length.to_bytes(2) + bytes(length)

    with pytest.raises(UnreadableHeaderError):
        decode_der(encoded(huge))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("203.0.113.9,192.0.2.7:4711", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("unix:", None),
        ("unknown", None),
        ("", None),
        ("192.0.2.7,", None),
        ("192.0.2.7, 300.1.1.1", None),
    ],
)
def test_the_nearest_proxy_wrote_the_last_address(text: str, address: str | None) -> None:
    assert last_x_forwarded_for(text) == address


def test_security_T5_a_long_header_takes_no_long_time() -> None:
    hostile = ['"\\' * 8_000, '"' * 16_001, ";for=" * 3_000, '"a,' * 5_000, ",\\" * 8_000]

    begun = time.process_time()
    assert [last_forwarded_for(each) for each in hostile] == [None] * len(hostile)

    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("for=192.0.2.7", "192.0.2.7"),
        ("For=203.0.113.9;proto=http, for=192.0.2.7;by=203.0.113.43", "192.0.2.7"),
        ('for="[2001:db8::1]:4711"', "2001:db8::1"),
        ('proto=https;for="192.0.2.7:80"', "192.0.2.7"),
        ('for=203.0.113.9, by="a, for=203.0.113.9";for=192.0.2.7', "192.0.2.7"),
        ("for=_hidden", None),
        ("by=203.0.113.43", None),
        ('by="for=192.0.2.7"', None),
        ('by="x;for=203.0.113.9;y";for=192.0.2.7', "192.0.2.7"),
        ('by="x;for=203.0.113.9;y"', None),
        ('for="203.0.113.9, for=192.0.2.7', None),
        ('"' * 7 + "for=192.0.2.7", None),
        ("", None),
    ],
)
def test_the_last_element_of_forwarded_counts(text: str, address: str | None) -> None:
    assert last_forwarded_for(text) == address
