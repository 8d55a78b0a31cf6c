"""Patients that are read: pairs, files, folders, public layouts, and the cache."""
