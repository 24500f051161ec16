"""What the handlers of embeddings and of rerankers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from mar_core import (
    BaseHandler,
    ModelError,
    as_text,
    bad_item,
    each_item,
    handler_options,
    payload,
    timed,
)
from mar_core import fields_of as request_fields
from mar_sentence_transformers.loading import load_model
from mar_sentence_transformers.options import read_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mar_core import Context, HandlerOption, ModelSource
    from mar_sentence_transformers.passes import Asked, Batch, Passes, Prompted

__all__ = ["SentenceHandler", "fields_of", "text_of", "with_usage"]

TEXTS_AT_ONCE = 32
PROMPTING = ("prompt", "prompt_name", "task")


class SentenceHandler(BaseHandler, ABC):
    """Runs a model of sentence-transformers on texts.

    Attributes:
        options: What model-config.yaml says under ``handler:``.
        table: What can be said there, and in a request.
        name: What the handler is called.
        kind: The library's class.
        output: What is taken of what the model says.
    """

    stages_independent = True
    bucket_by_length = True
    options: Mapping[str, Any]
    table: ClassVar[Mapping[str, HandlerOption]]
    name: ClassVar[str]
    kind: ClassVar[str]
    output: ClassVar[str]
    _passes: Passes

    def initialize(self, context: Context) -> None:
        """Load the model.

        Raises:
            ModelError: It cannot be loaded, or an option is not what it may be.
        """
        from mar_sentence_transformers.passes import Passes

        self.options = handler_options(context.model_yaml_config, self.table, handler=self.name)
        super().initialize(context)
        name = self.options.get("prompt_name")
        if name is not None and name not in self.model.prompts:
            known = ", ".join(map(repr, self.model.prompts)) or "none"
            raise ModelError(
                f"model-config.yaml: handler.prompt_name is {name!r}; the model has {known}."
            )
        size = self.options.get("batch_size", TEXTS_AT_ONCE)
        self._passes = Passes(self.model, size=size, output=self.output)

    def model_from_source(self, source: ModelSource) -> Any:
        """Load the library's model.

        Raises:
            ModelError: It cannot be loaded.
        """
        return load_model(self.kind, source, self.options)

    @abstractmethod
    def read(self, row: Any) -> Asked[Any]:
        """Read one request.

        Raises:
            PredictionException: It is not what the handler takes.
        """

    @abstractmethod
    def prompted(self, parameters: Mapping[str, Any]) -> Prompted:
        """What a request wants said before its texts.

        Raises:
            PredictionException: The model has no such prompt.
        """

    @timed
    def preprocess(self, data: Sequence[Any]) -> Batch[Any]:
        """Read and tokenize a batch of requests.

        Raises:
            PredictionException: A request is not what the handler takes, and cannot be left out.
        """
        read = each_item(data, self._read)
        return self._passes.tokenize([asked for asked, _ in read], [prompt for _, prompt in read])

    @timed
    def inference(self, data: Batch[Any], *args: Any, **kwargs: Any) -> Batch[Any]:  # noqa: ARG002
        """Run the model on what was tokenized."""
        return self._passes.run(data, self.device)

    def _read(self, row: Any) -> tuple[Asked[Any], Prompted]:
        asked = self.read(row)
        return asked, self.prompted(asked.parameters)

    def parameters_of(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What a request says beside its texts, over what the config says.

        Raises:
            PredictionException: A parameter is not what it may be.
        """
        asked = read_parameters(self.table, fields)
        held = dict(self.options)
        if not asked.keys().isdisjoint(PROMPTING):  # one way of prompting replaces another
            held.pop("prompt", None)
            held.pop("prompt_name", None)
        return {**held, **asked}

    def prompt_named(self, name: str) -> str:
        """The model's prompt of a name.

        Raises:
            PredictionException: It has none of that name.
        """
        prompts: dict[str, str] = self.model.prompts
        if name not in prompts:
            known = ", ".join(map(repr, prompts)) or "none"
            raise bad_item(f"the model has no prompt {name!r}; it has {known}")
        return prompts[name]


def fields_of(row: Any, names: Sequence[str]) -> tuple[Any, Mapping[str, Any]]:
    """What a request carries, and the fields beside it.

    Args:
        row: The request: fields of its own, or one of TorchServe's, with ``data`` or ``body``.
        names: What the fields are called that may carry it; the first that is there counts.

    Returns:
        The value, or None where there is none, and all fields; none where it came bare.
    """
    value, fields = payload(row, form=True), request_fields(row)
    if isinstance(value, dict):
        fields = {**value, **fields}
        value = next((fields[name] for name in names if fields.get(name) is not None), None)
    return value, fields


def text_of(value: Any, what: str) -> str:
    """A text that a request holds.

    Raises:
        PredictionException: It is none, or is empty.
    """
    text = as_text(value, what)
    if not text:
        raise bad_item(f"{what} is empty")
    return text


def with_usage(answer: Any, asked: Asked[Any], tokens: Sequence[int | None], *, key: str) -> Any:
    """An answer, and where the request wants to know it, what it took.

    Args:
        answer: The answer.
        asked: The request.
        tokens: How many tokens each of its texts has.
        key: What the answer is called beside them.
    """
    if not asked.parameters.get("usage"):
        return answer
    total = None if None in tokens else sum(count or 0 for count in tokens)
    return {key: answer, "tokens": total}
