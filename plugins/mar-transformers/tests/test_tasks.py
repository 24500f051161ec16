"""Every task answers as the library's own call does: one by one, in batches, beside a bad item."""

from __future__ import annotations

import base64
import io

import jsonschema
import numpy as np
import pytest
import torch
import transformers as hf
from mar_transformers.signatures import signature_of
from mar_transformers.tasks import TASKS, _classes, _tables, task_of
from PIL import Image
from tiny_transformers import close, config_of

from mar_core import Failure, Signature, open_archive, read_signature
from mar_core.signature.matching import mismatches

TEXTS = ["the cat sat on the mat .", "it was good", "I like this very bad film and the news , too"]
BAD = {"nothing": "of what a task takes"}
CATS_OR_DOGS = {"candidate_labels": ["cat", "dog"]}
GREEDY = {"do_sample": False, "max_new_tokens": 5}


def png(seed, width=40, height=30):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


PICTURES = [png(1), png(2), png(3, 28, 36), png(4)]


def opened(picture):
    return Image.open(io.BytesIO(picture))


def asked(value, **parameters):
    """A request in the form of the hub's API."""
    value = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    return {"inputs": value, "parameters": parameters}


def sound(seed, samples):
    return np.random.default_rng(seed).standard_normal(samples).astype(np.float32)


def own(task, folder):
    return hf.pipeline(task, model=str(folder), device="cpu")


def answers_alike(predictor, requests, expected):
    """One by one, all at once, and with a request in their middle that is none."""
    assert close([predictor.predict([one])[0] for one in requests], expected)
    together = predictor.predict(requests)
    assert close(together, expected)
    given = predictor.prepared.signature.answer()
    assert [list(mismatches(given, one)) for one in together] == [[]] * len(together)
    mixed = predictor.predict([*requests[:1], BAD, *requests[1:]], on_error="return")
    failure = mixed.pop(1)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.stage) == (400, "preprocess"), failure
    assert close(mixed, expected)


# What the pipeline is asked, and what a request says, for the tasks whose answers are handed on.
HANDED_ON = {
    "text-classification": [(one, one, {}) for one in TEXTS],
    "token-classification": [(one, one, {}) for one in TEXTS],
    "zero-shot-classification": [
        (one, asked(one, candidate_labels=["good", "bad"]), {"candidate_labels": ["good", "bad"]})
        for one in TEXTS
    ],
    "fill-mask": [(one, one, {}) for one in ("the [MASK] sat", "it was a very [MASK] film .")],
    "feature-extraction": [(one, one, {}) for one in TEXTS],
    "text-generation": [(one, asked(one, **GREEDY), GREEDY) for one in TEXTS],
    "image-classification": [(opened(one), one, {}) for one in PICTURES],
    "image-feature-extraction": [(opened(one), one, {}) for one in PICTURES],
    "zero-shot-image-classification": [
        (opened(one), asked(one, **CATS_OR_DOGS), CATS_OR_DOGS)
        for one in PICTURES
    ],
    "zero-shot-audio-classification": [
        (one, asked({"array": one.tolist(), "sampling_rate": 48_000}, **CATS_OR_DOGS), CATS_OR_DOGS)
        for one in (sound(1, 3000), sound(2, 4000), sound(3, 3000))
    ],
    "image-text-to-text": [
        (
            {"images": opened(one).convert("RGB"), "text": text},
            asked({"image": base64.b64encode(one).decode(), "text": text}, max_new_tokens=5),
            {"generate_kwargs": {"max_new_tokens": 5}},
        )
        for one, text in zip(PICTURES, ["", "the cat", "a", "it was"], strict=True)
    ],
    "audio-classification": [
        (one, {"array": one.tolist(), "sampling_rate": 16_000}, {})
        for one in (sound(1, 3000), sound(2, 4000), sound(3, 3000))
    ],
}  # fmt: skip


@pytest.mark.parametrize("task", HANDED_ON)
def test_answers_are_those_of_the_library(saved, loaded, task):
    folder = saved(task)
    pipe = own(task, folder)
    expected = [pipe(given, **parameters) for given, _, parameters in HANDED_ON[task]]
    options = {"task": task} if task == "zero-shot-classification" else {}
    requests = [request for _, request, _ in HANDED_ON[task]]
    answers_alike(loaded(task, **options), requests, expected)


@pytest.mark.parametrize("task", [name for name in HANDED_ON if name != "zero-shot-classification"])
def test_the_models_class_says_what_it_is_for(saved, task):
    assert task_of(config_of(saved(task))).name == task


