"""The opponent of the benchmark with texts: the loop that one writes by hand.

Run as ``python texts_loop.py TEXTS VOCABULARY WEIGHTS OUTPUT --batch-size N``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from texts_network import Encoder


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("texts", "vocabulary", "weights", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    vocabulary = json.loads(args.vocabulary.read_text())
    model = Encoder()
    model.load_state_dict(torch.load(args.weights, mmap=True, weights_only=True))
    model.eval()
    number = 0
    with torch.inference_mode(), args.texts.open() as lines, args.output.open("w") as output:
        while batch := list(itertools.islice(lines, args.batch_size)):
            rows = [
                [vocabulary[word] for word in json.loads(line)["data"].split()] for line in batch
            ]
            ids = torch.nn.utils.rnn.pad_sequence(
                [torch.tensor(row) for row in rows],
                batch_first=True,
                padding_value=vocabulary["<pad>"],
            )
            lengths = torch.tensor([len(row) for row in rows])
            mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            for result in model(ids, mask).tolist():
                number += 1
                output.write(json.dumps({"id": f"{args.texts}:{number}", "result": result}) + "\n")


if __name__ == "__main__":
    main()
