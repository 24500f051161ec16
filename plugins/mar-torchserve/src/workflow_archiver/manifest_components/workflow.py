"""The ``workflow`` object of a manifest."""

from __future__ import annotations

import json

__all__ = ["Workflow"]


class Workflow:
    """What a manifest says of the workflow.

    Args:
        workflow_name: Its name.
        spec_file: The path of its specification; the manifest has the last part.
        handler: The path of the file with its functions; the last part again. None where every
            node is a model.
    """

    def __init__(self, workflow_name: str, spec_file: str, handler: str | None) -> None:
        self.workflow_name = workflow_name
        self.spec_file = spec_file.rpartition("/")[2]
        self.handler = (handler or "").rpartition("/")[2]
        self.workflow_dict = self.__to_dict__()

    def __to_dict__(self) -> dict[str, str]:
        """The object as JSON has it, in torch-workflow-archiver's order."""
        return {
            "workflowName": self.workflow_name,
            "specFile": self.spec_file,
            "handler": self.handler,
        }

    def __str__(self) -> str:
        return json.dumps(self.workflow_dict)

    __repr__ = __str__
