"""Opcodes, one by one: they make what pickle makes, and what else they do is told."""

from __future__ import annotations

import pickle
import struct

import pytest
import torch

from mar_core.weights.machine import MAX_LINE, LongText, Made, Storage
from mar_core.weights.pickles import walk_pickle
from mar_core.weights.streams import Allowance

SHARED = [1]
VALUES = [0, 1, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**100, -(2**100), 1.5,
          -1e300, "", "a", "é\n\\u0041'", "\ud800", "x" * 300, b"a\xff", b"x" * 300, [], [1, 2],
          {}, {"a": [1], (1, "b"): {}}, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), None, True,
          False, [SHARED, SHARED, SHARED]]  # fmt: skip
DICT = b"ccollections\nOrderedDict\n)R"
DEQUE = b"ccollections\ndeque\n)R"


def told(data, **options):
    """What is noted of a pickle: its refusals, its calls, its fault and whether it acts."""
    walked = walk_pickle(data, **options)
    assert not walked.unchecked
    return walked.refused, walked.forbidden, walked.fault, walked.acts


@pytest.mark.parametrize("protocol", range(6))
def test_values_are_what_pickle_makes(protocol):
    for value in VALUES:
        walked = walk_pickle(pickle.dumps(value, protocol), plain=True)
        assert (walked.value, type(walked.value)) == (value, type(value))
        assert not walked.forbidden
        assert not walked.fault


@pytest.mark.parametrize(
    "data",
    [
        *(b"I01\n.", b"I00\n.", b"I5\n.", b"I-5\n."),
        *(b"L12L\n.", b"L12\n.", b"F1.5\n.", b"J\xff\xff\xff\xff."),
        *(b"T\x03\0\0\0a\xc3\xa9.", b"U\x01a.", b"U\0.", b"S''\n."),
        *(b"S'a\\n'\n.", b'S"a"\n.', b"Va\\u0101\n."),
        *(b"U\xc8" + b"a" * 200 + b".", b"\x8a\x97" + b"a" * 151 + b"."),
        *(b"\x8b\x02\0\0\0\xff\xff.", b"\x8a\x01\xff.", b"\x8a\0.", b"B\x01\0\0\0a.", b"C\x01a."),
        *(b"\x8d\x01" + bytes(7) + b"a.", b"\x8e\x01" + bytes(7) + b"a.", b"\x8c\x01a."),
        *(b"K\x01K\x022l.", b"(K\x01K\x02l.", b"(K\x01K\x02d.", b"K\x012\x86.", b"K\x01K\x020."),
        *(b"K\x01(K\x02K\x031.", b"K\x01p7\n0g7\n."),
        *(b"K\x01r\0\1\0\0000j\0\1\0\0.", b"K\x05\x940h\0."),
        *(b"](K\x01K\x02ea.", b"]K\x01a.", b"}K\x01K\x02s.", b"}(K\x01K\x02u.", b"(1]."),
        *(b"\x95" + bytes(8) + b"N.", b"\x80\x05N.", b"N.behind"),
    ],
    ids=repr,
)  # fmt: skip
def test_an_opcode_by_hand(data):
    walked = walk_pickle(data, plain=True)
    try:
        expected = pickle.loads(data, encoding="utf-8")
    except Exception:  # noqa: BLE001 - whatever it raises, it comes to no end
        assert walked.fault
    else:
        assert (walked.value, walked.fault) == (expected, None)
        assert walked.end == data.rindex(b".") + 1 if b"behind" not in data else 2


