"""Archives made from real git repositories say which."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HANDLER = "def handle(data, context):\n    return [1 for _ in data or []]\n"


def git(folder, *words):
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def mar(folder, *words, **variables):
    return subprocess.run(
        [sys.executable, "-m", "mar_core", *map(str, words)],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def archive(folder, **variables):
    return mar(
        folder,
        *("archive", "--model-name", "m", "--version", "1", "--handler", "sub/handler.py"),
        *("--config-file", "model-config.yaml", "--force"),
        **variables,
    )


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "handler.py").write_text(HANDLER)
    (tmp_path / "model-config.yaml").write_text("batchSize: 2\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", "https://me:secret@example.org/team/models.git")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def read(folder):
    done = mar(folder, "provenance", "m.mar", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_archive_says_its_commit(repository):
    done = archive(repository, MAR_PROVENANCE="1")
    assert done.returncode == 0, done.stderr
    data = read(repository)
    assert data["repositories"] == [
        {
            "url": "https://example.org/team/models.git",
            "commit": git(repository, "rev-parse", "HEAD"),
            "files": ["model-config.yaml", "sub/handler.py"],
            "changed": [],
        }
    ]
    assert {"python", "mar-core", "torch"} <= set(data["packages"])
    shown = mar(repository, "provenance", "m.mar").stdout
    assert "https://example.org/team/models.git at " in shown


def test_a_changed_file_is_said(repository):
    (repository / "sub" / "handler.py").write_text(HANDLER + "\n# more\n")
    archive(repository, MAR_PROVENANCE="1")
    (found,) = read(repository)["repositories"]
    assert found["changed"] == ["sub/handler.py"]
    assert (
        "sub/handler.py  (differs from the commit)" in mar(repository, "provenance", "m.mar").stdout
    )


def test_a_checksum_lies_beside_it(repository):
    archive(repository, MAR_PROVENANCE="1")
    checked = subprocess.run(
        ["sha256sum", "-c", "m.mar.sha256"], cwd=repository, capture_output=True, check=False
    )
    assert checked.returncode == 0


def test_the_same_commit_gives_the_same_bytes(repository):
    archive(repository, MAR_PROVENANCE="1")
    first = (repository / "m.mar").read_bytes()
    archive(repository, MAR_PROVENANCE="1")
    assert (repository / "m.mar").read_bytes() == first


def test_nothing_happens_unasked(repository):
    archive(repository)
    assert not (repository / "m.mar.sha256").exists()
    done = mar(repository, "provenance", "m.mar")
    assert done.returncode == 2
    assert "does not say where it comes from" in done.stderr


def test_files_outside_git_have_no_commit(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "handler.py").write_text(HANDLER)
    (tmp_path / "model-config.yaml").write_text("batchSize: 2\n")
    done = archive(tmp_path, MAR_PROVENANCE="1", GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert done.returncode == 0, done.stderr
    assert read(tmp_path)["repositories"] == []


def test_it_works_without_git(repository):
    nowhere = repository / "empty"
    nowhere.mkdir()
    done = archive(repository, MAR_PROVENANCE="1", PATH=str(nowhere))
    assert done.returncode == 0, done.stderr
    assert read(repository)["repositories"] == []
