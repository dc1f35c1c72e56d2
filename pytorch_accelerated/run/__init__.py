"""What lives for one run of a Trainer, and is thrown away after it."""
