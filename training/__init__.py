"""Training of the models: recipes, data sets, stages, evaluation, release."""
