"""What is written can be read by all: zipfile, TorchServe's Java and Python, our own reader."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packs import HANDLER, archive_words, mar, model_folder, weights

from mar_core import archive, open_archive

TORCHSERVE = Path(sys.prefix) / "torchserve"
OUTPUTS = {"default": ".mar", "zip-store": ".mar", "tgz": ".tar.gz", "no-archive": ""}
MANIFEST = "MAR-INF/MANIFEST.json"

UNPACK = """
import java.util.List;
import org.pytorch.serve.archive.model.ModelArchive;

public class Unpack {
    public static void main(String[] words) throws Exception {
        for (int i = 1; i < words.length; i++) {
            ModelArchive archive =
                    ModelArchive.downloadModel(List.of("file://.*"), words[0], words[i]);
            archive.validate();
            System.out.println("at " + archive.getModelDir().toPath().toRealPath());
        }
    }
}
"""
LOAD = """
import sys
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.model_loader import ModelLoaderFactory
for folder in sys.argv[2:]:
    sys.path.insert(0, folder)
    cache = MetricsCacheYamlImpl(config_file_path=sys.argv[1])
    service = ModelLoaderFactory.get_model_loader().load("model", folder, "handler.py", None, 1,
        metrics_cache=cache)
    print("answers", service._entry_point([{"body": 7}], service.context))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Everything there is to archive, in all four formats."""
    folder = model_folder(tmp_path_factory.mktemp("formats"))
    for archive_format in OUTPUTS:
        name = f"m-{archive_format}"
        mar(*archive_words("--archive-format", archive_format, name=name), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def unpacked(store, tmp_path_factory):
    """The folders that TorchServe's Java makes of them."""
    jar = TORCHSERVE / "ts" / "frontend" / "model-server.jar"
    if shutil.which("javac") is None or not jar.exists():
        pytest.skip("no Java, or no TorchServe beside the environment")
    work = tmp_path_factory.mktemp("java")
    (work / "Unpack.java").write_text(UNPACK)
    names = [f"m-{archive_format}{ending}" for archive_format, ending in OUTPUTS.items()]
    done = subprocess.run(
        ["java", f"-Djava.io.tmpdir={work}", "-cp", jar, "Unpack.java", store, *names],
        cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [Path(line[3:]) for line in done.stdout.splitlines() if line.startswith("at ")]


def contents(path):
    with open_archive(path) as opened:
        return {name: opened.read(name) for name in opened.members if name != MANIFEST}


def test_all_formats_hold_the_same(store):
    expected = {
        "handler.py", "net.py", "weights.safetensors", "requirements.txt", "model-config.yaml",
        "index_to_name.json", "pkg/__init__.py", "pkg/sub/data.bin",
    }  # fmt: skip
    found = [contents(store / f"m-{name}{ending}") for name, ending in OUTPUTS.items()]
    assert set(found[0]) == expected
    assert all(other == found[0] for other in found)


def test_java_unpacks_all_formats(store, unpacked):
    assert len(unpacked) == len(OUTPUTS)
    for folder, name in zip(unpacked, OUTPUTS, strict=True):
        for member, data in contents(store / f"m-{name}{OUTPUTS[name]}").items():
            assert (folder / member).read_bytes() == data
        assert json.loads((folder / MANIFEST).read_text())["model"]["modelName"] == f"m-{name}"


def test_torchserve_loads_and_answers(unpacked, tmp_path):
    metrics = TORCHSERVE / "ts" / "configs" / "metrics.yaml"
    done = subprocess.run(
        [sys.executable, "-c", LOAD, metrics, *unpacked], cwd=tmp_path, capture_output=True,
        text=True, env={**os.environ, "PYTHONPATH": str(TORCHSERVE)}, check=False,
    )  # fmt: skip
    assert done.stdout.count("answers [{'body': 7}]") == len(OUTPUTS), done.stderr


@pytest.mark.parametrize("archive_format", ["default", "zip-store"])
def test_layout_of_a_zip(store, archive_format):
    path = store / f"m-{archive_format}.mar"
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as opened:
        infos = opened.infolist()
        assert opened.testzip() is None
    position = 0
    for info in infos:
        name_length, extra_length = struct.unpack_from("<2H", raw, info.header_offset + 26)
        start = info.header_offset + 30 + name_length + extra_length
        assert info.header_offset == position, "members follow each other without a gap"
        assert start % 4096 == 0, "every member begins on a page"
        assert struct.unpack_from("<H", raw, info.header_offset + 30 + name_length) == (0xD935,)
        assert info.flag_bits & 8 == 0, "no data descriptor"
        assert struct.unpack_from("<3L", raw, info.header_offset + 14) == (
            info.CRC, info.compress_size, info.file_size,
        )  # fmt: skip
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert info.external_attr >> 16 == 0o100644
        position = start + info.compress_size
    methods = {info.filename: info.compress_type for info in infos}
    assert methods["weights.safetensors"] == methods["pkg/sub/data.bin"] == zipfile.ZIP_STORED
    deflated = zipfile.ZIP_DEFLATED if archive_format == "default" else zipfile.ZIP_STORED
    assert methods["index_to_name.json"] == methods[MANIFEST] == deflated


def test_layout_of_a_tgz(store):
    with tarfile.open(store / "m-tgz.tar.gz") as opened:
        infos = opened.getmembers()
    assert all(info.name.startswith("m-tgz/") and info.isreg() for info in infos)
    assert {(info.mtime, info.mode, info.uid, info.gid, info.uname) for info in infos} == {
        (315532800, 0o644, 0, 0, "")
    }
    assert infos[-1].name == f"m-tgz/{MANIFEST}"


@pytest.mark.slow
def test_more_than_four_gibibytes(tmp_path):
    """A sparse file of 4.3 GiB: zip64 sizes and, behind it, zip64 offsets."""
    size = (4 << 30) + (300 << 20)
    big = weights(tmp_path / "big.bin", size)
    size = big.stat().st_size
    (tmp_path / "handler.py").write_text(HANDLER)
    made = archive(
        "big", handler=tmp_path / "handler.py", extra_files=[big], export_path=tmp_path, version="1"
    )
    with zipfile.ZipFile(made) as opened:
        assert opened.getinfo("big.bin").file_size == size
        assert opened.read("handler.py") == HANDLER.encode()
    with open_archive(made) as opened:
        assert opened.members["big.bin"].size == size
        assert opened.manifest.mar["members"]["big.bin"]["size"] == size
        with opened.open("big.bin") as stream:
            stream.seek(size - 10)
            assert stream.read() == bytes(10)


@pytest.mark.parametrize("size", [0xFFFFFFFE, 0xFFFFFFFF])
def test_zip64_only_when_needed(size):
    from mar_core.format.zip_writer import NewEntry, central_directory, local_header

    entry = NewEntry(
        name="a", size=size, compressed_size=size, crc=0, method=0, offset=0, date=0x210000
    )
    wide = size == 0xFFFFFFFF
    assert len(local_header(entry)) == 4096
    assert (b"\x01\x00\x10\x00" in local_header(entry)[:60]) is wide
    assert (b"PK\x06\x06" in central_directory([entry], 100)) is False
    assert (b"PK\x06\x06" in central_directory([entry], size)) is wide


REAL = [
    ["--archive-format", "default"],
    ["--archive-format", "zip-store"],
    ["--archive-format", "tgz"],
    ["--archive-format", "no-archive"],
]


@pytest.mark.parametrize("words", REAL, ids=lambda words: words[-1])
def test_archives_of_torch_model_archiver_are_read(tmp_path, words):
    if not TORCHSERVE.exists():
        pytest.skip("no TorchServe beside the environment")
    folder = model_folder(tmp_path / "model")
    (tmp_path / "staging").mkdir()  # what it deletes and makes again is TMPDIR/model
    base = [*archive_words()[1:-2], "--extra-files", "index_to_name.json,pkg"]
    code = "from model_archiver.model_packaging import generate_model_archive as g; g()"
    done = subprocess.run(
        [sys.executable, "-c", code, *base, *words], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(TORCHSERVE), "TMPDIR": str(tmp_path / "staging")},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = folder / f"model{OUTPUTS[words[-1]]}"
    with open_archive(made) as opened:
        assert opened.manifest.model_name == "model"
        for name in ("handler.py", "weights.safetensors", "index_to_name.json"):
            assert opened.read(name) == (folder / name).read_bytes()
        assert opened.read("sub/data.bin") == (folder / "pkg" / "sub" / "data.bin").read_bytes()
