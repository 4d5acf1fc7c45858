"""Headers of proxies: whatever is in them, they are read or refused, and nothing else happens."""

from base64 import b64encode
from contextlib import suppress
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from server.http.forwarding import (
    ADDRESSES,
    FORMS,
    UnreadableHeaderError,
    decode_byte_sequences,
    decode_der_chain,
)

TEXT = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200).map(lambda octets: f":{b64encode(octets).decode()}:"),
    st.binary(max_size=200).map(lambda octets: b64encode(b"\x30\x82" + octets).decode()),
    st.binary(max_size=200).map(
        lambda octets: quote(
            f"-----BEGIN CERTIFICATE-----\n{b64encode(octets).decode()}\n-----END CERTIFICATE-----"
        )
    ),
)


def an_element(content: bytes) -> bytes:
    return b"\x30\x82" + len(content).to_bytes(2) + content


ELEMENTS = st.lists(st.binary(max_size=300).map(an_element), min_size=1, max_size=10)


@given(TEXT)
def test_security_T4_any_header_is_a_certificate_or_refused(text: str) -> None:
    for form in FORMS.values():
        with suppress(UnreadableHeaderError):
            assert form.decode(text)[0] == 0x30
        if form.decode_chain is not None:
            with suppress(UnreadableHeaderError):
                assert all(each[0] == 0x30 for each in form.decode_chain(text))


@given(ELEMENTS)
def test_security_T4_what_is_written_is_read_back(elements: list[bytes]) -> None:
    listed = ", ".join(f":{b64encode(each).decode()}:" for each in elements)

    assert decode_byte_sequences(listed) == tuple(elements)
    assert decode_der_chain(b64encode(b"".join(elements)).decode()) == tuple(elements)


@given(st.text(max_size=200))
def test_any_address_header_gives_an_address_or_none(text: str) -> None:
    for _, last in ADDRESSES.values():
        found = last(text)
        assert found is None or found
