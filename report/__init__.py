"""The report: what serves this book and nothing else."""
