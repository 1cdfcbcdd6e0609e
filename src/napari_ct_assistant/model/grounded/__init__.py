"""What only the demonstration model has, and no paper.

Its encoder is taught which concept (a finding, its degree, a lobe) lies in which patch; it appends
their probabilities to each token; a convolution stem lets so small an encoder see small findings.
"""
