"""The handlers that come with mar, written against what ``mar_core`` makes public.

People name them (``--handler image_classifier``) or subclass them
(``from ts.torch_handler.image_classifier import ImageClassifier``).
"""

from __future__ import annotations
