"""What plugins do wrong in hooks that are called one by one: said with their name, harming none."""

from __future__ import annotations

import logging

import pytest

from mar_core import ArchiveError, EngineOption, PluginError, Writer, hookimpl
from mar_core.build.plan import plan
from mar_core.build.request import ArchiveRequest
from mar_core.plugins import Plugins, new_manager
from mar_core.plugins.hooks import EngineOffer


class Fine:
    name = "fine"

    def accepts(self, source):
        return True

    def read(self, source, options):
        return iter(())


class NoAccepts:
    def read(self, source, options):
        return iter(())


class Nameless(Fine):
    name = None


class Deaf(Fine):
    def read(self, source):
        return iter(())


class Xml(Writer):
    name = "xml"
    endings = (".xml",)

    def write(self, rows, stream, options):
        pass


class Loud(Xml):
    endings = (".XML",)


class Short(Xml):
    def write(self, rows):
        pass


class Readers:
    def __init__(self, *offers):
        self.offers = offers

    @hookimpl
    def mar_register_readers(self, register):
        for offer in self.offers:
            register(offer)


class Engines:
    def __init__(self, *offers):
        self.offers = offers

    @hookimpl
    def mar_register_engines(self, register):
        for offer in self.offers:
            register(*offer)


def loaded(*named, strict=False):
    plugins = Plugins(new_manager(), strict=strict)
    for number, plugin in enumerate(named):
        plugins.register(plugin, f"p{number}")
    return plugins


def test_readers_are_asked_last_registered_first():
    first, second, third = Fine(), Fine(), Fine()
    assert loaded(Readers(first, second), Readers(third)).readers() == [third, second, first]


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (NoAccepts(), "a reader (NoAccepts) without the method accepts"),
        (object(), "without the method accepts and read"),
        (Fine, "the class Fine as a reader, where an object of it is expected"),
        (None, "a reader (NoneType)"),
        (Nameless(), "a reader (Nameless) without a name"),
        (Deaf(), "a reader (Deaf) whose read() does not take a source and options"),
    ],
)
def test_a_reader_that_is_none_is_left_out(reader, words, caplog):
    good = Fine()
    assert loaded(Readers(reader, good)).readers() == [good]
    (record,) = caplog.records
    assert "The plugin p0 failed in mar_register_readers: it offers" in record.message
    assert words in record.message
    with pytest.raises(PluginError, match="The plugin p0"):
        loaded(Readers(reader), strict=True).readers()


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        ((1, Fine), "an engine whose name is 1, not a string"),
        (("", Fine), "an engine whose name is ''"),
        (("upper", None), "the engine 'upper' with no callable"),
        (("upper", Fine, "--x"), "with an option that is not an EngineOption: '--x'"),
        (("upper", Fine, EngineOption(name="x", help="")), "not an EngineOption"),
        (("upper",), "1 values to register()"),
        (("upper", lambda size: size), "the engine 'upper' with a callable that needs arguments"),
    ],
)
def test_an_engine_that_is_none_is_left_out(offer, words, caplog):
    offers = loaded(Engines(offer), Engines(("good", Fine))).engines()
    assert offers == {"good": [EngineOffer("p1", Fine)]}
    assert words in caplog.text


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        (Loud(), "a writer (Loud) whose endings are ('.XML',), not in lower case"),
        (Short(), "a writer (Short) whose write() does not take rows, a stream and options"),
    ],
)
def test_a_writer_that_is_none_is_left_out(offer, words, caplog):
    class Writers:
        @hookimpl
        def mar_register_writers(self, register):
            register(offer)
            register(good)

    good = Xml()
    assert list(loaded(Writers()).writers()) == [("p0", good)]
    assert words in caplog.text


class Crashes:
    @hookimpl
    def mar_stage_finished(self):
        raise RuntimeError("out of order")

    @hookimpl
    def mar_run_finished(self):
        raise RuntimeError("out of order")


def test_an_observer_that_raises_is_told_once_and_then_counted(caplog):
    caplog.set_level(logging.WARNING)
    plugins = loaded(Crashes())
    for _ in range(1000):
        plugins.stage_finished(model="m", stage="inference", seconds=0.1, size=1, error=None)
    assert [r.message for r in caplog.records] == [
        "The plugin p0 failed in mar_stage_finished: RuntimeError: out of order."
    ]
    plugins.run_finished(None)
    assert [r.message for r in caplog.records][1:] == ["The plugin p0 failed 1,000 more times."]
    plugins.run_finished(None)
    assert len(caplog.records) == 3, "the next run is told again, and has nothing to count"


class Collects:
    def __init__(self, result):
        self.result = result

    @hookimpl
    def mar_collect_files(self):
        return self.result


@pytest.mark.parametrize(
    ("result", "kind"),
    [(("LICENSE", b"text"), "str"), (5, "int"), ("LICENSE", "str"), ([None], "NoneType")],
)
def test_files_that_are_none(tmp_path, monkeypatch, result, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h.py").write_text("def handle(data, context): return data\n")
    request = ArchiveRequest(model_name="m", handler="h.py")
    with pytest.raises(ArchiveError, match=f"The plugin p0 gave {kind} from mar_collect_files"):
        plan(request, plugins=loaded(Collects(result)))
