from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    """The small convolutional network for 28×28 grey digits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of the ten digits.

        Args:
            images: float32, shape (batch, 1, 28, 28), normalised.

        Returns:
            float32, shape (batch, 10).
        """
        hidden = functional.relu(self.conv1(images))
        hidden = functional.relu(self.conv2(hidden))
        hidden = self.dropout1(functional.max_pool2d(hidden, 2))
        hidden = functional.relu(self.fc1(torch.flatten(hidden, 1)))
        return functional.log_softmax(self.fc2(self.dropout2(hidden)), dim=1)
