"""What an archive takes and gives: names, types, shapes, an example.

``record`` is what is said, ``declared`` finds where it is said, and ``matching`` holds a handler's
answers against it, or says it of what was recorded.
"""

from __future__ import annotations

from mar_core.signature.record import Signature, SignatureError, SignatureField

__all__ = ["Signature", "SignatureError", "SignatureField"]
