"""TorchServe's own Java code and Java's own zip reader, asked from Python."""

from __future__ import annotations

import base64
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

__all__ = ["JAR", "entries_by_java", "needs_java", "pack_by_java", "unpack_by_torchserve"]

JAR = Path(sys.prefix) / "torchserve" / "ts" / "frontend" / "model-server.jar"
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")

SOURCE = """
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.zip.*;
import org.pytorch.serve.archive.utils.ZipUtils;

public class Reader {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("unpack")) {
            try (InputStream in = new BufferedInputStream(new FileInputStream(args[1]))) {
                if (args[1].endsWith(".tar.gz")) {
                    ZipUtils.decompressTarGzipFile(in, new File(args[2]));
                } else {
                    ZipUtils.unzip(in, new File(args[2]));
                }
            }
            return;
        }
        if (args[0].equals("pack")) {
            Path folder = Paths.get(args[2]);
            try (ZipOutputStream out = new ZipOutputStream(new FileOutputStream(args[1]))) {
                for (Path path : (Iterable<Path>) Files.walk(folder)::iterator) {
                    if (path.equals(folder)) {
                        continue;
                    }
                    boolean inner = Files.isDirectory(path);
                    out.putNextEntry(new ZipEntry(folder.relativize(path) + (inner ? "/" : "")));
                    if (!inner) {
                        Files.copy(path, out);
                    }
                    out.closeEntry();
                }
            }
            return;
        }
        File[] files = new File(args[1]).listFiles();
        Arrays.sort(files);
        for (File file : files) {
            System.out.println(file.getName() + "\\t" + list(file));
        }
    }

    static String list(File file) {
        StringBuilder out = new StringBuilder();
        byte[] buffer = new byte[65536];
        try (InputStream raw = new BufferedInputStream(new FileInputStream(file));
                ZipInputStream in = new ZipInputStream(raw)) {
            ZipEntry entry;
            while ((entry = in.getNextEntry()) != null) {
                CRC32 crc = new CRC32();
                long size = 0;
                int count;
                while ((count = in.read(buffer)) > 0) {
                    crc.update(buffer, 0, count);
                    size += count;
                }
                byte[] name = entry.getName().getBytes(StandardCharsets.UTF_8);
                out.append(Base64.getEncoder().encodeToString(name));
                out.append(" ").append(size).append(" ").append(crc.getValue()).append("\\t");
            }
        } catch (Exception error) {
            out.append("! ").append(error.toString().replaceAll("\\\\s", " "));
        }
        return out.toString().stripTrailing();
    }
}
"""


@functools.cache
def _classes() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="javareader-"))
    (folder / "Reader.java").write_text(SOURCE)
    subprocess.run(
        ["javac", "-nowarn", "-cp", str(JAR), "-d", str(folder), str(folder / "Reader.java")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    java = [
        "java",
        "-XX:TieredStopAtLevel=1",
        "-Dsun.jnu.encoding=UTF-8",
        "-Dfile.encoding=UTF-8",
        "-cp",
        f"{_classes()}:{JAR}",
        "Reader",
    ]
    # Java takes the encoding of file names from the language.
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    words = [*java, *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


def entries_by_java(folder: Path) -> dict[str, list[tuple[str, int, int]] | str]:
    """What ``java.util.zip.ZipInputStream``, which TorchServe uses, sees in each file of a folder.

    Returns:
        By file name: name, size and CRC-32 of each entry, or the exception as text.
    """
    done = _run("list", folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[tuple[str, int, int]] | str] = {}
    for line in done.stdout.splitlines():
        file, *parts = line.split("\t")
        if parts and parts[-1].startswith("!"):
            found[file] = parts[-1]
        else:
            found[file] = [_entry(part) for part in parts if part]
    return found


def _entry(text: str) -> tuple[str, int, int]:
    name, size, crc = text.split(" ")
    return base64.b64decode(name).decode(), int(size), int(crc)


def unpack_by_torchserve(archive: Path, folder: Path) -> None:
    """Unpack with TorchServe 0.12's ``ZipUtils``."""
    done = _run("unpack", archive, folder)
    assert done.returncode == 0, done.stderr


def pack_by_java(archive: Path, folder: Path) -> None:
    """Pack a folder with Java's ``ZipOutputStream``."""
    done = _run("pack", archive, folder)
    assert done.returncode == 0, done.stderr
