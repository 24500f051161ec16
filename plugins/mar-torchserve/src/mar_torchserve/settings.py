"""From TorchServe's flags, ``config.properties`` and environment to what the server is told."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mar_serve import Address, ModelSource, Overrides, ServerConfig

from mar_core import UsageError, count_gpus
from mar_torchserve import snapshots
from mar_torchserve.keys import VARIABLES, fates
from mar_torchserve.properties import DEFAULT_FILE, Properties, read_properties

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

__all__ = ["Settings", "read_settings"]

_ADDRESS = re.compile(r"(?:(https?)://([^:/]+)(?::(\d+))?/?)|(?:unix:(/.*))", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_EVERYTHING = "all"
UNREGISTER_SECONDS = 120
SEQUENCE_HEADERS = (
    "ts_request_sequence_id",
    "ts_request_sequence_start",
    "ts_request_sequence_end",
)


@dataclass(slots=True, kw_only=True)
class Settings:
    """What ``torchserve`` starts.

    Attributes:
        server: What the HTTP server is told.
        properties: Every key, with what it is and where it is from.
        warnings: What the user should know, a sentence each.
        grpc_inference: Where gRPC's inference services listen.
        grpc_management: Where gRPC's management service listens.
        grpc_ages: ``(age, grace)`` of a connection in milliseconds, for inference and management;
            None for as long as it takes.
        grpc_encrypted: Whether gRPC uses the certificate.
        workflow_store: The folder that workflows come from.
        snapshots: Whether snapshots are written.
        log_folder: Where the logs are.
        metrics_folder: Where the logs of metrics are.
        sequence_headers: The headers that name a sequence, begin it and end it.
        environment: What workers find in their environment besides the server's own.
        hidden: What they do not find there.
    """

    server: ServerConfig
    properties: Properties
    warnings: list[str] = field(default_factory=list)
    grpc_inference: str
    grpc_management: str
    grpc_ages: dict[str, tuple[int | None, int | None]]
    grpc_encrypted: bool
    workflow_store: Path
    snapshots: bool = True
    log_folder: Path = Path("logs")
    metrics_folder: Path = Path("logs")
    sequence_headers: tuple[str, str, str]
    environment: dict[str, str]
    hidden: re.Pattern[str] | None


def read_settings(
    asked: argparse.Namespace, environment: Mapping[str, str], folder: Path
) -> Settings:
    """Read everything that says how to serve, in TorchServe's order of precedence.

    Args:
        asked: The command line, as ``command.parser`` reads it.
        environment: The environment.
        folder: The working folder.

    Raises:
        UsageError: Something is missing or cannot be understood.
    """
    log_folder = folder / environment.get("LOG_LOCATION", "logs")
    properties = _properties(asked, environment, folder, log_folder)
    _put_flags(properties, asked)
    settings = _Reader(properties, folder).settings()
    settings.log_folder = log_folder
    settings.metrics_folder = folder / environment.get("METRICS_LOCATION", "logs")
    settings.snapshots = not asked.no_config_snapshots
    installs = properties.flag("install_py_dep_per_model")
    settings.server.env = "auto" if installs else environment.get("MAR_ENV")
    # As in TorchServe, a model sees the server's packages behind its own.
    settings.server.inherit = installs
    # pip built what has no wheel.
    settings.server.allow_build = installs
    oip = environment.get("TS_OPEN_INFERENCE_PROTOCOL")
    if oip:
        settings.server.open_inference = oip == "oip"
    settings.warnings += list(_warnings(asked, properties))
    return settings


def _properties(
    asked: argparse.Namespace, environment: Mapping[str, str], folder: Path, log_folder: Path
) -> Properties:
    """The file that counts: the environment's, the flag's, the newest snapshot, or the folder's."""
    named = environment.get("TS_CONFIG_FILE") or asked.ts_config
    if named is not None:
        path = folder / named
        if not path.is_file():
            raise UsageError(f"--ts-config file not found: {named}")
    elif not asked.no_config_snapshots and (newest := snapshots.newest(log_folder)):
        path = newest
    else:
        path = folder / DEFAULT_FILE
    found = path if path.is_file() else None
    return read_properties(found, environment, variables=VARIABLES)


