"""TorchServe's surface: what handlers made for it import, inherit and are given.

A module that stands for one of TorchServe's says so in its first line; ``compat`` has the table.
"""
