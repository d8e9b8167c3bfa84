"""Files of batches: whole after a crash at any byte, in order, bounded, and shared by processes."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from everloop.client.batches import Batch
from everloop.client.spill import HEAD, Spill, frame, frames, from_payload, to_payload
from tests.unit.client.fakes import a_batch, names

PAYLOADS = st.lists(st.binary(max_size=40), max_size=6)


def a_spill(folder: Path, most: int = 1 << 20, segment: int = 1 << 16) -> Spill:
    return Spill(folder, most, segment)


def drain(spill: Spill) -> list[Batch]:
    found = []
    while (batch := spill.first()) is not None:
        found.append(batch)
        spill.pop()
    return found


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.seg"))


@given(PAYLOADS, st.data())
def test_a_tail_that_was_torn_at_any_byte_costs_the_last_frame_alone(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(map(frame, payloads))
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(HEAD.size + len(one) for one in payloads[:count]) for count in range(len(payloads) + 1)]
    assert list(frames(whole[:cut])) == payloads[: sum(end <= cut for end in ends) - 1]


@given(PAYLOADS, st.integers(0, 5), st.integers(1, 255), st.data())
def test_a_changed_byte_ends_the_segment_before_it(
    payloads: list[bytes], place: int, change: int, data: st.DataObject
) -> None:
    whole = bytearray(b"".join(map(frame, [*payloads, b"last"])))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= change
    found = list(frames(bytes(whole)))
    assert found == [*payloads, b"last"][: len(found)]
    assert len(found) <= len(payloads)


def test_zeros_that_a_crash_of_the_machine_leaves_are_no_frames() -> None:
    assert list(frames(frame(b"one") + bytes(64))) == [b"one"]


@given(
    st.builds(
        Batch, st.uuids().map(str), st.sampled_from(["predictions", "labels"]), st.text(), st.integers(1, 10_000),
        st.integers(0, 1 << 50), st.binary(),
    )
)  # fmt: skip
def test_a_batch_is_read_as_it_was_written(batch: Batch) -> None:
    assert from_payload(to_payload(batch)) == batch


def test_what_was_written_comes_back_in_order_and_the_files_go(tmp_path: Path) -> None:
    spill, wanted = a_spill(tmp_path / "spill", segment=300), [f"b{number}" for number in range(20)]
    assert all(spill.append(a_batch(name, rows=2)) for name in wanted[:10])
    assert len(segments(tmp_path / "spill")) > 2
    first = [spill.first(), spill.first()]
    spill.pop()
    assert all(spill.append(a_batch(name, rows=2)) for name in wanted[10:])
    assert spill.rows == 38
    assert names([*filter(None, first[:1]), *drain(spill)]) == wanted
    assert (spill.rows, spill.bytes, spill.lost) == (0, 0, 0)
    spill.close()
    assert list((tmp_path / "spill").iterdir()) == []


def test_nothing_is_written_beyond_the_bound(tmp_path: Path) -> None:
    size = len(frame(to_payload(a_batch("a"))))
    spill = a_spill(tmp_path, most=3 * size)
    assert [spill.append(a_batch(name)) for name in "abcd"] == [True, True, True, False]
    assert sum(path.stat().st_size for path in segments(tmp_path)) == 3 * size
    assert names(drain(spill)) == ["a", "b", "c"]
    assert spill.append(a_batch("e"))


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    spill = a_spill(tmp_path / "spill")
    spill.append(a_batch("a"))
    (path,) = segments(tmp_path / "spill")
    assert [one.stat().st_mode & 0o077 for one in (path, path.parent)] == [0, 0]


def crash(spill: Spill) -> None:
    """Let go of the locks as the end of a process does; nothing is flushed or tidied up."""
    spill.abandon()


def test_the_next_process_finds_what_a_crash_left_at_any_byte(tmp_path: Path) -> None:
    spill = a_spill(tmp_path / "first")
    for name in "abc":
        spill.append(a_batch(name))
    crash(spill)
    (path,) = segments(tmp_path / "first")
    data = path.read_bytes()
    ends = [len(b"".join(frame(to_payload(a_batch(name))) for name in "abc"[:count])) for count in range(4)]
    for cut in range(len(data) + 1):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data[:cut])
        heir = a_spill(tmp_path / "first")
        assert heir.adopt() == sum(end <= cut for end in ends) - 1
        new = ["new"] if cut % 60 == 0 else []  # a flush to the disk takes its time
        assert all(heir.append(a_batch(name)) for name in new)
        assert names(drain(heir)) == [*"abc"[: sum(end <= cut for end in ends) - 1], *new]
        heir.close()


def test_a_folder_that_somebody_lives_in_is_left_alone(tmp_path: Path) -> None:
    one, other = a_spill(tmp_path), a_spill(tmp_path)
    one.append(a_batch("a"))
    other.append(a_batch("b"))
    assert other.adopt() == 0
    crash(one)
    assert other.adopt() == 1
    assert sorted(names(drain(other))) == ["a", "b"]
    assert a_spill(tmp_path / "nowhere").adopt() == 0


def test_what_was_not_taken_comes_again_after_a_crash(tmp_path: Path) -> None:
    spill = a_spill(tmp_path)
    for name in "ab":
        spill.append(a_batch(name))
    spill.first()
    spill.pop()
    crash(spill)
    heir = a_spill(tmp_path)
    heir.adopt()
    assert names(drain(heir)) == ["a", "b"]


def test_a_full_disk_refuses_one_batch_and_spoils_no_other(tmp_path: Path) -> None:
    full = [False]

    def write(file: int, data: memoryview) -> int:
        if full[0] and len(data) <= 20:
            raise OSError(errno.ENOSPC, "full")
        return os.write(file, data[:-20] if full[0] else data)

    spill = Spill(tmp_path, 1 << 20, 1 << 16, write)
    spill.append(a_batch("a"))
    full[0] = True
    assert not spill.append(a_batch("b"))
    full[0] = False
    assert spill.append(a_batch("c"))
    assert names(drain(spill)) == ["a", "c"]


def test_rows_that_the_disk_no_longer_gives_are_counted(tmp_path: Path) -> None:
    spill = a_spill(tmp_path)
    spill.append(a_batch("a", rows=3))
    (path,) = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    assert drain(spill) == []
    assert (spill.lost, spill.rows) == (3, 0)


def test_a_folder_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    spill = a_spill(tmp_path / "spill", segment=10)
    assert spill.append(a_batch("a"))
    shutil.rmtree(tmp_path / "spill")
    assert [spill.append(a_batch(name)) for name in "bc"] == [False, True]
    assert names(drain(spill)) == ["c"]
    assert spill.lost == 1


def test_a_folder_that_cannot_be_written_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert not a_spill(tmp_path / "file").append(a_batch("a"))
