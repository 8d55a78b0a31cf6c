"""What the trained agents share: hyperparameter files, run folders, weight and policy files, measuring."""
