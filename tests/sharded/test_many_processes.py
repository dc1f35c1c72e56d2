from benchmarks.many_processes import simulated


def test_a_thousand_processes_write_each_number_once_and_what_the_first_one_keeps_is_small():
    few, many = (simulated(processes, layers=0) for processes in (10, 1_000))
    assert many["files"] == 1_000 + 2  # with state.json and the manifest
    assert many["largest shard, times the mean"] < 1.05
    assert few["bytes of the checkpoint"] == many["bytes of the checkpoint"]
    assert (many["bytes of the manifest"] - few["bytes of the manifest"]) / 990 < 128
    assert (many["bytes of the index"] - few["bytes of the index"]) / 990 < 6
