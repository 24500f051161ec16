"""Every key of ``config.properties``: what becomes of it here, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mar_torchserve.properties import Properties

__all__ = ["KEYS", "VARIABLES", "Fate", "Key", "fates"]

Kind = Literal["address", "boolean", "integer", "number", "string", "path", "pattern", "json"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        name: The key.
        kind: What its value is.
        effect: One sentence on what it does here, or why it does nothing.
        honoured: Whether it does anything.
        variable: Whether ``TS_NAME`` in the environment may stand for it.
    """

    name: str
    kind: Kind
    effect: str
    honoured: bool = True
    variable: bool = True


@dataclass(frozen=True, slots=True)
class Fate:
    """What one key of a file will do.

    Attributes:
        key: Its name.
        value: Its value; that of a password is left out.
        source: Where it is from.
        effect: One sentence.
        honoured: Whether it does anything.
    """

    key: str
    value: str
    source: str
    effect: str
    honoured: bool


_JVM = "belongs to Java's virtual machine; there is none here"
_NETTY = "sizes Netty's thread pools; one event loop takes their place"

KEYS: tuple[Key, ...] = (
    Key("inference_address", "address", "Where predictions are asked for."),
    Key("management_address", "address", "Where models are managed."),
    Key("metrics_address", "address", "Where metrics are read."),
    Key("grpc_inference_address", "string", "The host of gRPC's inference services."),
    Key("grpc_management_address", "string", "The host of gRPC's management service."),
    Key("grpc_inference_port", "integer", "The port of gRPC's inference services."),
    Key("grpc_management_port", "integer", "The port of gRPC's management service."),
    Key("grpc_inference_max_connection_age_ms", "integer", "When a connection is closed."),
    Key("grpc_management_max_connection_age_ms", "integer", "When a connection is closed."),
    Key("grpc_inference_max_connection_age_grace_ms", "integer", "How long its calls may go on."),
    Key("grpc_management_max_connection_age_grace_ms", "integer", "How long its calls may go on."),
    Key("enable_grpc_ssl", "boolean", "Whether gRPC is encrypted with the same certificate."),
    Key("ts_open_inference_protocol", "boolean", "Whether KServe's v2 routes and gRPC are on."),
    Key("model_store", "path", "The folder that archives come from."),
    Key("workflow_store", "path", "The folder that workflows come from."),
    Key("load_models", "string", "What is served from the start."),
    Key("models", "json", "Workers, batches and time limits by model and version.",
        variable=False),
    Key("model_snapshot", "json", "What is served from the start, as a snapshot says.",
        variable=False),
    Key("default_workers_per_model", "integer", "Workers of a model that asks for no number."),
    Key("default_response_timeout", "integer", "Seconds that a batch may take."),
    Key("default_startup_timeout", "integer", "Seconds that a worker may take to load its model."),
    Key("unregister_model_timeout", "integer", "Seconds that the removal of a model may take."),
    Key("job_queue_size", "integer", "Requests that may wait, by model."),
    Key("batch_size", "integer", "Requests in a batch, where the model says nothing.",
        variable=False),
    Key("max_batch_delay", "integer", "Milliseconds to wait for a batch, where the model says "
        "nothing.", variable=False),
    Key("number_of_gpu", "integer", "How many GPUs are dealt out."),
    Key("max_request_size", "integer", "Bytes that a request may have."),
    Key("max_response_size", "integer", "Bytes that an answer may have."),
    Key("limit_max_image_pixels", "boolean", "Whether pictures of too many pixels are refused."),
    Key("decode_input_request", "boolean", "Whether JSON and text are decoded for handlers."),
    Key("service_envelope", "string", "The request envelope around every handler."),
    Key("default_service_handler", "string", "is for archives that name no handler, which no "
        "archiver writes", honoured=False),
    Key("blacklist_env_vars", "pattern", "Environment variables that workers do not get."),
    Key("allowed_urls", "pattern", "Where archives may be fetched from."),
    Key("use_env_allowed_urls", "boolean", "Whether TS_ALLOWED_URLS counts.", variable=False),
    Key("enable_envvars_config", "boolean", "Whether TS_… variables win over this file.",
        variable=False),
    Key("install_py_dep_per_model", "boolean", "Whether each model with requirements runs in an "
        "environment of its own, made by uv (with useVenv and without); MAR_ENV otherwise."),
    Key("cors_allowed_origin", "string", "Access-Control-Allow-Origin of every answer."),
    Key("cors_allowed_methods", "string", "Access-Control-Allow-Methods of every answer."),
    Key("cors_allowed_headers", "string", "Access-Control-Allow-Headers of every answer."),
    Key("private_key_file", "path", "The key of https:// addresses."),
    Key("certificate_file", "path", "The certificate of https:// addresses."),
    Key("keystore", "path", "A PKCS12 file with both."),
    Key("keystore_pass", "string", "Its password."),
    Key("keystore_type", "string", "Its type: PKCS12."),
    Key("metrics_config", "path", "Which metrics there are, with their dimensions."),
    Key("metrics_mode", "string", "Where metrics go: log, prometheus or legacy."),
    Key("metric_time_interval", "integer", "Seconds between two looks at the machine.",
        variable=False),
    Key("model_metrics_auto_detect", "boolean", "Whether metrics that no file names are shown."),
    Key("enable_metrics_api", "boolean", "Whether metrics can be read over HTTP."),
    Key("disable_system_metrics", "boolean", "Whether the machine is not looked at."),
    Key("disable_token_authorization", "boolean", "Whether no token is asked for."),
    Key("token_expiration_min", "number", "Minutes that a token is good for."),
    Key("enable_model_api", "boolean", "Whether models may be registered and removed."),
    Key("ts_header_key_sequence_id", "string", "The header that names a sequence."),
    Key("ts_header_key_sequence_start", "string", "The header that begins one."),
    Key("ts_header_key_sequence_end", "string", "The header that ends one."),
    Key("cpu_launcher_enable", "boolean", "needs Intel's launcher; start it around the server",
        honoured=False),
    Key("cpu_launcher_args", "string", "goes with cpu_launcher_enable", honoured=False),
    Key("ipex_enable", "boolean", "Handlers are told it as TS_IPEX_ENABLE."),
    Key("ipex_gpu_enable", "boolean", "Handlers are told it as TS_IPEX_GPU_ENABLE."),
    Key("number_of_netty_threads", "integer", _NETTY, honoured=False),
    Key("netty_client_threads", "integer", _NETTY, honoured=False),
    Key("async_logging", "boolean", "is so always: logs are written beside requests",
        honoured=False),
    Key("prefer_direct_buffer", "boolean", _JVM, honoured=False),
    Key("use_native_io", "boolean", _JVM, honoured=False, variable=False),
    Key("io_ratio", "integer", _JVM, honoured=False, variable=False),
    Key("vmargs", "string", _JVM, honoured=False, variable=False),
    Key("plugins_path", "path", "holds Java plugins; mar's are found by their entry points",
        honoured=False, variable=False),
    Key("model_server_home", "path", "is where TorchServe is installed, which nothing needs",
        honoured=False),
    Key("cpp_log_config", "path", "belongs to the C++ backend, which is not here", honoured=False),
    Key("system_metrics_cmd", "string", "replaces TorchServe's script; the machine is looked at "
        "directly", honoured=False, variable=False),
    Key("initial_worker_port", "integer", "numbers the ports of workers, which have none here",
        honoured=False),
    Key("initial_distribution_port", "integer", "goes with torchrun, which starts no workers here",
        honoured=False),
    Key("debug", "boolean", "Every model gets one worker."),
    Key("version", "string", "is written by snapshots", honoured=False, variable=False),
    Key("tsConfigFile", "path", "is written by snapshots", honoured=False, variable=False),
    Key("python", "path", "is written by snapshots; workers run the server's own Python",
        honoured=False, variable=False),
)  # fmt: skip
_BY_NAME = {key.name: key for key in KEYS}
_UNKNOWN = "is no key of TorchServe's"

# TorchServe's variables: TS_ before the key in capitals, and once only where the key has it. One is
# named otherwise there.
VARIABLES = {
    key.name: f"TS_{key.name.upper().removeprefix('TS_')}" for key in KEYS if key.variable
} | {"token_expiration_min": "TS_TOKEN_EXPIRATION_TIME_MIN"}


def fates(properties: Properties) -> Iterator[Fate]:
    """What each key that is set will do, in the order of the table; unknown ones last."""
    order = {name: index for index, name in enumerate(_BY_NAME)}
    for name in sorted(properties.values, key=lambda name: (order.get(name, len(order)), name)):
        key = _BY_NAME.get(name)
        secret = name == "keystore_pass"
        yield Fate(
            key=name,
            value="…" if secret else properties.values[name],
            source=properties.sources[name],
            effect=_UNKNOWN if key is None else key.effect,
            honoured=key is not None and key.honoured,
        )
