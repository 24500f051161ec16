import torch


class Scale(torch.nn.Module):
    def __init__(self, bias=True):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2, bias=bias)

    def forward(self, x):
        return self.linear(x)
