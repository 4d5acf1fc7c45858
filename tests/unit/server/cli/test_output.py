"""What is printed: one JSON document for programs, lines for people, nothing that bites."""

import json

import pytest

from server.cli.output import Data, Format, show, show_all

ROWS: list[Data] = [
    {"name": "pump-1", "state": "enrolled", "note": None},
    {"name": "a much longer name", "state": "registered", "note": "x" * 300},
]


def test_json_is_one_complete_document(capsys: pytest.CaptureFixture[str]) -> None:
    show_all(ROWS, ("name",), Format.JSON)

    assert json.loads(capsys.readouterr().out) == ROWS


def test_an_empty_list_is_a_json_array_too(capsys: pytest.CaptureFixture[str]) -> None:
    show_all([], ("name",), Format.JSON)

    assert capsys.readouterr().out == "[]\n"


def test_an_empty_table_leaves_standard_output_empty(capsys: pytest.CaptureFixture[str]) -> None:
    show_all([], ("name",), Format.TEXT)

    assert capsys.readouterr() == ("", "none\n")


def test_a_row_is_a_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    show_all(ROWS, ("name", "state", "note"), Format.TEXT)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert [line.split()[-1] for line in lines] == ["note", "enrolled", "x" * 300]


def test_columns_stand_below_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    show_all([{"name": "ポンプ", "state": "x"}, *ROWS], ("name", "state"), Format.TEXT)

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "name                state",
        "ポンプ              x",
        "pump-1              enrolled",
        "a much longer name  registered",
    ]


def test_an_object_shows_its_parts_beside_their_keys(capsys: pytest.CaptureFixture[str]) -> None:
    data = {
        "name": "pump-1",
        "locked": False,
        "urls": {"est": "https://x", "api": "https://y"},
        "kinds": ["a", "b"],
        "certificates": [{"serial": "1", "profile": "bootstrap", "hidden": "h"}],
        "nothing": None,
    }

    show(data, Format.TEXT, {"certificates": ("serial", "profile")})

    assert capsys.readouterr().out.splitlines() == [
        "name          pump-1",
        "locked        false",
        "urls          est  https://x",
        "              api  https://y",
        "kinds         a, b",
        "certificates  serial  profile",
        "              1       bootstrap",
        "nothing",
    ]


@pytest.mark.parametrize("output", Format)
def test_what_a_stranger_wrote_cannot_steer_the_terminal(
    output: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "\x1b[2J\x9b31m\r\x07\u202eevil\x7f"

    show_all([{"detail": hostile, hostile: 1}], ("detail",), output)
    show({"detail": hostile, "map": {hostile: hostile}}, output)

    printed = capsys.readouterr().out
    assert "evil" in printed
    assert set(printed) - {"\n"} == {each for each in printed if each.isprintable()}
    assert printed.isascii()
