"""What a fit makes small: a batch of scenes, the state of its bodies, terms, their residuals."""
