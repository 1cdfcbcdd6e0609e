"""E3D-GPT's Figure 4: questions unlike those that a model was trained on, with what is right."""
