"""What the management address answers, and the metrics address."""

from __future__ import annotations

from mar_serve.api.table import (
    FLAG,
    MANAGEMENT,
    METRICS,
    NUMBER,
    TEXT,
    Operation,
    Parameter,
    errors,
)

__all__ = ["OPERATIONS"]

_ONE, _VERSION = "/models/{model_name}", "/models/{model_name}/{model_version}"
_SYNCHRONOUS = Parameter(name="synchronous", schema=FLAG, text="Answer when it is done.")
_REGISTERING = (
    Parameter(name="url", schema=TEXT, text="A file in the model store, or an allowed URL."),
    Parameter(name="model_name", schema=TEXT, text="In place of the archive's own name."),
    Parameter(name="handler", schema=TEXT, text="In place of the archive's own handler."),
    Parameter(name="runtime", schema=TEXT, text="`PYTHON`, `PYTHON3` or `LSP`."),
    Parameter(name="batch_size", schema=NUMBER, text="How many requests are run at once."),
    Parameter(name="max_batch_delay", schema=NUMBER, text="Milliseconds to wait for a batch."),
    Parameter(name="initial_workers", schema=NUMBER, text="How many workers to start."),
    _SYNCHRONOUS,
    Parameter(name="response_timeout", schema=NUMBER, text="Seconds that a batch may take."),
    Parameter(name="startup_timeout", schema=NUMBER, text="Seconds until a worker is ready."),
    Parameter(name="s3_sse_kms", schema=FLAG, text="Taken, and without effect."),
)
_SCALING = (
    Parameter(name="min_worker", schema=NUMBER, text="No fewer workers than these."),
    Parameter(name="max_worker", schema=NUMBER, text="No more workers than these."),
    Parameter(name="number_gpu", schema=NUMBER, text="Taken, and without effect."),
    _SYNCHRONOUS,
    Parameter(name="timeout", schema=NUMBER, text="Seconds to wait; -1 waits for ever."),
)
_CUSTOMIZED = Parameter(
    name="customized", schema=FLAG, text="Ask the handler's `describe_handle`, too."
)
_REFUSED = errors(400, 403, 404, 405, 409, 413, 500, 503, 507)
_ARCHIVE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

_MODELS = (
    Operation(
        id="list_models",
        listener=MANAGEMENT,
        methods=("GET",),
        paths=("/models",),
        summary="The models, a page at a time.",
        query=(
            Parameter(name="limit", schema=NUMBER, text="How many; 100 at most."),
            Parameter(name="next_page_token", schema=NUMBER, text="Where to go on."),
        ),
        answers={200: "Models", **errors(400)},
    ),
    Operation(
        id="register_model",
        listener=MANAGEMENT,
        methods=("POST",),
        paths=("/models",),
        summary="Register an archive.",
        query=_REGISTERING,
        body={"application/json": {"schema": {"type": "object"}}},
        answers={200: "Status", 202: "Status", **_REFUSED},
    ),
    Operation(
        id="describe",
        listener=MANAGEMENT,
        methods=("GET",),
        paths=(_ONE, _VERSION),
        summary="How versions of a model do; `all` in place of a version names all of them.",
        query=(_CUSTOMIZED,),
        answers={200: "Descriptions", **errors(400, 404, 500, 503)},
    ),
    Operation(
        id="scale",
        listener=MANAGEMENT,
        methods=("PUT",),
        paths=(_ONE, _VERSION),
        summary="Say how many workers a model has; or, with an archive as the body, upload it.",
        query=_SCALING,
        body=_ARCHIVE,
        answers={200: "Status", 202: "Status", 206: "Status", **_REFUSED},
    ),
    Operation(
        id="unregister",
        listener=MANAGEMENT,
        methods=("DELETE",),
        paths=(_ONE, _VERSION),
        summary="Remove a version of a model.",
        answers={200: "Status", 202: "Status", **_REFUSED},
    ),
    Operation(
        id="set_default",
        listener=MANAGEMENT,
        methods=("PUT",),
        paths=(f"{_VERSION}/set-default",),
        summary="Choose the version that requests without one get.",
        answers={200: "Status", **errors(400, 403, 404)},
    ),
    Operation(
        id="token",
        listener=MANAGEMENT,
        methods=("GET", "POST"),
        paths=("/token",),
        summary="Make a new token, with the API key.",
        query=(
            Parameter(
                name="type",
                schema={"type": "string", "enum": ["management", "inference"]},
                text="Which one.",
                required=True,
            ),
        ),
        answers={200: {"application/json": {"schema": {}}}, **errors(400, 404, 405)},
    ),
)

_METRICS = (
    Operation(
        id="metrics",
        listener=METRICS,
        methods=("GET",),
        paths=("/metrics",),
        summary="Metrics in Prometheus' text format.",
        query=(
            Parameter(
                name="name[]",
                schema={"type": "array", "items": TEXT},
                text="Only the metrics of these names.",
            ),
        ),
        answers={200: {"text/plain": {"schema": TEXT}}},
    ),
)

OPERATIONS = (*_MODELS, *_METRICS)
