"""Pickles that mar's own rules let pass, or were told to let pass, are scanned."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import subprocess
import sys
import zipfile
import zlib

import hostile_pickles
import pytest
from mar_scan import copies, scanner

from mar_core import ValidationError, open_archive, validate
from mar_core.testing import make_archive

ECHO = "def handle(data, context):\n    return data\n"
HOSTILE = hostile_pickles.pickled(hostile_pickles.load("os", "system", "true"))
PLAIN = pickle.dumps({"labels": ["cat", "dog"]})


def old(call):
    """A pickle of protocol 0, which has no mark at its beginning."""
    return b"(" + hostile_pickles.assemble(call) + b"t."


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in files.items():
            file.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


@pytest.fixture
def found(tmp_path):
    """Validates a folder with one more file and gives what was found about that file."""

    def look(name, content, *, allow_pickle=False):
        (tmp_path / "m" / "MAR-INF").mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / "handler.py").write_text(ECHO)
        manifest = {"modelName": "m", "modelVersion": "1", "handler": "handler.py"}
        (tmp_path / "m" / "MAR-INF" / "MANIFEST.json").write_text(
            json.dumps({"runtime": "python", "model": manifest})
        )
        (tmp_path / "m" / name).write_bytes(content)
        with open_archive(tmp_path / "m") as archive:
            findings = validate(archive, allow_pickle=allow_pickle)
        return {f.code: f for f in findings if f.member == name}

    return look


@pytest.mark.parametrize("name", hostile_pickles.calls("mark"))
def test_every_hostile_pickle_is_refused_by_one_of_the_two(found, tmp_path, name):
    mark = tmp_path / "mark"
    data = hostile_pickles.pickled(hostile_pickles.calls(str(mark))[name])
    refused = found("x.pkl", data)
    assert refused["MAR-W003"].severity.value == "error"
    assert not [code for code in refused if code.startswith("SCAN-")], "mar has refused it"
    assert not mark.exists()


def test_allow_pickle_lets_the_harmless_pass_and_not_the_dangerous(found):
    own = hostile_pickles.pickled(hostile_pickles.load("my_package", "Network"))
    allowed = found("own.pkl", own, allow_pickle=True)
    assert {code: f.severity.value for code, f in allowed.items()} == {"MAR-W003": "warning"}
    refused = found("bad.pkl", HOSTILE, allow_pickle=True)
    assert refused["MAR-W003"].severity.value == "warning"
    assert refused["SCAN-001"].severity.value == "error"
    assert refused["SCAN-001"].plugin == "mar-scan"
    assert "os.system" in refused["SCAN-001"].message
    assert "MAR_DISABLED_PLUGINS=mar-scan" in refused["SCAN-001"].hint


@pytest.mark.parametrize("shape", hostile_pickles.shapes("mark"))
def test_every_shape_is_seen_when_pickles_are_allowed(found, shape):
    data = hostile_pickles.shapes("mark")[shape]
    findings = found("x.pkl", data, allow_pickle=True)
    assert any(f.severity.value == "error" for f in findings.values())


PACKED = {
    "labels.dat": old(hostile_pickles.load("os", "system", "true")),
    "model.joblib": zlib.compress(HOSTILE, 3),
    "model.pkl.gz": gzip.compress(HOSTILE),
    "model.bz2": bz2.compress(HOSTILE),
    "model.xz": lzma.compress(HOSTILE),
    "second.gz": gzip.compress(b"") + gzip.compress(HOSTILE),
    "cut.gz": gzip.compress(HOSTILE)[:-8],
    "files.zip": zipped(a_txt=b"hello", x_pkl=HOSTILE),
    "weights.dat": hostile_pickles.inside_torch_zip(HOSTILE),
    "polyglot.dat": old(hostile_pickles.load("os", "system", "true")) + zipped(a_txt=b"x"),
}


@pytest.mark.parametrize("name", PACKED)
def test_pickles_in_whatever_they_are_packed(found, name):
    refused = found(name, PACKED[name])
    assert refused["MAR-W003"].severity.value == "error"
    assert not [code for code in refused if code.startswith("SCAN-")], "mar has refused it"
    findings = found(name, PACKED[name], allow_pickle=True)
    assert findings["MAR-W003"].severity.value == "warning"
    assert findings["SCAN-001"].severity.value == "error"


HARMLESS = {
    "labels.pkl": PLAIN,
    "labels.joblib": zlib.compress(PLAIN),
    "labels.gz": gzip.compress(b"cat\ndog\n"),
    "labels.txt": b"import os\ncos\nsystem of a dog\nVery\n",
    "files.zip": zipped(a_txt=b"hello"),
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "empty.pkl": b"",
    "nothing.gz": gzip.compress(b""),
    "words.txt": b"cat\ndog\n",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_passed_over(found, name):
    assert not [code for code in found(name, HARMLESS[name]) if code.startswith("SCAN-")]


def test_names_on_no_list_are_a_warning(found):
    other = hostile_pickles.pickled(hostile_pickles.load("gzip", "open", "x", "w"))
    findings = found("x.joblib", zlib.compress(other), allow_pickle=True)
    assert "gzip.open" in findings["MAR-W003"].message, "mar has said it"
    assert "SCAN-002" not in findings


def test_what_cannot_be_read_to_its_end_is_a_warning(found):
    torn = zlib.compress(b"\x80\x02}q\x00(X\x01")
    assert found("x.joblib", torn)["SCAN-003"].severity.value == "warning"
    assert "SCAN-003" in found("x.7z", b"7z\xbc\xaf'\x1c" + bytes(40))


def test_what_is_too_large_is_said(found, monkeypatch):
    monkeypatch.setattr(copies, "MOST_EACH", 1000)
    bomb = gzip.compress(b"\x80\x02" + b"N" * 5_000_000)
    assert "too large" in found("x.pkl.gz", bomb, allow_pickle=True)["SCAN-003"].message


@pytest.mark.parametrize(
    "payload", [b"N" * 2000 + HOSTILE[2:], b"N0" * 1000 + b"N."], ids=["hostile", "harmless"]
)
def test_a_pickle_with_too_many_opcodes_is_an_error(found, monkeypatch, payload):
    monkeypatch.setattr(scanner, "OPCODES", 1000)
    findings = found("x.pkl.gz", gzip.compress(b"\x80\x02" + payload), allow_pickle=True)
    assert "more than 1,000 opcodes" in findings["SCAN-004"].message
    assert findings["SCAN-004"].severity.value == "error"


@pytest.fixture
def scanner_that(tmp_path, monkeypatch):
    """Puts another picklescan in the way of the scanner's process."""

    def does(body):
        package = tmp_path / "site" / "picklescan"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "scanner.py").write_text(body)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    return does


