"""The surface that users of pytorch-accelerated 0.1 know, as a table.

Signatures are written as Python: names in order, with defaults.
"""

from __future__ import annotations

NAMES = {
    "pytorch_accelerated": (
        "Trainer TrainerPlaceholderValues notebook_launcher set_seed __version__"
    ),
    "pytorch_accelerated.trainer": (
        "Trainer TrainerWithTimmScheduler TrainerPlaceholderValues "
        "replace_trainer_placeholder_values DEFAULT_CALLBACKS DataLoader"
    ),
    "pytorch_accelerated.callbacks": (
        "TrainerCallback CallbackHandler StopTrainingError CallbackMethodNotImplementedError "
        "get_default_callbacks TerminateOnNaNCallback LogMetricsCallback PrintProgressCallback "
        "ProgressBarCallback SaveBestModelCallback EarlyStoppingCallback "
        "MoveModulesToDeviceCallback LimitBatchesCallback LimitEvalStepsCallback "
        "StepBasedEvaluationCallback ModelEmaCallback ConvertSyncBatchNormCallback "
        "SaveTrainingStateCallback WSDCheckpointCallback"
    ),
    "pytorch_accelerated.run_config": "TrainerRunConfig",
    "pytorch_accelerated.tracking": "RunHistory InMemoryRunHistory LossTracker",
    "pytorch_accelerated.schedulers": (
        "SchedulerBase StatefulSchedulerBase CosineLrScheduler WSDLrScheduler"
    ),
    "pytorch_accelerated.schedulers.scheduler_base": "SchedulerBase StatefulSchedulerBase",
    "pytorch_accelerated.schedulers.cosine_scheduler": "CosineLrScheduler",
    "pytorch_accelerated.schedulers.wsd_scheduler": "WSDLrScheduler estimate_checkpoint_steps",
    "pytorch_accelerated.utils": (
        "LimitBatches LIMIT_BATCHES_ENV_VAR DataLoaderSlice ModelEma local_process_zero_only "
        "local_process_zero_first world_process_zero_only worker_init_fn remove_padding"
    ),
    "pytorch_accelerated.finetuning": (
        "ModelFreezer Layer LayerGroup BN_MODULES _module_is_batch_norm"
    ),
}

