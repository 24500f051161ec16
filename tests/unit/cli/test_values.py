"""What typer would make of a word, made without pydantic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.main import get_command

from mar_core.cli.command import convert_plainly

GIVEN = [
    [],
    ["--text", "a"],
    ["--path", "a/../b"],
    ["--paths", "a", "--paths", "b"],
    ["--kind", "two", "--number", "7", "--share", "0.5"],
    ["words", "x.png"],
    ["--path", "a", "--", "-x"],
]


def command(plainly):
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def main(
        words: Annotated[list[Path] | None, typer.Argument()] = None,
        text: str | None = None,
        path: Path = Path("here"),
        paths: list[Path] | None = None,
        kind: Literal["one", "two"] = "one",
        number: int = 3,
        share: float | None = None,
        *,
        there: Annotated[Path | None, typer.Option(exists=True)] = None,
    ):
        return (words, text, path, paths, kind, number, share, there)

    made = get_command(app)
    for param in made.params if plainly else ():
        convert_plainly(param)
    return made


@pytest.mark.parametrize("words", GIVEN, ids=" ".join)
def test_values_are_those_that_typer_makes(words):
    ours = command(plainly=True).main(words, standalone_mode=False)
    theirs = command(plainly=False).main(words, standalone_mode=False)
    assert ours == theirs
    assert [type(value) for value in ours] == [type(value) for value in theirs]


@pytest.mark.parametrize("words", [["--number", "x"], ["--kind", "three"], ["--there", "/nowhere"]])
def test_bad_values_are_still_refused(words):
    with pytest.raises(typer.BadParameter):
        command(plainly=True).main(words, standalone_mode=False)
