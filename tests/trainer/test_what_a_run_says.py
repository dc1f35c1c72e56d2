"""What a run says when it ends otherwise than planned."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.utils.data import IterableDataset

from tests.trainer.tiny import StopAt, Stream, linear_decay, make_trainer, ones


class Files(IterableDataset):
    """A stream whose last epochs are shorter, as when files go missing."""

    def __init__(self, *lengths):
        self.lengths = list(lengths)

    def __iter__(self):
        for _ in range(self.lengths.pop(0)):
            yield torch.ones(()), torch.zeros(())


def stream(count):
    return Stream(ones(count))


@pytest.mark.parametrize(
    ("data", "options", "made"),
    [
        (stream(5), {"num_epochs": 1}, 5),
        (stream(5), {"num_epochs": 3}, 15),
        (Files(5, 2), {"num_epochs": 2}, 7),
        (stream(5), {"num_epochs": 1, "gradient_accumulation_steps": 2}, 3),
        (stream(5), {"num_epochs": 1, "eval_dataset": ones(2)}, 5),
    ],
)
def test_a_stream_that_ends_before_the_planned_updates_is_told(data, options, made):
    trainer = make_trainer()
    with pytest.warns(UserWarning, match=rf"{made} updates.*max_num_train_steps=20") as caught:
        trainer.train(
            data,
            per_device_batch_size=1,
            max_num_train_steps=20,
            create_scheduler_fn=linear_decay(20),
            **options,
        )
    assert [one.filename for one in caught] == [__file__]
    assert trainer.num_updates == made


@pytest.mark.filterwarnings("ignore:this run differs:UserWarning")
def test_a_resumed_stream_is_told_of_when_it_ends(tmp_path):
    for epochs in (1, 2):
        with pytest.warns(UserWarning, match=f"{5 * epochs} updates") as caught:
            make_trainer().train(
                stream(5),
                epochs,
                per_device_batch_size=1,
                max_num_train_steps=20,
                checkpoint_dir=tmp_path,
                resume="auto",
            )
        assert sum("max_num_train_steps=20" in str(one.message) for one in caught) == 1


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (stream(5), {"num_epochs": 4}),
        (stream(5), {"num_epochs": 5}),
        (stream(5), {"num_epochs": 2, "max_num_train_steps": None}),
        (ones(5), {"num_epochs": 1}),
    ],
)
def test_a_run_that_ends_as_planned_says_nothing(data, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_trainer().train(
            data, per_device_batch_size=1, **{"max_num_train_steps": 20, **options}
        )


def test_a_run_that_is_stopped_says_only_that(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer = make_trainer(StopAt("on_update_end", times=3))
        trainer.train(stream(5), 1, per_device_batch_size=1, max_num_train_steps=20)
    assert "enough" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:this run differs:UserWarning")
def test_an_interruption_while_data_is_read(tmp_path, capsys):
    class Interrupted(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            raise KeyboardInterrupt

    make_trainer().train(ones(6), 1, checkpoint_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        make_trainer().train(Interrupted(), 2, checkpoint_dir=tmp_path, resume="auto")
    assert "update_000000001_end is there" in capsys.readouterr().out
