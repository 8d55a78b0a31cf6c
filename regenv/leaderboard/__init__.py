"""Submissions: their schema, their verification by replay, and the tables made from them."""