SIGNATURES = {
    "pytorch_accelerated.trainer": {
        "Trainer": "model, loss_func, optimizer, callbacks=DEFAULT_CALLBACKS, run_history=None",
        "Trainer.train": (
            "train_dataset, num_epochs, eval_dataset=None, per_device_batch_size=8, "
            "max_num_train_steps=None, gradient_accumulation_steps=1, gradient_clip_value=None, "
            "create_scheduler_fn=None, train_dataloader_kwargs=None, eval_dataloader_kwargs=None, "
            "reset_run_history=True, collate_fn=None, resume_from=None"
        ),
        "Trainer.evaluate": (
            "dataset=None, per_device_batch_size=8, dataloader_kwargs=None, collate_fn=None"
        ),
        "Trainer.gather": "tensor, padding_value=None",
        "Trainer.print": "*args, **kwargs",
        "Trainer.get_model": "keep_torch_compile=True",
        "Trainer.save_checkpoint": (
            "save_path, checkpoint_kwargs=None, save_optimizer=True, save_scheduler=True, "
            "save_per_node=True"
        ),
        "Trainer.load_checkpoint": "checkpoint_path, load_optimizer=True, load_scheduler=True",
        "Trainer.save_training_state": "output_dir, checkpoint_kwargs=None",
        "Trainer.load_training_state": "input_dir",
        "Trainer.create_train_dataloader": "batch_size, train_dl_kwargs=None",
        "Trainer.create_eval_dataloader": "batch_size, eval_dl_kwargs=None",
        "Trainer.get_default_train_dl_kwargs": "batch_size",
        "Trainer.get_default_eval_dl_kwargs": "batch_size",
        "Trainer.create_scheduler": "",
        "Trainer.training_run_start": "",
        "Trainer.train_epoch_start": "",
        "Trainer.calculate_train_batch_loss": "batch",
        "Trainer.backward_step": "loss",
        "Trainer.optimizer_step": "",
        "Trainer.scheduler_step": "",
        "Trainer.optimizer_zero_grad": "",
        "Trainer.train_epoch_end": "",
        "Trainer.eval_epoch_start": "",
        "Trainer.calculate_eval_batch_loss": "batch",
        "Trainer.eval_epoch_end": "",
        "Trainer.training_run_epoch_end": "",
        "Trainer.training_run_end": "",
        "Trainer.evaluation_run_start": "",
        "Trainer.evaluation_run_end": "",
        "Trainer._create_accelerator": "",
        "Trainer._create_callback_handler": "",
        "Trainer._prepare_model_optimizer_and_dataloaders": "",
        "Trainer._create_run_config": (
            "per_device_batch_size, num_epochs, gradient_accumulation_steps, max_num_train_steps, "
            "gradient_clip_value"
        ),
        "Trainer._check_eval_batch_size": "",
        "Trainer._run_training": "",
        "Trainer._run_train_epoch": "train_dl",
        "Trainer._perform_forward_and_backward_passes": "batch, step",
        "Trainer._clip_gradients": "",
        "Trainer._run_eval_epoch": "valid_dl, is_training=True, is_intermediate=False",
        "Trainer._run_evaluation": "",
        "TrainerWithTimmScheduler": (
            "model, loss_func, optimizer, callbacks=DEFAULT_CALLBACKS, run_history=None"
        ),
        "TrainerPlaceholderValues.placeholder_set": "",
        "replace_trainer_placeholder_values": "trainer, instance",
    },
    "pytorch_accelerated.callbacks": {
        "get_default_callbacks": "progress_bar=True",
        "CallbackHandler": "callbacks",
        "CallbackHandler.add_callback": "cb",
        "CallbackHandler.add_callbacks": "callbacks",
        "CallbackHandler.clear_callbacks": "",
        "CallbackHandler.call_event": "event, *args, **kwargs",
        "TerminateOnNaNCallback": "",
        "TerminateOnNaNCallback.check_for_nan_after_batch": "batch_output, step=None",
        "LogMetricsCallback": "",
        "LogMetricsCallback.log_metrics": "trainer, metrics",
        "PrintProgressCallback": "",
        "ProgressBarCallback": "",
        "SaveBestModelCallback": (
            "save_path='best_model.pt', watch_metric='eval_loss_epoch', greater_is_better=False, "
            "reset_on_train=True, save_optimizer=True, save_scheduler=True, "
            "load_saved_checkpoint=True"
        ),
        "EarlyStoppingCallback": (
            "early_stopping_patience=1, early_stopping_threshold=0.0, "
            "watch_metric='eval_loss_epoch', greater_is_better=False, reset_on_train=True"
        ),
        "MoveModulesToDeviceCallback": "",
        "LimitBatchesCallback": "num_batches",
        "LimitEvalStepsCallback": "num_eval_steps, limit_intermediate_only=True",
        "StepBasedEvaluationCallback": "eval_every_n_steps",
        "ModelEmaCallback": (
            "decay=0.99, evaluate_during_training=True, save_path='ema_model.pt', "
            "watch_metric='ema_model_eval_loss_epoch', greater_is_better=False, "
            "model_ema=ModelEma, callbacks=()"
        ),
        "ConvertSyncBatchNormCallback": "",
        "SaveTrainingStateCallback": (
            "save_dir='training_states', save_every_n_epochs=None, save_every_n_steps=None, "
            "save_at_end=True, max_checkpoints=None"
        ),
        "WSDCheckpointCallback": (
            "save_dir='checkpoints', save_optimizer=True, save_scheduler=True, "
            "initial_checkpoint=None"
        ),
    },
    "pytorch_accelerated.run_config": {"TrainerRunConfig.to_dict": ""},
    "pytorch_accelerated.tracking": {
        **{
            f"{history}.{method}": parameters
            for history in ("RunHistory", "InMemoryRunHistory")
            for method, parameters in {
                "get_metric_names": "",
                "get_metric_values": "metric_name",
                "get_latest_metric": "metric_name",
                "set_metric_name_prefix": "prefix=''",
                "update_metric": "metric_name, metric_value",
                "delete_metric": "metric_name",
                "reset": "",
                "_increment_epoch": "",
                "_set_epoch": "epoch",
            }.items()
        },
        "InMemoryRunHistory": "",
        "LossTracker": "",
        "LossTracker.update": "loss_batch_value, batch_size=1",
        "LossTracker.reset": "",
    },
    "pytorch_accelerated.schedulers": {
        "SchedulerBase": "optimizer, param_group_field='lr'",
        "SchedulerBase.get_updated_values": "num_updates",
        "SchedulerBase.step_update": "num_updates",
        "SchedulerBase.state_dict": "",
        "SchedulerBase.load_state_dict": "state_dict",
        "StatefulSchedulerBase": "optimizer, param_group_field='lr'",
        "StatefulSchedulerBase.step": "",
        "StatefulSchedulerBase.state_dict": "",
        "StatefulSchedulerBase.load_state_dict": "state_dict",
        "CosineLrScheduler": (
            "optimizer, total_num_epochs, num_update_steps_per_epoch, k_decay=1.0, lr_min=1e-6, "
            "min_lr_ratio=None, num_warmup_epochs=0, warmup_starting_lr=1e-6, "
            "warmup_starting_lr_ratio=None, num_cooldown_epochs=0"
        ),
        "CosineLrScheduler.create_scheduler_fn": (
            "total_num_epochs=NUM_EPOCHS, num_update_steps_per_epoch=NUM_UPDATE_STEPS_PER_EPOCH, "
            "k_decay=1.0, lr_min=1e-6, min_lr_ratio=None, num_warmup_epochs=0, "
            "warmup_starting_lr=1e-6, warmup_starting_lr_ratio=None, num_cooldown_epochs=0"
        ),
        "WSDLrScheduler": (
            "optimizer, num_epochs=None, num_update_steps_per_epoch=None, total_steps=None, "
            "num_warmup_steps=0, decay_phase_ratio=0.1, lr_min=1e-6, warmup_starting_lr=1e-6, "
            "use_inverse_sqrt_decay=True, num_checkpoints=1, is_continuation_from_checkpoint=False"
        ),
        "WSDLrScheduler.create_scheduler_fn": (
            "total_num_epochs=NUM_EPOCHS, "
            "num_update_steps_per_epoch=PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH, "
            "num_warmup_epochs=None, decay_phase_ratio=0.1, lr_min=1e-6, warmup_starting_lr=1e-6, "
            "use_inverse_sqrt_decay=True, num_checkpoints=1, is_continuation_from_checkpoint=False"
        ),
        "WSDLrScheduler.get_checkpoint_steps": "",
        "WSDLrScheduler.get_decay_info": "",
        "WSDLrScheduler.get_phase_info": "num_updates",
        "WSDLrScheduler.get_current_step": "",
        "WSDLrScheduler.get_current_phase_info": "",
    },
    "pytorch_accelerated.schedulers.wsd_scheduler": {
        "estimate_checkpoint_steps": "total_steps, num_checkpoints=3",
    },
    "pytorch_accelerated.utils": {
        "LimitBatches": "num_batches",
        "DataLoaderSlice": "dl, slice_size",
        "local_process_zero_only": "function",
        "world_process_zero_only": "function",
        "local_process_zero_first": "function",
        "ModelEma": "model, decay=0.9999",
        "ModelEma.update": "model",
        "ModelEma.set": "model",
        "ModelEma.update_fn": "old, new",
        "worker_init_fn": "worker_id",
        "remove_padding": "tensor, pad_value",
    },
    "pytorch_accelerated.finetuning": {
        "ModelFreezer": "model, freeze_batch_norms=False",
        "ModelFreezer.get_layer_groups": "",
        "ModelFreezer.get_layers": "",
        "ModelFreezer.get_trainable_parameters": "",
        "ModelFreezer.freeze": "from_index=0, to_index=-2, set_modules_as_eval=False",
        "ModelFreezer.unfreeze": "from_index=-1, to_index=0, set_modules_as_training=True",
        "_module_is_batch_norm": "module",
    },
}