@pytest.mark.parametrize(
    ("model", "options", "takes", "gives"),
    [
        ("text-classification", {}, "data: string",
         "classes: list of {label: string, score: float32}"),
        ("text-classification", {"task": "zero-shot-classification"},
         "text: string; candidate_labels: list of string",
         "classes: {sequence: string, labels: list of string, scores: float32[*]}"),
        ("text-classification",
         {"task": "zero-shot-classification", "parameters": {"candidate_labels": ["a", "b"]}},
         "data: string", "classes: {sequence: string, labels: list of string, scores: float32[*]}"),
        ("object-detection", {}, "data: image", "boxes: list of {score: float32, *: float32[4]}"),
        ("image-segmentation", {}, "data: image", "classes: image"),
        ("image-segmentation", {"output": "numbers"}, "data: image", "classes: float32[*, *, 2]"),
        ("question-answering", {}, "question: string; context: string", None),
        ("ctc", {}, "data: bytes", "text: {text: string, *: json}"),
        ("ctc", {"handler": "speech_recognizer", "output": "text"}, "data: bytes", "text: string"),
        ("text2text-generation", {"task": "summarization"}, "data: string",
         "texts: list of {summary_text: string}"),
    ],
)  # fmt: skip
def test_what_is_taken_and_given_follows_from_the_task(packed, model, options, takes, gives):
    with open_archive(packed(model, **options)) as archive:
        found = read_signature(archive)
        assert archive.manifest.mar["signature"] == found.to_dict()
    assert "; ".join(f"{one.name}: {one}" for one in found.inputs) == takes
    if gives is not None:
        assert "; ".join(f"{one.name}: {one}" for one in found.outputs) == gives


def test_every_task_says_what_it_takes_and_gives(packed):
    with open_archive(packed("text-classification")) as archive:
        for task in TASKS:
            said = Signature.from_dict(signature_of(archive, {"task": task}))
            assert said.inputs
            assert said.outputs
            for one in (*said.inputs, *said.outputs):
                schema = one.json_schema()
                if "example" in schema:
                    jsonschema.validate(schema["example"], schema)


def test_the_tables_of_classes_are_those_of_the_library():
    from transformers.models.auto import modeling_auto

    for name, found in _tables().items():
        classes = set()
        for value in getattr(modeling_auto, name).values():
            classes.update(value if isinstance(value, (tuple, list)) else [value])
        assert set(found) == classes, name
    for task in TASKS.values():
        assert all(_classes(table) for table in task.tables), task.name


def test_labels_come_as_text_too(saved, loaded):
    predictor = loaded("zero-shot-image-classification")
    rows = [
        {"image": PICTURES[0], "candidate_labels": labels}
        for labels in (["cat", "dog"], b'["cat", "dog"]', "cat, dog")
    ]
    first, *others = predictor.predict(rows)
    assert close(others, [first, first])
    assert {one["label"] for one in first} == {"cat", "dog"}


def test_pairs_of_texts(saved, loaded):
    pairs = [{"text": "the cat", "text_pair": one} for one in TEXTS]
    pipe = own("text-classification", saved("text-classification"))
    expected = [[pipe(dict(pair))] for pair in pairs]
    answers_alike(loaded("text-classification"), [{"data": pair} for pair in pairs], expected)


def test_boxes_are_in_the_format_of_object_detector(saved, loaded):
    pipe = own("object-detection", saved("object-detection"))
    expected = []
    for picture in PICTURES:
        found = sorted(pipe(opened(picture), threshold=0.1), key=lambda one: -one["score"])
        assert found
        expected.append(
            [{one["label"]: list(one["box"].values()), "score": one["score"]} for one in found]
        )
    requests = [asked(one, threshold=0.1) for one in PICTURES]
    answers_alike(loaded("object-detection"), requests, expected)


def test_boxes_of_what_is_asked_for(saved, loaded):
    pipe = own("zero-shot-object-detection", saved("zero-shot-object-detection"))
    labels = ["cat", "dog"]
    expected = []
    for picture in PICTURES:
        found = pipe(opened(picture), candidate_labels=labels, threshold=0.0, top_k=3)
        expected.append(
            [{one["label"]: list(one["box"].values()), "score": one["score"]} for one in found]
        )
    requests = [asked(one, candidate_labels=labels, threshold=0.0, top_k=3) for one in PICTURES]
    answers_alike(loaded("zero-shot-object-detection"), requests, expected)


