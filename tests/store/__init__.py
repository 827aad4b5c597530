"""The journal on the disk, by what is found again after it ended in every way that there is."""
