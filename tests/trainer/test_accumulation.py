import pytest
import torch

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import StopTrainingError, TrainerCallback
from tests.trainer.tiny import Record, Stream, make_trainer, numbers, ones


@pytest.mark.parametrize("accumulate", [1, 2, 3, 4, 7])
def test_a_constant_gradient_stays_what_it_is_in_every_window(accumulate):
    trainer = make_trainer(record := Record())
    trainer.train(ones(12), 2, per_device_batch_size=2, gradient_accumulation_steps=accumulate)
    assert record.gradients == pytest.approx([1.0] * len(record.gradients), rel=1e-6)
    assert len(record.gradients) == 2 * -(-6 // accumulate)


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_the_reported_loss_is_undivided(accumulate):
    losses = []

    class Watch(Record):
        def on_train_step_end(self, trainer, batch, batch_output, step, **kwargs):
            losses.append(float(batch_output["loss"].detach()))

    def constant(outputs, targets):
        return outputs.mean() * 0 + 1.0

    trainer = make_trainer(Watch(), loss=constant)
    trainer.train(ones(10), 1, per_device_batch_size=2, gradient_accumulation_steps=accumulate)
    assert losses == [1.0] * 5
    assert trainer.run_history.get_metric_values("train_loss_epoch") == [1.0]


def test_the_epochs_loss_is_the_mean_over_samples_not_over_batches():
    trainer = make_trainer(lr=1e-30)
    torch.nn.init.ones_(trainer.model.weight)
    trainer.train(numbers(1, 1, 1, 4), 1, eval_dataset=numbers(1, 1, 1, 5), per_device_batch_size=3)
    history = trainer.run_history
    assert history.get_latest_metric("train_loss_epoch") == pytest.approx(7 / 4)
    assert history.get_latest_metric("eval_loss_epoch") == pytest.approx(8 / 4)


class TokenTrainer(Trainer):
    """Each sample has as many items as its target says; the loss is a mean over items."""

    as_tensor = False

    def calculate_train_batch_loss(self, batch):
        values, items = batch
        output = super().calculate_train_batch_loss((values, items))
        num_items = items.sum()
        output["loss"] = (self.model(values) * items).sum() / num_items
        output["num_items_in_batch"] = num_items if self.as_tensor else int(num_items)
        return output


@pytest.mark.parametrize("as_tensor", [True, False])
@pytest.mark.parametrize(
    ("accumulate", "expected"),
    [
        (1, [1.0, 2.0, 3.0, 4.0, 5.0]),
        # (1·1 + 2·3) / 4, (3·2 + 4·6) / 8, 5
        (2, [7 / 4, 30 / 8, 5.0]),
        # (1·1 + 2·3 + 3·2) / 6, (4·6 + 5·1) / 7
        (3, [13 / 6, 29 / 7]),
    ],
)
def test_losses_over_items_are_weighed_by_the_items_of_the_window(accumulate, expected, as_tensor):
    data = torch.utils.data.TensorDataset(
        torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), torch.tensor([1, 3, 2, 6, 1])
    )
    trainer = make_trainer(record := Record(), kind=TokenTrainer)
    trainer.as_tensor = as_tensor
    trainer.train(
        data,
        1,
        per_device_batch_size=1,
        gradient_accumulation_steps=accumulate,
        train_dataloader_kwargs={"shuffle": False},
    )
    assert [float(g) for g in record.gradients] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("as_tensor", [True, False])
@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        # (1·0.125 + 2·0.375) / 0.5
        ((0.125, 0.375), 1.75),
        ((0.0, 0.25), 2.0),
        ((0.0, 0.0), 0.0),
    ],
)
def test_items_may_be_weights_that_add_up_to_less_than_1(weights, expected, as_tensor):
    class Weighed(Trainer):
        def calculate_train_batch_loss(self, batch):
            weight = batch[1].sum()
            output = super().calculate_train_batch_loss(batch)
            return {**output, "num_items_in_batch": weight if as_tensor else float(weight)}

    data = torch.utils.data.TensorDataset(torch.tensor([1.0, 2.0]), torch.tensor(weights))
    trainer = make_trainer(record := Record(), kind=Weighed)
    trainer.train(
        data,
        1,
        per_device_batch_size=1,
        gradient_accumulation_steps=2,
        train_dataloader_kwargs={"shuffle": False},
    )
    assert record.gradients == [expected]


def test_items_for_a_part_of_a_window_are_refused():
    class Half(TokenTrainer):
        def calculate_train_batch_loss(self, batch):
            output = super().calculate_train_batch_loss(batch)
            if batch[0].item() == 2.0:
                del output["num_items_in_batch"]
            return output

    data = torch.utils.data.TensorDataset(torch.tensor([1.0, 2.0]), torch.tensor([1, 3]))
    with pytest.raises(ValueError, match="given for 1 of the 2 batches"):
        make_trainer(kind=Half).train(
            data, 1, per_device_batch_size=1, gradient_accumulation_steps=2
        )


def test_clipping_acts_once_on_the_full_gradient_of_an_update():
    # Clipped batch by batch, the first would give −1, the second 0.
    for values, expected in (((4.0, -4.0), 0.0), ((3.0, -1.0), 1.0), ((0.5, 0.25), 0.375)):
        trainer = make_trainer(record := Record())
        trainer.train(
            numbers(*values),
            1,
            per_device_batch_size=1,
            gradient_accumulation_steps=2,
            gradient_clip_value=1.0,
        )
        assert record.gradients == [expected]