@pytest.mark.parametrize("name", ["image-segmentation", "panoptic"])
def test_masks_are_in_the_formats_of_image_segmenter(saved, loaded, name):
    pipe = own("image-segmentation", saved(name))
    low = {"threshold": 0.0, "mask_threshold": 0.3, "overlap_mask_area_threshold": 0.0}
    numbers = loaded(name, output="numbers", parameters=low)
    maps = loaded(name, parameters=low)
    for picture in PICTURES:
        segments = pipe(opened(picture), **low)
        assert segments
        (grid,) = np.array(numbers.predict([picture])[:1])
        (found,) = maps.predict([picture])
        classes = np.asarray(Image.open(io.BytesIO(found)))
        assert grid.shape == (*classes.shape, 2)
        covered = np.zeros(classes.shape, dtype=bool)
        for segment in segments:
            there = np.asarray(segment["mask"]) > 0
            number = pipe.model.config.label2id[segment["label"]]
            assert (classes[there] == number).all()
            assert (grid[..., 0][there] == number).all()
            if segment["score"] is not None:
                assert np.allclose(grid[..., 1][there], segment["score"], atol=1e-5)
            covered |= there
        assert (classes[~covered] == 255).all()
        assert (grid[..., 0][~covered] == -1).all()
    answers_alike(maps, PICTURES, [maps.predict([picture])[0] for picture in PICTURES])


def test_the_probabilities_of_pixels(saved, loaded):
    folder = saved("image-segmentation")
    pipe = own("image-segmentation", folder)
    picture = opened(PICTURES[0])
    with torch.inference_mode():
        logits = pipe.model(**pipe.image_processor(picture, return_tensors="pt")).logits
        sized = torch.nn.functional.interpolate(logits, (30, 40), mode="bilinear")
    (grid,) = loaded("image-segmentation", output="numbers").predict([PICTURES[0]])
    assert np.allclose(np.array(grid)[..., 1], sized.softmax(1).amax(1)[0], atol=1e-5)


def test_segments_are_pictures_with_labels(saved, loaded):
    pipe = own("image-segmentation", saved("image-segmentation"))
    expected = pipe(opened(PICTURES[0]))
    (found,) = loaded("image-segmentation", output="segments").predict([PICTURES[0]])
    assert [one["label"] for one in found] == [one["label"] for one in expected]
    assert all(
        one["mask"].tobytes() == other["mask"].tobytes()
        for one, other in zip(found, expected, strict=True)
    )


def test_depth_is_a_picture_or_numbers(saved, loaded):
    pipe = own("depth-estimation", saved("depth-estimation"))
    expected = [pipe(opened(picture)) for picture in PICTURES]
    pictures = [np.asarray(one["depth"]).astype(int) for one in expected]
    predictor = loaded("depth-estimation")
    for found in (predictor.predict(PICTURES), [predictor.predict([one])[0] for one in PICTURES]):
        for one, other in zip(found, pictures, strict=True):
            # A number in the middle between two may fall to either side.
            assert abs(np.asarray(Image.open(io.BytesIO(one))).astype(int) - other).max() <= 1
    numbers = [one["predicted_depth"].tolist() for one in expected]
    answers_alike(loaded("depth-estimation", output="numbers"), PICTURES, numbers)


def test_captions(saved, loaded):
    folder = saved("image-to-text")
    model = hf.VisionEncoderDecoderModel.from_pretrained(folder)
    processor = hf.AutoImageProcessor.from_pretrained(folder)
    words = hf.AutoTokenizer.from_pretrained(folder)
    expected = []
    for picture in PICTURES:
        tokens = model.generate(**processor(opened(picture).convert("RGB"), return_tensors="pt"))
        expected.append([{"generated_text": words.decode(tokens[0], skip_special_tokens=True)}])
    answers_alike(loaded("image-to-text"), PICTURES, expected)


