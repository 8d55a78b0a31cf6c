"""Patients that are invented: anatomy by part of the body, the physics of modalities, recipes, random shapes."""
