import numpy as np
import pytest
import torch

from tests.checkpoints.runs import Net, make, names, outcome, train


def test_a_file_loads_into_plain_pytorch(tmp_path):
    trainer = train(make(), create_scheduler_fn=lambda o: torch.optim.lr_scheduler.StepLR(o, 2))
    trainer.save_checkpoint(tmp_path / "sub" / "model.pt", {"note": "x", "scores": [0.5, None]})
    saved = torch.load(tmp_path / "sub" / "model.pt", weights_only=True)
    assert (saved["note"], saved["scores"]) == ("x", [0.5, None])
    model = Net()
    model.load_state_dict(saved["model_state_dict"])
    x = torch.ones(3, 2)
    assert torch.equal(model.eval()(x), trainer.get_model().eval()(x))
    optimizer = torch.optim.SGD(model.parameters(), lr=9.0)
    optimizer.load_state_dict(saved["optimizer_state_dict"])
    assert optimizer.param_groups[0]["lr"] == trainer.optimizer.param_groups[0]["lr"]
    assert saved["scheduler_state_dict"]["last_epoch"] == 18
    assert names(tmp_path / "sub") == ["model.pt"]


def test_compiled_models_and_plain_ones_load_each_other_s_files(tmp_path):
    compiled = torch.compile(Net(), backend="eager")
    trainer = train(make(model=compiled), tmp_path / "run", num_epochs=1)
    trainer.save_checkpoint(tmp_path / "compiled.pt")
    plain = Net()
    saved = torch.load(tmp_path / "compiled.pt", weights_only=True)
    plain.load_state_dict(saved["model_state_dict"])

    fine_tuned = make(model=torch.compile(Net(), backend="eager"))
    fine_tuned.load_checkpoint(tmp_path / "compiled.pt")
    bare = fine_tuned.get_model(keep_torch_compile=False)
    assert torch.equal(bare.last.weight, plain.last.weight)

    # A run may be compiled from some point on.
    resumed = train(make(), tmp_path / "run", num_epochs=1)
    assert outcome(resumed)["weights"] == {k: v.tolist() for k, v in plain.state_dict().items()}


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"model_state_dict": {}}, ValueError, "holds model_state_dict, which the Trainer writes"),
        ({"score": np.float32(0.5)}, TypeError, "'score' cannot go into a checkpoint"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, kwargs, error, message):
    with pytest.raises(error, match=message):
        make().save_checkpoint(tmp_path / "model.pt", kwargs)
    assert names(tmp_path) == []


def test_optimizer_and_scheduler_may_be_left_out(tmp_path):
    trainer = train(make(), create_scheduler_fn=lambda o: torch.optim.lr_scheduler.StepLR(o, 2))
    trainer.save_checkpoint(tmp_path / "model.pt", save_optimizer=False, save_scheduler=False)
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert list(saved) == ["model_state_dict"]
    trainer.load_checkpoint(tmp_path / "model.pt")


def test_weights_of_a_training_state_load_without_the_library(tmp_path):
    from safetensors.torch import load_file

    trainer = train(make(), tmp_path)
    model = Net()
    model.load_state_dict(load_file(tmp_path / "update_000000018_end" / "model.safetensors"))
    assert outcome(trainer)["weights"] == {k: v.tolist() for k, v in model.state_dict().items()}