@pytest.mark.parametrize(
    "data",
    [
        *(b"I\n.", b"I5g\n.", b"Fx\n.", b"S'a\n.", b"S'\n.", b"Sa\n.", b"Sab\n.", b"S''"),
        *(b"Sxax\n.", b"X\x02\0\0\0a.", b"X\x01\0\0\0\xff."),
        *(b"U\x05a.", b"T\xff\xff\xff\xff.", b"\x8b\xff\xff\xff\xff."),
        *(b"\x8a\x05a.", b"C\x05a.", b"p-1\n.", b"Np-1\n."),
        *(b"g0\n.", b"j\0\0\0\0.", b"h\0.", b"\x94."),
        *(b"0.", b"2.", b"1.", b"(2.", b"(."),
        *(b"(q\0.", b"\x85.", b"N\x86.", b"NN\x87.", b"(\x85.", b"N(\x86."),
        *(b"NNa.", b"N(Ne.", b"NNNs.", b"N(NNu."),
        *(b"}(Nu.", b"(Nd.", b"N(N\x90.", b"]N\x90.", b"}]Ns."),
        *(b"\x8f(]\x90.", b"NN\x93.", b"\x8c\x01aN\x93."),
        *(b"N\x8c\x01a\x93.", b"cos\n", b"cos\nsystem", b"c"),
        *(DICT + b"NR.", DICT[:-2] + b"NR.", DICT[:-2] + b"K\x01R."),
        *(b"NN\x81.", b"NNN\x92.", b"(o.", b"(i"),
        *(b"b.", b"Q.", b"P", b"\x82", b"N\x80", b"N", b"(Nbt", b"\x95" + bytes(7)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_fault_is_one_for_pickle(data):
    assert walk_pickle(data).fault
    with pytest.raises(Exception):  # noqa: B017, PT011 - it raises what it likes
        pickle.loads(data)


COMPUTED, DEQUES = "something computed", "what collections.deque returns"


@pytest.mark.parametrize(
    ("data", "refused", "forbidden", "acts"),
    [
        (b"cos\nsystem\n.", [], ["os.system"], False),
        (b"cos\nsystem\n(S'x'\ntR.", ["the opcode STRING"], ["os.system"], True),
        (b"cos\nsystem\n)\x81.", ["a new object of os.system"], ["os.system"], True),
        (DICT[:-2] + b")\x81.", [], [], False),
        (DICT[:-2] + b"]\x85\x81.", ["a new object of collections.OrderedDict"], [], False),
        (b"ctorch\nSize\n)\x85\x81.", ["a new object of torch.Size"], [], False),
        (b"I1 \n.", ["the opcode INT"], [], False),  # as Python 2 read it
        (b"Lx\n.", ["the opcode LONG"], [], False),
        (b"S'a' \n.", ["the opcode STRING"], [], False),
        (DICT + b")R.", [], [f"a call of {COMPUTED}"], True),
        (DICT[:-2] + b"]R.", ["a call with what is no tuple"], [], False),
        (b"]cos\nsystem\na.", [], ["os.system"], False),
        (b"cos\nsystem\nNa.", [], ["os.system", f"an addition to {COMPUTED}"], True),
        (DEQUE + b"Na.", [], ["collections.deque", f"an addition to {DEQUES}"], True),
        (DEQUE + b"NNs.", [], ["collections.deque", f"an item set on {DEQUES}"], True),
        (DEQUE + b"(N\x90.", ["the opcode ADDITEMS"],
         ["collections.deque", f"an addition to {DEQUES}"], True),
        (b"](U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x0ceQ.", [],
         ["a persistent reference that is no storage"], False),
        (b"](NNu.", ["an item set on a list"], [], False),
        (DICT + b"}b.", [], [], False),
        (DICT + b"}U\x01aNsb.", [], [], False),
        (DICT + b"}NNsb.", ["attributes set on what is no dictionary of its own"], [], False),
        (DICT + b"]b.", ["attributes set on what is no dictionary of its own"], [], False),
        (b"}}b.", ["attributes set on what is no dictionary of its own"], [], False),
        (b"cos\nsystem\n}b.", [], ["os.system", "attributes set on os.system"], True),
        (DICT + b")R}b.", [], [f"a call of {COMPUTED}", f"attributes set on {COMPUTED}"], True),
        (b"c__builtin__\nset\n)R}b.", ["attributes set on what builtins.set returns"], [], False),
        (b"cos\nstat\n)R}b.", ["attributes set on what os.stat returns"], ["os.stat"], True),
        (b"cos\nsystem\n)}\x92.", ["the opcode NEWOBJ_EX"], ["os.system"], True),
        (b"(ios\nsystem\n.", ["the opcode INST"], ["os.system"], True),
        (b"(cos\nsystem\no.", ["the opcode OBJ"], ["os.system"], True),
        (b"(()" + b"2\x86" * 60 + b"NNNNtQ.", ["the opcode DUP"],  # whose hash takes for ever
         ["a persistent reference that is no storage"], False),
        (b"\x82\x07.", ["the opcode EXT1"], ["number 7 of the extension registry"], True),
        (b"\x83\x07\x01.", ["the opcode EXT2"], ["number 263 of the extension registry"], True),
        (b"Pid\n.", ["the opcode PERSID"], ["a persistent reference that is no storage"], False),
        (b"NQ.", [], ["a persistent reference that is no storage"], False),
        (b")Q.", [], ["a persistent reference that is no storage"], False),
        (b"\x97.", ["the opcode NEXT_BUFFER"], ["a buffer from outside of it"], False),
        (b"U\x01\xff.", ["a string that is not UTF-8"], [], False),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_done_is_told(data, refused, forbidden, acts):
    walked = told(data)
    assert walked == (refused, forbidden, None, acts)


def test_a_frozen_set_is_made_of_what_is_on_the_stack():
    walked = walk_pickle(b"((K\x01\x8c\x01a\x91t.", plain=True)
    assert (walked.forbidden, walked.fault) == ([], None)
    ((frozen,),) = [walked.value]
    assert str(frozen.maker) == "builtins.frozenset"
    assert frozen.args == ([1, "a"],)


def test_what_pythons_containers_are_filled_with():
    assert told(DEQUE + b"Na.", plain=True) == ([], [], None, False)
    assert told(b"ccollections\ndefaultdict\n)RNNs.", plain=True)[1] == []
    uuid = told(b"cuuid\nUUID\n)RNa.", plain=True)
    assert uuid[1] == ["an addition to what uuid.UUID returns"]
    assert told(b"cuuid\nUUID\n.")[1] == ["uuid.UUID"]
    assert told(b"cmine\nThing\n.", also=lambda name: name == "mine.Thing")[1] == []
    assert told(b"cmine\nOther\n.", also=lambda name: name == "mine.Thing")[1] == ["mine.Other"]


def storage(*parts):
    return pickle.dumps(parts, 2)[:-1].replace(b"\x80\x02", b"") + b"Q."


def described(kind="storage", key="0", place="cpu", numel=3, *more):
    return storage(kind, torch.FloatStorage, key, place, numel, *more)


ODD = ["a storage that is described in a way that torch never writes, or in two ways"]


@pytest.mark.parametrize(
    ("data", "fields", "refused"),
    [
        (described(), 5, []),
        (described(key=7), 5, []),
        (described(numel=0), 5, []),
        (described("storage", "0", "cpu", 3, None), 6, []),
        (described("storage", "0", "cpu", 3, ("1", 0, 1)), 6, ODD),
        (described(numel=-1), 5, ODD),
        (described(numel=2**60), 5, ODD),
        (described(numel=2**60 - 1), 5, []),
        (described(numel=1.0), 5, ODD),
        (described(key=None), 5, ODD),
        (described(place=None), 5, ODD),
        (storage("storage", "FloatStorage", "0", "cpu", 3), 5, ODD),
        (storage("storage", pickle.loads, "0", "cpu", 3), 5, ODD),
        (described()[:-1] + b"\x85" + described(), 5, []),
        (described()[:-1] + b"\x85" + described(numel=4), 5, ODD),
        (described()[:-1] + b"\x85" + described(key="1", numel=4), 5, []),
    ],
)
def test_a_storage_is_described_as_torch_does(data, fields, refused):
    walked = walk_pickle(data, storage_fields=fields)
    assert (walked.refused, walked.fault) == (refused, None)
    assert isinstance(walked.value, Made if refused else Storage)


@pytest.mark.parametrize(("data", "fields"), [(described(), 6), (described("module"), 5)])
def test_what_is_no_storage(data, fields):
    walked = walk_pickle(data, storage_fields=fields)
    assert walked.forbidden == ["a persistent reference that is no storage"]
    assert not walked.acts


@pytest.mark.parametrize(
    ("first", "last", "latin"),
    [("", "ÿ", True), ("", "Ā", False), ("", "", True), ("Ā", "", False), ("Ā", "é", False)],
)
def test_a_long_string_is_not_kept(first, last, latin):
    value = first + "é" * (1 << 20) + "x" + last  # a letter lies across the end of a chunk
    data = b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    walked = walk_pickle(data + b".")
    assert isinstance(walked.value, LongText)
    assert (walked.value.size, walked.value.latin) == (len(value.encode()), latin)
    assert walk_pickle(data[:-1] + b"\xff.").fault or not last
    encoded = walk_pickle(b"c_codecs\nencode\n(" + data + b"U\x06latin1tR.")
    assert isinstance(encoded.value, Made)
    assert encoded.refused == (
        [] if latin else ["a call of _codecs.encode with arguments that torch never writes"]
    )


def test_long_bytes_and_numbers_are_not_kept():
    walked = walk_pickle(b"B\1\0\x10\0" + b"x" * ((1 << 20) + 1) + b".")
    assert (walked.value.size, walked.value.latin) == ((1 << 20) + 1, True)
    assert walk_pickle(b"U\xc8" + b"a" * 200 + b".").value == "a" * 200
    assert walk_pickle(b"U\x01\xff.").value == "\xff"
    assert walk_pickle(b"B\0\0\x10\0" + b"x" * (1 << 20) + b".").value == b"x" * (1 << 20)
    too_long = MAX_LINE + 1
    walked = walk_pickle(b"\x8b" + struct.pack("<i", too_long) + b"\1" * too_long + b".")
    assert "a number that is too long to be checked" in walked.refused
    assert walked.fault is None
    walked = walk_pickle(b"\x8b" + struct.pack("<i", MAX_LINE) + b"\1" * MAX_LINE + b".")
    assert walked.refused == ["the opcode LONG4"]


def test_long_lines_are_not_kept():
    long = b"x" * (MAX_LINE * 2)
    for data in (b"S'" + long + b"'\n.", b"V" + long + b"\n.", b"F1" + b"0" * len(long) + b"\n."):
        walked = walk_pickle(data, plain=True)
        assert walked.fault is None
        assert getattr(walked.value, "latin", True)
        assert walk_pickle(data, budget=Allowance(MAX_LINE // 8)).unchecked
    assert walk_pickle(b"I" + b"1" * 5000 + b"\n.").value == 0
    (name,) = walk_pickle(b"cos\n" + long + b"\n.").forbidden
    assert name == "os." + "x" * 197


def test_notes_are_few_and_each_is_said_once():
    data = b"".join(b"cos\nx%d\n0" % (i % 30) for i in range(60)) + b"N."
    assert walk_pickle(data).forbidden == [f"os.x{i}" for i in range(20)]
    assert walk_pickle(b"cos\nx\n0cos\nx\n.").forbidden == ["os.x"]
