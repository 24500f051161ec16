"""Brings packages as a zip and unpacks them into its folder when it begins, as people did."""

import base64
import io
import zipfile

# words/: __init__.py, count.py, and split.py, which count.py imports.
PACKED = (
    "UEsDBBQAAAAAAAAAIQAAAAAAAAAAAAAAAAARAAAAd29yZHMvX19pbml0X18ucHlQSwMEFAAAAAAAAAAhANqkTV1NAA"
    "AATQAAAA4AAAB3b3Jkcy9jb3VudC5weWZyb20gd29yZHMuc3BsaXQgaW1wb3J0IHNwbGl0CgoKZGVmIGNvdW50KHRl"
    "eHQpOgogICAgcmV0dXJuIGxlbihzcGxpdCh0ZXh0KSkKUEsDBBQAAAAAAAAAIQBHN1ZUKQAAACkAAAAOAAAAd29yZH"
    "Mvc3BsaXQucHlkZWYgc3BsaXQodGV4dCk6CiAgICByZXR1cm4gdGV4dC5zcGxpdCgpClBLAQIUAxQAAAAAAAAAIQAA"
    "AAAAAAAAAAAAAAARAAAAAAAAAAAAAACAAQAAAAB3b3Jkcy9fX2luaXRfXy5weVBLAQIUAxQAAAAAAAAAIQDapE1dTQ"
    "AAAE0AAAAOAAAAAAAAAAAAAACAAS8AAAB3b3Jkcy9jb3VudC5weVBLAQIUAxQAAAAAAAAAIQBHN1ZUKQAAACkAAAAO"
    "AAAAAAAAAAAAAACAAagAAAB3b3Jkcy9zcGxpdC5weVBLBQYAAAAAAwADALcAAAD9AAAAAAA="
)


class Unpacker:
    def initialize(self, context):
        model_dir = context.system_properties.get("model_dir")
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(PACKED))) as packed:
            packed.extractall(model_dir)
        from words.count import count

        self.count = count

    def handle(self, data, context):
        return [self.count(row.get("data") or row.get("body")) for row in data]
