"""The parts of the campaign: each attacks one promise."""
