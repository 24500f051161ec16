"""``mar archive`` as users type it: flags, prefixes, forms of handlers, and what it says."""

from __future__ import annotations

import json
import os
import zipfile

import pytest
from packs import HANDLER, archive_words, mar, model_folder

from mar_core import open_archive


@pytest.fixture
def folder(tmp_path):
    return model_folder(tmp_path)


def manifest(path):
    with zipfile.ZipFile(path) as stream:
        return json.loads(stream.read("MAR-INF/MANIFEST.json"))


def test_writes_prints_and_describes(folder):
    done = mar(*archive_words(), cwd=folder)
    told = manifest(folder / "model.mar")
    assert list(told) == ["createdOn", "runtime", "model", "archiverVersion", "mar"]
    assert told["model"] == {
        "modelName": "model",
        "serializedFile": "weights.safetensors",
        "handler": "handler.py",
        "modelFile": "net.py",
        "modelVersion": "1.0",
        "requirementsFile": "requirements.txt",
        "configFile": "model-config.yaml",
    }
    size = (folder / "model.mar").stat().st_size
    with open_archive(folder / "model.mar") as archive:
        digest = archive.manifest.digest
        assert next(iter(archive.members)) == "weights.safetensors"
        assert list(archive.members)[-1] == "MAR-INF/MANIFEST.json"
        assert set(told["mar"]["members"]) | {"MAR-INF/MANIFEST.json"} == set(archive.members)
    assert done.stdout == f"model.mar  {size:,} bytes  sha256:{digest}\n"
    assert done.stderr == ""


def test_quiet(folder):
    done = mar(*archive_words("--quiet"), cwd=folder)
    assert (done.stdout, done.stderr) == ("", "")


def test_prefixes_and_short_options(folder):
    words = ["archive", "--model-n", "m", "-v", "2", "--hand=handler.py", "--serialized"]
    mar(*words, "weights.safetensors", "--model-f", "net.py", "-f", "--export", "out", cwd=folder)
    assert manifest(folder / "out" / "m.mar")["model"]["serializedFile"] == "weights.safetensors"
    done = mar("archive", "--model", "m", cwd=folder, code=2)
    assert "--model could be --model-file, --model-name" in done.stderr


@pytest.mark.parametrize(
    ("handler", "source", "told"),
    [
        ("handler.py", HANDLER, "handler.py"),
        ("handler", HANDLER, "handler"),
        ("./handler", HANDLER, "handler"),
        ("handler:handle", HANDLER, "handler:handle"),
        ("handler.py:handle", HANDLER, "handler.py:handle"),
        (
            "handler.py:Only",
            "class Only:\n    def handle(self, data, context): ...\n",
            "handler.py",
        ),
        (
            "handler.py:Second",
            "class First: ...\nclass Second:\n    def handle(self, data, context): ...\n",
            "handler.py:Second",
        ),
    ],
)
def test_handler_files(tmp_path, handler, source, told):
    (tmp_path / "handler.py").write_text(source)
    mar("archive", "--model-name", "m", "-v", "1", "--handler", handler, cwd=tmp_path)
    assert manifest(tmp_path / "m.mar")["model"]["handler"] == told
    assert "handler.py" in zipfile.ZipFile(tmp_path / "m.mar").namelist()


def test_registered_handler_is_recorded(folder):
    from importlib_metadata import version

    words = ["--model-name", "m", "-v", "1", "--handler", "image_classifier"]
    words += ["--model-file", "net.py", "--serialized-file", "weights.safetensors"]
    mar("archive", *words, cwd=folder)
    told = manifest(folder / "m.mar")
    assert told["mar"]["handler"] == {"distribution": "mar-core", "version": version("mar-core")}
    assert "image_classifier.py" not in told["mar"]["members"]


def test_handler_of_an_installed_package(tmp_path):
    done = mar(
        *("archive", "--model-name", "m", "-v", "1"),
        *("--handler", "builtin_handlers.base_handler:BaseHandler", "--quiet"),
        *("--serialized-file", "x.pt"),
        cwd=tmp_path,
        code=2,
    )
    assert "There is no file 'x.pt'. Check --serialized-file." in done.stderr


def test_three_of_torchserves_names_are_taken(folder):
    words = ["--model-name", "m", "-v", "1", "--handler", "vllm_handler", "-c", "model-config.yaml"]
    done = mar("archive", *words, cwd=folder)
    assert "MAR-R006" in done.stderr
    assert manifest(folder / "m.mar")["model"]["handler"] == "vllm_handler"


def test_lsp_runtime(tmp_path):
    (tmp_path / "libmine.so").write_bytes(b"\x7fELF")
    words = ["archive", "--model-name", "m", "-v", "1", "--runtime", "LSP", "--handler"]
    mar(*words, "libmine:Mine", cwd=tmp_path)
    told = manifest(tmp_path / "m.mar")
    assert (told["runtime"], told["model"]["handler"]) == ("LSP", "libmine:Mine")
    assert "libmine.so" in told["mar"]["members"]
    done = mar(*words, "other:Mine", "-f", cwd=tmp_path, code=2)
    assert "There is no handler library other.so." in done.stderr


