"""The hooks around making and checking an archive."""

from __future__ import annotations

import pytest

import mar_core
from mar_core import ArchiveError, ExtraFile, Finding, ValidationError, hookimpl
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
