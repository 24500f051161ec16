"""docs/reference/rules.md, made from the table of rules.

``python tests/support/rules_page.py`` writes it again.
"""

from __future__ import annotations

from pathlib import Path

from mar_core.checks.table import FAMILIES, RULES
from mar_core.checks.trust import TRUST_CODES
from mar_core.findings import Severity

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "rules.md"
HEAD = f"""\
# The rules

What `mar validate` holds an archive against. `mar archive`, `mar update` and `mar run` hold it
against the same rules before they do anything else. Nothing of an archive is imported, unpickled
or run to find out.

- An **error** refuses the archive: exit code 2, and nothing is written or run.
- A **warning** is printed, and the command goes on. `mar run` prints none.
- An **info** is worth knowing, and nothing is wrong.

A finding has the code of its rule, the member that it is about, a sentence that says what is
there, and a remedy; `mar validate --json` prints all of them as JSON. Codes stay as they are: a
rule that goes leaves its number behind.

Errors of {", ".join(f"`{code}`" for code in sorted(TRUST_CODES))} ask
for the user's word: with `--trust`, or for an archive that `mar trust` knows, they are warnings.
[Security](../explanation/security.md) says what the word is given for.

Plugins add rules with [`mar_validate_archive`](hooks.md); their codes have a prefix of their own.
"""
SEVERITY = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "info"}


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(letter) for letter in FAMILIES)])


def section(letter: str) -> str:
    """The rules of one family."""
    rows = [
        f"| `{code}` | {SEVERITY[rule.severity]} | {_cell(rule.title)} | {_cell(rule.remedy)} |"
        for code, rule in RULES.items()
        if code[4] == letter
    ]
    title = f"## MAR-{letter}: {FAMILIES[letter]}"
    head = "| code | weight | what must hold | what to do |"
    return "\n".join([title, "", head, "| --- | --- | --- | --- |", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