# Attributes of instances, which the test makes.
ATTRIBUTES = {
    "Trainer": (
        "model loss_func optimizer callback_handler run_history run_config scheduler "
        "create_scheduler_fn collate_fn train_dataset eval_dataset device _accelerator "
        "_train_dataloader _eval_dataloader _train_dl_kwargs _eval_dl_kwargs _loss_tracker "
        "_pad_uneven_eval_batches"
    ),
    "TrainerWithTimmScheduler": "num_updates",
    "CallbackHandler": "callbacks callback_list",
    "TerminateOnNaNCallback": "triggered",
    "ProgressBarCallback": "pbar eval_pbar",
    "SaveBestModelCallback": (
        "save_path watch_metric greater_is_better save_optimizer save_scheduler "
        "load_saved_checkpoint best_metric best_metric_epoch"
    ),
    "EarlyStoppingCallback": (
        "early_stopping_patience early_stopping_threshold early_stopping_patience_counter "
        "watch_metric greater_is_better best_metric"
    ),
    "ModelEmaCallback": "ema_model",
    "SaveTrainingStateCallback": "_saved_checkpoints",
    "WSDCheckpointCallback": "last_checkpoint_step checkpoint_steps decay_fraction decay_info",
    "InMemoryRunHistory": "metric_name_prefix current_epoch",
    "LossTracker": "average total_loss running_count loss_value",
    "StatefulSchedulerBase": "optimizer param_group_field base_lr_values _num_updates",
    "CosineLrScheduler": (
        "total_iterations warmup_iterations num_cooldown_iterations lr_min lr_min_ratio "
        "warmup_lr_init warmup_lr_ratio k_decay base_lr_values"
    ),
    "WSDLrScheduler": (
        "total_steps num_warmup_steps decay_phase_ratio lr_min warmup_starting_lr "
        "use_inverse_sqrt_decay num_checkpoints is_continuation_from_checkpoint"
    ),
    "DataLoaderSlice": "dl slice_size",
    "ModelEma": "module decay",
    "ModelFreezer": "model num_groups freeze_bn",
    "LayerGroup": "layer_group_idx module is_frozen",
    "Layer": "layer_group_idx module is_frozen",
}

