"""The handlers for text: cleaning, vocabularies, batches of every kind of model, explanations."""

from __future__ import annotations

import json
import sys
import types
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st
from unpacked import initialized, network, network_source, unpack
from weightsfiles import saved

from builtin_handlers import text_utils
from builtin_handlers.text_classifier import TextClassifier
from builtin_handlers.text_handler import TextHandler
from builtin_handlers.vocabulary import Vocabulary, read_vocabulary
from mar_core import ModelError, PredictionException

VOCABULARY = {
    "<unk>": 0, "<pad>": 1, "good": 2, "bad": 3, "film": 4, "a": 5, "good film": 6, "not": 7,
    "it": 8, "is": 9,
}  # fmt: skip
TEXTS = ["A good film!", "bad", "It isn't <b>a</b> BAD film, it is good: a gööd film", "zzz"]


def served(
    tmp_path, name="reviews", cls=TextClassifier, *, files=None, model=None, trusted=False, **more
):
    model = model or network(name)
    files = {"source_vocab.json": json.dumps(VOCABULARY)} if files is None else files
    files |= {"w.pt": saved(model.state_dict()), "model.py": network_source(name)}
    context = unpack(tmp_path, files, serializedFile="w.pt", modelFile="model.py", **more)
    context.system_properties["allow_pickle"] = trusted
    return initialized(cls(), context)


def answer(handler, rows):
    return handler.postprocess(handler.inference(handler.preprocess(rows)))


def rows(texts=TEXTS):
    return [{"data": text} for text in texts]


def values(results):
    return torch.tensor([list(result.values()) for result in results])


def test_results_equal_plain_pytorch(tmp_path):
    handler, model = served(tmp_path), network("reviews")
    ids = [[5, 2, 4, 0, 6], [3]]
    with torch.inference_mode():
        scores = model(torch.tensor([*ids[0], *ids[1]]), torch.tensor([0, len(ids[0])]))
    results = answer(handler, rows(TEXTS[:2]))
    torch.testing.assert_close(values(results), torch.softmax(scores, 1), rtol=0, atol=1e-6)
    assert list(results[0]) == ["0", "1"]


@pytest.mark.parametrize("name", ["reviews", "pairs", "masked", "sorted_lengths"])
def test_a_batch_gives_what_its_texts_give_alone(tmp_path, name):
    handler = served(tmp_path, name)
    together = values(answer(handler, rows()))
    alone = torch.cat([values(answer(handler, rows([text]))) for text in TEXTS])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["pairs", "masked", "sorted_lengths"])
def test_filled_up_texts_equal_plain_pytorch(tmp_path, name):
    handler, model = served(tmp_path, name), network(name)
    ids = torch.tensor([[5, 2, 4, 0, 6]])
    extra = {"masked": [torch.ones_like(ids)], "sorted_lengths": [torch.tensor([5])], "pairs": []}
    with torch.inference_mode():
        scores = model(ids, *extra[name])
    scores = scores["logits"] if isinstance(scores, dict) else scores
    got = values(answer(handler, rows([TEXTS[1], TEXTS[0]])))[1:]
    torch.testing.assert_close(got, torch.softmax(scores, 1), rtol=0, atol=1e-6)


def test_texts_of_one_length_share_a_call(tmp_path):
    calls = []

    class Counted(TextClassifier):
        ngrams = 1

        def inference(self, data, *args, **kwargs):
            if isinstance(data, torch.Tensor):
                calls.append(tuple(data.shape))
            return super().inference(data, *args, **kwargs)

    handler = served(tmp_path, "pairs", Counted)
    handler.model.register_forward_hook(lambda _, inputs, __: calls.append(tuple(inputs[0].shape)))
    answer(handler, rows(["a good", "bad", "a bad", "film", "not good"]))
    assert calls == [(3, 2), (2, 1)]


def test_what_preprocess_returns_unpacks_as_in_torchserve(tmp_path):
    handler = served(tmp_path)
    text_tensor, tokens = handler.preprocess(rows(TEXTS[:1]))
    assert text_tensor.dtype is torch.int64
    assert text_tensor.tolist() == [5, 2, 4, 0, 6]
    assert tokens == ["a", "good", "film"]


