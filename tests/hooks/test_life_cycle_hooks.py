"""The hooks that a handler goes through, with real archives loaded and run."""

from __future__ import annotations

import pytest

import mar_core
from mar_core import NO_RESULT, HandlerError, hookimpl
from mar_core.testing import make_archive, plugin, run_archive

# A handler with every stage, each leaving its mark on the data.
HANDLER = """
from mar_core import BaseHandler

class Marks(BaseHandler):
    def initialize(self, context):
        self.log = ["initialize"]
        self.initialized = True

    def preprocess(self, data):
        return [row["data"] for row in data]

    def inference(self, data):
        return [text + "i" for text in data]

    def postprocess(self, data):
        return [text + "p" for text in data]

    def get_insights(self, data, raw, target):
        return [f"why {text}" for text in data]

    def teardown(self):
        self.log.append("teardown")
"""


@pytest.fixture
def archive(tmp_path):
    handler = tmp_path / "handler.py"
    handler.write_text(HANDLER)
    return make_archive(tmp_path, handler=handler, config={"batchSize": 4})


def ask(archive, *texts, **options):
    return run_archive(archive, [{"data": text} for text in texts], **options)


def test_the_handler_alone(archive):
    assert ask(archive, "a", "b") == ["aip", "bip"]


def test_hook_mar_load_model(tmp_path):
    """Takes over what mar would load, or could not: JSON with two numbers, told by its ending."""
    import json

    weights = tmp_path / "weights.twonumbers"
    weights.write_text("[2, 1]")

    class TwoNumbers:
        @hookimpl
        def mar_load_model(self, source):
            if not source.name.endswith(".twonumbers"):
                return None
            assert source.kind == "text"
            factor, offset = json.loads(source.path.read_text())
            return lambda data: data * factor + offset

    # The core knows no such format: the rule that says so is the plugin's to answer.
    with plugin(TwoNumbers()):
        path = make_archive(tmp_path, handler="base_handler", serialized_file=weights)
        assert run_archive(path, [{"data": [1.0, 2.0]}]) == [[3.0, 5.0]]


def test_hook_mar_load_model_comes_before_the_handlers_own_way(tmp_path):
    handler = tmp_path / "own.py"
    handler.write_text(
        "from mar_core import BaseHandler\n"
        "class Own(BaseHandler):\n"
        "    def model_from_source(self, source):\n"
        "        assert source.device == self.device and not source.trusted\n"
        "        return lambda data: data + 10\n"
    )

    class Takes:
        @hookimpl
        def mar_load_model(self, handler):
            return lambda data: data - 10

    path = make_archive(tmp_path, handler=handler)
    assert run_archive(path, [{"data": [1.0]}]) == [[11.0]]
    with plugin(Takes()):
        assert run_archive(path, [{"data": [1.0]}]) == [[-9.0]]


def test_hook_mar_initialize(archive):
    class Seeds:
        @hookimpl(wrapper=True)
        def mar_initialize(self, handler):
            result = yield
            handler.log.append("wrapped")
            return result

    with plugin(Seeds()), mar_core.load(archive) as predictor:
        assert predictor.loaded.instance.log == ["initialize", "wrapped"]


def test_hook_mar_initialize_may_take_over(archive):
    class Instead:
        @hookimpl
        def mar_initialize(self, handler):
            handler.log = ["instead"]
            return True

    with plugin(Instead()), mar_core.load(archive) as predictor:
        assert predictor.loaded.instance.log == ["instead"]


def test_hook_mar_preprocess(archive):
    class Upper:
        @hookimpl(wrapper=True)
        def mar_preprocess(self, data, context):
            return [text.upper() for text in (yield)]

    with plugin(Upper()):
        assert ask(archive, "a", "b") == ["Aip", "Bip"]
    assert ask(archive, "a") == ["aip"]


def test_hook_mar_preprocess_may_answer_in_the_handlers_place(archive):
    class Cached:
        @hookimpl
        def mar_preprocess(self, data):
            return ["cached" for _ in data] if data[0]["data"] == "old" else None

    with plugin(Cached()):
        assert ask(archive, "old") == ["cachedip"]
        assert ask(archive, "new") == ["newip"]


def test_hook_mar_inference(archive):
    class Retries:
        """The first try fails, the second does not."""

        tries = 0

        @hookimpl
        def mar_inference(self, data):
            self.tries += 1
            if self.tries == 1:
                raise ConnectionError("try again")

    class Around:
        @hookimpl(wrapper=True)
        def mar_inference(self, handler, data):
            try:
                return (yield)
            except ConnectionError:
                return handler.inference(data)

    with plugin(Retries()) as retries, plugin(Around()):
        assert ask(archive, "a") == ["aip"]
    assert retries.tries == 1


def test_hook_mar_inference_that_raises_fails_the_request(archive):
    class Raises:
        @hookimpl
        def mar_inference(self):
            raise RuntimeError("no licence")

    with plugin(Raises()), pytest.raises(HandlerError, match="inference: RuntimeError: no licence"):
        ask(archive, "a")


def test_hook_mar_postprocess(archive):
    class Envelope:
        @hookimpl(wrapper=True)
        def mar_postprocess(self):
            return [{"result": result} for result in (yield)]

    with plugin(Envelope()):
        assert ask(archive, "a", "b") == [{"result": "aip"}, {"result": "bip"}]


def test_hook_mar_explain(archive):
    class Says:
        @hookimpl(wrapper=True)
        def mar_explain(self, data, raw):
            explained = yield
            return [f"{text} from {row['data']}" for text, row in zip(explained, raw, strict=True)]

    with plugin(Says()), mar_core.load(archive) as predictor:
        assert predictor.predict([{"data": "a"}], explain=True) == ["why a from a"]
        assert predictor.predict([{"data": "a"}]) == ["aip"]


def test_hook_mar_teardown(archive):
    order = []

    class Cleans:
        @hookimpl(wrapper=True)
        def mar_teardown(self, handler):
            result = yield
            order.extend(handler.log)
            return result

    with plugin(Cleans()), mar_core.load(archive):
        assert order == []
    assert order == ["initialize", "teardown"]


def test_none_of_a_stage_is_told_from_not_mine(archive):
    """NO_RESULT stands for None: the handler behind is not asked."""

    class Nothing:
        @hookimpl
        def mar_inference(self):
            return NO_RESULT

        @hookimpl
        def mar_postprocess(self, data):
            return [repr(data)]

    with plugin(Nothing()):
        assert ask(archive, "a") == ["None"]


def test_the_last_registered_is_asked_first(archive):
    def answers(text):
        class Answers:
            @hookimpl
            def mar_postprocess(self, data):
                return [text for _ in data]

        return Answers()

    with plugin(answers("first"), name="one"), plugin(answers("second"), name="two"):
        assert ask(archive, "a") == ["second"]
