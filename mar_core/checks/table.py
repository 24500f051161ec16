"""Every rule of mar in one table: its code, what must hold, how much it weighs, and the remedy.

The codes of a family are in the order in which they are checked. ``docs/reference/rules.md`` shows
this table, and a test holds the two together.
"""

from __future__ import annotations

from mar_core.checks.validation import CODES as _PLUGINS
from mar_core.findings import Finding, Severity
from mar_core.format.codes import CODES as _CONTAINER
from mar_core.format.codes import Code

__all__ = ["FAMILIES", "RULES", "rule_finding"]

FAMILIES = {
    "A": "the file: zip, tar or folder",
    "N": "names of members",
    "E": "files that are being archived",
    "L": "limits",
    "M": "the manifest",
    "R": "what the manifest names",
    "W": "weights",
    "C": "code",
    "Y": "model-config.yaml",
    "Q": "requirements",
    "X": "plugins",
}

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
_FRESH = "Make the archive again with `mar archive`."
_TRUST = (
    "Loading it can run any code: pass --trust (or --allow-pickle) if you trust whoever made it, "
    "or trust the archive once for all with `mar trust`."
)
_PICKLE = f"Save a state dict (`torch.save(model.state_dict(), …)`) instead. {_TRUST}"
_AGAIN = "Get or save the file again; it is damaged or was made to deceive."
_KEYS = "The reference of model-config.yaml lists the keys and their types."
_METRICS = (
    "Pack it with --extra-files, in the format that the reference of model-config.yaml shows."
)
_PLAIN = (
    "It is neither locked nor installed like that (--lock, --env auto): write names, versions, "
    "markers and hashes."
)
_LOCK = "Make it again with `mar update ARCHIVE --lock`."

