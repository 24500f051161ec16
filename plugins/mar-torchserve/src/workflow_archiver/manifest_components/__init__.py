"""The parts of a workflow's manifest."""
