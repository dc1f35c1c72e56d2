import copy
import inspect
import random
from contextlib import nullcontext
from functools import partial
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
)

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import LimitBatchesCallback, TrainerCallback
from pytorch_accelerated.run.data import MAX_DEFAULT_WORKERS, default_loader_kwargs, rebuilt
from pytorch_accelerated.utils import LimitBatches
from tests.trainer.tiny import (
    Mixed,
    Record,
    Stream,
    Watched,
    linear_decay,
    make_trainer,
    numbers,
    ones,
)


class Order(Trainer):
    """Notes the inputs of every batch."""

    def calculate_train_batch_loss(self, batch):
        self.__dict__.setdefault("seen", []).append(batch[0].tolist())
        return super().calculate_train_batch_loss(batch)


def order(seed=None, epochs=2, **kwargs):
    trainer = make_trainer(kind=Order)
    data = numbers(*map(float, range(8)))
    trainer.train(data, epochs, per_device_batch_size=2, seed=seed, **kwargs)
    return trainer.seen


def global_state():
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()


def dropout_run(seed):
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(), nn.Linear(8, 1))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)
    x = torch.arange(30.0).reshape(10, 3) / 30
    trainer = make_trainer(model=model, loss=nn.functional.mse_loss)
    trainer.train(TensorDataset(x, x[:, :1]), 3, per_device_batch_size=2, seed=seed)
    return trainer.run_history.get_metric_values("train_loss_epoch"), model.state_dict()


def test_a_seed_gives_the_same_run_twice_bit_for_bit():
    losses, weights = dropout_run(seed=3)
    torch.rand(7)
    again, weights_again = dropout_run(seed=3)
    assert losses == again
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
    assert dropout_run(seed=4)[0] != losses


def test_without_a_seed_no_generator_is_seeded():
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    trainer = make_trainer()
    before = global_state()
    trainer.evaluate(ones(4))
    assert global_state() == before
    trainer.train(ones(4), 2, eval_dataset=ones(4))
    after = global_state()
    assert after[1:] == before[1:]
    # One number was drawn, as any data loader of PyTorch does.
    torch.manual_seed(5)
    torch.randint(2**62, ())
    assert after[0] == torch.get_rng_state().tolist()


def test_the_order_of_the_data_follows_the_users_seed_and_differs_between_epochs():
    torch.manual_seed(1)
    first, second = order(), order()
    torch.manual_seed(1)
    assert order() == first
    assert first != second
    assert first[:4] != first[4:]
    for epoch in (first[:4], first[4:]):
        assert sorted(x for batch in epoch for x in batch) == list(range(8))


def test_the_order_of_an_epoch_depends_on_the_seed_and_the_epoch_only():
    whole = order(seed=7, epochs=3)
    assert order(seed=7, epochs=1) == whole[:4]
    assert order(seed=7, epochs=2, eval_dataset=ones(3)) == whole[:8]
    assert order(seed=8, epochs=1) not in (whole[:4], whole[4:8])


def test_a_users_own_generator_is_left_alone():
    def loader_order():
        generator = torch.Generator().manual_seed(2)
        kwargs = {"generator": generator}
        return order(seed=random.getrandbits(30), epochs=2, train_dataloader_kwargs=kwargs)

    assert loader_order() == loader_order()


def test_a_scheduler_belongs_to_its_run():
    trainer = make_trainer(record := Record(), lr=1.0)
    trainer.train(ones(4), 1, per_device_batch_size=2, create_scheduler_fn=linear_decay(4))
    assert trainer.scheduler is not None
    trainer.train(ones(4), 1, per_device_batch_size=2)
    assert trainer.scheduler is None
    assert record.used == [1.0, 0.75, 0.5, 0.5]


def test_a_run_without_evaluation_data_forgets_that_of_the_run_before():
    trainer = make_trainer()
    trainer.train(ones(4), 1, eval_dataset=ones(2), eval_dataloader_kwargs={"batch_size": 1})
    assert len(trainer._eval_dataloader) == 2
    trainer.train(ones(4), 1)
    assert trainer._eval_dataloader is None
    assert trainer._eval_dl_kwargs is None
    assert trainer.eval_dataset is None
    assert trainer.run_config.eval_dl_kwargs is None
    assert trainer.run_history.get_metric_names() == ["train_loss_epoch"]


