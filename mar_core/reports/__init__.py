"""What the commands that look at archives say."""
