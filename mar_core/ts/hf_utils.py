"""``ts.utils.hf_utils``: a model from the Hugging Face Hub."""

from __future__ import annotations

__all__ = ["download_model"]

PATTERNS = (
    "*.json", "*.txt", "*.model", "*.safetensors", "*.pt", "*.pth", "*.bin", "original/*",
)  # fmt: skip


def download_model(
    model_id: str = "meta-llama/Meta-Llama-3.1-8B-Instruct",
    revision: str = "main",
    model_path: str = ".cache",
    use_auth_token: bool | str = True,  # noqa: FBT001, FBT002 - TorchServe's signature
) -> str:
    """Fetch the weights, the config and the tokenizer of a model.

    Args:
        model_id: The model's name on the Hub.
        revision: A branch, a tag or a commit.
        model_path: The folder to keep it in.
        use_auth_token: The token, or whether to use the one that is logged in.

    Returns:
        The folder that holds the files.

    Raises:
        ModuleNotFoundError: huggingface_hub is not installed.
    """
    from huggingface_hub import snapshot_download

    return snapshot_download(
        repo_id=model_id,
        revision=revision,
        cache_dir=model_path,
        allow_patterns=list(PATTERNS),
        token=use_auth_token,
    )
