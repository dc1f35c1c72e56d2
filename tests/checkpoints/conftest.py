import pytest

from tests.checkpoints.runs import make, train


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The checkpoints of a run, each file of which has something in it; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    train(make(), folder)
    return folder