def test_clipping_by_norm_limits_it_and_records_the_norm_before():
    model = torch.nn.Linear(2, 1, bias=False)
    trainer = make_trainer(record := Record(), model=model)
    data = torch.utils.data.TensorDataset(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), torch.zeros(2))
    trainer.train(
        data,
        1,
        per_device_batch_size=1,
        gradient_clip_norm=1.0,
        train_dataloader_kwargs={"shuffle": False},
    )
    first, second = record.gradients
    torch.testing.assert_close(first, torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(second, torch.tensor([[0.3, 0.4]]))
    assert trainer.run_history.get_metric_values("train_grad_norm_epoch") == pytest.approx([2.75])


def test_clipping_by_norm_comes_before_clipping_by_value():
    model = torch.nn.Linear(2, 1, bias=False)
    trainer = make_trainer(record := Record(), model=model)
    data = torch.utils.data.TensorDataset(torch.tensor([[3.0, 4.0]]), torch.zeros(1))
    trainer.train(data, 1, gradient_clip_norm=1.0, gradient_clip_value=0.7)
    torch.testing.assert_close(record.gradients[0], torch.tensor([[0.6, 0.7]]))
    assert trainer.run_config.gradient_clip_norm == 1.0
    assert trainer.run_config.gradient_clip_value == 0.7


def test_without_clipping_no_norm_is_recorded():
    trainer = make_trainer()
    trainer.train(ones(4), 1)
    trainer.train(ones(4), 1, gradient_clip_norm=1.0)
    trainer.train(ones(4), 1)
    assert trainer.run_history.get_metric_names() == ["train_loss_epoch"]


def test_gradients_of_a_stopped_run_do_not_enter_the_next():
    class Stopping(Trainer):
        def backward_step(self, loss):
            super().backward_step(loss)
            if self.run_config.gradient_accumulation_steps == 3:
                raise StopTrainingError("enough")

    trainer = make_trainer(record := Record(), kind=Stopping)
    trainer.train(ones(4), 1, per_device_batch_size=1, gradient_accumulation_steps=3)
    assert trainer.model.weight.grad is not None
    trainer.train(ones(1), 1)
    assert record.gradients == [1.0]


def test_the_launchers_setting_for_accumulation_has_no_effect(monkeypatch):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    trainer = make_trainer(record := Record())
    trainer.train(ones(4), 1, per_device_batch_size=2)
    assert record.gradients == [1.0, 1.0]
    trainer._accelerator.backward(trainer.model.weight * 1.0)
    assert trainer.model.weight.grad == 1.0


def test_a_loader_that_gives_less_than_its_length_is_reported():
    class Short(torch.utils.data.DataLoader):
        def __iter__(self):
            return iter(list(super().__iter__())[:-1])

    class ShortTrainer(Trainer):
        def create_train_dataloader(self, batch_size, train_dl_kwargs=None):
            return Short(self.train_dataset, batch_size)

    for accumulate in (1, 2):
        with pytest.warns(UserWarning, match="gave 3 batches in this epoch, but its length is 4"):
            make_trainer(record := Record(), kind=ShortTrainer).train(
                ones(4), 1, per_device_batch_size=1, gradient_accumulation_steps=accumulate
            )
        assert record.gradients == [1.0] * (3 // accumulate)


@pytest.mark.filterwarnings("ignore:the training data loader gave")
def test_batches_that_no_update_was_made_with_are_out_of_the_next_epoch(tmp_path):
    class Short(Stream):
        def __len__(self):
            return 6

    class Save(TrainerCallback):
        def on_training_run_epoch_end(self, trainer, **kwargs):
            trainer.save_training_state(tmp_path / f"{trainer.run_history.current_epoch}")

        def on_train_step_end(self, trainer, step, **kwargs):
            if step == 4:  # of 5, in windows of 3
                trainer.save_training_state(
                    tmp_path / f"{trainer.run_history.current_epoch} within"
                )

    def train(num_epochs, *callbacks, **kwargs):
        trainer = make_trainer(record := Record(), *callbacks)
        trainer.train(
            Short(numbers(1, 2, 3, 4, 5)), num_epochs, per_device_batch_size=1,
            gradient_accumulation_steps=3, **kwargs,
        )  # fmt: skip
        return trainer, record

    straight, record = train(2, Save())
    assert record.gradients == [2.0, 2.0]  # of 1, 2, 3; 4 and 5 made no update
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "1 within", "2", "2 within"]
    for name in ("1", "1 within"):
        resumed, rest = train(2, resume=tmp_path / name)
        assert rest.gradients == [2.0]
        assert resumed.model.weight == straight.model.weight
        losses = [t.run_history.get_metric_values("train_loss_epoch") for t in (straight, resumed)]
        assert losses[0] == losses[1]


def test_a_loss_without_gradient_is_refused():
    class Detached(Trainer):
        def calculate_train_batch_loss(self, batch):
            output = super().calculate_train_batch_loss(batch)
            return {**output, "loss": output["loss"].detach()}

    with pytest.raises(ValueError, match="has no gradient"):
        make_trainer(kind=Detached).train(ones(4), 1)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "NoneType without 'loss' and 'batch_size'"),
        ({"loss": torch.ones(())}, "without 'loss' and 'batch_size'"),
        ({"loss": 1.0, "batch_size": 4}, "the loss 1.0: it has to be a tensor"),
        ({"loss": torch.ones(4), "batch_size": 4}, "a tensor with one element"),
    ],
)
def test_an_unusable_batch_output_is_refused(output, message):
    class Wrong(Trainer):
        def calculate_train_batch_loss(self, batch):
            return output

        def calculate_eval_batch_loss(self, batch):
            return output

    with pytest.raises(TypeError, match=message):
        make_trainer(kind=Wrong).train(ones(4), 1)
    with pytest.raises(TypeError, match=message):
        make_trainer(kind=Wrong).evaluate(ones(4))
