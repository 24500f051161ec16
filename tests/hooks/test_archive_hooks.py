"""The hooks around making and checking an archive."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

import mar_core
from mar_core import ArchiveError, ExtraFile, Finding, Imported, ValidationError, hookimpl
from mar_core.checks.validation import validate
from mar_core.testing import make_archive, plugin

HANDLER = "def handle(data, context):\n    return [row['data'] for row in data or []]\n"


@pytest.fixture
def sources(tmp_path):
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    return {"handler": handler, "model_name": "echo"}


def test_hook_mar_collect_files(tmp_path, sources):
    class Adds:
        @hookimpl
        def mar_collect_files(self, request):
            return [ExtraFile(name="docs/NAME", content=request.model_name.encode())]

    with plugin(Adds()):
        path = make_archive(tmp_path, **sources)
    with mar_core.open_archive(path) as archive:
        assert archive.read("docs/NAME") == b"echo"


def test_hook_mar_collect_files_may_not_take_a_place(tmp_path, sources):
    class Clashes:
        @hookimpl
        def mar_collect_files(self):
            return [ExtraFile(name="handler.py", content=b"other")]

    with plugin(Clashes()), pytest.raises(mar_core.UsageError, match="the plugin Clashes"):
        make_archive(tmp_path, **sources)
    assert not (tmp_path / "echo.mar").exists()


def test_hook_mar_collect_files_that_raises_stops_the_archive(tmp_path, sources):
    class Raises:
        @hookimpl
        def mar_collect_files(self):
            raise RuntimeError("no network")

    with plugin(Raises()), pytest.raises(ArchiveError, match=r"Raises.*no network"):
        make_archive(tmp_path, **sources)
    assert not (tmp_path / "echo.mar").exists()


class Licence:
    @hookimpl
    def mar_validate_archive(self, archive):
        if "LICENSE" not in archive.members:
            yield Finding(code="ACME-001", message="There is no LICENSE.", member="LICENSE")


def test_hook_mar_validate_archive(tmp_path, sources):
    path = make_archive(tmp_path, **sources)
    with mar_core.open_archive(path) as archive:
        with plugin(Licence()):
            found = [finding for finding in validate(archive) if finding.code == "ACME-001"]
        assert [(f.plugin, f.member) for f in found] == [("Licence", "LICENSE")]
        assert not [finding for finding in validate(archive) if finding.code == "ACME-001"]


def test_hook_mar_validate_archive_refuses_before_anything_is_written(tmp_path, sources):
    with plugin(Licence()), pytest.raises(ValidationError, match="ACME-001"):
        make_archive(tmp_path, **sources)
    assert not (tmp_path / "echo.mar").exists()


def test_hook_mar_validate_archive_refuses_before_anything_is_run(tmp_path, sources):
    sources["handler"].write_text(f"raise SystemExit('imported')\n{HANDLER}")
    path = make_archive(tmp_path, **sources)
    with plugin(Licence()), pytest.raises(ValidationError, match="ACME-001"):
        mar_core.load(path)


@pytest.mark.parametrize(
    ("error", "words"),
    [(RuntimeError("out of order"), "out of order"), (SystemExit(0), "sys.exit")],
    ids=["raises", "exits"],
)
def test_hook_mar_validate_archive_that_crashes_is_a_finding(tmp_path, sources, error, words):
    class Crashes:
        @hookimpl
        def mar_validate_archive(self, archive):
            raise error

    path = make_archive(tmp_path, **sources)
    with mar_core.open_archive(path) as archive, plugin(Crashes()), plugin(Licence()):
        found = {finding.code: finding for finding in validate(archive)}
    assert found["MAR-X001"].plugin == "Crashes"
    assert words in found["MAR-X001"].message
    assert "ACME-001" in found, "one plugin's crash must not hide another's finding"


@pytest.mark.parametrize("result", ["a sentence", 3, [None], [{"code": "ACME-001"}]], ids=str)
def test_hook_mar_validate_archive_that_returns_no_findings_is_one(tmp_path, sources, result):
    class Wrong:
        @hookimpl
        def mar_validate_archive(self, archive):
            return result

    path = make_archive(tmp_path, **sources)
    with mar_core.open_archive(path) as archive, plugin(Wrong()):
        (finding,) = validate(archive)
    assert (finding.code, finding.plugin) == ("MAR-X002", "Wrong")


def test_hook_mar_archive_written(tmp_path, sources):
    seen = []

    class Notes:
        @hookimpl
        def mar_archive_written(self, path, manifest):
            with mar_core.open_archive(path) as archive:
                seen.append((path, archive.manifest == manifest))

    with plugin(Notes()):
        path = make_archive(tmp_path, **sources)
    assert seen == [(path, True)]


def test_hook_mar_archive_written_that_raises_is_logged(tmp_path, sources, caplog):
    class Raises:
        @hookimpl
        def mar_archive_written(self, path):
            raise OSError("disk full")

    with plugin(Raises()):
        path = make_archive(tmp_path, **sources)
    assert path.exists()
    assert "The plugin Raises failed in mar_archive_written: OSError: disk full." in caplog.text


def test_hook_mar_explain_config(tmp_path):
    from mar_core.reports.doctor import explain_config

    class Explains:
        @hookimpl
        def mar_explain_config(self, path):
            return [("key", f"Read from {path.name}.", True), ("other", "Does nothing.", False)]

    path = tmp_path / "server.conf"
    path.write_text("key=1")
    with pytest.raises(mar_core.UsageError, match=r"knows what server\.conf is"):
        explain_config(path)
    with plugin(Explains()):
        section = explain_config(path)
    assert [str(check) for check in section.checks] == [
        "key: Read from server.conf.", "other: Does nothing.",
    ]  # fmt: skip
    assert [check.state.value for check in section.checks] == ["ok", "warning"]


def test_hook_mar_explain_config_that_raises_is_named(tmp_path):
    from mar_core.reports.doctor import explain_config

    class Raises:
        @hookimpl
        def mar_explain_config(self):
            raise RuntimeError("no")

    (tmp_path / "server.conf").touch()
    with plugin(Raises()), pytest.raises(mar_core.UsageError, match="plugin Raises failed"):
        explain_config(tmp_path / "server.conf")


class Acme:
    """An importer for folders with an ``acme.json``."""

    @hookimpl
    def mar_register_importers(self, register):
        register("a model of Acme: acme.json")

    @hookimpl
    def mar_import(self, source, request, folder):
        if not (source / "acme.json").is_file():
            return None
        config = folder / "model-config.yaml"
        config.write_text("batchSize: 2\nhandler: {task: guess, top: 1}\n")
        request = dataclasses.replace(
            request,
            handler=str(source / "serve.py"),
            version="3.1",
            extra_files=(source / "acme.json",),
            config_file=config,
        )
        return Imported(what="a model of Acme", request=request, reasons=("acme.json is there",))


@pytest.fixture
def acme(tmp_path):
    source = tmp_path / "émile s model!"
    source.mkdir()
    (source / "acme.json").write_text("{}")
    (source / "serve.py").write_text(HANDLER)
    return source


def test_hook_mar_import(tmp_path, acme):
    with plugin(Acme()):
        path = mar_core.archive(source=acme, export_path=tmp_path)
    assert path == tmp_path / "emile_s_model_.mar"
    with mar_core.open_archive(path) as archive:
        assert archive.manifest.handler == "serve.py"
        assert archive.manifest.model_version == "3.1"
        assert set(archive.members) == {
            "serve.py", "acme.json", "model-config.yaml", "MAR-INF/MANIFEST.json",
        }  # fmt: skip


def test_hook_mar_import_comes_after_what_the_user_says(tmp_path, acme):
    mine = tmp_path / "mine.yaml"
    mine.write_text("batchSize: 8\nhandler: {top: 5}\n")
    other = tmp_path / "other.py"
    other.write_text(HANDLER)
    with plugin(Acme()):
        path = mar_core.archive(
            "mine",
            handler=other,
            version="9",
            source=acme,
            config_file=mine,
            extra_files=other,
            export_path=tmp_path,
        )
    with mar_core.open_archive(path) as archive:
        told = archive.manifest
        config = yaml.safe_load(archive.read("mine.yaml"))
        assert {"other.py", "acme.json"} < set(archive.members)
    assert (told.model_name, told.model_version, told.handler) == ("mine", "9", "other.py")
    assert config == {"batchSize": 8, "handler": {"task": "guess", "top": 5}}


def test_hook_mar_import_that_raises_is_named(tmp_path, acme):
    class Raises:
        @hookimpl
        def mar_import(self, source):
            raise KeyError("architectures")

    with plugin(Raises()), pytest.raises(ArchiveError, match=r"Raises failed.*architectures"):
        mar_core.archive(source=acme, export_path=tmp_path)


@pytest.mark.parametrize("answer", ["transformers", Imported(what="x", request=None)], ids=str)
def test_hook_mar_import_that_returns_something_else_is_an_error(tmp_path, acme, answer):
    class Wrong:
        @hookimpl
        def mar_import(self):
            return answer

    with plugin(Wrong()), pytest.raises(mar_core.PluginError, match="mar_import"):
        mar_core.archive(source=acme, export_path=tmp_path)


def test_hook_mar_register_importers(tmp_path):
    (tmp_path / "empty").mkdir()
    with plugin(Acme()), pytest.raises(mar_core.UsageError) as caught:
        mar_core.archive(source=tmp_path / "empty", export_path=tmp_path)
    assert "a model of Acme: acme.json (Acme)" in str(caught.value)
    assert "(mar-importers)" in str(caught.value)
