"""Where TLS records begin and end in what a connection receives, told by their headers alone."""

HEADER = 5
"""Octets of a record's header; the last two are the length of what follows (RFC 8446 §5.1)."""


class RecordFollower:
    """Follows the records of one connection by their lengths."""

    __slots__ = ("_following", "_missing")

    def __init__(self) -> None:
        self._following = True
        self._missing = 0

    def is_one(self, buffer: memoryview, nbytes: int) -> bool:
        """Tell whether exactly one record came, whole."""
        if not self._following:
            return False
        at, records, whole = self._missing, 0, self._missing == 0
        while at + HEADER <= nbytes:
            at += HEADER + (buffer[at + 3] << 8) + buffer[at + 4]
            records += 1
        self._missing = at - nbytes
        # A header that came in two parts: from here on OpenSSL alone knows where records begin.
        self._following = self._missing >= 0
        return whole and records == 1 and self._missing == 0
