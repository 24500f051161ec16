"""The site of the documentation: built strictly, whole, and without another host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import browsers
import pytest
import tree

# What a page makes a browser fetch; links that a reader follows are no part of it.
LOADS = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc(?:set)?=[\"']?(?P<src>[^\"'\s>]+)"
    r"|<link\b[^>]*\bhref=[\"']?(?P<href>[^\"'\s>]+)"
    r"|(?:url\(|@import\s+)[\"']?(?P<url>[^\"')\s]+)"
)


def built(source, target):
    """What mkdocs says, and how it exits; the site is in ``target``."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    code, told = built(tree.ROOT, target)
    assert code == 0, told
    return target


def test_every_page_is_there_and_in_the_navigation(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    navigation = set(re.findall(r'href="([^"#]+\.html)"', index))
    docs = tree.ROOT / "docs"
    pages = {page.relative_to(docs).with_suffix(".html") for page in docs.rglob("*.md")}
    names = {str(page) for page in pages} - {"README.html"}
    names |= {f"plugins/{page.parent.name}.html" for page in tree.ROOT.glob("plugins/*/README.md")}
    names |= {f"project/{name}.html" for name in ("changelog", "contributing", "security")}
    assert names <= navigation
    assert all((site / name).is_file() for name in names)


def test_no_page_loads_anything_from_another_host(site):
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css"}]
    assert len(files) > 50
    for path in files:
        text = path.read_text(encoding="utf-8")
        loads = [m["src"] or m["href"] or m["url"] for m in LOADS.finditer(text)]
        assert not [load for load in loads if re.match(r"(https?:)?//", load)], path
        assert path.suffix == ".css" or loads


def test_links_between_pages_lead_from_one_to_the_other(site):
    page = (site / "plugins" / "mar-torchserve.html").read_text(encoding="utf-8")
    assert 'href="../how-to/coming-from-torchserve.html"' in page
    page = (site / "reference" / "manifest.html").read_text(encoding="utf-8")
    assert 'href="../plugins/mar-provenance.html"' in page


def test_a_link_to_nowhere_ends_the_build(tmp_path):
    for name in ("docs", "mkdocs.yml", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        source = tree.ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    with (tmp_path / "docs" / "tutorial" / "first-archive.md").open("a", encoding="utf-8") as page:
        page.write("\n[here](nowhere.md) and [there](handler-package.md#nowhere)\n")
    code, told = built(tmp_path, tmp_path / "site")
    assert code != 0
    assert "nowhere.md" in told
    assert "#nowhere" in told


def test_search_works_without_a_server_and_without_another_host(site):
    with browsers.chromium() as browser:
        tab = browser.new_page()
        elsewhere = []
        tab.on(
            "request",
            lambda r: None if r.url.startswith(("file:", "data:")) else elsewhere.append(r.url),
        )
        tab.goto((site / "index.html").as_uri())
        tab.get_by_role("textbox", name="Search").click()
        tab.keyboard.type("segmenter")
        first = tab.locator(".md-search-result__item a").first
        first.wait_for(timeout=60_000)
        assert "image_segmenter" in tab.locator(".md-search-result__list").inner_text()
        first.click()
        tab.wait_for_url("**/*.html*", timeout=60_000)
        assert not elsewhere
