"""Where a fit starts: bodies retargeted to what an estimator found."""
