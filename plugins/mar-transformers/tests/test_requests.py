"""Requests in the forms that people send, what they may ask for, and what they must not reach."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import transformers as hf
from PIL import Image
from tiny_transformers import close

from mar_core import Failure, Input

TEXT = "the cat sat on the mat"
ASKED = {"question": "who sat ?", "context": TEXT}
SOUND = {"array": [0.0] * 400, "sampling_rate": 16_000}
GREEDY = {"do_sample": False, "max_new_tokens": 6}


def failure(predictor, request):
    (found,) = predictor.predict([request], on_error="return")
    assert isinstance(found, Failure), found
    assert (found.code, found.type) == (400, "PredictionException"), found
    return found.message


def deep(pixels, form="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def floating():
    return deep(np.random.default_rng(5).random((4, 4), dtype=np.float32), "TIFF")


def photo(width=40, height=30, **save):
    pixels = np.random.default_rng(5).integers(0, 255, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", **save)
    return stream.getvalue()


@pytest.mark.parametrize(
    "request_",
    [
        TEXT,
        TEXT.encode(),
        bytearray(TEXT.encode()),
        {"data": TEXT},
        {"body": bytearray(TEXT.encode())},
        {"body": {"inputs": TEXT}},
        {"data": {"inputs": TEXT, "parameters": {}, "options": {"use_cache": False}}},
        {"body": json.dumps({"inputs": TEXT}).encode()},
        {"inputs": TEXT},
        {"data": TEXT, "parameters": '{"top_k": 1}'},
        {"data": {"text": TEXT, "parameters": {"top_k": 1}}},
    ],
)
def test_a_text_in_each_form(loaded, request_):
    predictor = loaded("text-classification")
    (expected,) = predictor.predict([{"data": TEXT}])
    assert predictor.predict([request_]) == [expected]


def test_a_list_is_answered_with_a_list(loaded):
    predictor = loaded("text-classification")
    one, other = predictor.predict([{"data": TEXT}, {"data": "it was bad"}])
    (both,) = predictor.predict([{"inputs": [TEXT, "it was bad"]}])
    assert close(both, [one, other])


def test_a_long_list_goes_through_the_model_in_parts(loaded, monkeypatch):
    predictor = loaded("text-classification")
    (expected,) = predictor.predict([TEXT])
    sizes, model = [], predictor.loaded.instance.model
    forward = type(model).forward

    def watched(self, input_ids=None, **more):
        sizes.append(len(input_ids))
        return forward(self, input_ids=input_ids, **more)

    monkeypatch.setattr(type(model), "forward", watched)
    (answers,) = predictor.predict([{"inputs": [TEXT] * 40}])
    assert close(answers, [expected] * 40)
    assert sizes == [16, 16, 8]


def test_a_picture_in_each_form(loaded):
    predictor = loaded("image-classification")
    raw = photo()
    text = base64.b64encode(raw).decode()
    (expected,) = predictor.predict([{"body": bytearray(raw)}])
    for form in (
        raw, text, {"inputs": text}, {"image": text}, {"inputs": f"data:image/jpeg;base64,{text}"},
        {"image": bytearray(raw)},
    ):  # fmt: skip
        assert predictor.predict([{"data": form}]) == [expected], form


def test_pictures_are_turned_upright(loaded):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = photo(exif=exif.tobytes())
    (numbers,) = loaded("depth-estimation", output="numbers").predict([picture])
    assert np.array(numbers).shape == (40, 30)


@pytest.mark.parametrize("address", ["photo.jpg", "/etc/hostname", "http://127.0.0.1:1/x.jpg"])
def test_no_path_and_no_address_is_opened(loaded, tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(photo())
    for name in ("image-classification", "document-question-answering", "ctc"):
        request = {"image": address, "question": "what ?"} if name.startswith("doc") else address
        message = failure(loaded(name), {"data": request})
        assert "addresses and paths are not opened" in message or "base64" in message


@pytest.mark.parametrize(
    ("name", "request_", "says"),
    [
        ("text-classification", {"data": ""}, "empty"),
        ("text-classification", {"data": "   "}, "empty"),
        ("text-classification", {}, "empty"),
        ("text-classification", {"data": b"\xff\xfe"}, "not UTF-8 (byte 0)"),
        ("text-classification", {"data": 7}, "holds int, where a text"),
        ("text-classification", {"data": TEXT, "parameters": "{"}, "not JSON"),
        ("text-classification", {"data": TEXT, "parameters": [1]}, "a list, where an object"),
        ("text-classification", {"inputs": TEXT, "parameters": {"topk": 1}}, "is 'top_k' meant?"),
        ("text-classification", {"inputs": TEXT, "stream": True}, "does not stream"),
        ("text-classification", {"data": "the " * 70}, "72 tokens, and the model takes 64"),
        ("text-generation", {"data": "the " * 70}, "70 tokens"),
        ("text-generation", {"inputs": [TEXT, TEXT], "stream": True}, "list is not streamed"),
        ("text-generation", {"inputs": TEXT, "parameters": {"seed": "x"}}, "seed"),
        ("text-generation", {"inputs": TEXT, "parameters": {"max_new_tokens": 60}}, "60 more"),
        ("text-generation", {"inputs": TEXT, "parameters": {"max_length": 99}}, "takes 64 in all"),
        ("text-generation", {"inputs": TEXT, "parameters": {"max_new_tokens": "x"}}, "str"),
        (
            "image-to-text",
            {"inputs": base64.b64encode(photo()).decode(), "parameters": {"max_new_tokens": 999}},
            "writes 64 at most",
        ),
        (
            "text-generation",
            {"inputs": TEXT, "parameters": {"num_return_sequences": 2}, "stream": True},
            "none is streamed",
        ),
        ("fill-mask", {"data": TEXT}, "mask_token"),
        ("fill-mask", {"data": ["the [MASK]", TEXT]}, "mask_token"),
        ("text-classification", {"data": [TEXT, "the " * 70]}, "72 tokens, and the model takes"),
        ("depth-estimation", {"data": photo(9, 1)}, "has 9×1 pixels"),
        ("image-classification", {"data": floating()}, "floating-point pixels"),
        ("ctc", {"data": {"array": [0.5], "sampling_rate": 16_000}}, "smaller than the model"),
        (
            "zero-shot-image-classification",
            {"image": photo(), "candidate_labels": ["cat", 7]},
            "where a list of texts is expected",
        ),
        ("zero-shot-image-classification", {"data": photo()}, "candidate_labels"),
        ("image-classification", {"data": b"no picture"}, "10 bytes are no image"),
        ("image-classification", {"data": photo()[:300]}, "cannot be decoded"),
        ("question-answering", {"data": TEXT}, '{"question": …, "context": …} is expected'),
        ("question-answering", {"inputs": ASKED, "parameters": {"max_seq_len": 3}}, "no room"),
        ("question-answering", {"inputs": ASKED, "parameters": {"top_k": 0}}, "from 1"),
        (
            "zero-shot-image-classification",
            {"data": photo(), "parameters": {"hypothesis_template": "{:>999999999}"}},
            "hypothesis_template",
        ),
        ("ctc", {"data": b"", "parameters": {"chunk_length_s": 0.001}}, "empty"),
        ("ctc", {"data": SOUND, "parameters": {"chunk_length_s": 0.001}}, "chunk_length_s"),
        ("ctc", {"data": b"RIFF but no sound"}, "no sound that can be decoded"),
    ],
)
def test_what_is_refused_says_why(loaded, name, request_, says):
    assert says in failure(loaded(name), request_)


@pytest.mark.parametrize(
    "parameters",
    [
        {"custom_generate": "somebody/code", "trust_remote_code": True},
        {"assistant_model": "somebody/model"},
        {"tokenizer_encode_kwargs": {}},
        {"streamer": 1},
        {"generate_kwargs": {"custom_generate": "x"}},
    ],
)
def test_a_client_cannot_ask_for_code_or_files(loaded, parameters):
    request = {"inputs": TEXT, "parameters": parameters}
    assert "has no parameter" in failure(loaded("text-generation"), request)


def test_a_long_text_is_cut_where_that_is_asked_for(loaded, saved):
    long = "the cat " * 40
    request = {"inputs": long, "parameters": {"truncation": True}}
    predictor = loaded("text-classification")
    pipe = hf.pipeline("text-classification", model=str(saved("text-classification")), device="cpu")
    assert close(predictor.predict([request])[0], pipe(long, truncation=True))
    # One that is too long is the only one that fails.
    mixed = predictor.predict([TEXT, long, TEXT], on_error="return")
    assert isinstance(mixed[1], Failure)
    assert close(mixed[0], mixed[2])


def test_parameters_come_from_the_config_unless_a_request_says_otherwise(loaded):
    predictor = loaded("text-classification", parameters={"top_k": 2})
    request = {"inputs": TEXT, "parameters": {"top_k": 1}}
    both, one = predictor.predict([TEXT, request])
    assert (len(both), len(one)) == (2, 1)


def test_a_chat(loaded, saved):
    chat = [{"role": "user", "content": TEXT}]
    pipe = hf.pipeline("text-generation", model=str(saved("text-generation")), device="cpu")
    expected = pipe(chat, **GREEDY)
    predictor = loaded("text-generation")
    for form in ({"inputs": chat}, {"messages": chat}, {"inputs": {"messages": chat}}):
        assert predictor.predict([{"data": {**form, "parameters": GREEDY}}]) == [expected]


def test_a_chat_that_holds_a_picture_is_nothing_for_a_model_of_text(loaded):
    part = {"type": "image", "url": "http://127.0.0.1:1/x.png"}
    chat = [{"role": "user", "content": [part]}]
    assert "where a text" in failure(loaded("text-generation"), {"inputs": chat})


def test_an_assertion_of_the_tokenizer_costs_one_request(loaded):
    """It is no Exception, and would end more than the batch."""
    predictor = loaded("token-classification")
    bad = {"inputs": TEXT, "parameters": {"stride": 10**6}}
    found = predictor.predict([TEXT, bad, {**bad, "inputs": "a dog"}], on_error="return")
    assert isinstance(found[1], Failure)
    assert isinstance(found[2], Failure)
    assert "stride" in found[1].message
    assert found[0] == predictor.predict([TEXT])[0]


def test_a_seed_makes_chance_repeat_itself(loaded):
    predictor = loaded("text-generation")
    asked = {"do_sample": True, "max_new_tokens": 12, "temperature": 5.0, "top_k": 0}
    requests = [{"inputs": TEXT, "parameters": {**asked, "seed": seed}} for seed in (1, 2, 1)]
    first, second, third = predictor.predict(requests)
    assert first == third
    assert first != second


def test_what_is_streamed_is_the_text(loaded):
    """Two streams at once, of unlike lengths, beside an answer in one piece."""
    predictor = loaded("text-generation")
    prompts = [TEXT, "a dog"]
    whole = {**GREEDY, "return_full_text": False}
    expected = predictor.predict([{"inputs": one, "parameters": whole} for one in prompts])
    rows = [{"inputs": one, "parameters": GREEDY, "stream": True} for one in prompts]
    rows.append({"inputs": TEXT, "parameters": whole})
    given = [Input(id=str(at), read=lambda row=row: row) for at, row in enumerate(rows)]
    outcomes = predictor.run(given)
    assert [outcome.failure for outcome in outcomes] == [None] * 3
    for outcome, ((answer,), *_) in zip(outcomes, zip(expected, strict=True), strict=False):
        assert len(outcome.streamed) > 1
        assert "".join([*outcome.streamed, outcome.result]) == answer["generated_text"]
    assert outcomes[2].result == expected[0]
    assert not outcomes[2].streamed


def test_the_config_can_have_everything_streamed(loaded):
    predictor = loaded("text-generation", stream=True, parameters=GREEDY)
    rows = [{"data": TEXT}, {"inputs": TEXT, "stream": False}]
    streamed, whole = predictor.run(
        [Input(id=str(at), read=lambda row=row: row) for at, row in enumerate(rows)]
    )
    assert streamed.streamed
    text = "".join([*streamed.streamed, streamed.result])
    assert whole.result[0]["generated_text"].endswith(text)
    assert not whole.streamed


def test_what_is_written_ends_where_the_models_positions_do(loaded):
    """Where a request does not say how much; and its answer is the same in a batch."""
    predictor = loaded(
        "text-generation", parameters={"do_sample": False, "return_full_text": False}
    )
    texts = ["the cat " * 30, "the cat", "the dog " * 31]
    alone = [predictor.predict([text])[0] for text in texts]
    assert predictor.predict(texts) == alone
    counts = [len(one[0]["generated_text"].split()) for one in alone]
    assert counts[0] <= 4
    assert counts[2] <= 2


def test_16_bits_are_not_cut_off_at_255(loaded):
    grey = np.random.default_rng(6).integers(0, 256, (30, 40), dtype=np.uint8)
    predictor = loaded("image-classification")
    rows = [deep(grey), deep(grey.astype(np.uint16) * 257)]
    one, other = predictor.predict(rows)
    assert close(one, other)
