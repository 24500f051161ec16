"""``mar update``: the bytes of a fresh archive, from the old one and what has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from packs import COMMAND, HANDLER, archive_words, mar, mar_here, model_folder, weights

from mar_core import UsageError, archive, open_archive, update
from mar_core.format import journal

MIB = 1 << 20
OUTPUTS = {"default": "model.mar", "zip-store": "model.mar", "tgz": "model.tar.gz"}
CHANGED = HANDLER.replace("return data", "return data[::-1]")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = model_folder(tmp_path / "model", size=4 * MIB)
    monkeypatch.chdir(folder)
    weights(folder / "pkg" / "shard.safetensors", 2 * MIB)
    return folder


def new_handler(folder):
    (folder / "new.py").write_text(CHANGED)
    return ["--handler", "new.py"]


def same_name(folder):
    (folder / "handler.py").write_text(CHANGED)
    return ["--handler", "handler.py"]


def version(folder):
    return ["-v", "2.0"]


def extra(folder):
    (folder / "labels.txt").write_text("one\ntwo\n" * 500)
    return ["--extra-files", "labels.txt"]


def replaced_extra(folder):
    (folder / "index_to_name.json").write_text('{"0": "zero"}')
    return ["--extra-files", "index_to_name.json"]


def network(folder):
    (folder / "other.py").write_text((folder / "net.py").read_text() + "# other\n")
    return ["--model-file", "other.py"]


def new_weights(folder):
    weights(folder / "better.safetensors", 5 * MIB)
    return ["--serialized-file", "better.safetensors"]


def requirements(folder):
    (folder / "more.txt").write_text("pillow\n")
    return ["-r", "more.txt"]


def config(folder):
    (folder / "model-config.yaml").write_text("batchSize: 8\n")
    return ["-c", "model-config.yaml"]


def registered(folder):
    return ["--handler", "image_classifier"]


def large_extra(folder):
    weights(folder / "b.safetensors", 3 * MIB)
    return ["--extra-files", "b.safetensors=pkg/"]


CHANGES = [
    new_handler, same_name, version, extra, replaced_extra, network, new_weights, requirements,
    config, registered, large_extra,
]  # fmt: skip


def fresh(folder, words, archive_format):
    """The same as one command: a later flag replaces an earlier one, extra files add up."""
    base = archive_words("--archive-format", archive_format, "--export-path", "fresh")
    for short, value in zip(*[iter(words)] * 2, strict=True):
        flag = {"-v": "--version"}.get(short, short)
        if flag == "--extra-files":
            base += [flag, value]
        else:
            base[base.index(flag) + 1] = value
    mar_here(*base)
    return (folder / "fresh" / OUTPUTS[archive_format]).read_bytes()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_gives_the_bytes_of_a_fresh_archive(folder, change, capsys):
    mar_here(*archive_words())
    words = change(folder)
    mar_here("update", "model.mar", *words)
    told = capsys.readouterr().out
    assert (folder / "model.mar").read_bytes() == fresh(folder, words, "default")
    with open_archive(folder / "model.mar") as made:
        assert told.endswith(f"sha256:{made.manifest.digest}\n")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_in_place_it_is_the_same_file_with_the_same_bytes(folder, change):
    mar_here(*archive_words())
    made = Path("model.mar")
    before = made.stat().st_ino
    words = change(folder)
    mar_here("update", "model.mar", "--in-place", *words)
    assert made.stat().st_ino == before
    assert made.read_bytes() == fresh(folder, words, "default")
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("archive_format", ["tgz", "no-archive"])
def test_in_place_is_for_zips(folder, archive_format):
    made = archive("m", handler="handler.py", version="1.0", archive_format=archive_format)
    with pytest.raises(UsageError, match="cannot be changed in place"):
        update(made, version="2.0", in_place=True)


def test_a_journal_of_another_file_changes_nothing(folder, monkeypatch):
    """As after both were copied, or after another archive has taken the place."""
    made = archive("m", handler="handler.py", version="1.0")
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_carry_out", lambda *_: None)  # as if it had been killed
        update(made, version="2.0", in_place=True)
    left = journal.journal_of(made)
    copy = folder / "copy" / made.name
    copy.parent.mkdir()
    copy.write_bytes(made.read_bytes())
    shutil.copy(left, copy.parent)
    before = copy.read_bytes()
    with open_archive(copy) as opened:
        assert opened.manifest.model_version == "1.0"
    assert copy.read_bytes() == before
    with open_archive(made) as opened:
        assert opened.manifest.model_version == "2.0"
    assert not left.exists()


def told_of(line: bytes) -> bytes:
    """A journal that is whole, whatever it says."""
    return line + hashlib.sha256(line).digest()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b'{"size": 3}\nabc', bytes(100), b"[" * 4000, told_of(b'{"size": 0}\n'),
        told_of(b'{"size": 0, "start": "0", "file": [], "head": ""}\n'), told_of(b"[1]\n"),
    ],
)  # fmt: skip
def test_a_journal_that_is_none_changes_nothing(folder, content):
    made = archive("m", handler="handler.py", version="1.0")
    journal.journal_of(made).write_bytes(content)
    before = made.read_bytes()
    with open_archive(made) as opened:
        assert opened.manifest.model_version == "1.0"
    assert made.read_bytes() == before


@pytest.mark.parametrize("kind", ["theirs", "link", "pipe"])
def test_a_journal_that_anybody_could_have_put_there_changes_nothing(folder, monkeypatch, kind):
    """As into a folder that all may write to, such as ``/tmp``."""
    made = archive("m", handler="handler.py", version="1.0")
    before = made.read_bytes()
    left = journal.journal_of(made)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_carry_out", lambda *_: None)
        update(made, version="2.0", in_place=True)
    if kind == "theirs":
        if os.geteuid():
            pytest.skip("only root can give a file away")
        os.chown(left, 12345, 12345)
    elif kind == "link":
        left.rename(folder / "elsewhere")
        left.symlink_to(folder / "elsewhere")
    else:
        left.unlink()
        os.mkfifo(left)
    with open_archive(made) as opened:
        assert opened.manifest.model_version == "1.0"
    assert made.read_bytes() == before
    left.unlink()


@pytest.mark.parametrize("archive_format", ["zip-store", "tgz"])
def test_other_formats(folder, archive_format):
    mar_here(*archive_words("--archive-format", archive_format))
    words = new_handler(folder)
    mar_here("update", OUTPUTS[archive_format], *words)
    made = (folder / OUTPUTS[archive_format]).read_bytes()
    assert made == fresh(folder, words, archive_format)


def test_a_folder(folder):
    mar_here(*archive_words("--archive-format", "no-archive"))
    mar_here("update", "model", *new_handler(folder))
    with open_archive(folder / "model") as made:
        assert made.manifest.handler == "new.py"
        assert made.read("new.py") == CHANGED.encode()
        assert "handler.py" not in made.members


def test_only_the_end_is_written_anew(folder):
    """The weights are not even read: an update works, and keeps them, when they are damaged."""
    mar_here(*archive_words())
    path = folder / "model.mar"
    with path.open("r+b") as stream:
        stream.seek(4096 + MIB)
        stream.write(b"flipped")
    mar_here("update", "model.mar", *new_handler(folder))
    with path.open("rb") as stream:
        stream.seek(4096 + MIB)
        assert stream.read(7) == b"flipped"
    with open_archive(path) as made, pytest.raises(Exception, match="CRC-32"):
        made.read("weights.safetensors")


def test_remove(folder):
    mar_here(*archive_words())
    mar_here("update", "model.mar", "--remove", "requirements.txt", "--remove", "pkg/__init__.py")
    with open_archive(folder / "model.mar") as made:
        assert made.manifest.requirements_file is None
        assert {"requirements.txt", "pkg/__init__.py"}.isdisjoint(made.members)
    done = mar("update", "model.mar", "--remove", "net.pi", cwd=folder, code=2)
    assert "has no member 'net.pi' to remove. Did you mean net.py?" in done.stderr
    done = mar("update", "model.mar", "--remove", "handler.py", cwd=folder, code=2)
    assert "MAR-R" in done.stderr


def test_a_bad_change_leaves_the_archive(folder):
    mar_here(*archive_words())
    before = (folder / "model.mar").read_bytes()
    (folder / "broken.py").write_text("def handle(:\n")
    done = mar("update", "model.mar", "--handler", "broken.py", cwd=folder, code=2)
    assert "MAR-C001" in done.stderr
    done = mar("update", "model.mar", "--handler", "nosuch.py", cwd=folder, code=2)
    assert "There is no handler file nosuch.py." in done.stderr
    done = mar("update", "nosuch.mar", "--handler", "handler.py", cwd=folder, code=2)
    assert "There is no archive 'nosuch.mar'." in done.stderr
    assert (folder / "model.mar").read_bytes() == before


def test_mode_and_link_stay(folder):
    mar_here(*archive_words())
    (folder / "model.mar").chmod(0o640)
    (folder / "link.mar").symlink_to("model.mar")
    mar_here("update", "link.mar", "-v", "2")
    assert (folder / "link.mar").is_symlink()
    assert (folder / "model.mar").stat().st_mode & 0o777 == 0o640
    with open_archive(folder / "model.mar") as made:
        assert made.manifest.model_version == "2"


def test_another_source_date_epoch(folder):
    mar_here(*archive_words())
    mar("update", "model.mar", "-v", "1.0", cwd=folder, SOURCE_DATE_EPOCH="1700000000")
    mar(*archive_words("--export-path", "fresh"), cwd=folder, SOURCE_DATE_EPOCH="1700000000")
    assert (folder / "model.mar").read_bytes() == (folder / "fresh" / "model.mar").read_bytes()


def test_an_archive_made_by_others(folder):
    """Not aligned, deflated, with keys of its own: it becomes one of ours and keeps the keys."""
    path = folder / "theirs.mar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("handler.py", HANDLER)
        stream.write(folder / "weights.safetensors", "weights.bin")
        stream.writestr(
            "MAR-INF/MANIFEST.json",
            '{"runtime": "python3", "model": {"modelName": "m", "handler": "handler.py",'
            ' "modelVersion": "1.0", "extensions": {"a": 1}}, "description": "theirs"}',
        )
    mar_here("update", "theirs.mar", *new_handler(folder))
    with open_archive(path) as made:
        data = made.manifest.data
        assert (data["description"], data["runtime"]) == ("theirs", "python3")
        assert data["model"]["extensions"] == {"a": 1}
        assert made.read("weights.bin") == (folder / "weights.safetensors").read_bytes()
        assert made.members["weights.bin"].stored
        assert set(made.manifest.mar["members"]) == {"new.py", "weights.bin"}


def test_the_function(folder):
    made = archive("m", handler="handler.py", version="1.0")
    assert update(made, version="2.0") == made
    with open_archive(made) as opened:
        assert opened.manifest.model_version == "2.0"
    with pytest.raises(UsageError, match="There is no file"):
        update(made, config_file="nosuch.yaml")


def test_somebody_else_was_quicker(folder, monkeypatch):
    from mar_core.build import rewrite

    made = archive("m", handler="handler.py", version="1.0")
    copy = rewrite._copy_head

    def replace_meanwhile(*words):
        archive("m", handler="handler.py", version="7.0", force=True)
        copy(*words)

    monkeypatch.setattr(rewrite, "_copy_head", replace_meanwhile)
    with pytest.raises(Exception, match="was changed by somebody else"):
        update(made, version="2.0")
    with open_archive(made) as opened:
        assert opened.manifest.model_version == "7.0"


def test_help(tmp_path):
    text = mar("update", "--help", cwd=tmp_path, COLUMNS="100", TERM="dumb").stdout
    assert "mar update mnist.mar --handler new_handler.py" in text


def test_two_at_once_both_change_it(folder):
    mar_here(*archive_words())
    (folder / "extra.txt").write_text("x")
    words = (("--version", "2.0"), ("--extra-files", "extra.txt"), ("--handler", "new.py"))
    new_handler(folder)
    processes = [
        subprocess.Popen(
            [*COMMAND, "update", "model.mar", *more], cwd=folder, stderr=subprocess.PIPE, text=True
        )
        for more in words
    ]
    ends = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, ends
    with open_archive(folder / "model.mar") as made:
        assert made.verify() == []
        assert made.manifest.model_version == "2.0"
        assert made.manifest.handler == "new.py"
        assert "extra.txt" in made.members


@pytest.mark.parametrize("archive_format", ["default", "tgz", "no-archive"])
def test_an_update_waits_for_whoever_changes_the_archive(folder, archive_format):
    from mar_core.format.locks import alone

    made = archive("m", handler="handler.py", version="1.0", archive_format=archive_format)
    with alone(made):
        process = subprocess.Popen(
            [*COMMAND, "update", made, "--version", "3.0"], cwd=folder, stdout=subprocess.PIPE
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        update(made, version="2.0", extra_files=str(folder / "net.py"))
    assert process.wait(60) == 0
    process.communicate()
    with open_archive(made) as opened:
        assert opened.manifest.model_version == "3.0"
        assert "net.py" in opened.members
