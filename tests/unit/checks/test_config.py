"""model-config.yaml: each fault next to a config that is like it and sound."""

from __future__ import annotations

import re
import time
import zipfile

import pytest
import yaml
from contentfaults import CONFIGS
from hypothesis import given
from hypothesis import strategies as st
from javareader import JAR
from memory_archive import archive, codes

from mar_core.checks.rules import mar_validate_archive as check

EVERY_KEY = b"""\
minWorkers: 1
maxWorkers: 2
batchSize: 8
maxBatchDelay: 100
responseTimeout: 120
startupTimeout: 120
deviceType: gpu
deviceIds: [0, 1]
parallelType: custom
parallelLevel: 2
torchrun: {nnodes: 1, nproc-per-node: 2, rdzv-backend: c10d, OMP_NUMBER_THREADS: 4}
maxRetryTimeoutInSec: 300
clientTimeoutInMills: 0
jobQueueSize: 100
useJobTicket: true
sequenceBatching: false
continuousBatching: false
sequenceMaxIdleMSec: 1000
sequenceTimeoutMSec: 1000
maxSequenceJobQueueSize: 1
maxNumSequence: 4
asyncCommunication: false
useVenv: false
pt2: {compile: {enable: true, backend: inductor, mode: reduce-overhead, fullgraph: true}}
micro_batching: {micro_batch_size: 4, parallelism: {preprocess: 2, inference: 1, postprocess: 2}}
handler: {profile: true, anything: [1, {of: "its own"}]}
whatever: {a: handler reads}
"""
SOUND = {
    "every key": EVERY_KEY,
    "a backend": b"pt2: inductor",
    "arguments, as once": b"pt2: {backend: eager, dynamic: true}",
    "an export": b"pt2: {export: {aot_compile: true}}",
    "an empty heading": b"handler:\n",
    "capitals": b"deviceType: GPU",
    "an anchor": b"a: &x [1, 2]\nb: *x\n",
    "a merge": b"a: &x {k: 1}\nb: {<<: *x, l: 2}\n",
    "a byte order mark": b"\xef\xbb\xbfbatchSize: 2",
    "no workers": b"maxWorkers: 0",
    "as many workers": b"minWorkers: 2\nmaxWorkers: 2",
    "the largest integer": f"maxBatchDelay: {(1 << 31) - 1}".encode(),
    "core tags": b'a: !!str 1\nb: !!int "2"\n',
}
WRONG_TYPES = [
    "batchSize: four", "batchSize: 1.5", "batchSize: true", "batchSize: [1]", "minWorkers: x",
    "maxBatchDelay: 1s", "responseTimeout: '120'", "startupTimeout: null", "deviceType: 1",
    "deviceIds: 0", "deviceIds: [a]", "deviceIds: [true]", "parallelType: [pp]",
    "parallelLevel: two", "torchrun: c10d", "torchrun: {nproc-per-node: two}",
    "maxRetryTimeoutInSec: x", "clientTimeoutInMills: x", "jobQueueSize: x", "useJobTicket: 1",
    "sequenceBatching: 'yes'", "continuousBatching: 1", "sequenceMaxIdleMSec: x",
    "sequenceTimeoutMSec: x", "maxSequenceJobQueueSize: x", "maxNumSequence: x",
    "asyncCommunication: 1", "useVenv: 'true'", "pt2: 3", "pt2: [inductor]",
    "pt2: {compile: true}", "pt2: {compile: {enable: 1}}", "pt2: {compile: {backend: [a]}}",
    "pt2: {export: {aot_compile: 1}}", "micro_batching: 4",
    "minWorkers: x\nmaxWorkers: 2", "maxWorkers: x",
    "micro_batching: {micro_batch_size: x}", "micro_batching: {parallelism: 2}",
    "micro_batching: {parallelism: {inference: two}}", "handler: resnet", "handler: [1]",
]  # fmt: skip
OUT_OF_RANGE = [
    "batchSize: 0", "batchSize: -1", f"batchSize: {10**30}", f"minWorkers: {1 << 31}",
    "deviceType: tpu", "deviceIds: [-1]", "parallelType: xx",
    "torchrun: {nnodes: 0}", "micro_batching: {micro_batch_size: 0}", "minWorkers: -1",
    "minWorkers: 3\nmaxWorkers: 2",
]  # fmt: skip


def found(raw: bytes):
    return list(check(archive({"c.yaml": raw}, configFile="c.yaml")))


@pytest.mark.parametrize("raw", SOUND.values(), ids=SOUND)
def test_a_sound_config(raw):
    assert codes(found(raw)) == []


