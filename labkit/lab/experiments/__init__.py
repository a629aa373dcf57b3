"""What single experiments of the notebooks need beside their idea: a module each, named by what it does."""