@pytest.mark.parametrize(
    ("task", "key", "before", "more"),
    [
        ("text2text-generation", "generated_text", "", {"max_new_tokens": 6}),
        ("translation_en_to_de", "translation_text", "", {"max_new_tokens": 6}),
        ("summarization", "summary_text", "summarize : ", {"max_length": 9, "num_beams": 2}),
    ],
)
def test_texts_become_texts(saved, loaded, task, key, before, more):
    """The words that tell the model its task, and its parameters for it, are in its config."""
    folder = saved("text2text-generation")
    model = hf.AutoModelForSeq2SeqLM.from_pretrained(folder)
    words = hf.AutoTokenizer.from_pretrained(folder)
    expected = []
    for text in TEXTS:
        inputs = words(before + text, return_tensors="pt")
        tokens = model.generate(inputs["input_ids"], **more)
        expected.append([{key: words.decode(tokens[0], skip_special_tokens=True)}])
    given = {} if task == "summarization" else more
    requests = [asked(text, **given) for text in TEXTS]
    answers_alike(loaded("text2text-generation", task=task), requests, expected)


def test_questions_on_a_text(saved, loaded):
    folder = saved("question-answering")
    model = hf.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    words = hf.AutoTokenizer.from_pretrained(folder)
    questions = [{"question": "who sat ?", "context": text} for text in TEXTS]
    expected = [best_span(model, words, **one) for one in questions]
    answers_alike(loaded("question-answering"), questions, expected)


def best_span(model, words, *, question, context):
    """The answer as the papers say it: the best start and end that lie in the text."""
    inputs = words(question, context, return_tensors="pt", return_offsets_mapping=True)
    spans = inputs.pop("offset_mapping")[0].tolist()
    inside = torch.tensor([one == 1 for one in inputs.sequence_ids(0)])
    inside[0] = True
    with torch.inference_mode():
        output = model(**inputs)
    shares = [
        logits[0].masked_fill(~inside, -1e4).softmax(0).tolist()
        for logits in (output.start_logits, output.end_logits)
    ]
    inside[0] = False
    pairs = [
        (shares[0][start] * shares[1][end], start, end)
        for start in range(len(spans))
        for end in range(start, min(start + 15, len(spans)))
        if inside[start] and inside[end]
    ]
    score, start, end = max(pairs)
    first, last = spans[start][0], spans[end][1]
    return {"score": score, "start": first, "end": last, "answer": context[first:last]}


def test_a_long_text_is_read_in_windows(saved, loaded):
    """The same windows, each asked by itself, give the same best answer."""
    folder = saved("question-answering")
    model = hf.AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    words = hf.AutoTokenizer.from_pretrained(folder)
    context = " ".join(
        f"{text} it {'was ' * number}a dog in paris" for number, text in enumerate(TEXTS * 4)
    )
    request = asked({"question": "who ?", "context": context}, max_seq_len=20, doc_stride=5)
    (answer,) = loaded("question-answering").predict([request])
    assert context[answer["start"] : answer["end"]] == answer["answer"]
    cut = words(
        "who ?", context, truncation="only_second", max_length=20, stride=5,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    assert len(cut["input_ids"]) > 5
    scores = {}
    for at in range(len(cut["input_ids"])):
        spans = [
            span
            for span, owner in zip(cut["offset_mapping"][at], cut.sequence_ids(at), strict=True)
            if owner == 1
        ]
        first, last = spans[0][0], spans[-1][1]
        found = best_span(model, words, question="who ?", context=context[first:last])
        key = (found["start"] + first, found["end"] + first)
        scores[key] = scores.get(key, 0.0) + found["score"]
    best = max(scores, key=scores.__getitem__)
    assert (answer["start"], answer["end"]) == best
    assert abs(answer["score"] - scores[best]) < 1e-5


def test_questions_on_a_page(saved, loaded):
    pipe = own("document-question-answering", saved("document-question-answering"))
    boxes = [[word, [10 * at, 20, 10 * at + 8, 40]] for at, word in enumerate(TEXTS[2].split())]
    pages = [
        {"question": "who ?", "word_boxes": boxes},
        {"question": "where is the dog ?", "word_boxes": boxes[3:]},
    ]
    expected = [pipe({**page, "image": opened(PICTURES[0]).convert("RGB")}) for page in pages]
    image = base64.b64encode(PICTURES[0]).decode()
    answers_alike(
        loaded("document-question-answering"),
        [{**page, "image": image} for page in pages],
        expected,
    )


@pytest.mark.parametrize("name", ["ctc", "whisper"])
def test_speech(saved, loaded, name):
    pipe = own("automatic-speech-recognition", saved(name))
    sounds = [sound(1, 5000), sound(2, 7000), sound(3, 5000)]
    expected = [pipe(one.copy()) for one in sounds]
    assert len({one["text"] for one in expected}) > 1
    requests = [{"array": one.tolist(), "sampling_rate": 16_000} for one in sounds]
    answers_alike(loaded(name), requests, expected)
