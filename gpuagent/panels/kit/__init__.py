"""Building blocks of the panels: HTML, fields, tabs, status lines, and work off the kernel's loop."""
