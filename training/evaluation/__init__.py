"""What a model's answers are worth: reports, questions and diagnosis, beside baselines.

Every figure stands with its confidence interval, the number of patients behind it, and the
name and version of what computed it.
"""
