"""TRL's SFTTrainer: a tiny language model with random weights, and made-up words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from pytorch_accelerated.integrations.transformers import Scheduled, ScheduleMonitor
from tests.interop.plan import BASE, NUM_UPDATES
from tests.interop.test_transformers import StopAt
from tests.interop.test_transformers_scheduled import DECAY, SCHEDULES, Records, due, used

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*pin_memory.*:UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)

WORDS = ["<pad>", "</s>", "one", "two", "three", "four"]


class MySFTTrainer(Scheduled, SFTTrainer):
    pass


def make(folder: Path, *callbacks: Any) -> Any:
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = Whitespace()
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=0,
        eos_token_id=1,
    )
    arguments = SFTConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to=[],
        disable_tqdm=True,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        num_train_epochs=2,
        learning_rate=BASE,
        weight_decay=DECAY,
        logging_steps=1,
        save_steps=3,
        dataloader_pin_memory=False,
    )
    return MySFTTrainer(
        LlamaForCausalLM(config),
        arguments,
        train_dataset=Dataset.from_dict({"text": ["one two three four"] * 16}),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=words, pad_token="<pad>", eos_token="</s>"
        ),
        callbacks=[*callbacks],
        schedules=SCHEDULES,
    )


def test_fresh_and_resumed_each_update_runs_with_its_value(tmp_path: Path) -> None:
    for position, stop in ((0, 3), (3, NUM_UPDATES)):
        records, monitor = Records(), ScheduleMonitor()
        trainer = make(tmp_path, records, monitor, StopAt(stop))
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3") if position else None)
        assert used(records) == due(position, stop)
        made = stop - position
        assert monitor.summary() == f"applied == planned ({made} updates, {4 * made} values)"
    logged = [one["plan/lr/0"] for one in trainer.state.log_history if "plan/lr/0" in one]
    assert logged == [rate for rate, _ in due(0, NUM_UPDATES)[0]]
