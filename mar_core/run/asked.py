"""The flags of ``mar run``, as they were typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Every flag of ``mar run`` as it was typed; ``mar run --help`` says what each means."""

    words: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    column: str | None = None
    form: tuple[str, ...] = ()
    upload: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    data_binary: tuple[str, ...] = ()
    raw: bool = False
    lines: bool = False
    keep: tuple[str, ...] = ()
    truth: str | None = None
    flat: bool = False
    top: int | None = None
    header: tuple[str, ...] = ()
    content_type: str | None = None
    envelope: str | None = None
    max_input_size: str | None = None
    limit: int | None = None
    output: Path | None = None
    output_dir: Path | None = None
    resume: bool = False
    force: bool = False
    unordered: bool = False
    as_json: bool = False
    quiet: bool = False
    device: str | None = None
    batch_size: str | None = None
    workers: int | None = None
    timeout: float | None = None
    fail_fast: bool = False
    env: str | None = None
    allow_build: bool = False
    offline: bool = False
    allow_pickle: bool = False
    no_pixel_limit: bool = False
    metrics_config: Path | None = None
    engine: str = "local"
    engine_option: tuple[str, ...] = ()
    explain: bool = False
    dry_run: bool = False
    in_process: bool = False
    profile: Path | None = None
    watch: bool = False
    verbose: bool = False
    handler: str | None = None
    serialized_file: Path | None = None
    model_file: Path | None = None
    extra_files: tuple[str, ...] = ()
    config_file: Path | None = None
    requirements_file: Path | None = None
    model_name: str | None = None
    version: str | None = None

    def unpacked(self) -> dict[str, object]:
        """The flags of ``mar archive`` that describe what is not packed, by their names."""
        return {
            "--model-name": self.model_name,
            "--version": self.version,
            "--model-file": self.model_file,
            "--serialized-file": self.serialized_file,
            "--extra-files": self.extra_files,
            "--config-file": self.config_file,
            "--requirements-file": self.requirements_file,
        }
