"""What is fitted: the people of one image, what was seen of them, and who touches whom; its file."""
