import dataclasses

import pytest
from torch.utils.data import BatchSampler, SequentialSampler

from pytorch_accelerated.run_config import TrainerRunConfig
from tests.trainer.tiny import make_trainer, ones


def test_the_fields_come_in_the_known_order():
    assert [field.name for field in dataclasses.fields(TrainerRunConfig)] == [
        "num_epochs",
        "train_per_device_batch_size",
        "train_dl_kwargs",
        "eval_per_device_batch_size",
        "eval_dl_kwargs",
        "gradient_accumulation_steps",
        "gradient_clip_value",
        "train_total_batch_size",
        "eval_total_batch_size",
        "num_update_steps_per_epoch",
        "num_local_update_steps_per_epoch",
        "max_num_train_steps",
        "is_local_process_zero",
        "is_world_process_zero",
        "is_distributed",
        "mixed_precision",
        "num_processes",
        "gradient_clip_norm",
        "max_samples",
        "max_items",
        "max_time",
    ]


def test_a_training_runs_numbers():
    trainer = make_trainer()
    trainer.train(
        ones(20),
        3,
        eval_dataset=ones(4),
        per_device_batch_size=2,
        gradient_accumulation_steps=4,
        gradient_clip_value=0.5,
        eval_dataloader_kwargs={"batch_size": 3},
    )
    config = trainer.run_config
    assert config.num_epochs == 3
    assert config.train_per_device_batch_size == config.train_dl_kwargs["batch_size"] == 2
    assert config.eval_per_device_batch_size == config.eval_dl_kwargs["batch_size"] == 3
    assert config.train_total_batch_size == 8
    assert config.eval_total_batch_size == 3
    assert config.num_update_steps_per_epoch == config.num_local_update_steps_per_epoch == 3
    assert config.max_num_train_steps == 9
    assert (config.gradient_accumulation_steps, config.gradient_clip_value) == (4, 0.5)
    assert config.is_local_process_zero
    assert config.is_world_process_zero
    assert not config.is_distributed
    assert (config.mixed_precision, config.num_processes) == ("no", 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.num_epochs = 4


def test_an_evaluation_run_shows_nothing_of_the_run_before():
    trainer = make_trainer()
    trainer.train(ones(4), 3, train_dataloader_kwargs={"batch_size": 2})
    trainer.evaluate(ones(4), per_device_batch_size=3)
    config = trainer.run_config
    assert config.num_epochs == 1
    assert config.train_dl_kwargs is None
    assert config.eval_per_device_batch_size == 3
    assert config.num_update_steps_per_epoch == config.max_num_train_steps == 0


def test_a_dict_is_a_deep_copy_in_which_samplers_stay_the_same_and_the_config_is_unchanged():
    sampler = SequentialSampler(range(4))
    batches = BatchSampler(sampler, 2, drop_last=False)
    trainer = make_trainer()
    trainer.train(
        ones(4),
        1,
        eval_dataset=ones(4),
        train_dataloader_kwargs={"sampler": sampler},
        eval_dataloader_kwargs={"batch_sampler": batches},
    )
    for _ in range(2):
        as_dict = trainer.run_config.to_dict()
        assert as_dict["train_dl_kwargs"]["sampler"] is sampler
        assert as_dict["eval_dl_kwargs"]["batch_sampler"] is batches
        assert as_dict["train_dl_kwargs"] is not trainer.run_config.train_dl_kwargs
        assert as_dict.keys() == {f.name for f in dataclasses.fields(TrainerRunConfig)}
    assert trainer.run_config.train_dl_kwargs["sampler"] is sampler
    assert trainer.run_config.eval_per_device_batch_size == 2


def test_a_dict_is_made_without_evaluation_and_without_training():
    trainer = make_trainer()
    trainer.evaluate(ones(4))
    assert trainer.run_config.to_dict()["train_dl_kwargs"] is None
    trainer.train(ones(4), 1)
    assert trainer.run_config.to_dict()["eval_dl_kwargs"] is None


def test_a_batch_size_that_nobody_tells_is_unknown_and_no_error():
    trainer = make_trainer()
    trainer.train(
        ones(4),
        1,
        eval_dataset=ones(4),
        per_device_batch_size=None,
        train_dataloader_kwargs={"batch_sampler": [[0, 1], [2, 3]]},
        eval_dataloader_kwargs={"batch_sampler": [[0], [1, 2, 3]]},
    )
    config = trainer.run_config
    assert trainer.num_updates == config.max_num_train_steps == 2
    assert config.train_per_device_batch_size is config.train_total_batch_size is None
    assert config.eval_per_device_batch_size is config.eval_total_batch_size is None
