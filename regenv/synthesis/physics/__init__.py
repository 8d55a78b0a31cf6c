"""What a scanner makes of an anatomy: the physics of each modality."""
