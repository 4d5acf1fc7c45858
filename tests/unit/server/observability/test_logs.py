"""The log: one JSON object a line, without secrets, whoever writes it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from server.observability.exchange_log import ExchangeLog
from server.observability.logging import LONGEST, JSONLines, configure_logging


class Log:
    """What was written, line by line."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging("info")
    yield Log(stream)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def serve(exchanges: ExchangeLog, path: str = "/x", method: str = "GET") -> None:
    exchanges.served("0123456789abcdef", method, path, 200, "192.0.2.1", 0.00123)


def test_an_exchange_is_one_line_with_all_that_an_operator_asks_for(log: Log) -> None:
    serve(ExchangeLog("https"), "/.well-known/est/cacerts")

    (line,) = log.lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "correlation_id": "0123456789abcdef",
        "event": "served",
        "level": "info",
        "listener": "https",
        "logger": "exchange",
        "method": "GET",
        "ms": 1.23,
        "path": "/.well-known/est/cacerts",
        "peer": "192.0.2.1",
        "status": 200,
    }


@pytest.mark.parametrize("path", ['/"},{"a":"b', "/\\", "/\n{}", "/\x00\x7f", "/é\udc80\u2028"])
def test_no_path_breaks_out_of_its_line(log: Log, path: str) -> None:
    serve(ExchangeLog("https"), path, method='"\n')

    (line,) = log.lines()
    assert line["path"] == path
    assert line["method"] == '"\n'


def test_a_long_path_is_cut(log: Log) -> None:
    serve(ExchangeLog("https"), "/" + "a" * 5_000)

    (line,) = log.lines()
    assert len(line["path"]) == 200


def test_what_was_no_request_is_a_line_too(log: Log) -> None:
    ExchangeLog("http").refused("0123456789abcdef", 400, "192.0.2.1", "BadHttpMessage")

    (line,) = log.lines()
    assert (line["event"], line["status"], line["kind"]) == ("bad HTTP", 400, "BadHttpMessage")


def test_exchanges_are_not_logged_where_less_is_wanted(log: Log) -> None:
    exchanges = ExchangeLog("https")
    logging.getLogger().setLevel("WARNING")

    serve(exchanges)

    assert log.lines() == []


def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, f"No space left for {len(text)} characters")

    lines = JSONLines(Full())

    lines.write_line("{}\n")


def test_an_event_is_one_line_of_the_same_kind(log: Log) -> None:
    structlog.get_logger("enrollment").info("refused", reason="not_authenticated", finding="x\ny")

    (line,) = log.lines()
    assert (line["event"], line["level"], line["logger"]) == ("refused", "info", "enrollment")
    assert line["finding"] == "x\ny"


def test_a_record_of_a_library_is_one_line_of_the_same_kind(log: Log) -> None:
    logging.getLogger("asyncio").error("it %s", "broke")

    (line,) = log.lines()
    assert (line["event"], line["level"], line["logger"]) == ("it broke", "error", "asyncio")


@pytest.mark.parametrize(
    "name", ["password", "authorization", "code", "secret", "challenge", "key"]
)
def test_security_S19_what_is_named_like_a_secret_is_not_logged(log: Log, name: str) -> None:
    structlog.get_logger("x").info("event", **{name: "hunter2"})

    (line,) = log.lines()
    assert line[name] == "[not logged]"


def test_long_values_are_cut(log: Log) -> None:
    structlog.get_logger("x").info("event", detail="a" * 5_000)

    (line,) = log.lines()
    assert len(line["detail"]) <= LONGEST + 1


def test_an_exception_is_told_without_the_values_of_variables(log: Log) -> None:
    def fails() -> None:
        secret = "hunter" + str(2)
        raise RuntimeError("broken") from ValueError(len(secret))

    try:
        fails()
    except RuntimeError:
        structlog.get_logger("x").exception("event")

    (line,) = log.lines()
    assert "RuntimeError: broken" in line["exception"]
    assert "hunter2" not in json.dumps(line)