def test_a_subclass_in_torchserves_manner(tmp_path):
    class Old(TextClassifier):
        ngrams = 1

        def preprocess(self, data):
            text = self._tokenize(self._remove_punctuation(data[0]["data"]))
            return torch.as_tensor([self.source_vocab[word] for word in text]), text

        def inference(self, data, *args, **kwargs):
            text, _ = data
            return self.model(text, torch.zeros(1, dtype=torch.long))

    (result,) = answer(served(tmp_path, cls=Old), rows(["Unheard good, film."]))
    with torch.inference_mode():
        scores = network("reviews")(torch.tensor([0, 2, 4]), torch.tensor([0]))
    torch.testing.assert_close(values([result]), torch.softmax(scores, 1))


def test_text_handler_answers_with_what_the_model_says(tmp_path):
    handler = served(tmp_path, cls=TextHandler)
    with torch.inference_mode():
        scores = network("reviews")(torch.tensor([5, 2, 4]), torch.tensor([0]))
    torch.testing.assert_close(torch.tensor(answer(handler, rows(TEXTS[:1]))), scores)


@pytest.mark.parametrize("text", ["gööd film", b"g\xc3\xb6\xc3\xb6d film", bytearray(b"good film")])
def test_texts_and_their_bytes(tmp_path, text):
    assert served(tmp_path).preprocess([{"body": text}]).tokens == ["good", "film"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"data": b"\xff\xfe"}, r"The text is not UTF-8 \(byte 0\)"),
        ({"data": 3}, "The text is of type int, where a text is expected"),
        ({"data": ""}, "The request is empty"),
        ({"text": "x"}, "The request has 'text', where 'data' or 'body' is expected"),
    ],
)
def test_what_is_no_text_says_so(tmp_path, row, sentence):
    handler = served(tmp_path)
    with pytest.raises(PredictionException, match=f"^{sentence}"):
        handler.preprocess([row])
    with pytest.raises(PredictionException, match=f"^Item 1 of the batch: {sentence}"):
        handler.preprocess([*rows(TEXTS[:1]), row])


# --- vocabularies


def vocabulary_of(handler):
    return [handler.source_vocab[token] for token in ("good", "never heard of")]


def tokenizer_file() -> str:
    model = tokenizers.models.WordLevel(VOCABULARY, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=50)
    return tokenizer.to_str()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("source_vocab.json", json.dumps(VOCABULARY)),
        ("vocab.json", json.dumps(list(VOCABULARY))),
        ("source_vocab.txt", "\n".join(VOCABULARY)),
        ("vocab.txt", "\n".join(VOCABULARY) + "\n"),
        ("source_vocab.pt", saved(VOCABULARY)),
        ("source_vocab.pt", saved(list(VOCABULARY))),
        ("tokenizer.json", tokenizer_file()),
    ],
)
def test_every_kind_of_vocabulary(tmp_path, name, content):
    assert vocabulary_of(served(tmp_path, files={name: content})) == [2, 0]


def test_a_vocabulary_under_another_name(tmp_path):
    files = {"words.json": json.dumps(VOCABULARY), "vocab.txt": "x\n"}
    config = {"handler": {"vocabulary": "words.json"}}
    assert vocabulary_of(served(tmp_path, files=dict(files), config=config)) == [2, 0]
    handler = served(tmp_path / "old", files=dict(files), sourceVocab="words.json")
    assert vocabulary_of(handler) == [2, 0]
    assert Path(handler.get_source_vocab_path(handler.context)).name == "words.json"


def test_words_without_a_number_are_left_out_where_none_stands_for_them(tmp_path):
    handler = served(tmp_path, files={"vocab.json": '{"good": 1, "film": 2}'})
    assert handler.preprocess(rows(TEXTS[:1])).rows == [([1, 2], ["a", "good", "film"])]
    with pytest.raises(KeyError):
        handler.source_vocab["unheard"]
    assert len(answer(handler, rows())) == len(TEXTS)


def test_a_text_of_nothing_known_cannot_be_filled_up(tmp_path):
    handler = served(tmp_path, "pairs", files={"vocab.json": '{"good": 1}'})
    with pytest.raises(PredictionException, match="no word that the vocabulary knows"):
        answer(handler, rows(["never"]))


