"""What a seller knows of itself: jobs, money and disk, for people, for scripts and for Prometheus."""
