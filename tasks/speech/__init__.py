"""Speech: keywords, digits and vowels."""
