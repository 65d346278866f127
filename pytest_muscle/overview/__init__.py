"""What `--muscle-show` tells of a run before it: settings, models, prompts, stock, cost."""
