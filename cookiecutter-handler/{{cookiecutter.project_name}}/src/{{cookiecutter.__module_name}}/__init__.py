"""{{ cookiecutter.description }}"""

from __future__ import annotations

from {{ cookiecutter.__module_name }}.handler import {{ cookiecutter.__target }}

__all__ = ["{{ cookiecutter.__target }}"]
