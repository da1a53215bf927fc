"""The only code that touches the world. One file, one library; none knows another."""
