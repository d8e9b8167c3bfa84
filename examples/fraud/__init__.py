"""Card fraud, made up: a stream with known changes (`stream`), a bad recipe (`flipped`), and the loop file for both."""
