"""The hooks that offer commands, engines, readers and writers."""

from __future__ import annotations

import dataclasses
import json

import pytest
from environments import Environment, distribution

from mar_core.testing import make_archive

HANDLER = """
def handle(data, context):
    return [row.get("data") or row.get("body") for row in data or []]
"""
PLUGIN = """
    import os
    from mar_core import EngineOption, Input, Outcome, Writer, hookimpl

    @hookimpl
    def mar_register_commands(app):
        @app.command()
        def greet(name: str = "you"):
            "Say hello."
            print(f"hello {name}")

    class Upper:
        def run(self, recipe, inputs, options, summary):
            with recipe.load() as predictor:
                for index, item in enumerate(inputs):
                    (outcome,) = predictor.run([item])
                    end = options.engine_options.get("shout", "")
                    yield Outcome(index=index, id=item.id, result=outcome.result.upper() + end)

    @hookimpl
    def mar_register_engines(register):
        register("upper", Upper, EngineOption(name="--shout", help="What to end with."))

    def letter(text):
        return {"data": text}

    class Letters:
        name = "letters"

        def accepts(self, source):
            return source.endswith(".letters")

        def read(self, source, options):
            import functools
            with open(source) as stream:
                for at, text in enumerate(stream.read().strip()):
                    yield Input(id=f"{source}:{at}", read=functools.partial(letter, text))

    @hookimpl
    def mar_register_readers(register):
        register(Letters())

    class Xml(Writer):
        name = "xml"
        endings = (".xml",)

        def write(self, rows, stream, options):
            count = sum(1 for _ in rows())
            stream.write(b'<rows count="%d">' % count)
            for row in rows():
                stream.write(b"<row>%s</row>" % row["result"].encode())
            stream.write(b"</rows>")

    class Plain(Writer):
        name = "plain"
        endings = (".plain.txt",)
        streams = True
        resumes = True

        def write(self, rows, stream, options):
            for row in rows():
                stream.write(f"{row['id']} {row.get('result')}\\n".encode())

        def parse(self, line):
            name, _, result = line.decode().rstrip().partition(" ")
            return {"id": name, "result": result} if line.endswith(b"\\n") else None

    class Sulky(Writer):
        name = "sulky"
        endings = (".sulky",)

        def write(self, rows, stream, options):
            raise RuntimeError("not today")

    class Endless(Writer):
        name = "endless"
        endings = "none"

        def write(self, rows, stream, options):
            pass

    @hookimpl
    def mar_register_writers(register):
        register(Xml())
        register(Plain())
        register(Sulky())
        register(Endless())
        register(Xml)
        register(object())
"""
CLASHES = """
    from mar_core import Writer, hookimpl

    class Other(Writer):
        name = "other"
        endings = (".xml",)

        def write(self, rows, stream, options):
            pass

    @hookimpl
    def mar_register_writers(register):
        register(Other())

    @hookimpl
    def mar_register_commands(app):
        app.command("greet")(lambda: print("other"))

    @hookimpl
    def mar_register_engines(register):
        register("upper", object)
"""
THIEF = """
    from mar_core import hookimpl

    @hookimpl
    def mar_register_commands(app):
        app.command("run")(lambda: print("steal"))
"""
CRASHES = """
    from mar_core import hookimpl

    @hookimpl
    def mar_register_commands(app):
        raise RuntimeError("out of order")

    @hookimpl
    def mar_register_engines(register):
        raise RuntimeError("out of order")

    @hookimpl
    def mar_register_readers(register):
        raise RuntimeError("out of order")

    @hookimpl
    def mar_register_writers(register):
        raise RuntimeError("out of order")
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registering")
    environment = Environment.create(folder / "env")
    texts = {"thief": THIEF, "offers": PLUGIN, "clashes": CLASHES, "crashes": CRASHES}
    environment.install(
        *(
            distribution(
                folder / "sources",
                f"dist-{name}",
                files={f"dist_{name}.py": text},
                plugins={name: f"dist_{name}"},
            )
            for name, text in texts.items()
        )
    )
    (folder / "handler.py").write_text(HANDLER)
    (folder / "x.letters").write_text("ab\n")
    make_archive(folder, handler=folder / "handler.py")

    def mar(*words, disabled="clashes,crashes"):
        return environment.mar(*words, cwd=folder, MAR_DISABLED_PLUGINS=disabled)

    mar.folder = folder
    return mar


def test_hook_mar_register_commands(world):
    done = world("greet", "--name", "Ada")
    assert (done.returncode, done.stdout) == (0, "hello Ada\n")
    assert "Say hello." in world("greet", "--help").stdout


def test_hook_mar_register_commands_that_clash_name_both(world):
    done = world("greet", disabled="crashes")
    assert done.returncode == 2
    assert "'greet'" in done.stderr
    assert "clashes" in done.stderr
    assert "offers" in done.stderr


def test_hook_mar_register_commands_that_crash_harm_no_other(world):
    done = world("greet", disabled="clashes")
    assert (done.returncode, done.stdout) == (0, "hello you\n"), done.stderr
    assert "mar: warning: The plugin crashes failed in mar_register_commands" in done.stderr


def test_hook_mar_register_commands_named_as_mars_own_are_left_out_with_a_word(world):
    for words in (["--help"], ["no-such"]):
        done = world(*words, disabled="clashes,crashes,offers")
        assert "The plugin thief offers the command 'run', which is mar's own" in done.stderr
    assert "steal" not in world("run", "--help", disabled="clashes,crashes").stdout


def test_hook_mar_register_engines(world):
    done = world("run", "model.mar", "x.letters", "--engine", "upper", "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == ["A", "B"]


@pytest.mark.parametrize(
    "words", [["--shout", "!"], ["--shout=!"], ["--engine-option", "shout=!"]], ids=" ".join
)
def test_hook_mar_register_engines_with_options_of_their_own(world, words):
    done = world("run", "model.mar", "x.letters", "--engine", "upper", *words, "--json")
    assert [json.loads(line)["result"] for line in done.stdout.splitlines()] == ["A!", "B!"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--engine", "upper", "--shout"], "Option '--shout' requires an argument."),
        (["--shout", "!"], "No such option: --shout"),
        (["--engine-option", "x=1"], "The engine local has no option 'x'; it has none."),
        (["--engine=upper", "--engine-option", "x"], "'x' is not NAME=VALUE"),
        (["--engine=upper", "--engine-option", "x=1"], "has no option 'x'; it has --shout."),
    ],
)
def test_hook_mar_register_engines_options_that_there_are_not(world, words, sentence):
    done = world("run", "model.mar", "x.letters", *words)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_hook_mar_register_engines_that_clash_name_both(world):
    done = world("run", "model.mar", "x.letters", "--engine", "upper", disabled="crashes")
    assert done.returncode == 2
    assert "clashes" in done.stderr
    assert "offers" in done.stderr


def test_hook_mar_register_readers(world):
    done = world("run", "model.mar", "x.letters", "--json", "--workers", "0")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["id"], row["result"]) for row in rows] == [
        ("x.letters:0", "a"),
        ("x.letters:1", "b"),
    ]


def test_hook_mar_register_readers_that_crash_harm_no_other(world):
    done = world("run", "model.mar", "x.letters", "--json", "--workers", "0", disabled="clashes")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert "crashes" in done.stderr


def test_hook_mar_register_writers(world):
    done = world("run", "model.mar", "x.letters", "-o", "out.xml")
    assert done.returncode == 0, done.stderr
    written = (world.folder / "out.xml").read_text()
    assert written == '<rows count="2"><row>a</row><row>b</row></rows>'
    for fault in (
        "a writer (Endless) whose endings are 'none', not such as ('.xml',)",
        "the class Xml as a writer, where an object of it is expected",
        "a writer (object) that is no mar_core.Writer",
    ):
        assert f"The plugin offers failed in mar_register_writers: it offers {fault}" in done.stderr


def test_hook_mar_register_writers_that_stream_can_be_resumed(world):
    words = ("run", "model.mar", "x.letters", "-o", "out.plain.txt")
    assert world(*words, "--limit", "1").returncode == 0
    assert (world.folder / "out.plain.txt").read_text() == "x.letters:0 a\n"
    assert world(*words, "--resume").returncode == 0
    assert (world.folder / "out.plain.txt").read_text() == "x.letters:0 a\nx.letters:1 b\n"


def test_hook_mar_register_writers_that_fail_lose_no_row(world):
    done = world("run", "model.mar", "x.letters", "-o", "out.sulky")
    assert done.returncode == 2
    assert "The writer 'sulky' failed: RuntimeError: not today. The rows are kept" in done.stderr
    assert len((world.folder / "out.sulky.part").read_text().splitlines()) == 2


def test_hook_mar_register_writers_that_clash_name_both(world):
    done = world("run", "model.mar", "x.letters", "-o", "clash.xml", disabled="crashes")
    assert done.returncode == 2
    assert "are written by clashes and offers" in done.stderr
    done = world("run", "model.mar", "x.letters", "-o", "crash.xml", disabled="clashes")
    assert done.returncode == 0, done.stderr
    assert "The plugin crashes failed in mar_register_writers" in done.stderr


def test_hook_mar_register_weights_formats(tmp_path):
    """A format of a plugin is known, looked at, compared and loaded as mar's own are."""
    import io

    from mar_core import PluginError, TensorInfo, Trust, WeightsFormat, hookimpl, identify, validate
    from mar_core.format import open_archive
    from mar_core.reports.difference import compare_archives
    from mar_core.reports.inspection import inspect_archive
    from mar_core.testing import plugin, run_archive

    def examine(file, report):
        file.budget.spend(file.size)
        if file.size != 4 + 8:
            report.fault("MAR-W006", "It is cut off.")
        report.tensors = [TensorInfo(name="w", dtype="float64", shape=(1,), start=4,
                                     storage_bytes=8)]  # fmt: skip
        report.listed = True

    def load(source):
        assert (source.kind, source.trusted) == ("one", False)
        import struct

        (factor,) = struct.unpack("<d", source.path.read_bytes()[4:])
        return lambda data: data * factor

    one = WeightsFormat(
        name="one",
        title="one number",
        trust=Trust.DATA,
        identify=lambda file: file.head.startswith(b"ONE\0"),
        examine=examine,
        load=load,
        carries_structure=True,
        endings=(".one",),
    )

    class Offers:
        def __init__(self, row):
            self.row = row

        @hookimpl
        def mar_register_weights_formats(self, register):
            register(self.row)

    raw = {name: b"ONE\0" + value for name, value in
           (("two", b"\0" * 7 + b"\x40"), ("none", bytes(8)), ("cut", b""))}  # fmt: skip
    assert identify(io.BytesIO(raw["two"])).name == "unknown"
    with plugin(Offers(one)):
        archives = {}
        for name in ("two", "none"):
            weights = tmp_path / name / "w.one"
            weights.parent.mkdir()
            weights.write_bytes(raw[name])
            archives[name] = make_archive(
                weights.parent, handler="base_handler", serialized_file=weights
            )
        assert run_archive(archives["two"], [{"data": [1.0, 2.0]}]) == [[2.0, 4.0]]
        weights = inspect_archive(archives["two"]).weights
        assert (weights.format, weights.parameters) == ("one", 1)
        (change,) = compare_archives(archives["two"], archives["none"]).tensors
        assert (change.name, change.largest) == ("w", 2.0)
        with open_archive(archives["two"]) as archive:
            assert validate(archive) == []
        weights = tmp_path / "two" / "w.one"
        weights.write_bytes(raw["cut"])
        with pytest.raises(Exception, match=r"MAR-W006: w\.one: It is cut off"):
            make_archive(tmp_path, handler="base_handler", serialized_file=weights)
        with (
            plugin(Offers(one), name="other"),
            pytest.raises(PluginError, match="'one' is registered by"),
        ):
            identify(io.BytesIO(raw["two"]))
    python = dataclasses.replace(one, trust=Trust.PYTHON, load=lambda source: source.trusted)
    with plugin(Offers(python)), open_archive(archives["two"]) as archive:
        assert [f.code for f in validate(archive)] == ["MAR-W011"]
        assert [f.severity.value for f in validate(archive, allow_pickle=True)] == ["warning"]