def test_a_tokenizers_file_does_it_all(tmp_path):
    handler = served(tmp_path, "masked", files={"tokenizer.json": tokenizer_file()})
    batch = handler.preprocess(rows(["Good FILM !", "bad"]))
    assert list(batch.rows) == [([2, 4, 0], ["good", "film", "<unk>"]), ([3], ["bad"])]
    assert handler._tokenize("a Film") == ["a", "film"]
    assert len(answer(handler, rows())) == len(TEXTS)


def test_without_a_vocabulary(tmp_path):
    with pytest.raises(ModelError, match=r"has no vocabulary. Add one .* source_vocab.json"):
        served(tmp_path, files={})
    config = {"handler": {"vocabulary": "words.json"}}
    with pytest.raises(ModelError, match=r"The vocabulary 'words.json' is not in the archive"):
        served(tmp_path, files={}, config=config)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("vocab.json", "{", "vocab.json is not JSON"),
        ("vocab.json", '{"a": "b"}', "vocab.json holds no vocabulary"),
        ("vocab.json", '{"a": true}', "vocab.json holds no vocabulary"),
        ("tokenizer.json", '{"model": {}}', "tokenizer.json is no tokenizers file"),
        ("vocab.txt", b"\xff", "vocab.txt is not UTF-8 text"),
        ("source_vocab.pt", saved(torch.zeros(2)), "source_vocab.pt holds no vocabulary"),
        ("source_vocab.pt", b"nothing", "source_vocab.pt"),
    ],
)
def test_what_is_no_vocabulary(tmp_path, name, content, sentence):
    with pytest.raises(ModelError, match=sentence):
        served(tmp_path, files={name: content})


# --- vocabularies with a number for unknown words


def unknowns(handler):
    """What a known, an unknown and another unknown word are to a handler."""
    return [handler.source_vocab[word] for word in ("good", "never", "heard")]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        Counter({"good": 2, "<unk>": 9}),
        defaultdict(int, {"good": 2, "<unk>": 9}),
    ],
    ids=["Counter", "defaultdict"],
)
def test_what_a_dict_gives_for_unknown_words_it_gives_here(tmp_path, content, legacy):
    asked = [content[word] for word in ("good", "never", "heard")]
    data = saved(content, _use_new_zipfile_serialization=not legacy)
    handler = served(tmp_path, files={"source_vocab.pt": data})
    assert unknowns(handler) == asked == [2, 0, 0]
    # Unknown words have a number: none is left out.
    assert handler.preprocess(rows(["never good heard"])).rows[0][0] == [0, 2, 0, 0, 0]


def test_a_defaultdict_without_a_factory_has_no_number_for_unknown_words(tmp_path):
    content = saved(defaultdict(None, {"good": 2}))
    handler = served(tmp_path, files={"source_vocab.pt": content})
    with pytest.raises(KeyError):
        handler.source_vocab["never"]


@pytest.fixture
def torchtext(monkeypatch):
    """torchtext's module names and classes; what they pickle as was taken from torchtext itself."""

    def module(name):
        made = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    def cls(home, name, bases=(), **members):
        made = type(name, bases, {"__module__": home.__name__, **members})
        setattr(home, name, made)
        return made

    names = ("torchtext", "torchtext.vocab", "torchtext.vocab.vocab", "torchtext._torchtext")
    return types.SimpleNamespace(modules={name: module(name) for name in names}, cls=cls)