FAKE = """
class Result:
    globals = []
scan_pickle_bytes = None
def scan_bytes(stream, path, suffix):
    if b"killer" in stream.read():
        {}
    return Result
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise KeyError('memo')", "KeyError: 'memo'"),
        ("bytearray(3 << 30)", "MemoryError"),
        ("import os; os._exit(9)", "its process ended with 9"),
        ("import time; time.sleep(60)", "the time for this archive was over"),
    ],
)
def test_a_scanner_that_fails_is_a_finding(found, scanner_that, monkeypatch, body, words):
    scanner_that(FAKE.format(body))
    monkeypatch.setattr(scanner, "SECONDS", 3.0)
    found("a.pkl", PLAIN)
    findings = found("killer.pkl", pickle.dumps("killer"))
    assert words in findings["SCAN-004"].message
    assert findings["SCAN-004"].severity.value == "error"


def test_one_crash_costs_the_others_nothing(scanner_that, tmp_path):
    scanner_that(FAKE.format("import os; os._exit(9)"))
    files = []
    for number, text in enumerate(["fine", "killer", "fine", "killer"]):
        (tmp_path / str(number)).write_bytes(pickle.dumps(text))
        files.append(copies.File(f"{number}.pkl", str(number), ".pkl", is_pickle=True))
    results = list(scanner.scan(tmp_path, files))
    assert [result.file for result in results] == files
    assert [bool(result.failure) for result in results] == [False, True, False, True]


def test_sound_weights_are_not_scanned_again(tmp_path, scanner_that):
    import torch

    scanner_that("raise SystemError('must not be imported')")
    (tmp_path / "net.py").write_text("import torch\n\nclass Net(torch.nn.Linear):\n    pass\n")
    for legacy in (True, False):
        weights = tmp_path / f"{legacy}.pt"
        state = torch.nn.Linear(2, 2).state_dict()
        torch.save(state, weights, _use_new_zipfile_serialization=not legacy)
        archive = make_archive(tmp_path, handler="base_handler", model_file=tmp_path / "net.py",
                               serialized_file=weights, force=True)  # fmt: skip
        with open_archive(archive) as opened:
            assert not [f for f in validate(opened) if f.code.startswith("SCAN-")]


def test_a_legacy_state_dict_beside_the_weights_is_passed(found):
    import torch

    buffer = io.BytesIO()
    torch.save({"a": torch.ones(300)}, buffer, _use_new_zipfile_serialization=False)
    assert copies.identify(buffer).name == "torch-legacy"
    assert found("other.pkl", buffer.getvalue()) == {}
    assert found("other.gz", gzip.compress(buffer.getvalue())) == {}


def test_the_real_command_refuses_and_writes_nothing(tmp_path):
    (tmp_path / "handler.py").write_text(ECHO)
    (tmp_path / "model.pkl.gz").write_bytes(gzip.compress(HOSTILE))

    def mar(*words, **more):
        return subprocess.run([sys.executable, "-m", "mar_core", *words], cwd=tmp_path, text=True,
                              capture_output=True, check=False, **more)  # fmt: skip

    flags = ["--model-name", "m", "--version", "1", "--handler", "handler.py"]
    done = mar("archive", *flags, "--extra-files", "model.pkl.gz", "--allow-pickle")
    assert done.returncode == 2
    assert "error SCAN-001: model.pkl.gz: Loading it uses os.system" in done.stderr
    assert not (tmp_path / "m.mar").exists()
    packed = ("archive", *flags, "--extra-files", "model.pkl.gz", "--trust")
    written = mar("--no-plugins", *packed)
    assert written.returncode == 0, written.stderr
    checked = mar("validate", "m.mar", "--trust")
    assert checked.returncode == 2
    assert "SCAN-001" in checked.stdout
    assert "(mar-scan)" in checked.stdout
    assert mar("--no-plugins", "validate", "m.mar", "--trust").returncode == 0


def test_the_library_refuses_too(tmp_path):
    with pytest.raises(ValidationError, match="SCAN-001"):
        make_archive(
            tmp_path,
            handler="base_handler",
            files={"x.pkl.gz": gzip.compress(HOSTILE)},
            allow_pickle=True,
        )
