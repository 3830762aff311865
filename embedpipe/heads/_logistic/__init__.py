"""The solver of the logistic head: its problem, the choice of C, the fit, the posterior."""