PLACEHOLDERS = (
    "NUM_EPOCHS NUM_UPDATE_STEPS_PER_EPOCH PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH "
    "TRAIN_DATALOADER_LEN EVAL_DATALOADER_LEN"
)

RUN_CONFIG_FIELDS = (
    "num_epochs train_per_device_batch_size train_dl_kwargs eval_per_device_batch_size "
    "eval_dl_kwargs gradient_accumulation_steps gradient_clip_value train_total_batch_size "
    "eval_total_batch_size num_update_steps_per_epoch num_local_update_steps_per_epoch "
    "max_num_train_steps is_local_process_zero is_world_process_zero is_distributed "
    "mixed_precision num_processes"
)

DEFAULT_CALLBACKS = (
    "MoveModulesToDeviceCallback TerminateOnNaNCallback PrintProgressCallback "
    "ProgressBarCallback LogMetricsCallback"
)

LOADER_KWARGS = "shuffle pin_memory batch_size num_workers worker_init_fn"

METRICS = "train_loss_epoch eval_loss_epoch evaluation_loss intermediate_eval_loss"

# Every event with the keywords that it comes with, beside the Trainer.
EVENTS = {
    "on_init_end": "",
    "on_training_run_start": "",
    "on_train_epoch_start": "",
    "on_train_step_start": "",
    "on_train_step_end": "batch batch_output step",
    "on_train_epoch_end": "",
    "on_eval_epoch_start": "is_intermediate",
    "on_eval_step_start": "",
    "on_eval_step_end": "batch batch_output",
    "on_eval_epoch_end": "is_intermediate",
    "on_training_run_epoch_end": "",
    "on_training_run_end": "",
    "on_evaluation_run_start": "",
    "on_evaluation_run_end": "",
    "on_stop_training_error": "",
}
