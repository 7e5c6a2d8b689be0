"""From records to numbers: curves, rates, comparisons, the learning-rate search, claims. Needs no torch."""
