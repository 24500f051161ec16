"""Tiny models of sentence-transformers with fixed seeds, as the library itself saves them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
WORDS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", ":", "passage", "the", "cat", "sat",
    "on", "mat", "dog", "ran", "far", *"abcdefghijklmnopqrstuvwxyz",
]  # fmt: skip
SIZE = 16
PROMPTS = {"query": "query: ", "passage": "passage: "}


def bert(folder: Path, name: str, *, seed: int, **more: object) -> Path:
    """A BERT that is small, and whose answers differ: its weights are far from zero."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=SIZE, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, initializer_range=0.5, **more,
    )  # fmt: skip
    torch.manual_seed(seed)
    getattr(transformers, name)(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    tokenizer = transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt"))
    tokenizer.model_max_length = 48
    tokenizer.save_pretrained(folder)
    return folder


def sentence_transformer(folder: Path) -> Path:
    """Mean pooling on top of a BERT, and two prompts."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    base = Transformer(str(bert(folder / "bert", "BertModel", seed=1)))
    modules = [base, Pooling(SIZE, "mean")]
    model = SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu")
    model.save_pretrained(str(folder / "model"))
    return folder / "model"


def cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """A BERT with a head that scores pairs."""
    from sentence_transformers import CrossEncoder

    name = "BertForSequenceClassification"
    plain = bert(folder / "bert", name, seed=2, num_labels=labels)
    CrossEncoder(str(plain), device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"
