"""Instruction data from reports: questions and answers, by templates or by a language model."""
