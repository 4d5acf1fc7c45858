"""HTTP Digest as EST reads it: what is proper, what is fresh, and what a 401 offers."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from enroll.credentials import HTTPDigest, TLSClientCertificate
from enroll.failures import EnrollmentError, FailureReason, NotAuthenticated
from enroll.options import ESTOptions, HTTPScheme
from enroll.profiles import EnrollmentProfile
from enroll.result import Rejected
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.est.nonces import LIFETIME, Nonces
from protocols.wire import WireRequest, WireResponse
from tests.support.builders import an_enrollment_profile
from tests.support.est import digest_words
from tests.support.fakes import START
from tests.support.wire import PKCS10_HEADERS, FixedLabels, a_certificate, a_wire

KEY = bytes(32)
NOTHING: Mapping[str, str] = MappingProxyType({})
CODE = "ABCD-EFGH-IJKL-MNOP-QRST"
ALL = (HTTPScheme.DIGEST_MD5, HTTPScheme.BASIC, HTTPScheme.DIGEST_SHA_256)


def handler(**options: Any) -> ESTHandler:
    profile = an_enrollment_profile(est=ESTOptions(**options))
    labels = FixedLabels(profiles={None: profile, "operational": profile})
    return ESTHandler(labels, nonces=Nonces(KEY))


def asked(
    changes: Mapping[str, str] = NOTHING, *, words: str | None = None, nonce: str | None = None
) -> WireRequest:
    """Make a request with an answer in it, changed in single parameters or altogether."""
    made = Nonces(KEY).make(START) if nonce is None else nonce
    answer = words or digest_words("pump-1", CODE, a_wire(), nonce=made, changes=changes)
    return a_wire(headers={**PKCS10_HEADERS, "Authorization": answer})


def credential(wire: WireRequest, at: ESTHandler | None = None) -> HTTPDigest:
    exchange = (at or handler()).receive(wire)
    assert isinstance(exchange, ESTExchange)
    (found,) = exchange.request.credentials
    assert isinstance(found, HTTPDigest)
    assert exchange.authorization_shown
    assert exchange.request.origin.credentials_shown == ("http_digest",)
    return found


def challenges(answer: WireResponse) -> list[str]:
    return [value for name, value in answer.headers if name == "WWW-Authenticate"]


def a_rejection(profile: EnrollmentProfile | None = None, finding: str = "code_wrong") -> Rejected:
    return Rejected(
        reason=FailureReason.NOT_AUTHENTICATED,
        correlation_id="c0ffee",
        detail="",
        finding=finding,
        accepted=profile.initial_credentials if profile else frozenset(),
        profile=profile,
    )


def test_est_T9_an_answer_proves_the_code_and_no_other() -> None:
    found = credential(asked())

    assert (found.username, found.scheme) == ("pump-1", HTTPScheme.DIGEST_SHA_256)
    assert found.is_fresh
    assert found.is_of(CODE)
    assert not found.is_of(CODE.lower())
    assert CODE not in repr(found)
    assert found.response not in repr(found)


def test_est_T9_the_examples_of_the_rfc_are_right() -> None:
    """RFC 7616 §3.9.1."""
    exchange = (
        "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v:00000001:"
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ:auth:{}"
    )
    examples = {
        HTTPScheme.DIGEST_MD5: (
            "39aff3a2bab6126f332b942af96d3366",
            "8ca523f5e9506fed4657c9700eebdbec",
        ),
        HTTPScheme.DIGEST_SHA_256: (
            "9a3fdae9a622fe8de177c24fa9c070f2b181ec85e15dcbdc32e10c82ad450b04",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    }

    for scheme, (address, response) in examples.items():
        shown = HTTPDigest(
            username="Mufasa",
            scheme=scheme,
            realm="http-auth@example.org",
            exchange=exchange.format(address),
            response=response,
            is_fresh=True,
        )
        assert shown.is_of("Circle of Life")


def test_est_T9_a_nonce_is_answered_once() -> None:
    at, wire = handler(), asked()

    assert [credential(wire, at).is_fresh for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("nonce", "changes"),
    [
        (Nonces(KEY).make(START - LIFETIME - timedelta(seconds=1)), {}),
        (Nonces(bytes(31) + b"x").make(START), {}),
        ("made-up", {}),
        (None, {"nc": "00000002"}),
    ],
    ids=["old", "forged", "made up", "counted on"],
)
def test_est_T9_an_old_nonce_and_one_that_is_not_ours_are_not_fresh(
    nonce: str | None, changes: dict[str, str]
) -> None:
    assert not credential(asked(changes, nonce=nonce)).is_fresh


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "/.well-known/est/simplereenroll"},
        {"uri": "/.well-known/est/simpleenroll?"},
        {"qop": "auth-int"},
        {"qop": ""},
        {"realm": "another"},
        {"nc": "1"},
        {"nc": "0000000g"},
        {"cnonce": ""},
        {"cnonce": "x" * 257},
        {"cnonce": "\xe9"},
        {"response": "0" * 63},
        {"response": "G" * 64},
        {"username": ""},
        {"userhash": "true"},
        {"username*": "UTF-8''pump-1"},
        {"x" * 5_000: ""},
        {f"x{each}": "" for each in range(40)},
    ],
    ids=lambda each: next(iter(each.items()))[0][:10],
)
def test_est_T9_what_is_improper_is_a_bad_request(changes: dict[str, str]) -> None:
    with pytest.raises(EnrollmentError) as caught:
        handler().receive(asked(changes))

    assert caught.value.reason is FailureReason.MALFORMED_REQUEST
    assert caught.value.finding == "digest_improper"


@pytest.mark.parametrize(
    "words",
    [
        "Digest",
        "Digest username",
        "Digest username=",
        "Digest username=a",
        'Digest username="a" realm="b"',
        'Digest username="a",, realm="b"',
        'Digest username="a", Username="b"',
        'Digest username="a\\',
        'Digest username="a", ',
        "Digest username=a;b",
        "Digest \udcff=a",
    ],
)
def test_est_T9_what_is_no_list_of_parameters_is_a_bad_request(words: str) -> None:
    with pytest.raises(EnrollmentError) as caught:
        handler().receive(asked(words=words))

    assert caught.value.finding == "digest_improper"


@pytest.mark.parametrize("algorithm", ["SHA-256-sess", "SHA-512-256", "MD5-sess", "ROT13"])
def test_est_T9_an_algorithm_that_is_never_offered_is_no_credential(algorithm: str) -> None:
    exchange = handler().receive(asked({"algorithm": algorithm}))

    assert isinstance(exchange, ESTExchange)
    assert exchange.request.credentials == ()
    assert exchange.authorization_shown


def test_est_T9_libest_says_neither_the_algorithm_nor_qop_without_quotes() -> None:
    wire = a_wire()
    answer = digest_words(
        "pump-1", CODE, wire, nonce=Nonces(KEY).make(START), algorithm="MD5"
    ).replace(', algorithm="MD5"', "")
    found = credential(asked(words=answer))

    assert 'qop="auth"' in answer
    assert (found.scheme, found.is_of(CODE)) == (HTTPScheme.DIGEST_MD5, True)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('username="p\\"u\\\\mp"', 'p"u\\mp'),
        ('username="p\udcc3\udcbcmp"', "p\xfcmp"),
        ("username*=UTF-8''p%C3%BCmp", "p\xfcmp"),
        ("username*=utf-8'de'p%c3%bcmp", "p\xfcmp"),
    ],
)
def test_est_T9_a_user_name_is_read_whatever_is_in_it(written: str, read: str) -> None:
    words = digest_words("pump-1", CODE, a_wire(), nonce="n", algorithm="MD5")

    found = credential(asked(words=words.replace('username="pump-1"', written)))

    assert found.username == read


@pytest.mark.parametrize("written", ["pump-1", "UTF-8''%ff", "UTF-8''"])
def test_est_T9_a_user_name_that_cannot_be_read_is_a_bad_request(written: str) -> None:
    words = digest_words("pump-1", CODE, a_wire(), nonce="n", algorithm="MD5")

    with pytest.raises(EnrollmentError, match="username cannot be read"):
        handler().receive(asked(words=words.replace('="pump-1"', f'*="{written}"')))


def test_est_T9_an_address_with_scheme_and_host_is_the_same_address() -> None:
    uri = "https://est.example/.well-known/est/simpleenroll"

    assert credential(asked({"uri": uri})).is_fresh


def test_an_answer_and_a_certificate_are_both_carried() -> None:
    wire = asked()
    both = a_wire(headers=dict(wire.headers), peer_chain=(a_certificate(),))
    exchange = handler().receive(both)

    assert isinstance(exchange, ESTExchange)
    assert [type(each) for each in exchange.request.credentials] == [
        HTTPDigest,
        TLSClientCertificate,
    ]


def test_est_T9_curl_s_request_for_a_challenge_gets_one() -> None:
    at, wire = handler(), a_wire(body=b"")
    with pytest.raises(NotAuthenticated) as caught:
        at.receive(wire)

    answer = at.refuse(wire, a_rejection(finding=caught.value.finding))

    assert (answer.status, answer.body) == (401, b"")
    assert [each.partition(" ")[0] for each in challenges(answer)] == ["Basic", "Digest"]


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"http_authentication": (HTTPScheme.BASIC,)}, {}),
        ({"http_authentication": ()}, {}),
        ({}, {"Authorization": "Basic YTpi"}),
    ],
)
def test_est_H5_an_empty_request_is_a_bad_one_where_no_challenge_is_wanted(
    options: dict[str, Any], headers: dict[str, str]
) -> None:
    with pytest.raises(EnrollmentError) as caught:
        handler(**options).receive(a_wire(body=b"", headers={**PKCS10_HEADERS, **headers}))

    assert caught.value.finding == "body_empty"


def test_est_T8_the_schemes_are_offered_in_the_profile_s_order_one_a_line() -> None:
    at = handler(http_authentication=ALL)
    profile = at.labels.profile(None)

    md5, basic, sha256 = challenges(at.refuse(a_wire(), a_rejection(profile)))

    assert basic == 'Basic realm="enrollment", charset="UTF-8"'
    assert md5.startswith('Digest realm="enrollment", nonce="')
    assert md5.endswith('", qop="auth", algorithm=MD5, charset=UTF-8')
    assert sha256 == md5.replace("=MD5", "=SHA-256")


def test_est_T9_only_who_answered_an_old_challenge_is_told_that_it_was_stale() -> None:
    at = handler(http_authentication=(HTTPScheme.DIGEST_SHA_256,))
    profile = at.labels.profile(None)

    (wrong,) = challenges(at.refuse(asked(), a_rejection(profile)))
    (stale,) = challenges(at.refuse(asked(), a_rejection(profile, finding="nonce_stale")))

    assert "stale" not in wrong
    assert stale.endswith(", stale=true")


def test_est_T9_the_algorithm_has_quotes_where_the_profile_wants_them() -> None:
    at = handler(http_authentication=(HTTPScheme.DIGEST_MD5,), quote_digest_algorithm=True)

    (offered,) = challenges(at.refuse(a_wire(), a_rejection(at.labels.profile(None))))

    assert ', algorithm="MD5", ' in offered


def test_est_H13_a_profile_without_any_scheme_never_says_401() -> None:
    at = handler(http_authentication=())

    answer = at.refuse(asked(), a_rejection(at.labels.profile(None)))

    assert (answer.status, challenges(answer)) == (403, [])
