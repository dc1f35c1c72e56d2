import os
import shutil

import pytest

from pytorch_accelerated.checkpoints import list_checkpoints, main, table


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def test_a_run_s_checkpoints_in_order(folder):
    (folder / "notes").mkdir()
    infos = list_checkpoints(folder)
    assert [info.path.name for info in infos] == [
        *[f"update_{n:09d}" for n in (4, 8, 12, 16)],
        "update_000000018_end",
    ]
    assert [(info.num_updates, info.epoch) for info in infos] == [
        (4, 0), (8, 1), (12, 1), (16, 2), (18, 3)
    ]  # fmt: skip
    assert {info.problem for info in infos} == {None}
    for info in infos:
        assert info.size == sum(path.stat().st_size for path in info.path.iterdir())


def test_the_table_says_what_is_wrong(folder, capsys):
    assert main(folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["checkpoint", "update", "epoch", "size", "state"]
    assert lines[-1].split()[:3] == ["update_000000018_end", "18", "3"]
    assert [line.split()[-1] for line in lines[1:]] == ["complete"] * 5

    os.truncate(folder / "update_000000008" / "model.safetensors", 10)
    (folder / "update_000000012" / "manifest.json").unlink()
    assert main(folder) == 1
    text = capsys.readouterr().out
    assert text == f"{table(folder)}\n"
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert "model.safetensors is damaged: it has 10 bytes, but" in rows["update_000000008"]
    assert "manifest.json is missing" in rows["update_000000012"]
    assert rows["update_000000012"].split()[1:3] == ["?", "?"]
    assert rows["update_000000016"].endswith("complete")


def test_a_checkpoint_that_is_being_written_is_not_one_yet(folder):
    (folder / ".update_000000020.writing").mkdir()
    assert main(folder) == 0
    assert len(list_checkpoints(folder)) == 5


def test_one_checkpoint_and_none(folder, tmp_path, capsys):
    assert [info.num_updates for info in list_checkpoints(folder / "update_000000008")] == [8]
    (tmp_path / "empty").mkdir()
    assert main(tmp_path / "empty") == 0
    assert "there are no checkpoints in" in capsys.readouterr().out
    assert main(tmp_path / "nowhere") == 2
    assert "there is no folder" in capsys.readouterr().err


def test_sizes_are_readable(tmp_path):
    for size, text in ((0, "0.0 MB"), (3_400_000, "3.4 MB")):
        folder = tmp_path / str(size) / "update_000000001"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"0" * size)
        assert f"  {text}  " in table(folder.parent)
