"""``transformers``: a model of Hugging Face transformers, for the task that it was trained for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_core import (
    BaseHandler,
    Context,
    bad_item,
    did_you_mean,
    each_item,
    handler_device,
    timed,
)
from mar_transformers.answers import shown
from mar_transformers.inputs import is_chat, read_input, read_labels
from mar_transformers.loading import Loaded, load_pipeline
from mar_transformers.options import Options, read_options
from mar_transformers.prepared import Prepared
from mar_transformers.requests import Asked, read_request
from mar_transformers.running import Answer, answer, parameters_of
from mar_transformers.tasks import LABELS_INSIDE, Takes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


__all__ = ["TransformersHandler"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that have been read, and whom to send what is streamed."""

    requests: list[Prepared]
    context: Context | None


class TransformersHandler(BaseHandler):
    """Answers as `transformers.pipeline` does, from the files of an archive alone.

    The model's own config says what it is for, or `handler: {task: …}` in model-config.yaml. A
    request is a text, a picture, a sound, or JSON in the form that the hub's API has:
    `{"inputs": …, "parameters": …}`.

    Attributes:
        options: What model-config.yaml says under `handler:`.
        loaded: The pipeline.
    """

    signature = "mar_transformers.signatures:signature_of"
    stages_independent = True
    bucket_by_length = True
    options: Options
    loaded: Loaded

    def read_options(self, config: Mapping[str, Any] | None) -> Options:
        """Read what model-config.yaml says; override it to have options of your own.

        Args:
            config: The archive's model-config.yaml.

        Raises:
            ModelError: A key is not known, or its value is not what it may be.
        """
        return read_options(config)

    def initialize(self, context: Context) -> None:
        """Load the model from the archive; no hub is asked.

        Raises:
            ModelError: A file is missing, an option is not what it may be, or transformers cannot
                load the model.
        """
        properties = context.system_properties
        self.model_yaml_config = context.model_yaml_config or {}
        self.manifest = context.manifest
        self.map_location, self.device = handler_device(properties.get("gpu_id"))
        self.options = self.read_options(self.model_yaml_config)
        if not properties.get("limit_max_image_pixels", True):
            from PIL import Image

            Image.MAX_IMAGE_PIXELS = None
        self.loaded = load_pipeline(
            Path(str(properties["model_dir"])),
            self.options,
            device=self.device,
            trusted=properties.get("allow_pickle") is True,
            config=self.model_yaml_config,
            weights=(self.manifest or {}).get("model", {}).get("serializedFile"),
        )
        self.model = self.loaded.pipe.model
        self.initialized = True

    @timed
    def preprocess(self, data: list[Any]) -> Batch:
        """Read a batch of requests.

        Args:
            data: The requests.

        Raises:
            PredictionException: An item is not what the task takes, or asks for what it has not.
        """
        return Batch(each_item(data, self._read), self.context)

    @timed
    def inference(self, data: Batch, *_: Any, **__: Any) -> list[Answer]:
        """Ask the pipeline, in batches of what can go together.

        Args:
            data: What `preprocess` returned.

        Returns:
            For each request the pipeline's answers; a text that was streamed lacks what was sent.
        """
        return answer(self.loaded, data.requests, _sender(data.context))

    @timed
    def postprocess(self, data: list[Answer]) -> list[Any]:
        """Put answers into mar's formats.

        Args:
            data: What `inference` returned.
        """
        results = []
        for one in data:
            each_shown = [shown(self.loaded.task, raw, self.options.output) for raw in one.results]
            results.append(each_shown if one.many else each_shown[0])
        return results

    def _read(self, row: Any) -> Prepared:
        task = self.loaded.task
        chats = task.takes in {Takes.PROMPT, Takes.IMAGE_AND_TEXT}
        asked = read_request(row, is_one=is_chat if chats else _never)
        self._check(asked.parameters)
        parameters = {**self.options.parameters, **asked.parameters}
        rate = getattr(self.loaded.pipe.feature_extractor, "sampling_rate", None)
        if "candidate_labels" in parameters:
            parameters["candidate_labels"] = read_labels(parameters["candidate_labels"])
        items = tuple(read_input(task, one, parameters, rate=rate) for one in asked.inputs)
        labelled = "candidate_labels" in task.parameters and task.name not in LABELS_INSIDE
        if labelled and not parameters.get("candidate_labels"):
            raise bad_item("the request has no candidate_labels, which say what it may be")
        seed = parameters.pop("seed", None)
        if seed is not None and type(seed) is not int:
            raise bad_item(f"its seed is {seed!r}, where a whole number is expected")
        return Prepared(
            items=items,
            many=asked.many,
            parameters=parameters_of(task, parameters),
            stream=self._streams(asked),
            seed=seed,
        )

    def _check(self, parameters: Mapping[str, Any]) -> None:
        """Refuse what the task does not have, and what would load files or code."""
        task = self.loaded.task
        for name in parameters:
            if name not in task.parameters:
                meant = did_you_mean(str(name), sorted(task.parameters))
                raise bad_item(f"the task {task.name} has no parameter {name!r}{meant}")
        template = parameters.get("hypothesis_template", "{}")
        if not isinstance(template, str) or template.replace("{}", "", 1).count("{"):
            raise bad_item("its hypothesis_template is no text with {} in the label's place")
        window = parameters.get("chunk_length_s", 1)
        if type(window) not in {int, float} or window < 1:
            raise bad_item("its chunk_length_s is no number of seconds from 1")

    def _streams(self, asked: Asked) -> bool:
        """Whether a request is answered as its text comes."""
        name = self.loaded.task.name
        able = name == "text-generation"
        if asked.stream and not able:
            raise bad_item(f"the task {name} does not stream; text-generation does")
        wanted = able and (self.options.stream if asked.stream is None else asked.stream)
        if wanted and asked.many:
            raise bad_item("a list is not streamed; send one text a request, or stream: false")
        return wanted


def _never(_: Any) -> bool:
    return False


def _sender(context: Context | None) -> Callable[[int, str], None]:
    """What takes the pieces of a text: the context's sink, where there is one."""

    def send(place: int, text: str) -> None:
        if context is None or context.sink is None:
            return
        context.set_response_header(place, "ts_stream_next", "true")
        context.sink(place, text)

    return send
