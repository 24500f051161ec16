from __future__ import annotations

import pytest

from mar_core import InputError, ReadOptions
from mar_core.plugins import get_plugins
from mar_core.run.inputs import expand


@pytest.fixture(scope="session")
def readers():
    """All readers of this environment, as `mar run` finds them."""
    return get_plugins().readers()


@pytest.fixture
def inputs(readers):
    """Expands sources, as `mar run` does."""
    return lambda *sources, **options: list(expand(sources, ReadOptions(**options), readers))


@pytest.fixture
def requests(inputs):
    """What sources come to: each id with its request, or with the sentence of its failure."""

    def read(*sources, **options):
        return [(item.id, _value(item)) for item in inputs(*sources, **options)]

    return read


def _value(item):
    try:
        return item.read()
    except InputError as error:
        return str(error)
