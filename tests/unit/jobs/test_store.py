"""The store keeps every finished piece, whoever left it; what is torn or damaged costs itself alone."""

import json
import multiprocessing
import os
import signal
import time

import pytest

from autojudge.errors import InputError
from autojudge.jobs.store import Store, piece_key

KEYS = [piece_key({"piece": number}) for number in range(6)]


def write(folder, writer, *numbers):
    with Store(folder, writer) as store:
        for number in numbers:
            store.add({KEYS[number]: {"number": number, "text": "é\n"}})
    return folder / f"{writer}.pieces"


def held(folder):
    store = Store(folder)
    return sorted(value["number"] for value in store.take_all(KEYS).values())


def test_what_any_writer_added_comes_back(tmp_path):
    write(tmp_path, "1-of-2", 0, 1)
    write(tmp_path, "2-of-2", 2)
    write(tmp_path, "1-of-3", 3)
    with Store(tmp_path, "1-of-2") as store:
        assert store.take(KEYS[2]) == {"number": 2, "text": "é\n"}
        assert store.take(KEYS[5]) is None
    assert held(tmp_path) == [0, 1, 2, 3]


def test_sources_of_labels_share_the_store_of_their_pair_each_writing_files_of_its_own(tmp_path):
    own, late = (tmp_path / f"arith/{pair}/store/mining" for pair in ("testbed", "testbed+late"))
    with Store(own, "1-of-1") as store, Store(late, "1-of-1") as other:
        store.add({KEYS[0]: {"number": 0}})
        other.add({KEYS[1]: {"number": 1}})
    assert not late.exists() and Store(late).folder == own
    assert held(late) == held(own) == [0, 1]
    assert {file.name for file in own.iterdir()} == {"1-of-1.pieces", "+late-1-of-1.pieces"}


def test_numbers_come_back_exactly(tmp_path):
    value = {"threshold": float("inf"), "margin": 0.1 + 0.2, "list": [1e-45, -0.0, None, True]}
    with Store(tmp_path, "a") as store:
        store.add({KEYS[0]: value})
    assert json.dumps(Store(tmp_path).take(KEYS[0])) == json.dumps(value)


def test_keys_depend_on_values_and_not_on_their_order():
    assert piece_key({"a": 1, "b": [2]}) == piece_key({"b": [2], "a": 1})
    assert len({piece_key(parts) for parts in ({"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1})}) == 4


@pytest.mark.parametrize("cut", [1, 20, 100])
def test_a_torn_end_is_no_piece_and_is_written_over_by_its_owner(tmp_path, cut):
    path = write(tmp_path, "1-of-1", 0, 1)
    path.write_bytes(path.read_bytes()[:-cut])
    assert held(tmp_path) == [0]
    write(tmp_path, "1-of-1", 2)
    assert held(tmp_path) == [0, 2]
    assert path.read_bytes().count(b"\n") == 2


def test_a_long_torn_end_is_cut_off_too(tmp_path, monkeypatch):
    monkeypatch.setattr("autojudge.jobs.store.BLOCK", 7)
    path = write(tmp_path, "a", 0)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:60])
    write(tmp_path, "a", 1)
    assert held(tmp_path) == [0, 1]


@pytest.mark.parametrize("at", [0, 10, 64, 70, 80, 95])
@pytest.mark.parametrize("piece", [0, 1, 2])
def test_a_damaged_byte_costs_its_piece_alone_and_is_named(tmp_path, caplog, at, piece):
    path = write(tmp_path, "a", 0, 1, 2)
    data = bytearray(path.read_bytes())
    start = sum(len(line) + 1 for line in bytes(data).split(b"\n")[:piece])
    data[start + at] = ord("#") if data[start + at] != ord("#") else ord("+")
    path.write_bytes(data)
    with caplog.at_level("WARNING", logger="autojudge"):
        left = held(tmp_path)
    assert left == sorted({0, 1, 2} - {piece})
    assert f"a.pieces: the line at byte {start} is damaged" in caplog.text
    write(tmp_path, "a", piece)
    assert held(tmp_path) == [0, 1, 2]


def test_a_length_that_lies_costs_its_piece_alone(tmp_path):
    path = write(tmp_path, "a", 0, 1, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b" 000000000", b" 000009999", 1) + lines[2])
    assert held(tmp_path) == [0, 2]


def add_slowly(folder, writer, numbers):
    with Store(folder, writer) as store:
        for number in numbers:
            store.add({KEYS[number]: {"number": number}})
        time.sleep(60)


def test_files_are_read_while_others_write_and_a_killed_writer_lets_go(tmp_path):
    writers = [multiprocessing.Process(target=add_slowly, args=(tmp_path, f"{i}", [i, i + 3])) for i in range(2)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + 30
    while held(tmp_path) != [0, 1, 3, 4]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(InputError, match=r"0\.pieces: another process is working on this shard"):
        Store(tmp_path, "0")
    for writer in writers:
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
    write(tmp_path, "0", 2)
    assert held(tmp_path) == [0, 1, 2, 3, 4]


def test_a_writer_that_added_nothing_leaves_no_file(tmp_path):
    write(tmp_path, "1-of-5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("autojudge.jobs.store.fcntl.flock", refuse)
    with pytest.raises(InputError, match="this file system has no locks .*link results to one that has"):
        Store(tmp_path, "a")


def test_unused_pieces_are_dropped_and_the_rest_stays_readable(tmp_path):
    write(tmp_path, "a", 0, 1, 2)
    write(tmp_path, "b", 3)
    Store(tmp_path).keep({KEYS[0], KEYS[2]})
    assert held(tmp_path) == [0, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["a.pieces"]
    write(tmp_path, "a", 4)
    assert held(tmp_path) == [0, 2, 4]


def test_what_was_added_after_a_look_is_not_dropped(tmp_path):
    write(tmp_path, "a", 0)
    looking = Store(tmp_path)
    write(tmp_path, "a", 1)
    looking.keep({KEYS[1]})
    assert held(tmp_path) == [1]


def test_nothing_is_dropped_while_a_process_adds(tmp_path):
    write(tmp_path, "a", 0)
    with Store(tmp_path, "a"), pytest.raises(InputError, match="a process is working on this shard"):
        Store(tmp_path).keep(set())
    assert held(tmp_path) == [0]
