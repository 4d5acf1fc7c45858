"""The log's one line for every HTTP exchange, written past the machinery that other events take."""

import logging
import time
from json.encoder import encode_basestring_ascii as quoted

from server.observability.logging import JSONLines

PATH_CHARACTERS = 200


class ExchangeLog:
    """Writes what the rest of the log writes too, at a tenth of the cost: it is most of the lines.

    Nothing of a request is logged but its method and its path without the query.
    """

    def __init__(self, listener: str) -> None:
        self._listener = quoted(listener)
        self._logger = logging.getLogger("exchange")
        self._lines = JSONLines.configured()
        self._second = 0
        self._stamp = ""

    def served(
        self,
        correlation_id: str,
        method: str,
        path: str,
        status: int,
        peer: str,
        seconds: float,
    ) -> None:
        """Log an exchange that had an answer."""
        if self._logger.isEnabledFor(logging.INFO):
            self._write(
                f'"correlation_id": "{correlation_id}", "method": {quoted(method[:20])}, '
                f'"path": {quoted(path[:PATH_CHARACTERS])}, "status": {status}, '
                f'"peer": {quoted(peer)}, "ms": {seconds * 1000:.2f}, "event": "served"'
            )

    def refused(self, correlation_id: str, status: int, peer: str, kind: str) -> None:
        """Log what could not be read as a request. `kind` is a word of ours."""
        if self._logger.isEnabledFor(logging.INFO):
            self._write(
                f'"correlation_id": "{correlation_id}", "status": {status}, '
                f'"peer": {quoted(peer)}, "kind": {quoted(kind)}, "event": "bad HTTP"'
            )

    def _write(self, fields: str) -> None:
        line = (
            f'{{"listener": {self._listener}, {fields}, "level": "info", "logger": "exchange", '
            f'"time": "{self._now()}"}}\n'
        )
        if self._lines is not None:
            self._lines.write_line(line)
        else:
            self._logger.info("%s", line.rstrip())

    def _now(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((now - second) * 1e6):06d}Z"
