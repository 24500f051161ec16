"""The documentation as a site: the pages that lie elsewhere, the navigation, the links.

On the site are the pages below ``docs``, the plugins' READMEs and the files at the top. Links say
where a file is in the repository, so that they work there; here they are made to work on the site.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
TOP = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
HANDLERS = "reference/handlers/"
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")
LINKED = re.compile(r"\]\(([^)#]+\.md)\)")
FENCED = re.compile(r"^```.*?^```\n", re.MULTILINE | re.DOTALL)


def outside() -> dict[str, str]:
    """The pages that lie outside of ``docs``: where they are on the site, by their places here."""
    readmes = sorted(ROOT.glob("plugins/*/README.md"))
    found = {f"plugins/{path.parent.name}/README.md": path.parent.name for path in readmes}
    pages = {place: f"plugins/{name}.md" for place, name in found.items()}
    return pages | {name: f"project/{name.lower()}" for name in TOP}


def on_config(config: MkDocsConfig) -> None:
    """Take the navigation from the index, which names every page."""
    index = Path(config.docs_dir, "README.md").read_text(encoding="utf-8")
    plugins = [uri for uri in outside().values() if uri.startswith("plugins/")]
    project = [uri for uri in outside().values() if uri.startswith("project/")]
    sections = [{title: _entries(text)} for title, text in _sections(index)]
    config.nav = ["README.md", *sections, {"Plugins": plugins}, {"Project": project}]


def _sections(index: str) -> Iterator[tuple[str, str]]:
    """``## Learn: tutorials`` begins the section Learn."""
    for section in index.split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        yield heading.partition(":")[0], text


def _entries(text: str) -> list[Any]:
    """The pages of a section, in their order; a line that is one word begins a part of it."""
    parts = re.split(r"^(\w+)\n\n", text, flags=re.MULTILINE)
    entries: list[Any] = _pages(parts[0])
    for title, part in zip(parts[1::2], parts[2::2], strict=True):
        entries.append({title: _pages(part)})
    return entries


def _pages(text: str) -> list[Any]:
    pages = LINKED.findall(text)
    handlers = [page for page in pages if page.startswith(HANDLERS)]
    others: list[Any] = [page for page in pages if page not in handlers]
    return [*others, {"The built-in handlers": handlers}] if handlers else others


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of ``docs``."""
    for place, uri in outside().items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / place)))
    return files


def on_page_markdown(markdown: str, *, page: Page, files: Files, **_: Any) -> str:
    """Turn links to files of the repository into links to pages of the site."""
    places = outside()
    by_uri = {uri: place for place, uri in places.items()}
    uri = page.file.src_uri
    folder = posixpath.dirname(by_uri.get(uri, f"docs/{uri}"))

    def linked(match: re.Match[str]) -> str:
        mark, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        if not target or ":" in target:
            return match[0]
        place = posixpath.normpath(posixpath.join(folder, target))
        found = places.get(place, place.removeprefix("docs/"))
        if files.get_file_from_path(found) is None and (ROOT / place).exists():
            return text  # a file that is no page
        relative = os.path.relpath(found, posixpath.dirname(uri) or ".")
        return f"{mark}[{text}]({relative}{anchor})"

    return _outside_of_fences(markdown.replace("```console tty", "```console"), linked)


def _outside_of_fences(markdown: str, linked: Any) -> str:
    parts, at = [], 0
    for fence in FENCED.finditer(markdown):
        parts += [LINK.sub(linked, markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, LINK.sub(linked, markdown[at:])])
