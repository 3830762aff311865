"""What strategies are made of: scores, ways of picking, coverage, posteriors. No strategies."""
