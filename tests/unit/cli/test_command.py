"""What every command makes of the words it is given, and how its help shows them."""

from __future__ import annotations

import pytest

from mar_core import MarError, UsageError
from mar_core.cli import app


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "archive",
            "Missing options --model-name, --handler and --version. See `mar archive --help`.",
        ),
        ("archive -v 1 --hand h", "Missing option '--model-name'. See `mar archive --help`."),
        ("validate", "Missing argument 'ARCHIVE...'. See `mar validate --help`."),
        ("inspect a b", "Got unexpected extra argument(s) (b). See `mar inspect --help`."),
        ("run --limit", "Option '--limit' requires an argument. See `mar run --help`."),
        (
            "run --limit x",
            "Invalid value for '--limit': it must be a valid integer. See `mar run --help`.",
        ),
        ("--foo", "No such option: --foo. See `mar --help`."),
        ("archive --mod x", "The option --mod could be --model-file, --model-name."),
    ],
)
def test_a_wrong_word_is_a_sentence(words, sentence):
    with pytest.raises(UsageError) as caught:
        app(words.split(), prog_name="mar")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "words",
    [
        "run LONG input.jsonl",
        "run LONG.mar input.jsonl",
        "inspect LONG",
        "trust LONG",
        "archive --from LONG",
        "archive --model-name m -v 1 --handler LONG.py",
        "archive --model-name LONG -v 1 --handler base_handler",
        "archive --model-name m -v 1 --handler base_handler --serialized-file LONG",
        "archive --model-name m -v 1 --handler base_handler --extra-files LONG",
    ],
)
def test_a_path_that_is_none_is_a_sentence(words):
    with pytest.raises(MarError, match="File name too long") as caught:
        app(words.replace("LONG", "x" * 300).split(), prog_name="mar")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("run", "mar run [OPTIONS] [ARCHIVE] INPUT..."),
        ("validate", "mar validate [OPTIONS] ARCHIVE..."),
        ("update", "mar update [OPTIONS] ARCHIVE"),
        ("new", "mar new [OPTIONS] [HANDLER_NAME]"),
    ],
)
def test_help_shows_words_as_they_are_typed(command, usage, capsys):
    with pytest.raises(SystemExit) as caught:
        app([command, "--help"], prog_name="mar")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert f"Usage: {usage}" in [line.strip() for line in shown.splitlines()]
    assert "<bool>" not in shown
    assert "list[" not in shown


def test_mar_alone_shows_the_help(capsys):
    with pytest.raises(SystemExit):
        app([], prog_name="mar")
    shown = capsys.readouterr()
    assert "Usage: mar [OPTIONS] COMMAND [ARGS]..." in shown.out + shown.err


def test_a_choice_that_there_is_not_is_named_without_pydantics_words():
    with pytest.raises(
        UsageError, match=r"for '--runtime': 'ruby' is not one of 'python', 'python3'"
    ):
        app(["archive", "--runtime", "ruby", *["-v", "1", "--handler", "h", "--model-name", "x"]])
