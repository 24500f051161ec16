"""Tiny models of transformers, from configs, with weights that a seed gives: nothing is fetched."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers, processors

torch.set_num_threads(1)  # threads that wait for each other cost such models more than they give

WORDS = (  # noqa: SIM905 - they read better so
    "the a cat dog sat on mat and it was good bad very film I like this that who where what is "
    "in house paris lives works for at acme . , ? ! summarize translate : positive negative news"
).split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "</s>"]
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
ENCODER = {**SMALL, "intermediate_size": 24, "max_position_embeddings": 64}
VIT = {**SMALL, "intermediate_size": 24, "image_size": 32, "patch_size": 8}
LABELS = {0: "O", 1: "PERSON", 2: "PLACE"}


def tokenizer(*, generates: bool = False, **more):
    """Whole words; `[CLS] … [SEP]` around them unless it is for a model that goes on writing."""
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if not generates:
        made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", pad_token=None if generates else "[PAD]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", eos_token="</s>",
        model_max_length=64, **more,
    )  # fmt: skip


SIZE = len(SPECIAL) + len(WORDS)


def bert(**more):
    return hf.BertConfig(vocab_size=SIZE, **ENCODER, **more)


def labelled(labels=LABELS):
    return {"id2label": labels, "label2id": {name: number for number, name in labels.items()}}


def _seq2seq():
    config = hf.T5Config(
        vocab_size=SIZE, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=5,
    )  # fmt: skip
    config.task_specific_params = {
        "summarization": {"prefix": "summarize : ", "max_length": 9, "num_beams": 2}
    }
    return hf.T5ForConditionalGeneration(config), tokenizer(generates=True)


def _gpt2():
    config = hf.GPT2Config(
        vocab_size=SIZE, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=5,
        eos_token_id=5,
    )  # fmt: skip
    chat = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} . {% endfor %}"
    return hf.GPT2LMHeadModel(config), tokenizer(generates=True, chat_template=chat)


def _detr():
    backbone = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic",
        out_features=["stage2"],
    )  # fmt: skip
    config = hf.DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, backbone=None, num_queries=6,
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, **labelled(),
    )  # fmt: skip
    return hf.DetrForObjectDetection(config), hf.DetrImageProcessor(
        size={"shortest_edge": 32, "longest_edge": 48}
    )


def _panoptic():
    swin = hf.SwinConfig(
        image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2],
        window_size=4, out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    detr = hf.DetrConfig(
        num_queries=6, d_model=16, decoder_layers=1, encoder_layers=1, decoder_attention_heads=2,
        decoder_ffn_dim=24,
    )  # fmt: skip
    config = hf.MaskFormerConfig(
        backbone_config=swin, decoder_config=detr, fpn_feature_size=32, mask_feature_size=32,
        **labelled(),
    )  # fmt: skip
    processor = hf.MaskFormerImageProcessor(
        size={"shortest_edge": 32, "longest_edge": 64}, num_labels=3, ignore_index=255
    )
    return hf.MaskFormerForInstanceSegmentation(config), processor


def _segformer():
    config = hf.SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8, **labelled(),
    )  # fmt: skip
    model = hf.SegformerForSemanticSegmentation(config)
    return model, hf.SegformerImageProcessor(size={"height": 64, "width": 64})


def _depth():
    config = hf.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=24,
        image_size=32, patch_size=8, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False, head_in_index=-1,
    )  # fmt: skip
    model = hf.DPTForDepthEstimation(config)
    return model, hf.DPTImageProcessor(size={"height": 32, "width": 32}, ensure_multiple_of=8)


def _caption():
    config = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        hf.ViTConfig(**VIT),
        hf.GPT2Config(
            vocab_size=SIZE,
            n_embd=16,
            n_layer=1,
            n_head=2,
            n_positions=64,
            bos_token_id=5,
            eos_token_id=5,
        ),
    )
    config.decoder_start_token_id, config.pad_token_id = 5, 5
    model = hf.VisionEncoderDecoderModel(config)
    model.generation_config = hf.GenerationConfig(
        decoder_start_token_id=5, eos_token_id=5, pad_token_id=5, max_new_tokens=5
    )
    return model, tokenizer(generates=True), _vit_processor()


def _vit_processor():
    return hf.ViTImageProcessor(size={"height": 32, "width": 32})


def _vit():
    return hf.ViTForImageClassification(hf.ViTConfig(**VIT, **labelled())), _vit_processor()


def _clip():
    text = hf.CLIPTextConfig(vocab_size=SIZE, bos_token_id=2, eos_token_id=3, **ENCODER)
    config = hf.CLIPConfig(
        text_config=text.to_dict(), vision_config=hf.CLIPVisionConfig(**VIT).to_dict(),
        projection_dim=8,
    )  # fmt: skip
    processor = hf.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    return hf.CLIPModel(config), tokenizer(), processor


def _blip():
    text = {**ENCODER, "encoder_hidden_size": 16, "vocab_size": SIZE, "bos_token_id": 2,
            "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}  # fmt: skip
    model = hf.BlipForConditionalGeneration(hf.BlipConfig(text_config=text, vision_config=VIT))
    return model, hf.BlipProcessor(hf.BlipImageProcessor(size=_SQUARE), tokenizer())


_SQUARE = {"height": 32, "width": 32}


def _owl():
    text = {**ENCODER, "vocab_size": SIZE, "bos_token_id": 2, "eos_token_id": 3}
    config = hf.OwlViTConfig(text_config=text, vision_config=VIT, projection_dim=16)
    return hf.OwlViTForObjectDetection(config), hf.OwlViTImageProcessor(size=_SQUARE), tokenizer()


def _clap():
    audio = {
        "patch_embeds_hidden_size": 8, "hidden_size": 64, "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2], "projection_dim": 8, "num_mel_bins": 64,
    }  # fmt: skip
    text = {**ENCODER, "vocab_size": SIZE, "projection_dim": 8}
    config = hf.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    return hf.ClapModel(config), hf.ClapFeatureExtractor(truncation="rand_trunc"), tokenizer()


def _audio_classifier():
    config = hf.Wav2Vec2Config(**_wav2vec2(), **labelled(), classifier_proj_size=8)
    return hf.Wav2Vec2ForSequenceClassification(config), hf.Wav2Vec2FeatureExtractor()


def _wav2vec2():
    return {
        **SMALL, "vocab_size": 32, "intermediate_size": 24, "conv_dim": [8, 8, 8],
        "conv_stride": [5, 4, 4], "conv_kernel": [10, 8, 4], "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
    }  # fmt: skip


def _ctc():
    config = hf.Wav2Vec2Config(**_wav2vec2(), pad_token_id=0)
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder, "vocab.json")
        vocabulary.write_text(json.dumps({one: number for number, one in enumerate(letters)}))
        words = hf.Wav2Vec2CTCTokenizer(str(vocabulary))
    return hf.Wav2Vec2ForCTC(config), hf.Wav2Vec2FeatureExtractor(), words


def _layoutlm():
    config = hf.LayoutLMConfig(vocab_size=SIZE, max_2d_position_embeddings=1024, **ENCODER)
    return hf.LayoutLMForQuestionAnswering(config), tokenizer()


def _whisper():
    """What makes a Whisper are its special tokens: languages, tasks, and 1,501 times."""
    named = [
        "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>",
        "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
    ]  # fmt: skip
    letters = [*"abcdefghijklmnopqrstuvwxyz", "\u0120"]
    vocabulary = {one: number for number, one in enumerate(["<|endoftext|>", *letters])}
    words = hf.WhisperTokenizer(vocab=vocabulary, merges=[])
    words.add_special_tokens({"additional_special_tokens": named})
    words.add_tokens([f"<|{number * 0.02:.2f}|>" for number in range(1501)])
    at = words.convert_tokens_to_ids
    config = hf.WhisperConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, num_mel_bins=80, max_source_positions=1500, max_target_positions=64,
        pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=at(named[0]),
        begin_suppress_tokens=None, suppress_tokens=None,
    )  # fmt: skip
    model = hf.WhisperForConditionalGeneration(config)
    with torch.no_grad():  # letters are heard more often than times
        model.proj_out.weight[1 : 1 + len(letters)] *= 5
        for layer in model.model.decoder.layers:  # and what is heard counts
            layer.encoder_attn.out_proj.weight *= 60
            layer.encoder_attn.k_proj.weight *= 20
            layer.encoder_attn.q_proj.weight *= 20
    model.generation_config = hf.GenerationConfig(
        decoder_start_token_id=at(named[0]), eos_token_id=0, pad_token_id=0, bos_token_id=0,
        max_length=24, is_multilingual=True,
        lang_to_id={one: at(one) for one in ("<|en|>", "<|de|>")},
        task_to_id={"transcribe": at("<|transcribe|>"), "translate": at("<|translate|>")},
        no_timestamps_token_id=at("<|notimestamps|>"), max_initial_timestamp_index=50,
        prev_sot_token_id=at("<|startofprev|>"), suppress_tokens=[0, *map(at, named[:-1])],
        alignment_heads=[[0, 0]], return_timestamps=False,
    )  # fmt: skip
    return model, hf.WhisperFeatureExtractor(), words


MODELS = {
    "text-classification": lambda: (
        hf.BertForSequenceClassification(bert(**labelled({0: "negative", 1: "positive"}))),
        tokenizer(),
    ),
    "token-classification": lambda: (
        hf.BertForTokenClassification(bert(**labelled())),
        tokenizer(),
    ),
    "question-answering": lambda: (hf.BertForQuestionAnswering(bert()), tokenizer()),
    "zero-shot-classification": lambda: (
        hf.BertForSequenceClassification(bert(**labelled({0: "contradiction", 1: "entailment"}))),
        tokenizer(),
    ),
    "fill-mask": lambda: (hf.BertForMaskedLM(bert()), tokenizer()),
    "feature-extraction": lambda: (hf.BertModel(bert()), tokenizer()),
    "text2text-generation": _seq2seq,
    "text-generation": _gpt2,
    "image-classification": _vit,
    "image-feature-extraction": lambda: (hf.ViTModel(hf.ViTConfig(**VIT)), _vit_processor()),
    "object-detection": _detr,
    "image-segmentation": _segformer,
    "panoptic": _panoptic,
    "depth-estimation": _depth,
    "image-to-text": _caption,
    "zero-shot-image-classification": _clip,
    "audio-classification": _audio_classifier,
    "zero-shot-audio-classification": _clap,
    "zero-shot-object-detection": _owl,
    "image-text-to-text": _blip,
    "document-question-answering": _layoutlm,
    "ctc": _ctc,
    "whisper": _whisper,
}


def save(name: str, folder: Path, *, gain: float = 6.0, **options) -> Path:
    """Save a model and what belongs to it, as `save_pretrained` does.

    Args:
        name: A key of `MODELS`.
        folder: Where to.
        gain: What weights are multiplied by: those of a new model are so small that it says the
            same to everything.
        **options: Handed to the model's `save_pretrained`.
    """
    torch.manual_seed(0)
    parts = MODELS[name]()
    hf.utils.logging.disable_progress_bar()
    model = parts[0].eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(gain)
    model.save_pretrained(folder, **options)
    for part in parts[1:]:
        part.save_pretrained(folder)
    return folder


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def close(got, expected, *, tolerance: float = 1e-5) -> bool:
    """Whether two answers are the same: numbers but for a tolerance, all else exactly."""
    if isinstance(expected, dict):
        same = isinstance(got, dict) and got.keys() == expected.keys()
        return same and all(close(got[key], expected[key], tolerance=tolerance) for key in expected)
    if isinstance(expected, (list, tuple)):
        same = isinstance(got, (list, tuple)) and len(got) == len(expected)
        return same and all(
            close(one, other, tolerance=tolerance) for one, other in zip(got, expected, strict=True)
        )
    if isinstance(expected, (str, bytes)) or expected is None:
        return got == expected
    return abs(float(got) - float(expected)) <= tolerance
