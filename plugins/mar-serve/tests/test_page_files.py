"""The page's files over HTTP: what they allow a browser, and what is not there."""

from __future__ import annotations

import httpx
import pytest
import recorded


@pytest.fixture(scope="module")
def url():
    with recorded.serving() as server:
        yield server.url


@pytest.mark.parametrize("path", ["", "page/page.js", "page/page.css", "page/mark.svg", "page/x"])
def test_nothing_from_elsewhere_and_no_inline_code(url, path):
    answer = httpx.get(url + path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_names_no_other_host(url):
    for path in ("", "page/page.js", "page/answers.js", "page/page.css", "page/mark.svg"):
        text = httpx.get(url + path).text
        for line in text.splitlines():
            assert "//" not in line.replace("http://www.w3.org/2000/svg", "").replace(
                "http://HOST", ""
            ) or line.strip().startswith("//"), (path, line)


@pytest.mark.parametrize("path", ["page/..%2f__init__.py", "page/__init__.py", "page/", "page/a/b"])
def test_only_the_pages_own_files_are_there(url, path):
    assert httpx.get(url + path).status_code == 404


def test_a_file_that_has_not_changed_is_not_sent_again(url):
    first = httpx.get(f"{url}page/page.js")
    again = httpx.get(f"{url}page/page.js", headers={"if-none-match": first.headers["etag"]})
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert again.status_code == 304
    assert again.content == b""


def test_how_models_do_is_never_cached(url):
    answer = httpx.get(f"{url}page/models.json")
    assert answer.headers["cache-control"] == "no-store"
    assert [model["name"] for model in answer.json()["models"]][:2] == ["classes", "digit"]