@pytest.mark.parametrize(("raw", "code"), CONFIGS.values(), ids=CONFIGS)
def test_a_fault(raw, code):
    began = time.thread_time()
    (finding,) = found(raw)
    assert finding.code == code
    assert finding.member == "c.yaml"
    assert time.thread_time() - began < 2


@pytest.mark.parametrize("text", WRONG_TYPES)
def test_a_wrong_type_is_an_error_and_names_its_key(text):
    (finding,) = found(text.encode())
    assert (finding.code, finding.severity.value) == ("MAR-Y006", "error")
    assert finding.message.startswith(text.partition(":")[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batchSize:", "batchSize is empty, where an integer is expected."),
        ("batchSize: true", "batchSize is a boolean, where an integer is expected."),
        ("deviceIds: 0", "deviceIds is an integer, where a list of integers is expected."),
        ("deviceIds: [a]", "deviceIds holds something else than integers."),
        ("useVenv: 2020-01-01", "useVenv is a date, where a boolean is expected."),
    ],
)
def test_a_wrong_type_is_called_by_its_name(text, message):
    assert [one.message for one in found(text.encode())] == [message]


def test_a_tag_is_pointed_at():
    (one,) = found(b"a: 1\nb: !mine 2\n")
    assert one.message.startswith("Line 2 has the tag '!mine'")


def test_a_config_that_is_not_there_is_not_called_empty():
    assert codes(check(archive(configFile="c.yaml"))) == ["MAR-R001"]


@pytest.mark.parametrize("text", OUT_OF_RANGE)
def test_a_value_out_of_range(text):
    assert codes(found(text.encode())) == ["MAR-Y007"]


def test_an_empty_file_is_a_warning():
    assert codes(found(b"")) == codes(found(b"# nothing\n")) == ["MAR-Y004"]


@pytest.mark.parametrize("key", ["batchsize", "batch_size", "max-batch-delay", "DeviceType"])
def test_another_spelling_is_pointed_at(key):
    (finding,) = found(f"{key}: 1".encode())
    assert finding.code == "MAR-Y008"
    assert "which TorchServe reads" in finding.message


METRICS = "model_metrics: {gauge: [{name: A, unit: ms, dimensions: [B]}]}"


@pytest.mark.parametrize(
    ("named", "text", "why"),
    [
        ("m.yaml", METRICS, None),
        ("./sub/../m.yaml", METRICS, None),
        ("m.yaml", "", None),
        ("[m.yaml]", "a: [", None),  # the handler's own
        ("n.yaml", METRICS, "it is not in the archive"),
        ("../m.yaml", METRICS, "it is not in the archive"),
        ("m.yaml", METRICS.replace("unit", "Unit"), "the gauge A has no 'unit'"),
        ("m.yaml", "model_metrics: {meter: []}", "'meter' is no type of metric"),
        ("m.yaml", "model_metrics: 5", "the metrics must be a mapping"),
        ("m.yaml", "a: [", "The file is not plain YAML"),
        ("m.yaml", "#" * (1 << 20) + "\n", "it is more than 1,048,576 bytes"),
    ],
)
def test_the_file_of_metrics_that_is_named_is_looked_at(named, text, why):
    members = {"c.yaml": f"metrics_config: {named}".encode(), "m.yaml": text.encode()}
    told = list(check(archive(members, configFile="c.yaml")))
    assert codes(told) == ([] if why is None else ["MAR-Y009"])
    assert why is None or why in told[0].message


def test_every_key_of_torchserves_is_in_the_table():
    """By the names in TorchServe's own ModelConfig class."""
    with zipfile.ZipFile(JAR) as packed:
        data = packed.read("org/pytorch/serve/archive/model/ModelConfig.class")
    read = {name.decode() for name in re.findall(rb"Invalid (\w+): ", data)}
    read -= {"maxRetryTimeoutInMin"}  # what it calls maxRetryTimeoutInSec in a message
    read |= {"maxRetryTimeoutInSec"}
    ours = set(yaml.safe_load(EVERY_KEY)) - {"pt2", "micro_batching", "handler", "whatever"}
    assert read == ours
    assert all(codes(found(f"{key}: {{x: 1}}\n".encode())) or key == "torchrun" for key in ours)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_make_the_rules_raise(raw):
    for finding in found(raw):
        assert finding.message.endswith(".")


keys = st.sampled_from([*yaml.safe_load(EVERY_KEY), "compile", "backend", "enable"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(keys, values, max_size=4))
def test_no_values_make_the_rules_raise(config):
    for finding in found(yaml.safe_dump(config).encode()):
        assert finding.code.startswith("MAR-Y")


def test_many_keys_take_no_time():
    text = "".join(f"key{number}: {number}\n" for number in range(20_000))
    assert found(text.encode()) == []
