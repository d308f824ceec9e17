"""Oracles: the async face of a searcher, its trial table and its retries."""
