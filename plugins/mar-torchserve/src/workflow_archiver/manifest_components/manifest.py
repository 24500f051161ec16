"""The manifest of a workflow archive."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from model_archiver.manifest_components.manifest import moment

from workflow_archiver.version import __version__

if TYPE_CHECKING:
    from workflow_archiver.manifest_components.workflow import Workflow

__all__ = ["Manifest"]


class Manifest:
    """Everything that ``MANIFEST.json`` holds.

    Args:
        workflow: What it says of the workflow.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.creation_time = moment().strftime("%d/%m/%Y %H:%M:%S")
        self.workflow = workflow
        self.archiver_version = __version__
        self.manifest_dict = self.__to_dict__()

    def __to_dict__(self) -> dict[str, Any]:
        """The manifest as JSON has it, in torch-workflow-archiver's order."""
        return {
            "createdOn": self.creation_time,
            "workflow": self.workflow.__to_dict__(),
            "archiverVersion": self.archiver_version,
        }

    def __str__(self) -> str:
        return json.dumps(self.manifest_dict, indent=2)

    __repr__ = __str__
