"""Whatever happens while an archive is written: the old one or the whole new one, nothing else."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import packs
import pytest
from packs import COMMAND, archive_words, mar, model_folder

from mar_core import open_archive

MIB = 1 << 20
SUPPORT = str(Path(packs.__file__).parent)
OUTPUTS = {"default": "model.mar", "tgz": "model.tar.gz", "no-archive": "model"}
# Makes the archiver wait at the moment that is named, so that a test can act in the meantime.
SLOWLY = """
import sys, time
from mar_core.format import digests
write = digests.write_at
def slow(*words):
    print("copying", flush=True)
    time.sleep(0.02)
    return write(*words)
digests.write_at = slow
read = digests.HashingReader.read
def slow_read(*words):
    print("copying", flush=True)
    time.sleep(0.02)
    return read(*words)
digests.HashingReader.read = slow_read
from mar_core.cli import main
main()
"""


@pytest.fixture
def folder(tmp_path):
    return model_folder(tmp_path, size=12 * MIB)


def start(*words, cwd, code=None, **options):
    command = [sys.executable, "-c", code] if code else COMMAND
    return subprocess.Popen(
        [*command, *words], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        **options,
    )  # fmt: skip


def whole(path):
    """The digest of an archive whose every member has been read and is right."""
    with open_archive(path) as archive:
        for name in archive.members:
            with archive.open(name) as stream:
                while stream.read(MIB):
                    pass
        return archive.manifest.digest


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("archive_format", OUTPUTS)
def test_signals_leave_nothing(folder, archive_format, number):
    before = names(folder)
    words = archive_words("--archive-format", archive_format)
    process = start(*words, cwd=folder, code=SLOWLY)
    assert process.stdout.readline() == "copying\n"
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number, errors
    assert "Traceback" not in errors
    assert names(folder) == before


@pytest.mark.parametrize("archive_format", OUTPUTS)
def test_a_full_disk_leaves_nothing(folder, archive_format):
    mar(*archive_words("--archive-format", archive_format), cwd=folder)
    old = whole(folder / OUTPUTS[archive_format])
    os.truncate(folder / "weights.safetensors", 0)
    from packs import weights

    weights(folder / "weights.safetensors", 32 * MIB)
    random_bytes = random.Random(0).randbytes(16 * MIB)
    with (folder / "weights.safetensors").open("r+b") as stream:
        stream.seek(MIB)
        stream.write(random_bytes)
    before = names(folder)
    limit = 8 * MIB
    process = start(
        *archive_words("-f", "--archive-format", archive_format), cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith(
        f"mar: error: {OUTPUTS[archive_format]} was not written: File too large."
    )
    assert "bytes; " in errors
    assert "free there" in errors
    assert names(folder) == before
    assert whole(folder / OUTPUTS[archive_format]) == old


def test_a_small_file_system(folder, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("not allowed to mount a file system")
    try:
        done = mar(*archive_words("--export-path", str(small)), cwd=folder, code=2)
        assert "No space left on device. It needs about 12," in done.stderr
        assert names(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_file_system_without_unnamed_files(folder, monkeypatch):
    """Where O_TMPFILE is not to be had, a named file beside the target takes its part."""
    from mar_core import archive
    from mar_core.format import atomic

    monkeypatch.setattr(atomic, "_open_unnamed", lambda _: None)
    flags = {"handler": folder / "handler.py", "version": "1", "export_path": folder}
    before = names(folder)
    made = archive("m", **flags)
    whole(made)
    with pytest.raises(atomic.ArchiveError, match="exists already"):
        archive("m", **flags)
    archive("m", **flags, force=True)
    assert names(folder) == sorted([*before, "m.mar"])


@pytest.mark.parametrize("archive_format", ["default", "no-archive"])
def test_two_writers_leave_one_whole_archive(folder, archive_format):
    words = archive_words("--archive-format", archive_format)
    before = names(folder)
    writers = [start(*words, cwd=folder) for _ in range(3)]
    ends = [(writer.communicate()[1], writer.returncode) for writer in writers]
    assert sorted(code for _, code in ends) == [0, 2, 2], ends
    assert all("exists already" in errors for errors, code in ends if code)
    whole(folder / OUTPUTS[archive_format])
    forced = [start(*words, "-f", cwd=folder) for _ in range(3)]
    assert [writer.communicate()[1] + str(writer.returncode) for writer in forced] == ["0"] * 3
    whole(folder / OUTPUTS[archive_format])
    assert names(folder) == sorted([*before, OUTPUTS[archive_format]])


def test_a_folder_that_cannot_be_written(folder, tmp_path):
    if os.geteuid() == 0:
        done = mar(*archive_words("--export-path", "/proc"), cwd=folder, code=2)
        assert "/proc/model.mar was not written" in done.stderr
    else:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        done = mar(*archive_words("--export-path", str(closed)), cwd=folder, code=2)
        assert f"Nothing can be written in {closed}: permission denied." in done.stderr


def test_a_failed_run_takes_away_the_folder_it_made(folder):
    words = archive_words("--export-path", "a/b/c")
    limit = MIB
    process = start(
        *words, cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    process.communicate()
    assert process.returncode == 2
    assert not (folder / "a").exists()


def test_a_source_that_changes_is_noticed(folder):
    from mar_core.format.digests import copy

    path = folder / "weights.safetensors"
    target = os.open(folder / "out", os.O_RDWR | os.O_CREAT)
    size = path.stat().st_size
    try:
        for wrong in (size - 1, size + 1):
            with pytest.raises(Exception, match="changed while it was being read"):
                copy(path, target, offset=0, size=wrong)
    finally:
        os.close(target)


def test_no_archive_replaces_the_whole_folder(folder):
    mar(*archive_words("--archive-format", "no-archive"), cwd=folder)
    (folder / "model" / "stale.txt").write_text("")
    mar(*archive_words("-f", "--archive-format", "no-archive"), cwd=folder)
    assert not (folder / "model" / "stale.txt").exists()


def test_a_file_is_not_replaced_by_a_folder(folder):
    (folder / "model").write_text("mine")
    words = archive_words("-f", "--archive-format", "no-archive")
    done = mar(*words, cwd=folder, code=2)
    assert "model is not a folder; it is not replaced." in done.stderr
    assert (folder / "model").read_text() == "mine"


def test_memory_does_not_grow_with_the_weights(folder):
    import shutil

    from packs import weights

    weights(folder / "weights.safetensors", 300 * MIB)
    code = (
        f"import sys; sys.path.append({SUPPORT!r})\n"
        "from mar_core.cli import main; from peak import peak\n"
        "try: main()\n"
        "finally: print(peak())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *archive_words("-q")], cwd=folder, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 150 * MIB
    shutil.rmtree(folder)


def test_what_goes_in_is_never_replaced(tmp_path):
    source = tmp_path / "src"
    source.mkdir()
    (source / "handler.py").write_text(packs.HANDLER)
    (source / "precious.txt").write_text("mine")
    packs.weights(tmp_path / "weights.mar")
    folder = ("--handler", "src/handler.py", "--archive-format", "no-archive", "--force")
    for words in (
        ("--model-name", "src", *folder),
        ("--model-name", "src", *folder, "--extra-files", "src"),
        ("--model-name", "weights", "--serialized-file", "weights.mar", *folder[:2], "--force"),
    ):
        done = mar("archive", "--version", "1", *words, cwd=tmp_path, code=2)
        assert "goes into the archive, and would be replaced by it" in done.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    words = ("--version", "1", "--model-name", "other", *folder)
    assert "holds no archive" in mar("archive", *words, cwd=tmp_path, code=2).stderr
    assert sorted(path.name for path in tmp_path.rglob("*.txt")) == ["notes.txt", "precious.txt"]
    assert (tmp_path / "weights.mar").stat().st_size > 1 << 16
