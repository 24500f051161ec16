"""``config.properties``: Java's format, TorchServe's rules, and every key accounted for."""

from __future__ import annotations

import re
import subprocess
import sys

import javaproperties
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mar_torchserve.command import parser
from mar_torchserve.keys import KEYS, VARIABLES, fates
from mar_torchserve.properties import read_properties
from mar_torchserve.settings import read_settings

from mar_core import UsageError

# The keys of TorchServe 0.12's ConfigManager, and those that its launcher reads.
TORCHSERVE = {
    "allowed_urls", "async_logging", "blacklist_env_vars", "certificate_file",
    "cors_allowed_headers", "cors_allowed_methods", "cors_allowed_origin", "cpp_log_config",
    "cpu_launcher_args", "cpu_launcher_enable", "debug", "decode_input_request",
    "default_response_timeout", "default_service_handler", "default_startup_timeout",
    "default_workers_per_model", "disable_system_metrics", "disable_token_authorization",
    "enable_envvars_config", "enable_grpc_ssl", "enable_metrics_api", "enable_model_api",
    "grpc_inference_address", "grpc_inference_max_connection_age_grace_ms",
    "grpc_inference_max_connection_age_ms", "grpc_inference_port", "grpc_management_address",
    "grpc_management_max_connection_age_grace_ms", "grpc_management_max_connection_age_ms",
    "grpc_management_port", "inference_address", "initial_distribution_port",
    "initial_worker_port", "install_py_dep_per_model", "io_ratio", "ipex_enable",
    "ipex_gpu_enable", "job_queue_size", "keystore", "keystore_pass", "keystore_type",
    "limit_max_image_pixels", "load_models", "management_address", "max_request_size",
    "max_response_size", "metric_time_interval", "metrics_address", "metrics_config",
    "metrics_mode", "model_metrics_auto_detect", "model_server_home", "model_snapshot",
    "model_store", "models", "netty_client_threads", "number_of_gpu",
    "number_of_netty_threads", "plugins_path", "prefer_direct_buffer", "private_key_file",
    "service_envelope", "system_metrics_cmd", "token_expiration_min",
    "ts_header_key_sequence_end", "ts_header_key_sequence_id", "ts_header_key_sequence_start",
    "ts_open_inference_protocol", "unregister_model_timeout", "use_env_allowed_urls",
    "use_native_io", "vmargs", "workflow_store"
}  # fmt: skip


def write(folder, text):
    path = folder / "config.properties"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder, text, environment=None):
    return read_properties(write(folder, text), environment or {}, variables=VARIABLES)


def test_every_key_of_torchserve_has_its_line():
    assert {key.name for key in KEYS} >= TORCHSERVE
    assert len({key.name for key in KEYS}) == len(KEYS)


def test_each_effect_is_a_sentence_or_a_reason():
    for key in KEYS:
        assert key.effect.endswith(".") == key.effect[0].isupper() == key.honoured, key


def test_java_formats_are_read(tmp_path):
    found = read(
        tmp_path,
        "# a comment\n! another\nmodel_store = /a b\ninference_address:http\\://0.0.0.0\\:80\n"
        'models={\\\n  "m": {}\\\n}\nempty=\nname \\u00e4\n',
    )
    assert found.values == {
        "model_store": "/a b",
        "inference_address": "http://0.0.0.0:80",
        "models": '{"m": {}}',
        "empty": "",
        "name": "ä",
    }


def test_latin_1_is_read_where_utf_8_fails(tmp_path):
    path = tmp_path / "config.properties"
    path.write_bytes("model_store=/ä".encode("latin-1"))
    assert read_properties(path, {}).values == {"model_store": "/ä"}


def test_variables_are_put_in(tmp_path):
    text = "model_store=$$HOME$$/models/$$WHICH$$"
    found = read(tmp_path, text, {"HOME": "/home/me", "WHICH": "new"})
    assert found.values["model_store"] == "/home/me/models/new"