def forget(monkeypatch):
    for name in [one for one in sys.modules if one.partition(".")[0] == "torchtext"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize("home", ["torchtext.vocab", "torchtext.vocab.vocab"])
@pytest.mark.parametrize(("default", "expected"), [(3, [2, 3, 3]), (None, None)])
def test_torchtexts_vocabulary_from_0_10(tmp_path, torchtext, monkeypatch, home, default, expected):
    made = ["<unk>", "<pad>", "good", "rare"]
    state = ("0.0.2", [] if default is None else [default], made, [])
    core = torchtext.cls(
        torchtext.modules["torchtext._torchtext"],
        "Vocab",
        __getstate__=lambda _: state,
        __setstate__=lambda _, __: None,
    )
    outer = torchtext.cls(torchtext.modules[home], "Vocab", (torch.nn.Module,))
    vocab = outer()
    vocab.vocab = core()
    content = saved(vocab)
    forget(monkeypatch)
    handler = served(tmp_path, files={"source_vocab.pt": content})
    # Without a default index torchtext raises; here `<unk>` has its number.
    assert unknowns(handler) == (expected or [2, 0, 0])
    assert handler.source_vocab.padding == 1


@pytest.mark.parametrize(
    ("stoi", "expected"), [({"good": 2, "<unk>": 7}, [2, 7, 7]), ({"good": 2}, None)]
)
def test_torchtexts_vocabulary_before_0_10(tmp_path, torchtext, monkeypatch, stoi, expected):
    cls = torchtext.cls(torchtext.modules["torchtext.vocab"], "Vocab")
    vocab = cls()
    vectors = torch.zeros(2, 3)
    vars(vocab).update(freqs=Counter(good=5), itos=["good"], unk_index=0, stoi=stoi)
    vars(vocab).update(vectors=vectors)
    content = saved(vocab)
    forget(monkeypatch)
    handler = served(tmp_path, files={"source_vocab.pt": content})
    if expected is not None:
        assert unknowns(handler) == expected
    else:
        assert handler.preprocess(rows(["never good heard"])).rows[0][0] == [2]


def test_torchtexts_vocabulary_before_0_4(tmp_path, torchtext, monkeypatch):
    home = torchtext.modules["torchtext.vocab"]
    home._default_unk_index = types.FunctionType((lambda: 0).__code__, {}, "_default_unk_index")
    home._default_unk_index.__module__ = home.__name__
    home._default_unk_index.__qualname__ = "_default_unk_index"
    content = saved(defaultdict(home._default_unk_index, {"good": 2}))
    forget(monkeypatch)
    assert unknowns(served(tmp_path, files={"source_vocab.pt": content})) == [2, 0, 0]


class Remembered:
    """A vocabulary of somebody's own."""

    def __getitem__(self, token):
        return len(token)


def test_another_object_is_refused_with_the_way_out_and_taken_where_trusted(tmp_path):
    files = {"source_vocab.pt": saved(Remembered())}
    with pytest.raises(ModelError, match=r"Remembered.*json.dump\(vocab.get_stoi.*--allow-pickle"):
        served(tmp_path / "a", files=dict(files))
    handler = served(tmp_path / "b", files=dict(files), trusted=True)
    assert unknowns(handler) == [4, 5, 5]
    with pytest.raises(ModelError, match="holds no vocabulary"):
        served(tmp_path / "c", files={"source_vocab.pt": saved(Path("x"))}, trusted=True)


class Bomb:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize(
    "content",
    [Bomb(), {"a": Bomb()}, defaultdict(Bomb, {"a": 1}), Counter(a=Bomb())],
    ids=["object", "dict", "defaultdict", "Counter"],
)
def test_no_code_of_a_vocabulary_runs(tmp_path, capfd, content):
    with pytest.raises(ModelError):
        served(tmp_path, files={"source_vocab.pt": saved(content)})
    assert "ran" not in capfd.readouterr().out


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("v") / "source_vocab.pt"
    path.write_bytes(b"\x80\x02" + content)
    with pytest.raises(ModelError):
        read_vocabulary(path)


def test_a_vocabulary_has_torchtexts_names():
    vocabulary = Vocabulary({"b": 1, "a": 0}, unknown=0)
    assert vocabulary(["b", "never"]) == vocabulary.lookup_indices(["b", "never"]) == [1, 0]
    assert vocabulary.get_itos() == vocabulary.itos == ["a", "b"]
    assert vocabulary.get_stoi() == {"a": 0, "b": 1}
    assert vocabulary.stoi["never"] == 0
    assert "never" not in vocabulary
    assert vocabulary.get("never", 7) == 7
    vocabulary.set_default_index(1)
    assert vocabulary["never"] == vocabulary.get_default_index() == 1


def test_a_vocabulary_is_told_by_its_bytes(tmp_path):
    handler = served(tmp_path, files={"words": saved(VOCABULARY)}, sourceVocab="words")
    assert vocabulary_of(handler) == [2, 0]


# --- cleaning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't", "do not"),
        ("Don't you think he's won't?", "Do not you think he is will not?"),
        ("can't've", "cannot have"),
        ("y'all're", "you all are"),
        ("Y'all", "You all"),
        ("John's o'clock", "Johns of the clock"),
        ("ain't", "is not"),
        ("I'd've", "I would have"),
        ("no quotes", "no quotes"),
    ],
)
def test_contractions(text, expected):
    assert text_utils.expand_contractions(text) == expected


