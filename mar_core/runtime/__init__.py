"""A loaded archive at work: worker processes and the one protocol to them, batches, results.

Nothing is imported here: a worker must begin to import PyTorch at once.
"""
