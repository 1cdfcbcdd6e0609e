"""What every evaluation is computed with: intervals, rates, AUROC, baselines and text metrics."""
