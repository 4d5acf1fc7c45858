"""What REST answers: JSON, and RFC 9457 problems."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from protocols.wire import WireResponse

JSON = "application/json"
PROBLEM = "application/problem+json"
_UNSTORED = ("Cache-Control", "no-store")


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A request that is not done, and why. `code` is ours, and stays the same."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers


def answer(status: HTTPStatus, document: Mapping[str, object]) -> WireResponse:
    return WireResponse(
        status=status,
        media_type=JSON,
        body=json.dumps(document).encode("ascii") + b"\n",
        headers=(_UNSTORED,),
    )


def encode_problem(problem: Problem, correlation_id: str) -> WireResponse:
    """Write a problem; its `type` is about:blank, for `code` says more than an address would."""
    document = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": int(problem.status),
        "detail": problem.detail,
        "code": problem.code,
        "request_id": correlation_id,
    }
    return WireResponse(
        status=problem.status,
        media_type=PROBLEM,
        body=json.dumps(document).encode("ascii") + b"\n",
        headers=(_UNSTORED, *problem.headers),
    )
