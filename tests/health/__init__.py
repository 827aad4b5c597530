"""What is believed of targets: one check, all of them, and what several POPs say."""