_FLAGS = ("model_store", "workflow_store", "cpp_log_config", "plugins_path")
_SWITCHES = {
    "disable_token_auth": "disable_token_authorization",
    "enable_model_api": "enable_model_api",
}


def _put_flags(properties: Properties, asked: argparse.Namespace) -> None:
    _check_paths(asked)
    given = {key: getattr(asked, key) for key in _FLAGS}
    given["load_models"] = ",".join(asked.models) if asked.models else None
    given |= {
        key: "true"
        for flag, key in _SWITCHES.items()
        # Who may ask for what is the environment's to say, before the command line's.
        if getattr(asked, flag) and properties.sources.get(key) != VARIABLES[key]
    }
    for key, value in given.items():
        if value is not None:
            properties.put(key, value, "the command line")
    if not properties.values.get("model_store"):
        raise UsageError("Missing mandatory parameter --model-store")


def _check_paths(asked: argparse.Namespace) -> None:
    for flag in ("model_store", "workflow_store"):
        value = getattr(asked, flag)
        if value is not None and not Path(value).is_dir():
            raise UsageError(f"--{flag.replace('_', '-')} directory not found: {value}")
    for flag in ("log_config", "cpp_log_config"):
        value = getattr(asked, flag)
        if value is not None and not Path(value).is_file():
            raise UsageError(f"--{flag.replace('_', '-')} file not found: {value}")


def _warnings(asked: argparse.Namespace, properties: Properties) -> Iterator[str]:
    for fate in fates(properties):
        if not fate.honoured and fate.key != "plugins_path":
            yield f"{fate.key} ({fate.source}) has no effect: it {fate.effect}."
    if asked.plugins_path is not None:
        yield "--plugins-path has no effect: Java plugins cannot run here."
    if asked.log_config is not None:
        yield "--log-config has no effect: Log4j is not here. LOG_LOCATION says where logs go."
    if "allowed_urls" not in properties.values:
        yield (
            "models may be loaded from any public URL; set allowed_urls in config.properties to "
            "limit that."
        )


