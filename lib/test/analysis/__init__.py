"""Scores, tables and plots from result files; knows results and truth, never trackers."""
