"""What comes with a call: a JSON object of known fields, or nothing."""

import json
from collections.abc import Set as AbstractSet
from http import HTTPStatus

from server.api.endpoint import Call
from server.api.problems import JSON, Problem


def read_fields(call: Call, known: AbstractSet[str]) -> dict[str, object]:
    """Read the fields of a body, none where there is none. Raises Problem."""
    body = call.wire.body
    if not body:
        return {}
    media_type = call.wire.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type != JSON:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media_type", f"expected {JSON}, or no body"
        )
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(HTTPStatus.BAD_REQUEST, "malformed", "the body is not JSON") from None
    if not isinstance(fields, dict) or not fields.keys() <= known:
        names = ", ".join(sorted(known)) or "no fields"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "unknown_field", f"known are {names}")
    return fields
