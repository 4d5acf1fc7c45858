from base64 import b64decode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given
from hypothesis import strategies as st

from enroll.credentials import SECRETS, CredentialKind, HTTPBasic
from enroll.failures import EnrollmentError, FailureReason
from enroll.result import Rejected
from protocols.est import decode, encode
from protocols.est.challenges import BASIC
from protocols.est.digest import read_parameters
from protocols.est.failures import encode_rejection
from protocols.est.handler import ESTExchange, ESTHandler
from protocols.est.messages import AnswerLayout
from protocols.wire import ProtocolViolation, WireResponse
from tests.soak.mutations import mutants
from tests.support.wire import PKCS10_HEADERS, FixedLabels, a_certificate, a_wire, basic

HANDLER = ESTHandler(FixedLabels())
LAYOUTS = st.booleans().map(lambda in_lines: AnswerLayout(in_lines=in_lines))


@given(st.binary(max_size=3_000), LAYOUTS)
def test_what_is_written_in_base64_is_read_back(octets: bytes, layout: AnswerLayout) -> None:
    written = encode.encode_base64(b"\x30" + octets, layout)

    assert decode.decode_body(written) == b"\x30" + octets
    assert all(len(line) <= 64 for line in written.split(b"\n")) or not layout.in_lines


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True), LAYOUTS)
def test_certificates_that_are_written_are_read_back(
    names: list[str], layout: AnswerLayout
) -> None:
    certificates = tuple(a_certificate(name) for name in names)

    answer = encode.encode_ca_certificates(certificates, layout).response

    found = pkcs7.load_der_pkcs7_certificates(b64decode(answer.body))
    assert {each.public_bytes(serialization.Encoding.DER) for each in found} == set(certificates)


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_any_body_is_an_enrollment_or_a_refusal(seed: int) -> None:
    for body in mutants(seed, 5):
        try:
            assert isinstance(HANDLER.receive(a_wire(body=body)), ESTExchange)
        except EnrollmentError as error:
            assert error.detail  # noqa: PT017 - either of the two outcomes will do


@given(
    path=st.text(max_size=50),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", ""]),
    authorization=st.text(max_size=50),
)
def test_any_head_is_answered_or_refused(path: str, method: str, authorization: str) -> None:
    wire = a_wire(path, method=method, headers={"Authorization": authorization})

    origin = HANDLER.origin(wire)
    try:
        answer = HANDLER.receive(wire)
    except ProtocolViolation as violation:
        answer = violation.response

    assert isinstance(answer, WireResponse)
    assert (origin.operation + (origin.profile or "")).isprintable()


@given(
    username=st.text(
        st.characters(exclude_categories=("C", "Z"), exclude_characters=":"), max_size=64
    ),
    password=st.text(st.characters(exclude_categories=("C", "Z")), max_size=64),
)
def test_basic_credentials_are_read_back(username: str, password: str) -> None:
    shown = decode.decode_basic(a_wire(headers=basic(username, password)))

    assert shown == HTTPBasic(username=username, password=password)


@given(
    reason=st.sampled_from(FailureReason),
    accepted=st.frozensets(st.sampled_from(CredentialKind)),
    field=st.none() | st.text(),
    retry_after=st.none() | st.integers(),
    shown=st.booleans(),
    correlation_id=st.text(),
)
def test_every_rejection_has_an_answer_that_http_can_carry(
    *,
    reason: FailureReason,
    accepted: frozenset[CredentialKind],
    field: str | None,
    retry_after: int | None,
    shown: bool,
    correlation_id: str,
) -> None:
    rejected = Rejected(
        reason=reason,
        correlation_id=correlation_id,
        detail="detail",
        finding="finding",
        field=field,
        accepted=accepted,
        retry_after=retry_after,
    )

    answer = encode_rejection(rejected, authorization_shown=shown, challenges=lambda: (BASIC,))

    headers = dict(answer.headers)
    assert 400 <= answer.status < 600
    assert (answer.status == 401) == ("WWW-Authenticate" in headers)
    assert (answer.status in {429, 503}) == headers.get("Retry-After", "").isdigit()
    assert answer.status != 401 or accepted & SECRETS
    assert answer.body == b"" if answer.status == 401 else answer.body.count(b"\n") == 1


TOKENS = st.text(alphabet="!#$%&'*+.^_`|~09AZaz-", min_size=1, max_size=20)
QUOTED = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t"), max_size=40
)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(st.tuples(TOKENS, st.one_of(TOKENS, QUOTED)), min_size=1, max_size=20).filter(
        lambda pairs: len({name.lower() for name, _ in pairs}) == len(pairs)
    ),
    st.sampled_from([",", ", ", " ,\t"]),
)
def test_est_T9_any_parameters_that_are_written_are_read_back(
    pairs: list[tuple[str, str]], between: str
) -> None:
    written = between.join(f"{name}={_quoted(value)}" for name, value in pairs)

    assert read_parameters(written) == {name.lower(): value for name, value in pairs}


@given(st.text(max_size=300))
def test_est_T9_any_authorization_is_a_credential_none_or_malformed(words: str) -> None:
    wire = a_wire(headers={**PKCS10_HEADERS, "Authorization": f"Digest {words}"})

    try:
        exchange = HANDLER.receive(wire)
    except EnrollmentError as error:
        assert error.finding == "digest_improper"  # noqa: PT017 - either way is right
    else:
        assert isinstance(exchange, ESTExchange)