def test_evaluating_keeps_the_history_and_the_collate_function():
    def doubled(samples):
        x, y = zip(*samples, strict=True)
        return 2 * torch.stack(x), torch.stack(y)

    trainer = make_trainer()
    trainer.train(ones(4), 1, collate_fn=doubled)
    weight = trainer.model.weight.item()
    trainer.evaluate(ones(4))
    history = trainer.run_history
    assert history.get_metric_names() == ["train_loss_epoch", "evaluation_loss"]
    assert history.get_latest_metric("evaluation_loss") == pytest.approx(2 * weight)
    assert history.current_epoch == 2
    assert trainer.run_config.num_update_steps_per_epoch == 0
    assert not trainer.model.training


def test_evaluating_without_data_is_refused_unless_the_last_run_had_some():
    trainer = make_trainer()
    with pytest.raises(ValueError, match="give a dataset"):
        trainer.evaluate()
    trainer.train(ones(4), 1, eval_dataset=ones(2))
    trainer.evaluate()
    assert "evaluation_loss" in trainer.run_history.get_metric_names()


@pytest.mark.parametrize(
    "kwargs",
    [
        {"batch_sampler": BatchSampler(SequentialSampler(range(6)), 4, drop_last=False)},
        {"batch_size": None},
        {"batch_size": 4, "collate_fn": lambda samples: torch.utils.data.default_collate(samples)},
        {"sampler": SequentialSampler(range(6))},
        {"drop_last": True, "batch_size": 4},
        {"num_workers": 1},
        {"shuffle": False},
    ],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_arguments_of_data_loaders_are_accepted(kwargs):
    data = ones(6)
    if "batch_size" in kwargs and kwargs["batch_size"] is None:
        data = [(x.reshape(1), y.reshape(1)) for x, y in data]
    trainer = make_trainer()
    trainer.train(data, 1, eval_dataset=data, per_device_batch_size=3,
                  train_dataloader_kwargs=kwargs, eval_dataloader_kwargs=kwargs)  # fmt: skip
    assert trainer.num_updates == len(trainer._train_dataloader)
    assert kwargs.items() <= trainer.run_config.train_dl_kwargs.items()


def test_streams_can_be_trained_and_evaluated_on():
    trainer = make_trainer(record := Record())
    trainer.train(Stream(ones(6)), 1, eval_dataset=Stream(ones(5)), per_device_batch_size=4)
    assert record.gradients == [1.0, 1.0]
    assert trainer.run_history.get_latest_metric("eval_loss_epoch") == pytest.approx(-0.2)


def test_the_data_loader_is_made_by_the_name_in_the_trainers_module(monkeypatch):
    made = []

    def patched(**kwargs):
        made.append(kwargs)
        return DataLoader(**kwargs)

    monkeypatch.setattr("pytorch_accelerated.trainer.DataLoader", patched)
    data, collate = ones(6), torch.utils.data.default_collate
    trainer = make_trainer()
    trainer.train(
        data, 1, per_device_batch_size=3, collate_fn=collate,
        train_dataloader_kwargs={"num_workers": 0},
    )  # fmt: skip
    assert made == [{"dataset": data, "collate_fn": collate, **trainer._train_dl_kwargs}]
    assert set(trainer._train_dl_kwargs) == {
        "shuffle", "pin_memory", "batch_size", "num_workers", "worker_init_fn",
    }  # fmt: skip


def test_by_default_data_in_memory_and_data_on_cpu_get_no_workers(monkeypatch):
    def default_num_workers(dataset):
        return default_loader_kwargs(dataset, 1, shuffle=False)["num_workers"]

    assert default_num_workers([1, 2]) == 0
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert default_num_workers([1, 2]) >= 1
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for cpus, expected in ((1, 1), (6, 3), (64, MAX_DEFAULT_WORKERS)):
        monkeypatch.setattr("os.cpu_count", lambda cpus=cpus: cpus)
        assert default_num_workers([1, 2]) == expected
        assert default_num_workers(torch.utils.data.Subset(ones(3), [1])) == 0
        # Several workers would each give the whole stream.
        assert default_num_workers(Stream(ones(3))) == 1


def test_limited_epochs_are_what_the_run_is_planned_for():
    trainer = make_trainer(LimitBatchesCallback(3), record := Record(), lr=1.0)
    trainer.train(ones(20), 2, per_device_batch_size=2, create_scheduler_fn=linear_decay(6))
    assert trainer.run_config.max_num_train_steps == trainer.num_updates == 6
    assert record.used == [1 - k / 6 for k in range(6)]
    assert trainer.optimizer.param_groups[0]["lr"] == 0


def test_the_environment_limits_the_batches_of_a_trainer_made_under_it():
    with LimitBatches(2):
        trainer = make_trainer()
    trainer.train(ones(20), 1, per_device_batch_size=2)
    assert trainer.num_updates == 2
    assert trainer.callback_handler.callback_list == ["LimitBatchesCallback"]


@pytest.mark.parametrize(
    ("data", "kwargs", "message"),
    [
        (ones(0), {}, "train_dataset is empty"),
        ([], {}, "train_dataset is empty"),
        (ones(3), {"drop_last": True}, "no batch, although there are 3 samples"),
        (Stream(ones(0)), {}, "gave no batch in this epoch"),
    ],
)
def test_data_without_a_batch_is_refused(data, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make_trainer().train(data, 1, train_dataloader_kwargs=kwargs)


def test_evaluation_data_without_a_sample_is_refused():
    with pytest.raises(ValueError, match="dataset is empty"):
        make_trainer().train(ones(3), 1, eval_dataset=ones(0))
    with pytest.raises(ValueError, match="dataset is empty"):
        make_trainer().evaluate(ones(0))


def test_any_iterable_serves_as_a_loader():
    class Own(Trainer):
        def create_train_dataloader(self, batch_size, train_dl_kwargs=None):
            return [(torch.ones(2), torch.zeros(2))] * 3

    trainer = make_trainer(record := Record(), kind=Own)
    trainer.train(None, 2, gradient_accumulation_steps=2)
    assert record.gradients == [1.0] * 4


def test_a_loader_of_ones_own_is_given_to_several_runs_and_trainers():
    loader = DataLoader(numbers(*map(float, range(6))), batch_size=2, shuffle=True)

    class Own(Order):
        def create_train_dataloader(self, batch_size, train_dl_kwargs=None):
            return loader

    def run(seed):
        trainer = make_trainer(kind=Own)
        trainer.train(loader.dataset, 1, seed=seed)
        return trainer.seen

    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", [False, True])
def test_a_sampler_follows_the_user_s_generator_again_after_a_run(workers, error):
    sampler = RandomSampler(range(8))

    class Fail(TrainerCallback):
        def on_training_run_end(self, trainer, **kwargs):
            if error:
                raise RuntimeError

    def order():
        torch.manual_seed(3)
        return list(sampler)

    before = order()
    options = {"sampler": sampler, "num_workers": workers}
    trainer = make_trainer(Fail())
    with pytest.raises(RuntimeError) if error else nullcontext():
        trainer.train(
            ones(8),
            1,
            eval_dataset=ones(8),
            train_dataloader_kwargs=options,
            eval_dataloader_kwargs=options,
        )
    assert order() == before
    make_trainer().evaluate(ones(8), dataloader_kwargs=options)
    assert order() == before


def test_a_copy_of_a_trainer_trains_alike():
    trainer = make_trainer(kind=Order)
    copied = copy.deepcopy(trainer)
    for one in (trainer, copied):
        one.train(numbers(*map(float, range(8))), 2, per_device_batch_size=2, seed=1)
    assert copied.seen == trainer.seen


def test_gathering_on_one_process_leaves_out_entries_that_are_all_padding():
    nan = float("nan")
    trainer = make_trainer()
    values = {
        "entries": [torch.tensor([1, -1, 2]), torch.tensor([-1] * 7)],
        "rows": (torch.tensor([[-1, -1], [-1, 3], [4, -1]]), torch.full((2, 3, 2), -1.0)),
        "others": [torch.tensor([True, False]), torch.tensor([255, 0], dtype=torch.uint8)],
        "scalar": torch.tensor(-1),
        "nan": torch.tensor([nan, 1.0]),
        "empty": [torch.zeros(0), torch.zeros(0, 4), torch.zeros(3, 0)],
    }
    gathered = trainer.gather(values, padding_value=-1)
    assert [one.tolist() for one in gathered["entries"]] == [[1, 2], []]
    assert gathered["rows"][0].tolist() == [[-1, 3], [4, -1]]
    assert gathered["rows"][1].shape == (0, 3, 2)
    assert [one.tolist() for one in gathered["others"]] == [[True, False], [255, 0]]
    assert gathered["scalar"].tolist() == []
    assert gathered["nan"].isnan().tolist() == [True, False]
    assert [one.shape for one in gathered["empty"]] == [(0,), (0, 4), (3, 0)]
    assert [one.dtype for one in gathered["others"]] == [torch.bool, torch.uint8]
    assert trainer.gather(values["nan"], padding_value=nan).tolist() == [1.0]
    assert trainer.gather(values["entries"])[1].tolist() == [-1] * 7


def test_a_loader_that_is_made_anew_keeps_its_options():
    data = ones(6)
    options = {
        "num_workers": 1, "timeout": 5, "persistent_workers": True, "prefetch_factor": 3,
        "collate_fn": list, "worker_init_fn": print, "generator": torch.Generator(),
        "multiprocessing_context": "spawn",
    }  # fmt: skip
    if "in_order" in inspect.signature(DataLoader).parameters:  # since PyTorch 2.6
        options["in_order"] = False
    whole = DataLoader(data, batch_size=4, drop_last=True, **options)
    stream = DataLoader(Stream(data), batch_size=4, drop_last=True, **options)
    single = DataLoader(data, batch_size=None, **options)
    for loader in (whole, stream, single):
        again = rebuilt(loader)
        for name in ("dataset", *options):
            assert getattr(again, name) is getattr(loader, name)
        assert rebuilt(loader, num_workers=2).num_workers == 2
    assert rebuilt(stream).drop_last
    assert rebuilt(whole).batch_sampler is whole.batch_sampler
    assert rebuilt(single).sampler is single.sampler


def test_loaders_of_a_run_know_its_device():
    trainer = make_trainer()
    trainer.train(ones(4), 1, eval_dataset=ones(4))
    assert trainer._train_dataloader.device == trainer._eval_dataloader.device == trainer.device


class Inventive:
    """A loader that has whatever attribute it is asked for, each time another object."""

    def __iter__(self):
        return iter([[torch.ones(2), torch.zeros(2)]])

    def __len__(self):
        return 1

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Inventive()

    def __call__(self, *args):
        return self


class View:
    """A loader whose sampler is another one each time."""

    sampler = property(lambda self: View())

    def __iter__(self):
        return iter([[torch.ones(2), torch.zeros(2)]])

    def __len__(self):
        return 1


def mocked():
    loader = MagicMock()
    loader.__iter__.side_effect = lambda: iter([[torch.ones(2), torch.zeros(2)]])
    loader.__len__.return_value = 1
    return loader


@pytest.mark.parametrize("make", [mocked, Inventive, View])
def test_a_loader_that_invents_attributes_is_only_gone_through(make):
    class Given(Trainer):
        def create_train_dataloader(self, *args, **kwargs):
            return make()

        def create_eval_dataloader(self, *args, **kwargs):
            return make()

    trainer = make_trainer(kind=Given)
    trainer.train(ones(4), 2, eval_dataset=ones(4))
    assert trainer.num_updates == 2


def test_printing_and_the_device(capsys):
    trainer = make_trainer()
    trainer.print("a", 1, sep="-")
    assert capsys.readouterr().out == "a-1\n"
    assert trainer.device == torch.device("cpu")


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
def test_the_model_without_wrappers():
    compiled = torch.compile(nn.Linear(1, 1))
    trainer = make_trainer(model=compiled)
    assert trainer.get_model() is compiled
    assert trainer.get_model(keep_torch_compile=False) is compiled._orig_mod


@pytest.mark.usefixtures("own_accelerator_state")
def test_mixed_precision_leaves_no_trace_on_the_model():
    data = TensorDataset(torch.ones(4, 1), torch.zeros(4, 1))
    trainer = make_trainer(model=(model := Watched()), loss=nn.functional.mse_loss, kind=Mixed)
    for _ in range(2):
        trainer.train(data, 1, eval_dataset=data)
        assert trainer.run_config.mixed_precision == "bf16"
    assert set(model.dtypes) == {torch.bfloat16}
    assert trainer.model(torch.ones(1, 1)).dtype == torch.float32
    assert {"forward", "_original_forward"}.isdisjoint(vars(trainer.model))


def test_the_loss_function_need_not_be_given():
    class Own(Trainer):
        def calculate_train_batch_loss(self, batch):
            return {"loss": self.model(batch[0]).mean(), "batch_size": 2}

    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = TensorDataset(torch.ones(4, 1), torch.zeros(4))
    trainer = Own(model, None, optimizer, callbacks=())
    trainer.train(data, 1, per_device_batch_size=2)
    assert trainer.num_updates == 2


def test_the_default_callbacks_are_made_anew_for_each_trainer():
    from pytorch_accelerated.trainer import DEFAULT_CALLBACKS

    assert all(isinstance(callback, type) for callback in DEFAULT_CALLBACKS)
    make = partial(Trainer, nn.Linear(1, 1), None, None)
    first, second = make(), make()
    assert first.callback_handler.callback_list == second.callback_handler.callback_list
    assert not set(map(id, first.callback_handler)) & set(map(id, second.callback_handler))
