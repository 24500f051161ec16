"""A package of the archive's own, imported in every way that people import."""

import importlib
import json

import shapes
import shapes.inner.deep as deep
from shapes import area
from shapes.inner import NAME
from utils import double


class PackageHandler:
    def initialize(self, context):
        self.initialized = True

    def handle(self, data, context):
        import utils
        from shapes.late import late

        again = importlib.import_module("utils")
        module = importlib.import_module("shapes.inner.deep")
        return [
            json.loads(
                json.dumps(
                    [
                        area(row["body"]), double(row["body"]), NAME, deep.depth(), late(),
                        again is utils, module is deep, shapes.inner.deep is deep,
                    ]
                )
            )
            for row in data
        ]