def test_contractions_are_those_of_torchserve():
    torchserve = Path(sys.prefix) / "torchserve" / "ts" / "torch_handler" / "contractions.py"
    space = {}
    exec(torchserve.read_text(encoding="utf-8"), space)  # noqa: S102
    theirs = space["CONTRACTION_MAP"]
    differing = {
        key: text_utils.expand_contractions(key)
        for key, value in theirs.items()
        if text_utils.expand_contractions(key) != value
    }
    assert differing == {"he'll've": "he will have"}  # theirs says "he he will have"
    assert len(theirs) > 100


@given(st.text())
def test_tokens_are_those_of_torchserve(text):
    ours = text_utils.get_tokenizer("basic_english")(text)
    assert ours == _theirs("_basic_english_normalize")(text)
    assert list(text_utils.ngrams_iterator(ours, 3)) == list(_theirs("ngrams_iterator")(ours, 3))


def _theirs(name, space={}):  # noqa: B006
    if not space:
        file = Path(sys.prefix) / "torchserve" / "ts" / "handler_utils" / "text_utils.py"
        exec(file.read_text(encoding="utf-8"), space)  # noqa: S102
    return space[name]


def test_the_steps_people_call(tmp_path):
    handler = served(tmp_path)
    assert handler._remove_html_tags("<p>a &amp; b</p>") == "a  b"
    assert handler._remove_puncutation("a.b") == handler._remove_punctuation("a.b") == "ab"
    assert handler._remove_accented_characters("Ünïcode ½") == "Unicode 12"
    assert handler._expand_contractions("it's") == "it is"
    assert handler._tokenize("it's (here)") == ["it", "'", "s", "(", "here", ")"]
    assert handler.get_word_token(["Ġgood", "film"]) == ["good", "film"]


def test_tokenizers_by_name():
    assert text_utils.get_tokenizer(None)("a b") == ["a", "b"]
    assert text_utils.get_tokenizer(str.upper)("a") == "A"
    with pytest.raises(ValueError, match="no tokenizer 'spacy'"):
        text_utils.get_tokenizer("spacy")


# --- explanations


@pytest.mark.parametrize("name", ["reviews", "pairs", "masked", "sorted_lengths"])
def test_importances_of_words(tmp_path, name):
    handler = served(tmp_path, name)
    request = [{"data": "a good film", "target": "1"}, {"data": "bad zzz"}]
    explanations = handler.explain_handle(handler.preprocess(request), request)
    assert [found["words"] for found in explanations] == [["a", "good", "film"], ["bad", "zzz"]]
    assert explanations[0]["target"] == 1
    best = max(answer(handler, request[1:])[0].items(), key=lambda item: item[1])[0]
    assert explanations[1]["target"] == int(best)
    for found in explanations:
        assert len(found["importances"]) == len(found["words"])
        assert any(abs(value) > 1e-3 for value in found["importances"])


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_importances_add_up_to_the_change_of_the_score(tmp_path, mode):
    class Sums(TextClassifier):
        def summarize_attributions(self, attributions):
            return attributions.sum(-1)

    handler = served(tmp_path, cls=Sums)
    handler.model.embedding.mode = mode
    text = "it is a good film not bad"
    (found,) = handler.get_insights(handler.preprocess(rows([text])), None, 1)
    ids, _ = handler.preprocess(rows([text]))
    zero = torch.zeros(1, dtype=torch.long)
    with torch.inference_mode():
        change = handler.model(ids, zero) - handler.model(torch.full_like(ids, 1), zero)
    assert sum(found["importances"]) == pytest.approx(change[0, 1].item(), abs=1e-4)


def test_a_model_that_cannot_be_looked_into(tmp_path):
    handler = served(tmp_path)
    handler.model = torch.nn.Linear(2, 2)
    with pytest.raises(PredictionException, match=r"has no torch.nn.Embedding"):
        handler.get_insights(handler.preprocess(rows(TEXTS[:1])), None)
    handler = served(tmp_path / "max")
    handler.model.embedding.mode = "max"
    with pytest.raises(PredictionException, match="mode 'max'"):
        handler.get_insights(handler.preprocess(rows(TEXTS[:1])), None)
