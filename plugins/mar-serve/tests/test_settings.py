"""What a server is told, from its words, its files and a model's own configuration."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
import typer
from mar_serve import asked, command, life
from mar_serve.config import Address, ModelSource, Overrides, ServerConfig
from mar_serve.settings import settings_of
from mar_serve.slots import back_off
from typer.testing import CliRunner

from mar_core import ArchiveRequest, UsageError


def told(*words):
    """What the server is told by a command line."""
    app, found = typer.Typer(), []
    app.command()(command.serve)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(life, "run", found.append)  # it would serve
        result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return found[0]


def test_every_flag_gets_there(monkeypatch):
    flags = list(inspect.signature(command.serve).parameters)
    assert flags == [field.name for field in dataclasses.fields(asked.Asked)]
    plain = asked.Asked(archives=("a.mar",))
    given = []
    monkeypatch.setattr(asked, "Asked", lambda **found: given.append(found) or plain)
    told("a.mar")
    assert given == [dataclasses.asdict(plain)]
    assert list(given[0]) == flags


def test_the_words_of_the_command_line(tmp_path):
    config = told("a.mar", "b=store/b.mar", "--workers", "1-4", "--max-memory", "2GB")
    assert config.models == (
        ModelSource(name=None, source="a.mar"),
        ModelSource(name="b", source="store/b.mar"),
    )
    assert (config.overrides.min_workers, config.overrides.max_workers) == (1, 4)
    assert config.max_memory == 2 << 30
    assert config.inference == Address("127.0.0.1", 8080)
    assert config.management == Address("127.0.0.1", 8081)
    assert config.metrics == Address("127.0.0.1", 8082)
    config = told("--model-store", tmp_path, "--models", "all,x=y.mar")
    assert config.load_all
    assert config.models == (ModelSource(name="x", source="y.mar"),)
    config = told("a.mar", "--port", "7000", "--management-port", "7000", "--host", "::1")
    assert config.inference == config.management == Address("::1", 7000)
    config = told("--handler", "h.py", "--model-file", "m.py")
    (model,) = config.models
    assert isinstance(model.source, ArchiveRequest)
    assert model.source.model_file == Path("m.py")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to serve"),
        (("--models", "all"), "needs --model-store"),
        (("a.mar", "--model-store", "nowhere"), "is no folder"),
        (("a.mar", "--workers", "0"), "--workers must be"),
        (("a.mar", "--workers", "3-1"), "--workers must be"),
        (("a.mar", "--max-memory", "much"), "--max-memory must be"),
        (("a.mar", "--allowed-url", "("), "is no pattern"),
        (("--model-file", "m.py"), "need --handler"),
    ],
)
def test_words_that_make_no_sense(words, said):
    with pytest.raises(UsageError, match=said):
        told(*words)


def test_a_models_own_numbers_and_what_wins_over_them(caplog):
    given = {
        "minWorkers": 2,
        "maxWorkers": 5,
        "batchSize": 8,
        "maxBatchDelay": "soon",
        "responseTimeout": True,
        "deviceIds": [0, 1],
        "jobQueueSize": 7,
    }
    settings = settings_of("m", given, ServerConfig())
    assert (settings.min_workers, settings.max_workers, settings.batch_size) == (2, 5, 8)
    assert (settings.max_batch_delay, settings.response_timeout) == (100, 120)
    assert (settings.device_ids, settings.queue_size) == ([0, 1], 7)
    assert "maxBatchDelay" in caplog.text
    assert "responseTimeout" in caplog.text
    wins = (Overrides(batch_size=1, max_workers=1), Overrides(batch_size=3, queue_size=9))
    settings = settings_of("m", given, ServerConfig(), *wins)
    assert (settings.min_workers, settings.max_workers) == (1, 1)
    assert (settings.batch_size, settings.queue_size) == (3, 9)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (1, 1)),
        ({"minWorkers": 0, "maxWorkers": 2}, (0, 2)),
        ({"minWorkers": 3}, (3, 3)),
        ({"maxWorkers": 4}, (1, 4)),
        ({"minWorkers": 3, "maxWorkers": 1}, (3, 3)),
        ({"minWorkers": -1, "maxWorkers": "x"}, (1, 1)),
    ],
)
def test_how_many_workers(given, expected):
    settings = settings_of("m", given, ServerConfig())
    assert (settings.min_workers, settings.max_workers) == expected


def test_starts_back_off_as_torchserves_do():
    assert [back_off(failures) for failures in range(8)] == [0, 1, 1, 2, 3, 5, 8, 13]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.5.5.5", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_which_addresses_only_this_machine_reaches(host, expected):
    assert Address(host, 1).is_local is expected
    assert Address(path="/run/x.sock").is_local
