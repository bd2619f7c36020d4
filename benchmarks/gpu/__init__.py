"""Programs compiled for a GPU that is not there, and what the compiler made of them."""
