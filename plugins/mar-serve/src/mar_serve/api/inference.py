"""What the inference address answers."""

from __future__ import annotations

from mar_serve.api.table import (
    ANY_BODY,
    INFERENCE,
    JSON_BODY,
    PREDICTION,
    TEXT,
    Operation,
    errors,
)

__all__ = ["OPERATIONS"]


def _predicting(name: str, *paths: str, summary: str) -> Operation:
    return Operation(
        id=name,
        listener=INFERENCE,
        methods=("POST", "PUT", "GET"),
        paths=paths,
        summary=summary,
        body=ANY_BODY,
        answers=PREDICTION,
    )


OPERATIONS = (
    Operation(
        id="page",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/",),
        summary="A page to try the models with.",
        answers={200: {"text/html": {"schema": TEXT}}},
    ),
    Operation(
        id="ping",
        listener=INFERENCE,
        methods=("GET", "POST"),
        paths=("/ping",),
        summary="Whether every model has the workers that it must have.",
        answers={200: "Status", 500: "Status", **errors(400)},
    ),
    _predicting(
        "predictions",
        "/predictions/{model_name}",
        "/predictions/{model_name}/{model_version}",
        summary="Ask a model.",
    ),
    _predicting(
        "explanations",
        "/explanations/{model_name}",
        "/explanations/{model_name}/{model_version}",
        summary="Ask a model what spoke for its answer.",
    ),
    _predicting("invocations", "/invocations", summary="Ask the only model (SageMaker)."),
    _predicting("invoke", "/models/{model_name}/invoke", summary="Ask a model (SageMaker)."),
    _predicting(
        "predict",
        "/{model_name}/predict",
        "/{model_name}/{model_version}/predict",
        summary="Ask a model, as in old versions of TorchServe.",
    ),
    Operation(
        id="kserve_v1_models",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/v1/models",),
        summary="The models' names (KServe v1).",
        answers={200: {"application/json": {"schema": {}}}, **errors(400)},
    ),
    Operation(
        id="kserve_v1_model",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/v1/models/{model_name}",),
        summary="Whether a model is ready (KServe v1).",
        answers={200: "Readiness", **errors(400, 404, 503)},
    ),
    *(
        Operation(
            id=f"kserve_v1_{what}",
            listener=INFERENCE,
            methods=("POST",),
            paths=(f"/v1/models/{{model_name}}:{what}",),
            summary=f"Ask a model to {what} (KServe v1).",
            body=JSON_BODY,
            answers=PREDICTION,
        )
        for what in ("predict", "explain")
    ),
    Operation(
        id="kserve_v2_infer",
        listener=INFERENCE,
        methods=("POST",),
        paths=("/v2/models/{model_name}/infer",),
        summary="Ask a model with tensors (KServe v2, JSON or the binary extension).",
        body={**JSON_BODY, "application/octet-stream": {"schema": {"type": "string"}}},
        answers={**PREDICTION, **errors(501)},
    ),
    Operation(
        id="kserve_v2_live",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/v2/health/live",),
        summary="Whether the server is alive.",
        answers={200: {"application/json": {"schema": {}}}, **errors(400)},
    ),
    Operation(
        id="kserve_v2_ready",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/v2/health/ready",),
        summary="Whether every model is ready.",
        answers={200: {"application/json": {"schema": {}}}, **errors(400, 503)},
    ),
    Operation(
        id="kserve_v2_server",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/v2",),
        summary="The server's name, version and extensions.",
        answers={200: "Server", **errors(400)},
    ),
    Operation(
        id="kserve_v2_model",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/v2/models/{model_name}",),
        summary="What a model's inputs and outputs are.",
        answers={200: "Metadata", **errors(400, 404)},
    ),
    Operation(
        id="kserve_v2_model_ready",
        listener=INFERENCE,
        methods=("GET",),
        paths=("/v2/models/{model_name}/ready",),
        summary="Whether a model is ready.",
        answers={200: {"application/json": {"schema": {}}}, **errors(400, 404, 503)},
    ),
    Operation(
        id="describe_model",
        listener=INFERENCE,
        methods=("OPTIONS",),
        paths=("/predictions/{model_name}",),
        summary="How a model is asked, as OpenAPI.",
        answers={200: "Document", **errors(404)},
    ),
)
