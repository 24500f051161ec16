"""What is wrong with an archive: the rules, and the loop over every plugin's."""
