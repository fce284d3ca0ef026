"""Two replications of the paper run again, and what leads from their outcome to the paper's."""
