"""Commands that give away models: `export` and `train`."""