_CONTENT = {
    # the manifest
    "MAR-M001": (_ERROR, "There is a manifest", _FRESH),
    "MAR-M002": (_ERROR, "The manifest is strict, bounded JSON", _FRESH),
    "MAR-M003": (_ERROR, "The manifest has the keys that are needed", _FRESH),
    "MAR-M004": (_ERROR, "The manifest's values have the right types", _FRESH),
    "MAR-M005": (
        _ERROR,
        "The model's name and version are plain",
        "Use letters, digits, '_', '-' and '.', and begin with a letter or a digit.",
    ),
    "MAR-M006": (_ERROR, "The runtime is one that TorchServe knows", "Use python or python3."),
    "MAR-M007": (
        _WARNING,
        "The runtime is Python",
        "mar makes and checks archives of C++ handlers; run them with TorchServe.",
    ),
    "MAR-M008": (
        _INFO,
        "The manifest says when and with what it was made",
        "TorchServe warns of it; it matters for nothing else.",
    ),
    "MAR-M009": (
        _WARNING,
        "The signature in the manifest can be read",
        "It counts as none; make the archive again with `mar archive`.",
    ),
    # references
    "MAR-R001": (_ERROR, "Every file that the manifest names is in the archive", _FRESH),
    "MAR-R002": (_ERROR, "The manifest names members, not paths", _FRESH),
    "MAR-R003": (
        _ERROR,
        "The handler can be found",
        "`mar plugins` lists the registered names; or put the handler's file into the archive.",
    ),
    "MAR-R004": (
        _WARNING,
        "The handler's package is installed here",
        "Install it where the archive is to run.",
    ),
    "MAR-R005": (
        _ERROR,
        "The handler is not a part of the standard library",
        "Name a handler, or put its file into the archive.",
    ),
    "MAR-R006": (
        _WARNING,
        "The handler is one that mar has",
        "Run it with TorchServe, or install a package that offers a handler of that name.",
    ),
    "MAR-R007": (
        _ERROR,
        "There is something to load",
        "Give --serialized-file, --model-file, or a handler that loads its model itself.",
    ),
    "MAR-R008": (
        _ERROR,
        "The handler's file can be imported by its name",
        "Rename the file, and archive it again.",
    ),
    "MAR-R009": (
        _ERROR,
        "index_to_name.json names classes",
        'Write it as {"0": "cat", "1": "dog"}.',
    ),
    "MAR-R010": (
        _ERROR,
        "A text handler comes with its vocabulary",
        "Add it with --extra-files.",
    ),
    "MAR-R011": (
        _WARNING,
        "A network comes with its weights",
        "Give --serialized-file, unless the model file reads its weights itself.",
    ),
    # weights
    "MAR-W001": (
        _ERROR,
        "A state dict comes with the network that it belongs to",
        "Give the Python file that defines the network with --model-file.",
    ),
    "MAR-W002": (
        _ERROR,
        "The weights are weights",
        "Put the file itself into the archive: `git lfs pull`, or download it again.",
    ),
    "MAR-W003": (_ERROR, "Pickles import and call nothing but what rebuilds tensors", _PICKLE),
    "MAR-W004": (_ERROR, "Pickles hold only what a weights_only load takes", _PICKLE),
    "MAR-W005": (_ERROR, "What a file holds is small and open enough to be checked", _TRUST),
    "MAR-W006": (_ERROR, "Weights are whole", _AGAIN),
    "MAR-W007": (_ERROR, "Tensors lie inside storages that are there, in full", _AGAIN),
    "MAR-W008": (_ERROR, "The zip inside a weights file is exact", _AGAIN),
    "MAR-W009": (
        _ERROR,
        "Weights are not in torch's tar format of 2016",
        "Load it with the torch that wrote it and save it again.",
    ),
    "MAR-W010": (_ERROR, "safetensors files keep the format's rules", _AGAIN),
    "MAR-W011": (
        _ERROR,
        "Files of a format that is Python, such as torch.export's, are trusted",
        _TRUST,
    ),
    "MAR-W012": (
        _ERROR,
        "ONNX models keep their data inside the archive",
        "Add the data file with --extra-files, or save the model in one file.",
    ),
    "MAR-W013": (_ERROR, "Native code among the weights is trusted", _TRUST),
    "MAR-W014": (
        _WARNING,
        "The weights' format is known",
        "Nothing is wrong if the handler or a plugin loads the file itself.",
    ),
    "MAR-W015": (
        _INFO,
        "TorchServe would load the file by its ending",
        "Rename it, if the archive is for TorchServe too.",
    ),
    "MAR-W016": (_ERROR, "NumPy files hold numbers, not pickled objects", _PICKLE),
    "MAR-W017": (
        _WARNING,
        "A file that carries the network's structure comes without a model file",
        "Leave --model-file out.",
    ),
    # code
    "MAR-C001": (_ERROR, "The handler and the model file are Python", "Correct the line."),
    "MAR-C002": (_WARNING, "Other Python files are Python", "Correct the line, or leave it out."),
    "MAR-C003": (
        _ERROR,
        "The model file holds exactly one torch.nn.Module class",
        "Move the others to a file of their own and add it with --extra-files.",
    ),
    "MAR-C004": (
        _WARNING,
        "The model file holds exactly one class",
        "TorchServe counts every class: move the others to a file of their own.",
    ),
    "MAR-C005": (
        _ERROR,
        "The handler file defines what is to be called",
        "Define handle(data, context), or one class with a handle method.",
    ),
    "MAR-C006": (
        _WARNING,
        "The handler can be found by TorchServe too",
        "Leave only one class in the file, and name a function behind the colon.",
    ),
    "MAR-C007": (
        _ERROR,
        "Nothing runs before the handler is imported",
        "Leave the file out; its code would run, or replace a source, behind the handler's back.",
    ),
    "MAR-C008": (
        _WARNING,
        "Files do not take the names of libraries",
        "Rename the file: under TorchServe it hides the library from every import.",
    ),
    "MAR-C009": (
        _ERROR,
        "Python files are small enough to be checked",
        "Split the file, or put its data into a file of another kind.",
    ),
    "MAR-C010": (
        _ERROR,
        "No two files are one module",
        "Rename one: Python takes a package first, then a compiled library, then the source.",
    ),
    "MAR-C011": (
        _WARNING,
        "What a handler calls `signature` says what it takes and gives",
        "Write it in plain values, as the reference of signatures shows, or call it otherwise.",
    ),
    # model-config.yaml
    "MAR-Y001": (_ERROR, "The config is one document of plain YAML", "Correct the line."),
    "MAR-Y002": (_ERROR, "The config is bounded", "Make it smaller, with fewer aliases."),
    "MAR-Y003": (_ERROR, "The config is a mapping", "Write it as `key: value` lines."),
    "MAR-Y004": (
        _WARNING,
        "The config says something",
        "Leave --config-file out; some TorchServe handlers fail on an empty one.",
    ),
    "MAR-Y005": (_ERROR, "No key of the config comes twice", "Remove one of the two."),
    "MAR-Y006": (_ERROR, "The config's values have TorchServe's types", _KEYS),
    "MAR-Y007": (_ERROR, "The config's values are in range", _KEYS),
    "MAR-Y008": (_WARNING, "The config's keys are spelt as TorchServe does", "Correct the key."),
    "MAR-Y009": (_ERROR, "The file of metrics that the config names can be used", _METRICS),
    # requirements
    "MAR-Q001": (_WARNING, "Requirements are plain UTF-8 text", "Save the file as UTF-8."),
    "MAR-Q002": (_WARNING, "Requirements name packages, not URLs and paths", _PLAIN),
    "MAR-Q003": (_WARNING, "Requirements give pip no options", _PLAIN),
    "MAR-Q004": (
        _WARNING,
        "Requirements come from the default index",
        "Make sure that you trust the index: any package may come from there.",
    ),
    "MAR-Q005": (_WARNING, "Requirements read no environment variables", _PLAIN),
    "MAR-Q006": (_WARNING, "Requirements can be read", "Write them as `name==1.2.3`."),
    "MAR-Q007": (
        _WARNING,
        "Requirements ship no packages of their own",
        "Make sure that you trust the archive: its package runs code when it is installed.",
    ),
    "MAR-Q008": (_WARNING, "The lock can be installed", _LOCK),
    "MAR-Q009": (_WARNING, "The lock is of the requirements beside it", _LOCK),
}

RULES: dict[str, Code] = {
    **_CONTAINER,
    **{code: Code(*values) for code, values in _CONTENT.items()},
    **_PLUGINS,
}


def rule_finding(
    code: str,
    message: str,
    *,
    member: str | None = None,
    hint: str | None = None,
    severity: Severity | None = None,
) -> Finding:
    """A finding; its severity and its hint are those of its rule unless others are given."""
    usual, _, remedy = RULES[code]
    return Finding(
        code=code,
        message=message,
        severity=severity or usual,
        member=member,
        hint=hint or remedy,
    )