class _Reader:
    """Turns properties into settings, and says which key holds what it cannot read."""

    def __init__(self, properties: Properties, folder: Path) -> None:
        self._properties = properties
        self._values = properties.values
        self._folder = folder

    def settings(self) -> Settings:
        values = self._values
        server = self._server()
        grpc = {
            kind: self._grpc_address(kind, port)
            for kind, port in (("inference", 7070), ("management", 7071))
        }
        ages = {
            kind: (
                self._integer(f"grpc_{kind}_max_connection_age_ms"),
                self._integer(f"grpc_{kind}_max_connection_age_grace_ms"),
            )
            for kind in grpc
        }
        workflow_store = values.get("workflow_store") or values["model_store"]
        return Settings(
            server=server,
            properties=self._properties,
            grpc_inference=grpc["inference"],
            grpc_management=grpc["management"],
            grpc_ages=ages,
            grpc_encrypted=self._properties.flag("enable_grpc_ssl"),
            workflow_store=self._folder / workflow_store,
            sequence_headers=self._sequence_headers(),
            environment=dict(self._environment()),
            hidden=self._pattern("blacklist_env_vars"),
        )

    def _server(self) -> ServerConfig:
        properties, values = self._properties, self._values
        models, everything = self._models()
        config = ServerConfig(
            models=models,
            load_all=everything,
            model_store=self._folder / values["model_store"],
            inference=self._address("inference_address", "http://127.0.0.1:8080"),
            management=self._address("management_address", "http://127.0.0.1:8081"),
            per_model=self._per_model(),
            defaults=Overrides(
                batch_size=self._integer("batch_size"),
                max_batch_delay=self._integer("max_batch_delay"),
                response_timeout=self._integer("default_response_timeout"),
                startup_timeout=self._integer("default_startup_timeout"),
            ),
            default_workers=self._default_workers(),
            queue_size=self._integer("job_queue_size") or 100,
            gpus=self._integer("number_of_gpu"),
            envelope=values.get("service_envelope") or None,
            decode=properties.flag("decode_input_request", default=True),
            limit_image_pixels=properties.flag("limit_max_image_pixels", default=True),
            kserve="raw",
            page_for_browsers=True,
            open_inference=properties.flag("ts_open_inference_protocol"),
            key_folder=self._folder,
            access_log=True,
        )
        self._put_access(config)
        self._put_metrics(config)
        return config

    def _put_access(self, config: ServerConfig) -> None:
        """Who may ask, for what, and how much."""
        properties, values = self._properties, self._values
        config.max_request_size = self._integer("max_request_size", 6_553_500) or 0
        config.max_response_size = self._integer("max_response_size", 6_553_500) or 0
        config.tokens = not properties.flag("disable_token_authorization")
        config.token_minutes = float(values.get("token_expiration_min") or 60)
        config.model_api = properties.flag("enable_model_api")
        config.allowed_urls = tuple(filter(None, values.get("allowed_urls", "").split(",")))
        config.open_urls = "allowed_urls" not in values
        config.unregister_timeout = self._integer("unregister_model_timeout", UNREGISTER_SECONDS)
        # TorchServe answers to every name; in a container it does not know those it is called by.
        config.hosts = ("*",)
        config.cors_origin = values.get("cors_allowed_origin")
        config.cors_methods = values.get("cors_allowed_methods")
        config.cors_headers = values.get("cors_allowed_headers")
        config.certificate, config.private_key = self._certificate()
        secure = [config.inference, config.management, config.metrics]
        if config.certificate is None and any(a and a.scheme == "https" for a in secure):
            from mar_torchserve.keystore import self_signed

            config.certificate, config.private_key = self_signed()

    def _put_metrics(self, config: ServerConfig) -> None:
        properties = self._properties
        metrics = self._address("metrics_address", "http://127.0.0.1:8082")
        config.metrics = metrics if properties.flag("enable_metrics_api", default=True) else None
        config.metrics_mode = self._metrics_mode()
        config.metrics_auto_detect = properties.flag("model_metrics_auto_detect")
        config.system_metrics = not properties.flag("disable_system_metrics")
        config.metric_interval = self._integer("metric_time_interval") or 60

    def _models(self) -> tuple[tuple[ModelSource, ...], bool]:
        """What is served from the start, and whether that is all of the model store."""
        snapshot = self._values.get("model_snapshot")
        if snapshot:
            return tuple(self._restored(snapshot)), False
        wanted = self._values.get("load_models", "").strip()
        if wanted.lower() == _EVERYTHING:
            return (), True
        sources = []
        for item in filter(None, (part.strip() for part in wanted.split(","))):
            name, equals, source = item.partition("=")
            # A URL may hold an equals sign of its own.
            named = bool(equals) and "://" not in name
            found = ModelSource(name=name, source=source) if named else None
            sources.append(found or ModelSource(name=None, source=item))
        return tuple(sources), False

    def _restored(self, text: str) -> Iterator[ModelSource]:
        models = self._json("model_snapshot", text).get("models")
        if not isinstance(models, dict):
            raise self._bad("model_snapshot", "has no object `models`")
        for name, versions in models.items():
            # The newest is the first there.
            for _, state in reversed(list(self._objects("model_snapshot", versions))):
                yield ModelSource(
                    name=name,
                    source=str(state.get("marName") or f"{name}.mar"),
                    default=state.get("defaultVersion") is True,
                    overrides=self._overrides("model_snapshot", state),
                )

    def _per_model(self) -> dict[str, dict[str, Overrides]]:
        text = self._values.get("models")
        if not text:
            return {}
        return {
            name: {
                version: self._overrides("models", state)
                for version, state in self._objects("models", versions)
            }
            for name, versions in self._json("models", text).items()
        }

    def _overrides(self, key: str, state: Mapping[str, Any]) -> Overrides:
        def number(name: str) -> int | None:
            value = state.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise self._bad(key, f"says {name}: {value!r}, which is not an integer")
            return value

        return Overrides(
            min_workers=number("minWorkers"),
            max_workers=number("maxWorkers"),
            batch_size=number("batchSize"),
            max_batch_delay=number("maxBatchDelay"),
            response_timeout=number("responseTimeout"),
            startup_timeout=number("startupTimeout"),
        )

    def _json(self, key: str, text: str) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise self._bad(key, f"is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise self._bad(key, "is not a JSON object")
        return value

    def _objects(self, key: str, value: object) -> Iterator[tuple[str, dict[str, Any]]]:
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            raise self._bad(key, "must hold an object for each version of a model")
        yield from value.items()

    def _default_workers(self) -> int:
        """TorchServe's number: what is said, else a worker a GPU, else one a core."""
        if self._properties.flag("debug"):
            return 1
        gpus = self._integer("number_of_gpu")
        said = self._integer("default_workers_per_model") or (
            count_gpus() if gpus is None else gpus
        )
        return said if said > 0 else len(os.sched_getaffinity(0))

    def _sequence_headers(self) -> tuple[str, str, str]:
        first, begin, end = (
            self._values.get(f"ts_header_key_sequence_{part}", default)
            for part, default in zip(("id", "start", "end"), SEQUENCE_HEADERS, strict=True)
        )
        return first, begin, end

    def _environment(self) -> Iterator[tuple[str, str]]:
        """What TorchServe tells its workers by their environment."""
        for key in ("ipex_enable", "ipex_gpu_enable"):
            if key in self._values:
                yield f"TS_{key.upper()}", str(self._properties.flag(key)).lower()
        for part, name in zip(("ID", "START", "END"), self._sequence_headers(), strict=True):
            yield f"TS_REQUEST_SEQUENCE_{part}", name
        metrics = self._path("metrics_config")
        if metrics is not None:
            yield "TS_METRICS_CONFIG", str(metrics.resolve())

    def _certificate(self) -> tuple[Path | None, Path | None]:
        keystore = self._path("keystore")
        if keystore is not None:
            from mar_torchserve.keystore import unpacked

            kind = self._values.get("keystore_type", "PKCS12")
            return unpacked(keystore, self._values.get("keystore_pass", "changeit"), kind)
        return self._path("certificate_file"), self._path("private_key_file")

    def _metrics_mode(self) -> Any:
        mode = self._values.get("metrics_mode", "log").strip().lower()
        if mode not in {"log", "prometheus", "legacy"}:
            raise self._bad("metrics_mode", f"is {mode!r}; it can be log, prometheus or legacy")
        return mode

    def _address(self, key: str, default: str) -> Address:
        text = self._values.get(key, default)
        match = _ADDRESS.fullmatch(text.strip())
        if match is None:
            raise self._bad(key, f"is {text!r}; write http://HOST:PORT or unix:/PATH")
        scheme, host, port, path = match.groups()
        if path is not None:
            return Address(path=path)
        secure = scheme.lower() == "https"
        number = int(port) if port else _PORTS["https" if secure else "http"]
        return Address(scheme="https" if secure else "http", host=host, port=number)

    def _grpc_address(self, kind: str, port: int) -> str:
        host = self._values.get(f"grpc_{kind}_address", "127.0.0.1")
        return f"{host}:{self._integer(f'grpc_{kind}_port', port)}"

    def _path(self, key: str) -> Path | None:
        value = self._values.get(key)
        return self._folder / value if value else None

    def _pattern(self, key: str) -> re.Pattern[str] | None:
        value = self._values.get(key)
        if not value:
            return None
        try:
            return re.compile(value)
        except re.error as error:
            raise self._bad(key, f"is no regular expression: {error}") from error

    def _integer(self, key: str, default: int | None = None) -> int | None:
        value = self._values.get(key)
        if value is None or not value.strip():
            return default
        try:
            return int(value)
        except ValueError:
            raise self._bad(key, f"is {value!r}, which is not an integer") from None

    def _bad(self, key: str, what: str) -> UsageError:
        return UsageError(
            f"{self._properties.sources[key]}: {key} {what}.",
            hint="docs/how-to/coming-from-torchserve.md has every key.",
        )
