"""Archive the MNIST example and run it on digits that it never saw: ``make demo``."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
MAR = Path(sys.executable).with_name("mar")
BUILD = HERE.parents[2] / "build" / "demo"

console = Console()


def call(*command: str | Path) -> str:
    """Run a command, shown as it is typed, and give back what it printed."""
    words = [str(word) for word in command]
    shown = [Path(words[0]).name, *(word.replace(f"{Path.cwd()}/", "") for word in words[1:])]
    line = shlex.join(shown)
    console.print(f"[bold]$ {line if len(line) < 400 else line[:400] + ' …'}[/]", highlight=False)
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def show(rows: list[dict]) -> None:
    """A table of file, prediction and true label, and the accuracy."""
    table = Table("file", "prediction", "true label")
    right = 0
    for row in rows:
        name = Path(row["id"]).name
        prediction, label = row["result"], int(name.partition("_")[0])
        right += prediction == label
        mark = "" if prediction == label else " [red]✗[/]"
        table.add_row(name, f"{prediction}{mark}", str(label))
    console.print(table)
    console.print(f"accuracy: {right} of {len(rows)} ({right / len(rows):.0%})")


def main() -> None:
    """Train where the weights are missing, archive, run, show."""
    if not (HERE / "mnist_cnn.pt").exists():
        print(call(sys.executable, HERE / "train.py"), end="")
    BUILD.mkdir(parents=True, exist_ok=True)
    print(
        call(
            *(MAR, "archive", "--model-name", "mnist", "--version", "1.0"),
            *("--model-file", HERE / "mnist.py", "--serialized-file", HERE / "mnist_cnn.pt"),
            *("--handler", HERE / "mnist_handler.py", "--export-path", BUILD, "--force"),
        ),
        end="",
    )
    output = call(MAR, "run", BUILD / "mnist.mar", HERE / "digits", "--json", "--quiet")
    show([json.loads(line) for line in output.splitlines()])


if __name__ == "__main__":
    main()
