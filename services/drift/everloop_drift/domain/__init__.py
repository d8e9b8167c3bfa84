"""What drift decides and measures. Pure: no clock, disk, network, randomness or environment."""
