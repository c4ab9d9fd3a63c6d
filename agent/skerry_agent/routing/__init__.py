"""What modules say goes from here to where it is wanted: upstream, to a module, to a broker."""