SAYS = [
    (["--model-name", "a b"], "The model name 'a b' is not allowed."),
    (["--model-name", "../m"], "The model name '../m' is not allowed."),
    (["--model-name", "-m"], "The model name '-m' is not allowed."),
    (["--handler", "nosuch.py"], "There is no handler file nosuch.py."),
    (["--handler", "folder/nosuch"], "There is no handler file folder/nosuch.py."),
    (["--handler", "image_classifer"], "Did you mean image_classifier or"),
    (["--handler", "pkg"], "The handler pkg is a folder."),
    (["--handler", ""], "--handler is empty."),
    (["--handler", "nosuch.module:Class"], "There is no handler 'nosuch.module:Class'"),
    (["--serialized-file", "no.pt"], "There is no file 'no.pt'. Check --serialized-file."),
    (["--model-file", "no.py"], "There is no file 'no.py'. Check --model-file."),
    (["--model-file", "pkg"], "--model-file pkg is a folder; it must be a file."),
    (["-r", "no.txt"], "There is no file 'no.txt'. Check --requirements-file."),
    (["-c", "no.yaml"], "There is no file 'no.yaml'. Check --config-file."),
    (["--extra-files", "no.txt"], "There is no file 'no.txt'. Check --extra-files."),
    (["--extra-files", "'a, b"], "the quote ' is not closed."),
    (["--extra-files", "pkg=../up/"], "The name leads outside the archive with '..'."),
    (["--export-path", "net.py"], "net.py is not a folder."),
    (["--archive-format", "rar"], "rar"),
    (["--runtime", "java"], "java"),
]


@pytest.mark.parametrize(("words", "sentence"), SAYS, ids=lambda value: str(value)[:60])
def test_mistakes_are_sentences(folder, words, sentence):
    base = dict(zip(*[iter(archive_words()[1:])] * 2, strict=True))
    base["--archive-format"] = "default"
    before = sorted(folder.iterdir())
    flags = {**base, **dict(zip(*[iter(words)] * 2, strict=True))}
    done = mar("archive", *[word for pair in flags.items() for word in pair], cwd=folder, code=2)
    assert sentence in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    assert sorted(folder.iterdir()) == before, "something was left behind"


def test_an_existing_archive_is_kept(folder):
    mar(*archive_words(), cwd=folder)
    before = (folder / "model.mar").read_bytes()
    (folder / "handler.py").write_text(HANDLER + "# changed\n")
    done = mar(*archive_words(), cwd=folder, code=2)
    assert "model.mar exists already. Add --force to replace it." in done.stderr
    assert (folder / "model.mar").read_bytes() == before
    mar(*archive_words("-f"), cwd=folder)
    assert (folder / "model.mar").read_bytes() != before


def test_two_files_for_one_place(folder):
    (folder / "other").mkdir()
    (folder / "other" / "net.py").write_text("x = 1\n")
    done = mar(*archive_words("--extra-files", "other/net.py"), cwd=folder, code=2)
    assert "Two files go to the one place 'net.py' in the archive: net.py and" in done.stderr
    assert "other/net.py" in done.stderr


def test_the_same_file_twice_is_no_matter(folder):
    mar(*archive_words("--extra-files", "net.py,./net.py", "--extra-files", "*.json"), cwd=folder)
    with zipfile.ZipFile(folder / "model.mar") as stream:
        assert len(stream.namelist()) == len(set(stream.namelist())) == 9


def test_a_file_dated_before_1980(folder):
    os.utime(folder / "index_to_name.json", (0, 0))
    mar(*archive_words(), cwd=folder)


def test_the_output_and_litter_stay_out(folder):
    (folder / "pkg" / "__pycache__").mkdir()
    (folder / "pkg" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"")
    (folder / "pkg" / "y.pyc").write_bytes(b"")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("")
    (folder / ".DS_Store").write_bytes(b"")
    (folder / ".model.mar.0123abcd.mar-partial").write_bytes(b"")
    words = ["--model-name", "m", "-v", "1", "--handler", "handler.py", "-f", "--extra-files", "."]
    for archive_format, output in (("default", "m.mar"), ("no-archive", "m"), ("tgz", "m.tar.gz")):
        for _ in range(2):
            mar("archive", *words, "--archive-format", archive_format, cwd=folder)
        with open_archive(folder / output) as made:
            names = set(made.members)
        litter = ("pyc", ".git", ".DS_Store", "partial", "m/", "m.")
        assert not [name for name in names if name.startswith(litter) or name.endswith(litter)]
        assert "pkg/sub/data.bin" in names
        (folder / output).rename(folder.parent / output)


def test_a_named_pyc_is_left_out_with_a_word(folder):
    (folder / "y.pyc").write_bytes(b"")
    done = mar(*archive_words("--extra-files", "y.pyc"), cwd=folder)
    assert "warning MAR-E002: y.pyc stays out of the archive." in done.stderr


def test_a_pattern_without_a_match_is_a_warning(folder):
    done = mar(*archive_words("--extra-files", "*.nothing"), cwd=folder)
    assert "warning MAR-E001: The pattern '*.nothing' matches no file." in done.stderr


def test_help_shows_the_choices_and_an_example(tmp_path):
    text = mar("archive", "--help", cwd=tmp_path, COLUMNS="100", TERM="dumb").stdout
    for word in ("--serialized-file", "no-archive", "zip-store", "LSP", "Example", "mnist.mar"):
        assert word in text


def test_hooks_take_part(tmp_path, monkeypatch):
    from mar_core import ExtraFile, archive, hookimpl
    from mar_core.plugins import get_plugins

    seen = {}

    class Licence:
        @hookimpl
        def mar_collect_files(self, request):
            return [ExtraFile(name="LICENSE", content=f"for {request.model_name}".encode())]

        @hookimpl
        def mar_archive_written(self, path, manifest):
            seen[path] = manifest.digest

    (tmp_path / "handler.py").write_text(HANDLER)
    get_plugins().register(Licence(), "licence")
    try:
        path = archive("m", handler=tmp_path / "handler.py", version="1", export_path=tmp_path)
    finally:
        get_plugins().unregister("licence")
    with open_archive(path) as made:
        assert made.read("LICENSE") == b"for m"
        assert seen == {path: made.manifest.digest}
