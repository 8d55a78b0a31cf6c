"""Families of procedural pairs: which anatomy, how the two scans are related, which physics. One file each."""
