"""Small pictures and short texts of inputs, for outputs that people look at."""

from __future__ import annotations

import base64
import codecs
import contextlib
import io
import itertools
import json
import re
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from PIL import Image

__all__ = ["Previewed", "Previews", "preview_of", "small_picture"]

# Pixels of a picture's longer side: large ones for as many inputs as people look at one by one,
# small ones as long as one page can hold them, then none.
LARGE, LARGE_COUNT = 320, 2_000
SMALL, SMALL_COUNT = 128, 20_000
TEXT = 2_000
THREADS = 2
# A larger picture is said to be there, and not drawn: it may be a bomb.
PIXELS = 100_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
# What is so small is kept as it is: each pixel counts.
TINY = 64
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1f]")
_MODES = ("L", "RGB", "RGBA")


class Previews:
    """Makes the previews of a run's inputs in threads of its own; the first ones are larger.

    Args:
        begun: How many inputs an earlier run has done.
    """

    def __init__(self, begun: int = 0) -> None:
        self._numbers = itertools.count(begun)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mar-preview")
        # What is wrong with a picture is its handler's to say.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    def of(self, request: Any) -> dict[str, Any] | None:
        """The preview of a request, or None where there is nothing to look at."""
        number = next(self._numbers)
        side = LARGE if number < LARGE_COUNT else SMALL if number < SMALL_COUNT else 0
        return preview_of(request, side=side)

    def begin(self, request: dict[str, Any]) -> Future[dict[str, Any] | None]:
        """The same, while the request goes on its way."""
        return self._threads.submit(self.of, dict(request))

    def close(self) -> None:
        """Make no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Previewed:
    """An input's ``read`` that keeps a preview of what it has read.

    Pickled it is the plain ``read``: where another machine reads, the preview is made of what is
    read here again.

    Args:
        read: Reads the request.
        previews: Makes the preview.
    """

    def __init__(self, read: Callable[[], dict[str, Any]], previews: Previews) -> None:
        self._read = read
        self._previews = previews
        self._begun = False
        self._made: Future[dict[str, Any] | None] | None = None

    def __call__(self) -> dict[str, Any]:
        """Read the request."""
        self._begun = True
        request = self._read()
        with contextlib.suppress(Exception):  # it is no dict, which is not ours to say
            self._made = self._previews.begin(request)
        return request

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (self._read,)

    def preview(self) -> dict[str, Any] | None:
        """What there is to look at, if anything."""
        with contextlib.suppress(Exception):  # a plugin's reader may raise anything
            if not self._begun:
                self()
            return None if self._made is None else self._made.result()
        return None


def _same(read: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    return read


def preview_of(request: Any, *, side: int = LARGE) -> dict[str, Any] | None:
    """A small picture of a request that holds one, else its text.

    Args:
        request: What a handler gets: fields, bytes, text, JSON.
        side: How long the picture's longer side may be in pixels; 0 gives no picture.
    """
    fields = list(request.values()) if isinstance(request, Mapping) else [request]
    for value in fields:
        found = _picture_in(value, side)
        if found is not None:
            return found
    shown = fields[0] if len(fields) == 1 else request
    text = _text(shown)
    return None if text is None else {"text": text[:TEXT], **({"cut": True} if text[TEXT:] else {})}


def small_picture(content: bytes, *, side: int = LARGE) -> dict[str, Any] | None:
    """A picture made small, in base64, with its type and the size of the original; or None."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > PIXELS or not side:
                return {"width": width, "height": height}
            return {**_encoded(picture, side), "width": width, "height": height}
    except Exception:  # noqa: BLE001 - what Pillow raises at what is no picture is without number
        return None


def _encoded(picture: Image.Image, side: int) -> dict[str, Any]:
    picture.draft("RGB", (side, side))
    if picture.mode not in _MODES:
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    tiny = max(picture.size) <= TINY
    picture.thumbnail((side, side))
    stream = io.BytesIO()
    if tiny:
        picture.save(stream, "PNG")
    else:
        picture.save(stream, "WEBP", quality=72, method=2)  # a third of the default's time
    kind = "image/png" if tiny else "image/webp"
    return {"picture": base64.b64encode(stream.getvalue()).decode("ascii"), "type": kind}


def _picture_in(value: Any, side: int) -> dict[str, Any] | None:
    if isinstance(value, Mapping) and isinstance(value.get("b64"), str):
        value = value["b64"]
    if isinstance(value, str) and len(value) > TINY and " " not in value:
        with contextlib.suppress(ValueError):
            value = base64.b64decode(value.encode("ascii"), validate=True)
    if not isinstance(value, (bytes, bytearray)):
        return None
    return small_picture(bytes(value), side=side)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(bytes(value[: 4 * TEXT]))
        except UnicodeDecodeError:
            return None
        return None if _CONTROL.search(text) else text
    try:
        return json.dumps(value, ensure_ascii=False, default=_unknown)
    except (TypeError, ValueError, RecursionError):
        return None


def _unknown(value: Any) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value):,} bytes"
    return f"{type(value).__name__}"
