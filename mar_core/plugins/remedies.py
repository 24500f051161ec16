"""What to install for a module that is not there, as far as that can be known.

The name that a module is imported by is not the name that it is installed by: `pip install clip`
and `pip install git` bring strangers' code. Only the names in this table are known to be right.
"""

from __future__ import annotations

__all__ = ["distribution_of", "how_to_install", "quoted"]

# Packages that are imported by one name and installed by another.
_OTHER_NAMES = {
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "GitPython",
    "google.protobuf": "protobuf",
    "magic": "python-magic",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "pkg_resources": "setuptools<81",  # the last that has it
    "pythonjsonlogger": "python-json-logger",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Packages that are installed by the name that they are imported by.
_SAME_NAMES = frozenset(
    {
        "accelerate", "aiohttp", "albumentations", "av", "boto3", "captum", "cookiecutter",
        "datasets", "decord", "diffusers", "easyocr", "einops", "emoji",
        "fastapi", "fsspec", "gensim", "h5py", "httpx", "huggingface_hub", "imageio", "jinja2",
        "joblib", "kornia", "langdetect", "librosa", "lightning", "lightgbm", "loguru",
        "matplotlib", "msgpack", "networkx", "nltk", "numba", "numpy", "onnx", "onnxruntime",
        "openai", "orjson", "packaging", "pandas", "peft", "polars",
        "prometheus_client", "psutil", "pyarrow", "pycocotools", "pydantic", "pydub",
        "pytesseract", "pytorch_lightning", "ray", "regex", "requests", "rich", "safetensors",
        "scipy", "seaborn", "sentence_transformers", "sentencepiece", "shapely", "soundfile",
        "spacy", "sympy", "tabulate", "tensorboard", "tensorflow", "tiktoken", "timm", "tokenizers",
        "torch", "torchaudio", "torchmetrics", "torchtext", "torchvision", "tqdm", "transformers",
        "typer", "ultralytics", "webdataset", "xgboost", "zstandard",
    }
)  # fmt: skip


def distribution_of(module: str) -> str | None:
    """What is installed for a module, or None where that is not known.

    Args:
        module: The module's full name.
    """
    top = module.partition(".")[0]
    if top in _SAME_NAMES:
        return top.replace("_", "-")
    dotted = ".".join(module.split(".")[:2])
    return _OTHER_NAMES.get(dotted) or _OTHER_NAMES.get(top)


def quoted(requirement: str) -> str:
    """A requirement as a shell takes it."""
    return f"'{requirement}'" if set(requirement) & set("<>=[;! ") else requirement


def how_to_install(module: str) -> str:
    """One sentence: how to get a module that is not there.

    Args:
        module: The module's full name.
    """
    known = distribution_of(module)
    if known:
        return f"Install it: `pip install {quoted(known)}`."
    return f"Install the package that provides the module {module!r}; its name may be another."
