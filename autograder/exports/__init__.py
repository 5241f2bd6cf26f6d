"""Grades in the forms that other systems take: one file per format, and what they share."""
