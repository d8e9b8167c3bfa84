"""Front door of Everloop: takes predictions and labels, joins them, archives them, keeps the data clock."""
