"""Training of the models: phantoms, datasets, stages, recipes, evaluation."""
