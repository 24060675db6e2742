"""Personal data: where it stands in a text, and how a text loses it and gets it back."""
