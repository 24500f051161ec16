"""What model-config.yaml says to a handler is read, or refused in one sentence that names it."""

from __future__ import annotations

import pytest

from mar_core import MODEL_OPTIONS, HandlerOption, ModelError, handler_options

OPTIONS = {
    "topk": HandlerOption.whole(what="how many classes an answer holds"),
    "threshold": HandlerOption.number(0, 1),
    "scale": HandlerOption.number(0.5),
    "stream": HandlerOption.flag(),
    "prompt": HandlerOption.text(empty=True),
    "member": HandlerOption.text("the name of a member"),
    "output": HandlerOption.one_of("png", "numbers", "segments"),
    "form": HandlerOption.one_of("json", "text"),
    "more": HandlerOption.mapping(),
}


def read(handler, **how):
    return handler_options({"handler": handler}, OPTIONS, handler="shout", **how)


def test_values_by_name_of_the_options_that_are_given():
    given = {"topk": 3, "threshold": 1, "prompt": "", "output": "png", "more": {}, "profile": True}
    found = read(given)
    assert found == {"topk": 3, "threshold": 1.0, "prompt": "", "output": "png", "more": {}}
    assert type(found["threshold"]) is float
    for config in (None, {}, {"handler": None}):
        assert handler_options(config, OPTIONS, handler="shout") == {}


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("topk", 0, "handler.topk is 0, where a whole number from 1 is expected."),
        ("topk", True, "handler.topk is True, where a whole number from 1 is expected."),
        ("topk", None, "handler.topk is None, where a whole number from 1 is expected."),
        ("threshold", 1.5, "handler.threshold is 1.5, where a number from 0 to 1 is expected."),
        ("threshold", float("nan"), "handler.threshold is nan, where a number from 0 to 1"),
        ("scale", 0, "handler.scale is 0, where a number from 0.5 is expected."),
        ("stream", "yes", "handler.stream is 'yes', where true or false is expected."),
        ("prompt", 3, "handler.prompt is 3, where a text is expected."),
        ("prompt", "\ud800", "where a text is expected."),
        ("member", "", "handler.member is '', where the name of a member is expected."),
        ("output", ["png"], "['png'], where one of png, numbers or segments is expected."),
        ("form", "xml", "handler.form is 'xml', where json or text is expected."),
        ("more", "x" * 5000, "where a mapping is expected."),
    ],
)
def test_a_wrong_value_is_one_short_sentence(option, value, sentence):
    with pytest.raises(ModelError) as refused:
        read({option: value})
    said = refused.value.message
    assert said.startswith(f"model-config.yaml: handler.{option} is ")
    assert sentence in said
    assert len(said) < 250
    meant = "It is how many classes an answer holds." if option == "topk" else None
    assert refused.value.hint == meant


@pytest.mark.parametrize(
    ("key", "said"),
    [("top_k", "; is 'topk' meant?"), ("Stream", "; is 'stream' meant?"), ("zzz", "."), (7, ".")],
)
def test_a_key_that_is_not_known_is_named(key, said, caplog):
    with pytest.raises(ModelError) as refused:
        read({key: 1})
    sentence = f"model-config.yaml: shout has no option {str(key)!r}"
    assert refused.value.message == f"{sentence}{said}"
    assert "topk, threshold" in str(refused.value.hint)
    assert read({key: 1}, unknown="ignore") == {}
    assert not caplog.messages
    read({key: 1}, unknown="warn")
    assert caplog.messages == ([f"{sentence}{said}"] if said != "." else [])


def test_a_section_that_is_no_mapping():
    with pytest.raises(ModelError, match=r"handler is 'x', where a mapping is expected\."):
        read("x")
    assert read("x", unknown="warn") == {}


def test_what_is_said_of_a_network():
    given = {"handler": {"dtype": "float16", "channels_last": True}}
    assert handler_options(given, MODEL_OPTIONS, handler="shout") == given["handler"]
