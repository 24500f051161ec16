"""One environment with a distribution for each way of being good or bad."""

from __future__ import annotations

import pytest
from environments import Environment, distribution

GOOD_PLUGIN = """
    from mar_core import Finding, hookimpl

    @hookimpl
    def mar_validate_archive(archive):
        yield Finding(code="GOOD-001", message="The good plugin was here.", severity="info")

    @hookimpl
    def mar_register_commands(app):
        @app.command()
        def greet(name: str = "you"):
            print(f"hello {name}")
"""
HOOK = "from mar_core import hookimpl\n\n@hookimpl\ndef {signature}:\n    return None\n"
HANDLER = """
    import sys
    print("imported", file=sys.stderr)

    class Shout:
        def initialize(self, context):
            self.initialized = True

        def handle(self, data, context):
            return [str(row["data"]).upper() for row in data]
"""


def _sources(folder):
    def make(name, module_text, *, plugin=None, handler=None, **more):
        module = name.replace("-", "_")
        return distribution(
            folder,
            name,
            files={f"{module}.py": module_text},
            plugins={plugin: module} if plugin else None,
            handlers={handler: f"{module}:Shout"} if handler else None,
            **more,
        )

    hook = HOOK.format
    return [
        make("dist-good", GOOD_PLUGIN, plugin="good"),
        make("dist-shout", HANDLER, handler="shout", requires="mar-core>=0.1"),
        make("dist-boom", 'raise ImportError("libboom.so is missing")', plugin="boom"),
        make("dist-lacks", "import a_package_that_is_not_there", plugin="lacks"),
        make("dist-exits", "import sys; sys.exit(3)", plugin="exits"),
        make("dist-noisy", 'print("noise")', plugin="noisy"),
        make("dist-misspelt", hook(signature="mar_validate_archiv(archive)"), plugin="misspelt"),
        make("dist-wrong", hook(signature="mar_validate_archive(arch)"), plugin="wrong"),
        make("dist-bare", "def mar_validate_archive(archive): return []", plugin="bare"),
        make(
            "dist-future",
            'raise RuntimeError("must not be imported")',
            plugin="future",
            requires="mar-core>=99",
        ),
        make("dist-twin-one", hook(signature="mar_run_finished(summary)"), plugin="twin"),
        make("dist-twin-two", hook(signature="mar_run_finished(summary)"), plugin="twin"),
        make("dist-echo-one", HANDLER, handler="echo"),
        make("dist-echo-two", HANDLER, handler="echo"),
        make("dist-limp", f"\n    import a_package_that_is_not_there\n{HANDLER}", handler="limp"),
        make("dist-tomorrow", HANDLER, handler="tomorrow", requires="mar-core>=99"),
        make("dist-thief", HANDLER, handler="image_classifier", plugin="mar-rules"),
    ]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    """An environment with good and bad distributions installed into it."""
    folder = tmp_path_factory.mktemp("zoo")
    environment = Environment.create(folder / "env")
    environment.install(*_sources(folder / "sources"))
    broken = environment.site_packages / "dist_torn-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: dist-torn\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[mar.plugins]\ntorn\n")
    return environment
