"""A line of plain text: what a protocol says where it has no message of its own."""

from protocols.wire import WireResponse

PLAIN_TEXT = "text/plain; charset=utf-8"
_CHARACTERS = 64


def text_answer(
    status: int,
    sentence: str,
    correlation_id: str,
    headers: tuple[tuple[str, str], ...] = (),
    *,
    close: bool = False,
) -> WireResponse:
    """Write one line that ends in the correlation id."""
    line = f"{sentence} Correlation id: {printable(correlation_id)}\n"
    return WireResponse(
        status=status, media_type=PLAIN_TEXT, body=line.encode(), headers=headers, close=close
    )


def printable(text: str) -> str:
    """Keep what is printable ASCII: the answer stays one line whatever went into it."""
    return "".join(each for each in text if " " <= each <= "~")[:_CHARACTERS]
