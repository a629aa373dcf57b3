"""Files: where labkit keeps them, how it writes them whole, and how it reads those of strangers."""