def test_a_variable_that_is_not_set_is_named(tmp_path):
    with pytest.raises(UsageError, match="model_store names the environment variable NOWHERE"):
        read(tmp_path, "model_store=$$NOWHERE$$")


def test_the_environment_wins_only_where_the_file_lets_it(tmp_path):
    environment = {"TS_JOB_QUEUE_SIZE": "7", "TS_TOKEN_EXPIRATION_TIME_MIN": "3"}
    assert read(tmp_path, "job_queue_size=1", environment).values["job_queue_size"] == "1"
    found = read(tmp_path, "job_queue_size=1\nenable_envvars_config=TRUE", environment)
    assert found.values["job_queue_size"] == "7"
    assert found.values["token_expiration_min"] == "3"  # noqa: S105
    assert found.sources["job_queue_size"] == "TS_JOB_QUEUE_SIZE"


def test_a_variable_opens_no_urls_unless_the_file_says_so(tmp_path):
    environment = {"TS_ALLOWED_URLS": ".*"}
    text = "enable_envvars_config=true\nallowed_urls=file://.*"
    assert read(tmp_path, text, environment).values["allowed_urls"] == "file://.*"
    opened = read(tmp_path, f"{text}\nuse_env_allowed_urls=true", environment)
    assert opened.values["allowed_urls"] == ".*"


def test_names_of_variables_are_torchserves():
    assert VARIABLES["inference_address"] == "TS_INFERENCE_ADDRESS"
    assert VARIABLES["ts_open_inference_protocol"] == "TS_OPEN_INFERENCE_PROTOCOL"
    assert VARIABLES["token_expiration_min"] == "TS_TOKEN_EXPIRATION_TIME_MIN"  # noqa: S105
    assert "models" not in VARIABLES


def test_fates_name_what_is_unknown_and_hide_a_password(tmp_path):
    found = read(tmp_path, "zebra=1\nkeystore_pass=secret\nvmargs=-Xmx1g\nmodel_store=/m")
    by_key = {fate.key: fate for fate in fates(found)}
    assert [fate.key for fate in fates(found)][-1] == "zebra"
    assert not by_key["zebra"].honoured
    assert by_key["keystore_pass"].value == "…"
    assert not by_key["vmargs"].honoured
    assert by_key["model_store"].honoured


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=8).filter(str.strip),
        st.text(max_size=12).map(lambda text: re.sub(r"\$", "", text)),
        max_size=6,
    )
)
def test_what_java_writes_is_read_again(tmp_path, values):
    text = javaproperties.dumps(values)
    found = read(tmp_path, text)
    assert found.values == {key: value.strip() for key, value in values.items()}


def test_mar_doctor_says_what_each_key_does(tmp_path):
    path = write(tmp_path, "model_store=/m\nvmargs=-Xmx1g\nzebra=1\n")
    command = [sys.executable, "-P", "-m", "mar_core", "doctor", "--ts-config", str(path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines == [
        "configuration",
        "ok model_store: The folder that archives come from.",
        "warning vmargs: It belongs to Java's virtual machine; there is none here.",
        "warning zebra: It is no key of TorchServe's.",
    ]


@pytest.mark.parametrize(
    ("variables", "said", "told"),
    [
        ({}, (), (True, False)),
        ({}, ("--dt", "--enable-model-api"), (False, True)),
        # The environment before the command line, where the file lets it.
        ({"TS_DISABLE_TOKEN_AUTHORIZATION": "false"}, ("--dt",), (True, False)),
        ({"TS_ENABLE_MODEL_API": "true"}, (), (True, True)),
    ],
)
def test_who_says_what_may_be_done(tmp_path, variables, said, told):
    config = write(tmp_path, f"enable_envvars_config=true\nmodel_store={tmp_path}\n")
    asked = parser().parse_args(["--start", "--ts-config", str(config), *said])
    server = read_settings(asked, variables, tmp_path).server
    assert (server.tokens, server.model_api) == told
